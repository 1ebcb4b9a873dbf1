"""From bead positions to all-atom structures: of a molecule, a system, a trajectory, and during a run."""
