"""Trajectories of any format or library as one stream of frames, and the model file."""
