"""From a topology of beads to the all-atom molecule that they stand for."""
