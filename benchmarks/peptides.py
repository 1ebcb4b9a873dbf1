"""Fluctuations of models of any protein, beside MD of short capped peptides that cover all amino acids.

    python benchmarks/peptides.py make WORK                               (repeat to go on)
    python benchmarks/peptides.py compare WORK chains.npz --model protein-ca WORK/md/model.pt

`make` builds tripeptides with protein-ca, three copies of every amino acid to train on, one for validation and one for
test, in random sequences, makes independent runs of each (amber14, GBn2, 300 K), one round over all peptides after the
other, and writes ``WORK/runs.txt``, of those to train on and for validation, which ``train`` takes beside crystals (a
line ``chains.npz``). `compare` samples beads of the test peptides' frames, and validation chains of the crystals.
"""

import argparse
import json
import os
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from proteins import RESULTS

LETTERS, LENGTH = "ARNDCQEGHILKMFPSTWYV", 3
COPIES = {"train": 3, "validation": 1, "test": 1}
# Independent runs of each peptide.
RUNS = {"train": 3, "validation": 2, "test": 4}
PROTOCOL = {
    "forcefield": ("amber14-all.xml", "implicit/gbn2.xml"), "temperature": 300.0, "hot_temperature": 700.0,
    "burst_ps": (4.0, 10.0), "equilibration_ps": 4.0, "interval_ps": 1.0, "frames": 30, "friction": 1.0,
    "time_step_ps": 0.004, "hydrogen_mass": 3.0, "solvent_every": 2,
}  # fmt: skip


def main():
    """Make the MD, or compare models with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "compare"])
    parser.add_argument("work", type=Path)
    parser.add_argument("chains", type=Path, nargs="?", help="packed chains (chains.npz)")
    parser.add_argument("--model", nargs="+", default=["protein-ca"], help="names or files")
    parser.add_argument("--samples", type=int, default=2, help="of each frame (2)")
    parser.add_argument("--crystals", type=int, default=40, help="validation chains of at most 300 residues (40)")
    parser.add_argument("--output", type=Path, default=RESULTS / "peptides.json")
    args = parser.parse_args()
    if args.what == "make":
        make(args.work)
    else:
        compare(args)


def sequences(seed=7):
    """Sequences of the peptides of each part; glycine fills up what is left over."""
    rng, found = np.random.default_rng(seed), {}
    for part, copies in COPIES.items():
        letters = np.array(list(LETTERS * copies + "G" * (-len(LETTERS) * copies % LENGTH)))
        rng.shuffle(letters)
        found[part] = ["".join(row) for row in letters.reshape(-1, LENGTH)]
    return found


def make(work):
    """Starting structures, runs and their list."""
    from openmm_cgvae.preparation.peptide import build_peptide
    from openmm_cgvae.preparation.reference import ReferenceProtocol, sample_reference

    paths = {part: [work / part / f"{sequence}.pdb" for sequence in row] for part, row in sequences().items()}
    for path in chain.from_iterable(paths.values()):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            build_peptide(path.stem, path)
    for k in range(1, max(RUNS.values()) + 1):
        for part in sorted(paths):
            for path in paths[part] if k <= RUNS[part] else []:
                sample_reference(path, path.with_suffix(""), k, ReferenceProtocol(**PROTOCOL), seed=1, progress=False)
                print(path.stem, k, flush=True)
    lines = [
        " ".join(str(p.relative_to(work)) for p in (path, *_runs_of(path)))
        for path in paths["train"] + paths["validation"]
    ]
    (work / "runs.txt").write_text("\n".join(lines) + "\n")


def _runs_of(path):
    return sorted(path.with_suffix("").glob("run-*.dcd"))


def compare(args):
    """Measure every model that is not in the results yet, print a line each."""
    from openmm_cgvae.metrics.proteins import protein_table
    from openmm_cgvae.proteins.chains import PackedChains

    crystals = [
        one for one in PackedChains.load(args.chains).subset("validation", representative=True)
        if len(one.residue_types) <= 300
    ][: args.crystals]  # fmt: skip
    rows = json.loads(args.output.read_text()) if args.output.exists() else {}
    for name in args.model:
        row = rows.setdefault(name, {})
        for key, measure in (("md", _on_md), ("crystal_entropies", _entropies), ("crystals", _built)):
            if key not in row:
                row[key] = measure(name, args, crystals)
                args.output.write_text(json.dumps(rows, indent=1) + "\n")
        print(name, row["md"]["mean"], row["md"]["cross_entropies"], row["crystal_entropies"], flush=True)
    found = {name: row["crystals"] for name, row in rows.items()}
    print(protein_table({f"{name}, {kind}": found[name][kind] for name in found for kind in found[name]}))


def _loaded(name):
    from openmm_cgvae import Model

    return Model.load(name, trust=os.path.exists(name))


def _built(name, args, chains):
    from openmm_cgvae.evaluation.proteins import evaluate_proteins, model_builder

    bind, ways = _loaded(name).bind, {"sample": {}, "representative": {"representative": True}}
    return {way: evaluate_proteins(chains, model_builder(bind, **options)) for way, options in ways.items()}


def _entropies(name, args, chains):
    from openmm_cgvae import Model
    from openmm_cgvae.training.proteins import ProteinTrainer

    network = Model.load(name, rebuild=True).file.module.sampler.network
    names = ("backbone", "chi1", "chi2", "chi1_packed")
    return dict(zip(names, ProteinTrainer.cross_entropies(network, chains), strict=True))


def _on_md(name, args, crystals):
    """Divergences with floors and diversity of every test peptide, cross-entropies of all their frames."""
    from openmm_cgvae.formats.structures import load_topology
    from openmm_cgvae.metrics import diversity_ratio, each_torsion_divergence
    from openmm_cgvae.molecule.graph import MolecularGraph
    from openmm_cgvae.molecule.topology import as_mdtraj_topology
    from openmm_cgvae.preparation.atomprotein import bound_to_atoms
    from openmm_cgvae.preparation.dataset import read_reference
    from openmm_cgvae.preparation.structures import chain_of

    model, peptides, frames = _loaded(name), {}, []
    for path in sorted((args.work / "test").glob("*.pdb")):
        topology = load_topology(path)
        reference, runs = read_reference(_runs_of(path), topology)
        sampler, order = bound_to_atoms(model, topology.to_openmm(), reference[0])
        reference = reference[:, order]
        parts = (chain_of(sampler.topology, frame) for frame in reference)
        frames += [replace(part, atoms=part.atoms.astype(np.float32)) for part in parts]
        samples = sampler.sample(sampler.mapping.project(reference), args.samples, seed=0)
        graph = MolecularGraph.from_topology(as_mdtraj_topology(sampler.topology))
        each = each_torsion_divergence(samples.reshape(-1, *samples.shape[2:]), reference, graph, runs).values()
        found = {"frames": len(reference)}
        for kind in ("backbone", "side_chain"):
            ours = [torsion for torsion in each if torsion["kind"] == kind]
            found |= {f"{kind}_{key}": float(np.mean([one[key] for one in ours])) for key in ("divergence", "floor")}
        found["diversity"] = diversity_ratio(samples, reference, sampler.mapping, graph, runs)["ratio_heavy"]
        peptides[path.stem] = found
    mean = {key: float(np.mean([row[key] for row in peptides.values()])) for key in found}
    return {"mean": mean, "cross_entropies": _entropies(name, args, frames), "peptides": peptides}


if __name__ == "__main__":
    main()
