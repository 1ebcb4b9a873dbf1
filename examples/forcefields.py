"""CG force fields of an example, tabulated and learned: made of the training runs, run, and judged on held-out MD."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from openmm_cgvae.cg.boltzmann import bead_types, boltzmann_inversion
from openmm_cgvae.cg.forcematching import ForceMatchingConfig
from openmm_cgvae.cg.inversion import iterative_boltzmann_inversion
from openmm_cgvae.cg.learned import LearnedPotential, learn_potential
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.replicas import choose_starts, run_replicas
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.evaluation.comparison import reference_divergence
from openmm_cgvae.models import ModelConfig
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.training import split_runs

__all__ = ["FULL", "QUICK", "compare", "force_fields", "print_comparison"]

# Part of every run that is left out at its beginning.
SETTLING = 0.2
INTERVAL_PS = 0.2


@dataclass(frozen=True)
class Effort:
    """How much is spent.

    Parameters
    ----------
    iterations, steps : int
        Of the inversion, and of each of its runs.
    epochs, features : int
        Of the learned term.
    replicas : int
        Runs at a time.
    picoseconds : float
        Length of the runs that are compared with MD.
    """

    iterations: int
    steps: int
    epochs: int
    features: int
    replicas: int
    picoseconds: float


FULL = Effort(iterations=40, steps=8000, epochs=40, features=32, replicas=8, picoseconds=100.0)
QUICK = Effort(iterations=1, steps=100, epochs=1, features=8, replicas=2, picoseconds=1.0)


def force_fields(folder, dataset, training, forces, effort):
    """Tables by direct inversion, tables by iterated inversion, and these with a learned term.

    What is in the folder already is not made again.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``tables.json`` and ``learned.pt``, for ``openmm-cgvae simulate --potential``.
    dataset : Dataset
    training : TrainingConfig
        Says which runs are held out.
    forces : callable
        Gives those of the reference on all atoms.
    effort : Effort

    Returns
    -------
    dict of str to CGPotential
    """
    mapping = CGMapping.from_dict(dataset.description["mapping"])
    beads = mapping.project(dataset.positions).astype(float)
    held_out = {name: getattr(training, name) for name in ("validation_fraction", "test_fraction", "seed")}
    seen = split_runs(dataset.runs, *held_out.values())[0]
    direct = boltzmann_inversion(
        beads[seen], mapping.bead_bonds, dataset.description["temperature"], mapping.masses, types=bead_types(mapping)
    )
    tables, learned = folder / "tables.json", folder / "learned.pt"
    if not tables.exists():
        effort_of = effort.iterations, effort.replicas, effort.steps
        result = iterative_boltzmann_inversion(
            mapping, direct, beads[seen], dataset.runs[seen], *effort_of, checkpoint=folder / "inversion.npz"
        )
        result.potential.save(tables)
    iterated = CGPotential.load(tables)
    if not learned.exists():
        learn_potential(
            mapping, iterated, dataset.spec, beads, forces(), dataset.runs,
            ModelConfig(features=effort.features, prior_layers=2, radial=12),
            ForceMatchingConfig(epochs=effort.epochs, **held_out), folder / "learning.pt",
        ).save(learned)  # fmt: skip
    return {"direct": direct, "iterated": iterated, "learned": LearnedPotential.load(learned)}


def compare(folder, backmapper, potentials, dataset, frames, effort):
    """Run every force field, backmap what it visits, and set both beside held-out MD; once for a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``comparison.json``.
    backmapper : Backmapper
    potentials : dict of str to CGPotential
    dataset : Dataset
    frames : int array
        Those held out.
    effort : Effort

    Returns
    -------
    dict
        What ``comparison.json`` holds. By force field: time step, and `reference_divergence`; under ``MD's own beads``
        that of the held-out MD itself, its beads backmapped.
    """
    path = folder / "comparison.json"
    if path.exists():
        return json.loads(path.read_text())
    mapping, reference, runs = backmapper.mapping, dataset.positions[frames], dataset.runs[frames]
    others = mapping.project(np.delete(dataset.positions, frames, axis=0)).astype(float)
    starts = choose_starts(others, effort.replicas, seed=0)
    results = {"MD's own beads": reference_divergence(backmapper, mapping.project(reference), reference, runs)}
    for name, potential in potentials.items():
        step = potential.time_step_ps
        visited = run_replicas(
            mapping, potential, starts, round(effort.picoseconds / step), round(INTERVAL_PS / step), 0, progress=True
        )
        settled = np.concatenate(visited[:, round(SETTLING * visited.shape[1]) :])
        results[name] = {"time_step_ps": step, **reference_divergence(backmapper, settled, reference, runs)}
    results["learned"]["force_error"] = potentials["learned"].metadata["force_error"]
    summary = {
        "effort": asdict(effort),
        "frames": len(reference),
        "runs": len(np.unique(runs)),
        "force_fields": results,
    }
    with complete_output(path) as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def print_comparison(summary):
    """Print what `compare` returned: divergence (floor) of every distribution in nats, a row a force field."""
    results = summary["force_fields"]
    kinds = list(results["MD's own beads"])
    print(f"{'force field':<26}" + "".join(f"{kind:>22}" for kind in kinds))
    for name, found in results.items():
        pairs = (f"{found[kind]['divergence']:.4f} ({found[kind]['floor']:.4f})" for kind in kinds)
        print(f"{name:<26}" + "".join(f"{pair:>22}" for pair in pairs))
