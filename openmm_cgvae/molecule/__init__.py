"""What a molecule is: its residues, its atoms and bonds, and which beads stand for them."""
