"""Evaluation of a model on reference MD."""

import logging
import time
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from openmm_cgvae.core.errors import DataError, MissingDependencyError, SettingsError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.representation import html_table
from openmm_cgvae.core.units import ANGSTROM_PER_NM, as_positions_nm
from openmm_cgvae.io.journal import Steps
from openmm_cgvae.metrics import (
    cis_trans,
    diversity_ratio,
    each_torsion_divergence,
    geometry_distance,
    handedness,
    match_equivalent_hydrogens,
    rmsd,
    structure_summary,
    tica_divergence,
    torsion_divergence,
    valid_graphs,
)
from openmm_cgvae.metrics.torsions import KINDS
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = ["Evaluation", "evaluate", "figure_rows"]

logger = logging.getLogger(__name__)

# Consecutive blocks that stand for independent runs where the reference is a single trajectory.
BLOCKS = 10
# What energies are called in an `Evaluation`.
ENERGIES = {
    ("", "before"): "sampled", ("", "after"): "minimised", ("md_", "before"): "md", ("md_", "after"): "md minimised",
}  # fmt: skip
# Structures sampled between two updates of the progress bar.
CHUNK = 2048
# Frames minimised between two updates of the progress bar, which a worker of a cluster does at a time.
MINIMIZED_AT_ONCE = 50


def evaluate(
    backmapper,
    reference,
    runs=None,
    n_samples=8,
    seed=0,
    minimize=True,
    n_minimized=200,
    progress=True,
    client=None,
    steps=None,
):
    """Project reference structures to beads, sample all-atom structures for these, and compare.

    Parameters
    ----------
    backmapper : Backmapper
    reference : Quantity or array_like, shape (frames, n, 3)
        All-atom MD in nm that the model has not seen, molecules whole, in the order of time.
    runs : array_like, shape (frames,), optional
        Independent run of every frame. If omitted, 10 consecutive blocks stand for runs.
    n_samples : int
        Structures sampled for each frame; all are counted in every figure but those of the minimisation.
    seed : int
        Of the samples, and of the thinning to equal counts. All figures but ``frames_per_second`` follow from it.
    minimize : bool or Minimizer
        Whether to measure energies, in amber14 in vacuum or with a `Minimizer` of your own.
    n_minimized : int
        Frames to minimise, evenly spaced.
    progress : bool
        Show progress bars on what takes more than a few seconds.
    client : distributed.Client, optional
        Of a Dask cluster, whose workers sample and minimise; the figures are the same.
    steps : Steps, optional
        Of a journal in use, of a run with the same arguments: what it has is not made again, what is made it keeps.

    Returns
    -------
    Evaluation
        A dict of JSON types; None where a molecule has nothing to measure or what it takes is not installed.

        ``recon_rmsd_heavy_angstrom``, ``recon_rmsd_all_angstrom``
            Posterior mean against the frame it encodes, root mean square over frames, no superposition (paper, F.3);
            ``recon_rmsd_all_permuted_angstrom`` with equivalent hydrogens relabelled.
        ``gen_rmsd_heavy_angstrom``, ``gen_rmsd_all_angstrom``, ``gen_rmsd_all_permuted_angstrom``
            Samples against the frame their beads are of, valid samples only (paper, F.3). No value is right.
        ``lambda_heavy``, ``lambda_all``, ``valid_ratio_heavy``, ``valid_ratio_all``, ``chirality_ratio``,
        ``cis_trans_ratio``, ``prochirality_ratio``, ``clash_ratio``, ``cg_consistency_max_nm``
            As in `structure_summary`; handedness and cis/trans are compared with the frame that the beads are of.
            ``md_valid_ratio_all`` and so on are what the reference itself scores, ``raw_valid_ratio_all`` and so on
            what the samples do before their local geometry is bounded (None for a model without bounds).
        ``bond_w1_nm``, ``angle_w1_rad``
            `geometry_distance`, with ``bond_w1_nm_floor`` and ``angle_w1_rad_floor`` between halves of the reference.
        ``torsion_js_backbone``, ``torsion_js_side_chain``, ``torsion_js_rotatable_hydrogen``
            Means over `each_torsion_divergence`, whose values are under ``torsions``; nats. ``..._floor`` of each.
        ``ramachandran_js``, ``ramachandran_js_floor``
            Of the (phi, psi) histograms, mean over residues (`torsion_divergence`); nats.
        ``tica_js``, ``tica_js_floor``
            `tica_divergence`; nats.
        ``diversity_ratio``, ``diversity_ratio_heavy``, ``diversity_ratio_uncorrected``, ``diversity_spread_angstrom``,
        ``diversity_reference_spread_angstrom``, ``diversity_neighbour_rmsd_angstrom``
            `metrics.diversity.diversity_ratio`; a warning says why where there is none.
        ``energy_per_atom_before_kj_mol``, ``energy_per_atom_after_kj_mol``
            Median before and after 50 iterations with the beads held, of one sample a frame;
            ``md_energy_per_atom_...`` of the same reference frames, treated alike. ``minimize_failed_ratio``: samples
            that could not be minimised, and count as they are. All are left out without `minimize`.
        ``frames_per_second``
            All-atom structures a second, sampling alone, after warming up; of a cluster those of one worker.

    Raises
    ------
    PositionsError
        If the reference does not fit the model.
    DataError
        If there are fewer than two frames or runs.
    SettingsError
        If `n_samples` or `n_minimized` is less than 1.
    MinimizationError
        If the force field lacks a residue: pass a `Minimizer` with another one, or ``minimize=False``.
    """
    if n_samples < 1 or n_minimized < 1:
        raise SettingsError(f"n_samples={n_samples}, n_minimized={n_minimized} given: 1 or more is expected of both")
    reference = as_positions_nm(reference, backmapper.n_atoms, "atoms")
    runs = _checked_runs(runs, len(reference))
    beads, steps = backmapper.mapping.project(reference), steps or Steps()
    draw = partial(_sample, steps, beads, n_samples, seed, progress, client)
    if client is None and not steps.is_kept:
        # TorchScript optimises itself during the first calls, which are not to be timed.
        for _ in range(2):
            backmapper.sample(beads[: _frames_at_once(n_samples)], n_samples, seed=seed)
    samples, speed = draw(backmapper)
    unbounded = backmapper.unbounded()
    raw = None if unbounded is None else draw(unbounded)[0]
    case = _Case(backmapper, reference, runs, beads, samples, raw, seed)
    figures = {"frames": len(reference), "runs": len(np.unique(runs)), "samples": n_samples, "seed": seed}
    measures = (_reconstruction, _generation, _structure, _geometry, _torsions, _slow_motions, _diversity)
    for measure in progress_bar(measures, desc="measuring", leave=False, shown=progress):
        figures |= steps(lambda measure=measure: ({}, measure(case)))[1]
    found, energies = _energies(case, minimize, n_minimized, steps, progress, client) if minimize else ({}, {})
    return Evaluation(figures | found | {"frames_per_second": speed}, case, energies)


