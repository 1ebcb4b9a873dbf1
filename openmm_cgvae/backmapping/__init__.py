"""From bead positions to all-atom structures: each kind of model bound to a molecule, and whole trajectories."""
