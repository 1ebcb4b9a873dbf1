"""Measuring models: on reference MD, crystals and conformer ensembles, force fields compared, the benchmark, export."""
