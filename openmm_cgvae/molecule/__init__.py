"""What a molecule is: its bond graph, its topology, its CG mapping, and the arrays a network takes of it."""
