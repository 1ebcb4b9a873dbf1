"""Small molecules as RDKit has them: reading, rotatable bonds, rigid fragments, symmetry, stereo marks, topologies."""
