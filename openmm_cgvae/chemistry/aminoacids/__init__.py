"""The residue library: atoms, bonds, stereocentres and names of amino acids, and their beads in known mappings."""
