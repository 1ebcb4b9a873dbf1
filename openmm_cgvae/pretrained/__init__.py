"""Bundled models: an index of names, and the files."""
