"""How far atoms move between frames, by correlation time: ``python benchmarks/coherence.py [--model NAME ...]``.

Reference frames 1 ps apart are projected and backmapped with noise of several correlation times; the mean displacement
of an atom between consecutive frames, superposed, stands beside that of the MD itself. The frames are the held-out
runs bundled with the models. Results go to ``benchmarks/results/coherence.json``.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.io.bundled import pretrained_names, read_index
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.pretrained.bundle import reference_frames

RESULTS = Path(__file__).parent / "results" / "coherence.json"
TIMES_PS = (0, 0.5, 1, 2, 3, 5, 10, 20, 50, 1000)


def displacement(runs):
    """Mean displacement in A between consecutive frames of runs (r, f, n, 3) in nm, superposed (Kabsch)."""
    centred = runs - runs.mean(-2, keepdims=True)
    first, second = centred[:, :-1], centred[:, 1:]
    u, _, v = np.linalg.svd(np.swapaxes(second, -1, -2) @ first)
    u[..., -1] *= np.linalg.det(u @ v)[..., None]
    return float(10 * np.linalg.norm(first - second @ (u @ v), axis=-1).mean())


def coherence(name):
    """Displacements of heavy and of all atoms: of the MD, and by correlation time."""
    backmapper = Backmapper.load(name)
    heavy = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology)).atomic_numbers > 1
    reference = reference_frames(name)
    runs = reference.reshape(backmapper.metadata["held_out"]["runs"], -1, *reference.shape[1:])
    rows = {"MD": runs}
    for time in TIMES_PS:
        samples = [
            backmapper.sample(backmapper.mapping.project(run), 1, seed, correlation=time)[:, 0]
            for seed, run in enumerate(runs)
        ]
        rows[f"{time} ps"] = np.stack(samples)
    return {row: {"heavy": displacement(x[:, :, heavy]), "all": displacement(x)} for row, x in rows.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="+", default=pretrained_names(), help="bundled models (all)")
    for name in parser.parse_args().model:
        found = {"model_sha256": read_index()[name]["sha256"], "displacement_angstrom": coherence(name)}
        print(name)
        for row, moved in found["displacement_angstrom"].items():
            print(f"  {row:>8}  heavy {moved['heavy']:.3f} A  all {moved['all']:.3f} A")
        # A model that is measured again replaces its own figures only.
        earlier = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(earlier | {name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
