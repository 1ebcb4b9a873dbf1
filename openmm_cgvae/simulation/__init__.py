"""CG runs that write all-atom frames, of one or many molecules, their checkpoints, and their continuation in atoms."""
