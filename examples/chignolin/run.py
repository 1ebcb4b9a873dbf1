"""Chignolin (CLN025, capped) from nothing: reference MD, training, a CG run and its atoms, and CG force fields.

    python examples/chignolin/run.py work            (days on 2 cores; repeat it to go on)
    python examples/chignolin/run.py work --quick    (minutes, to see it work; the model is poor)

Beads are communities of the bond graph. The reference MD, that of the bundled models, starts folded; bursts at 700 K
unfold part of the runs. Every stage is skipped if its output is there, so an interrupted run goes on where it was. In
the end tabulated and learned CG force fields, made of the training runs, are compared with held-out MD:
forcefields-<beads>/comparison.json.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from story import Molecule, arguments, tell

from openmm_cgvae.molecule.mapping import community_mapping
from openmm_cgvae.preparation.reference import ReferenceProtocol

CHIGNOLIN = Molecule(
    name="chignolin",
    pdb=Path(__file__).parent / "chignolin.pdb",
    mapping=community_mapping,
    protocol=ReferenceProtocol(
        forcefield=("amber14-all.xml", "implicit/gbn2.xml"),
        temperature=350.0,
        hot_temperature=700.0,
        burst_ps=(0.0, 100.0),
        interval_ps=1.0,
        frames=250,
        friction=1.0,
        time_step_ps=0.004,
        hydrogen_mass=3.0,
        solvent_every=2,
    ),
    runs=40,
    seed=1,
    preset="peptide",
    quick_frames=5,
    quick_epochs=2,
    quick_steps=40,
    quick_features=32,
)

if __name__ == "__main__":
    tell(CHIGNOLIN, arguments(__doc__, beads=(10, 6, 20, 30)))
