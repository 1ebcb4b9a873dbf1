"""Training data: reference MD, and datasets made of trajectories."""
