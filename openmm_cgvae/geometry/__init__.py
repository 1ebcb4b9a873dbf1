"""Geometry of atoms and beads in torch: vectors, neighbours, shapes, and bounds on them; scriptable."""
