"""Any protein in torch: chains to train on, torsions from bead positions, and atoms from torsions."""
