"""Kinds of models: of one molecule, of any protein, of any small molecule; what binds each to a molecule."""