class Evaluation(dict):
    """What `evaluate` found: the figures by name, and what they were measured of.

    Parameters
    ----------
    figures : dict
    case : object
        With ``backmapper``, ``reference``, ``runs``, ``beads`` and ``samples``, as arrays frame by frame.
    energies : dict of str to numpy.ndarray
        kJ/mol an atom, of ``sampled`` and ``minimised`` structures, and ``md`` and ``md minimised``; empty without
        minimisation.
    """

    def __init__(self, figures, case, energies):
        super().__init__(figures)
        self.case = case
        self.energies = energies

    def _repr_html_(self):
        """Show the figures as a table in a notebook."""
        rows = [(name, value, "" if other is None else other) for name, value, other, _ in figure_rows(self)]
        return html_table("Evaluation", rows, "figure", "value", "floor, or MD itself")


def figure_rows(figures):
    """Rows of a table of figures, single torsions left out.

    Yields
    ------
    name, value, other, kind
        Of every figure; `other` is its floor or what MD itself scores, which `kind` tells ("floor", "MD"), or None.
    """
    for name, value in figures.items():
        if isinstance(value, dict) or name.startswith("md_") or name.endswith("_floor"):
            continue
        others = ((figures.get(f"{name}_floor"), "floor"), (figures.get(f"md_{name}"), "MD"))
        yield name, value, *next((pair for pair in others if pair[0] is not None), (None, ""))


