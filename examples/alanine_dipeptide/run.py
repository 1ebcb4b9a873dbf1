"""Alanine dipeptide from nothing: reference MD, training, a CG run and its all-atom frames, and CG force fields.

    python examples/alanine_dipeptide/run.py work            (an hour or three on 2 cores; repeat it to go on)
    python examples/alanine_dipeptide/run.py work --quick    (a minute, to see it work; the model is poor)

The bundled models `alanine-dipeptide-3` and `alanine-dipeptide-5` were trained on the datasets it makes. Every stage is
skipped if its output is there, so an interrupted run goes on where it was. In the end tabulated and learned CG force
fields, made of the training runs, are compared with held-out MD: forcefields-<beads>/comparison.json.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from story import Molecule, arguments, tell

from openmm_cgvae.molecule.mapping import custom_mapping, residue_mapping
from openmm_cgvae.preparation.reference import ReferenceProtocol

FIVE_BEADS = {
    "CH3": [0, 1, 2, 3],
    "CONH1": [4, 5, 6, 7],
    "CHCH3": [8, 9, 10, 11, 12, 13],
    "CONH2": [14, 15, 16, 17],
    "NCH3": [18, 19, 20, 21],
}


def mapping(topology, n_beads):
    """Three beads, one a residue; or five by hand."""
    return residue_mapping(topology) if n_beads == 3 else custom_mapping(topology, FIVE_BEADS)


ALANINE_DIPEPTIDE = Molecule(
    name="alanine-dipeptide",
    pdb=Path(__file__).parent / "alanine_dipeptide.pdb",
    mapping=mapping,
    protocol=ReferenceProtocol(),
    runs=40,
    seed=0,
    preset="small",
    quick_frames=60,
    quick_epochs=10,
    quick_steps=100,
    quick_features=32,
)

if __name__ == "__main__":
    tell(ALANINE_DIPEPTIDE, arguments(__doc__, beads=(3, 5)))
