"""Conformer ensembles of small molecules: reference data, training of the networks that sample them, and sampling."""
