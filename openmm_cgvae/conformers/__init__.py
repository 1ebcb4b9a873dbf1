"""Conformer ensembles of small molecules: reference data, training, sampling, and their evaluation."""