@dataclass(frozen=True)
class _Case:
    """Reference and samples, frame by frame."""

    backmapper: object
    reference: np.ndarray
    runs: np.ndarray
    beads: np.ndarray
    samples: np.ndarray
    # As the networks make them; None of a model without bounds.
    raw: np.ndarray | None
    seed: int

    @cached_property
    def graph(self):
        return MolecularGraph.from_topology(as_mdtraj_topology(self.backmapper.topology))

    @property
    def mapping(self):
        return self.backmapper.mapping

    @property
    def flat(self):
        """The samples as frames, shape (frames * s, n, 3)."""
        return self.samples.reshape(-1, *self.samples.shape[2:])

    def for_samples(self, values):
        """Repeat what belongs to the reference frames for the samples in `flat`."""
        return np.repeat(values, self.samples.shape[1], axis=0)


def _checked_runs(runs, n_frames):
    """Run of every frame, blocks if none are given."""
    runs = np.arange(n_frames) * BLOCKS // max(1, n_frames) if runs is None else np.asarray(runs)
    if runs.shape != (n_frames,) or len(np.unique(runs)) < 2:
        raise DataError(
            f"{n_frames} frames with run ids of shape {runs.shape} and {len(np.unique(runs))} runs given: one id a "
            "frame, and at least 2 runs are expected; leave the ids of a single trajectory out"
        )
    return runs


