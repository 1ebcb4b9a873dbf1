"""Frames of coarse-grained runs to heavy atoms, without a truth: bonds, handedness, contacts, shift of the beads.

    python benchmarks/cg_frames.py shared/data/cg --model protein-ca
    python benchmarks/cg_frames.py shared/data/cg --peers FOLDER --pulchra pypulchra

Takes every ``calvados_*.dcd`` of the folder with the PDB file of its name.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from proteins import RESULTS, built_by, built_by_model, programs_of

from openmm_cgvae.chemistry.aminoacids.residues import N_SLOTS, RESIDUE_NAMES
from openmm_cgvae.metrics.proteins import bead_figures, protein_summary, protein_table
from openmm_cgvae.proteins.chains import Chain

# Beads further apart than this on average over frames are not bonded, Angstrom. Of PED00183 residues are missing; parts
# of less than three that this leaves have no orientation and are left out.
GAP, SHORTEST = 4.7, 3


def main():
    """Measure the rows asked for, write them beside those there are, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=20, help="evenly spaced, of each run (default: 20)")
    parser.add_argument("--model", help="name or file of a model of this package")
    parser.add_argument("--consistency", nargs="+", default=["exact", "sound"], help="of the model with the beads")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="structures of peers, built if missing")
    parser.add_argument("--pulchra", metavar="PROGRAM")
    parser.add_argument("--faspr", metavar="PROGRAM")
    parser.add_argument("--cgback", metavar="PROGRAM")
    parser.add_argument("--output", type=Path, default=RESULTS / "cg-frames.json")
    args = parser.parse_args()
    chains = [chain for path in sorted(args.folder.glob("calvados_*.dcd")) for chain in frames_of(path, args.frames)]
    result = json.loads(args.output.read_text()) if args.output.exists() else {"rows": {}, "systems": {}}
    rows = {}
    if args.peers:
        programs = {peer: program for peer, program in programs_of(args).items() if "crystal" not in peer}
        rows |= {peer: built_by(peer, program, args.peers) for peer, program in programs.items()}
    if args.model:
        for consistency in args.consistency:
            rows[f"{args.model}, {consistency}"] = built_by_model(args.model, consistency=consistency)
    for name, builder in rows.items():
        if figures := figures_of(chains, builder):
            result["rows"][name], result["systems"][name] = summaries(figures)
            args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(protein_table(result["rows"]))
    for name, systems in result["systems"].items():
        print(f"\n{name}\n\n{protein_table(systems)}")


def frames_of(path, count):
    """Frames of a run as chains that have C-alpha only, named after system and frame."""
    import mdtraj

    run = mdtraj.load(path, top=path.with_suffix(".pdb"))
    types = np.array([RESIDUE_NAMES.index(residue.name) for residue in run.topology.residues])
    beads = run.xyz.astype(float) * 10
    connected = np.r_[False, np.linalg.norm(np.diff(beads, axis=1), axis=-1).mean(0) < GAP]
    part = np.cumsum(~connected)
    kept = np.bincount(part)[part] >= SHORTEST
    for frame in np.linspace(0, len(beads) - 1, count).astype(int):
        atoms, mask = np.zeros((kept.sum(), N_SLOTS, 3)), np.zeros((kept.sum(), N_SLOTS), dtype=bool)
        atoms[:, 1], mask[:, 1] = beads[frame][kept], True
        yield Chain(f"{path.stem}-{frame}", types[kept], atoms, mask, connected[kept])


def figures_of(chains, builder):
    """Name of each chain built to its figures and its number of residues."""
    figures = {}
    for chain in chains:
        if (built := builder(chain)) is not None:
            samples, mask, _ = built
            measured = bead_figures(chain.residue_types, samples[0], mask, chain.connected, chain.atoms[:, 1])
            figures[chain.name] = measured, len(chain.residue_types)
    return figures


def summaries(figures):
    """Of all frames, and of those of each system."""
    systems = {}
    for name, row in figures.items():
        systems.setdefault(name.split("-")[0].removeprefix("calvados_"), []).append(row)
    return protein_summary(*zip(*figures.values(), strict=True)), {
        system: protein_summary(*zip(*rows, strict=True)) for system, rows in systems.items()
    }


if __name__ == "__main__":
    main()
