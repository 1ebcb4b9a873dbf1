"""Errors, units, periodic boxes, noise, threads and outputs: what every room uses, and no science."""
