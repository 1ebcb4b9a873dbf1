"""Measuring models: evaluation on reference MD, comparison of force fields, the benchmark, and export."""
