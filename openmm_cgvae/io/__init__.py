"""Reading and writing of files: DCD, XTC and PDB trajectories, and the model file."""