def _frames_at_once(n_samples):
    return max(1, CHUNK // n_samples)


def _sample(steps, beads, n_samples, seed, progress, client, backmapper):
    """The samples, (frames, s, n, 3), and how many are drawn a second."""
    step = _frames_at_once(n_samples)
    numbers = [np.arange(k, min(k + step, len(beads))) for k in range(0, len(beads), step)]
    parts = [(beads[k], k) for k in numbers]
    made = steps.each(partial(_sampled, backmapper, n_samples, seed), parts, client)
    made = list(progress_bar(made, total=len(parts), desc="sampling", leave=False, shown=progress))
    seconds = sum(record["seconds"] for _, record in made)
    return np.concatenate([arrays["positions"] for arrays, _ in made]), len(beads) * n_samples / seconds


def _pooled_angstrom(values):
    """Return the root mean square of RMSDs (nm) in Angstrom, or None without values."""
    return ANGSTROM_PER_NM * float(np.sqrt(np.square(values).mean())) if len(values) else None


def _reconstruction(case):
    rebuilt = case.backmapper.reconstruct(case.reference)
    matched = match_equivalent_hydrogens(rebuilt, case.reference, case.graph)
    return {
        "recon_rmsd_heavy_angstrom": _pooled_angstrom(rmsd(rebuilt, case.reference, case.graph.heavy)),
        "recon_rmsd_all_angstrom": _pooled_angstrom(rmsd(rebuilt, case.reference)),
        "recon_rmsd_all_permuted_angstrom": _pooled_angstrom(rmsd(rebuilt, matched)),
    }


def _generation(case):
    reference = case.for_samples(case.reference)
    heavy = valid_graphs(case.flat, case.graph, case.graph.heavy)
    valid = valid_graphs(case.flat, case.graph)
    matched = match_equivalent_hydrogens(case.flat, reference, case.graph)
    return {
        "gen_rmsd_heavy_angstrom": _pooled_angstrom(rmsd(case.flat, reference, case.graph.heavy)[heavy]),
        "gen_rmsd_all_angstrom": _pooled_angstrom(rmsd(case.flat, reference)[valid]),
        "gen_rmsd_all_permuted_angstrom": _pooled_angstrom(rmsd(case.flat, matched)[valid]),
    }


def _structure(case):
    signs, trans = handedness(case.reference, case.graph), cis_trans(case.reference, case.graph)
    sides = handedness(case.reference, case.graph, case.graph.alike_pairs[:, :4])
    summary = structure_summary(
        case.flat,
        case.graph,
        case.for_samples(signs),
        beads=case.for_samples(case.beads),
        mapping=case.mapping,
        reference_trans=case.for_samples(trans),
        reference_sides=case.for_samples(sides),
    )
    ideal = structure_summary(case.reference, case.graph, signs, reference_trans=trans)
    raw = {}
    if case.raw is not None:
        signs, trans = case.for_samples(signs), case.for_samples(trans)
        raw = structure_summary(case.raw.reshape(case.flat.shape), case.graph, signs, reference_trans=trans)
    compared = ("valid_ratio_heavy", "valid_ratio_all", "lambda_heavy", "lambda_all", "clash_ratio")
    also = (*compared, "chirality_ratio", "cis_trans_ratio")
    del summary["frames"]
    return summary | {f"md_{name}": ideal[name] for name in compared} | {f"raw_{name}": raw.get(name) for name in also}


def _geometry(case):
    # Take every other run, so that a drift over the runs affects both halves equally.
    first = np.isin(case.runs, np.unique(case.runs)[::2])
    found = geometry_distance(case.flat, case.reference, case.graph)
    floor = geometry_distance(case.reference[first], case.reference[~first], case.graph)
    names = {"bond_w1_nm": "bond_wasserstein_nm", "angle_w1_rad": "angle_wasserstein_rad"}
    return {
        name + suffix: values.get(source)
        for name, source in names.items()
        for suffix, values in (("", found), ("_floor", floor))
    }


def _torsions(case):
    each = each_torsion_divergence(case.flat, case.reference, case.graph, case.runs, case.seed)
    figures = {}
    for kind in KINDS:
        own = [values for values in each.values() if values["kind"] == kind]
        for suffix, name in (("", "divergence"), ("_floor", "floor")):
            mean = float(np.mean([values[name] for values in own])) if own else None
            figures[f"torsion_js_{kind}{suffix}"] = mean
    planes = torsion_divergence(case.flat, case.reference, case.graph, case.runs, case.seed)
    figures["ramachandran_js"] = planes.get("ramachandran")
    figures["ramachandran_js_floor"] = planes.get("ramachandran_floor")
    return figures | {"torsions": each}


def _slow_motions(case):
    try:
        found = tica_divergence(case.flat, case.reference, case.graph, case.runs, seed=case.seed)
    except (MissingDependencyError, DataError) as error:
        # deeptime is not installed or the runs are too short: leave this figure out.
        logger.warning("%s", error)
        found = None
    return dict(zip(("tica_js", "tica_js_floor"), found or (None, None), strict=True))


def _diversity(case):
    try:
        found = diversity_ratio(case.samples, case.reference, case.mapping, case.graph, case.runs)
    except DataError as error:
        # Not defined for one sample per frame, too few beads to superpose, or too few frames.
        logger.warning("no diversity ratio: %s", error)
        found = {}
    ratios = ("ratio", "ratio_heavy", "ratio_uncorrected")
    lengths = ("spread", "reference_spread", "neighbour_rmsd")
    in_angstrom = {name: ANGSTROM_PER_NM * found[f"{name}_nm"] if found else None for name in lengths}
    return {f"diversity_{name}": found.get(name) for name in ratios} | {
        f"diversity_{name}_angstrom": value for name, value in in_angstrom.items()
    }


def _sampled(backmapper, n_samples, seed, part):
    beads, frames = part
    started = time.perf_counter()
    positions = backmapper.sample(beads, n_samples, seed=seed, frames=frames)
    return {"positions": positions}, {"seconds": time.perf_counter() - started}


def _minimized(minimizer, part):
    done = minimizer.minimize(*part, progress=False)
    return {"before": done.energy_before, "after": done.energy_after, "failed": np.asarray(done.failed)}, {}


def _energies(case, minimizer, n_minimized, steps, progress, client):

    from openmm_cgvae.atomistic.minimizer import Minimizer

    if minimizer is True:
        minimizer = Minimizer(case.mapping, handedness=handedness(case.reference[:1], case.graph)[0])
    chosen = np.linspace(0, len(case.reference) - 1, min(n_minimized, len(case.reference))).astype(np.int64)
    rows = np.array_split(chosen, -(-len(chosen) // MINIMIZED_AT_ONCE))
    sets, figures, each = {"": case.samples[:, 0], "md_": case.reference}, {}, {}
    with progress_bar(total=len(sets) * len(rows), desc="minimising", leave=False, shown=progress) as bar:
        for prefix, structures in sets.items():
            parts = []
            made = steps.each(partial(_minimized, minimizer), [(structures[k], case.beads[k]) for k in rows], client)
            for arrays, _ in made:
                parts.append(arrays)
                bar.update()
            for moment in ("before", "after"):
                energies = np.concatenate([part[moment] for part in parts])
                median = float(np.median(energies)) / case.graph.n_atoms
                figures[f"{prefix}energy_per_atom_{moment}_kj_mol"] = median if np.isfinite(median) else None
                each[ENERGIES[prefix, moment]] = energies / case.graph.n_atoms
            failed = np.concatenate([part["failed"] for part in parts])
            figures[f"{prefix}minimize_failed_ratio"] = float(failed.mean())
    return figures, each
