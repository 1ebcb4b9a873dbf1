"""Measure the geometry of residues on crystal chains and write the table that the protein metrics compare with."""

import argparse
from pathlib import Path

from openmm_cgvae.metrics.residueshapes import FILE
from openmm_cgvae.preparation.shapesurvey import measure_shapes, write_shapes
from openmm_cgvae.proteins.chains import PackedChains

RESOLUTION = 1.8


def main():
    """Measure the representatives of the training clusters at 1.8 Angstrom or better."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chains", type=Path, help="packed chains (chains.npz)")
    parser.add_argument("--output", type=Path, default=FILE)
    args = parser.parse_args()
    chosen = PackedChains.load(args.chains).subset("train", representative=True, resolution=RESOLUTION)
    rows = ((chain.residue_types, chain.atoms, chain.mask, chain.connected) for chain in chosen)
    write_shapes(measure_shapes(rows), args.output)


if __name__ == "__main__":
    main()
