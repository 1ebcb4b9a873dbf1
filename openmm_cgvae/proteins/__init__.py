"""Networks for any protein: backbone and side-chain torsions from bead positions, and atoms from torsions."""
