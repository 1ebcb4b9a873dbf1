"""CG runs that write all-atom frames, their checkpoints, and their continuation in atoms."""
