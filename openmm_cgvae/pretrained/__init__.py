"""Bundled models: their files, and the commands that add one, with its reference or its card."""
