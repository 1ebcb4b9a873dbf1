"""Iterative Boltzmann inversion: tables whose simulated distributions are those of the reference."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.cg.histograms import histogram_features, relative_entropy_step
from openmm_cgvae.cg.replicas import choose_starts, run_replicas
from openmm_cgvae.cg.timestep import stable_time_step
from openmm_cgvae.core.archive import read_arrays, write_arrays
from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.fingerprint import check_same_folder, fingerprint
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.reading import parsed_json, reading
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K, as_positions_nm
from openmm_cgvae.io.results import SETTINGS
from openmm_cgvae.metrics.distribution import jensen_shannon_with_floor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from openmm_cgvae.cg.potential import CGPotential
    from openmm_cgvae.core.types import PathLike, Positions
    from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["InversionResult", "distance_divergence", "iterative_boltzmann_inversion", "runs_or_blocks"]

logger = logging.getLogger(__name__)

FRAME_INTERVAL = 50
# Iterations after which the rate is half of what it was.
HALF_RATE = 20
# How much longer the candidates are sampled at the end than in an iteration, and the fraction discarded at the start.
VALIDATION_FACTOR = 3
N_BLOCKS = 20


@dataclass(frozen=True)
class InversionResult:
    """Result of `iterative_boltzmann_inversion`.

    Parameters
    ----------
    potential : CGPotential
        The best of the initial one, the best iteration's and the mean of the second half of the iterations.
    chosen : str
        Which of them: ``initial``, ``best iteration`` or ``mean``.
    divergences : dict of str to float
        `distance_divergence` of each in a run of its own, nats.
    floor : float
        That of reference runs against reference runs.
    history : list of float
        Divergence of every iteration's short runs.
    """

    potential: CGPotential
    chosen: str
    divergences: dict
    floor: float
    history: list


def distance_divergence(beads_nm, reference_nm, runs=None, seed=0):
    """Mean Jensen-Shannon divergence of all bead distances between two sets of frames, with its floor.

    Parameters
    ----------
    beads_nm, reference_nm : array_like, shapes (f, N, 3) and (r, N, 3)
        nm.
    runs : int array, shape (r,), optional
        Independent run of every reference frame; 20 contiguous blocks if omitted, or if all are one run.
    seed : int
        Of the thinning to equal counts.

    Returns
    -------
    divergence, floor : float
        nats, 60 bins over the range of both sets; floor: halves of the reference, by runs. 0, 0 for a single bead.
    """
    i, j = np.triu_indices(np.shape(reference_nm)[1], 1)
    found, wanted = (
        np.linalg.norm(x[:, i] - x[:, j], axis=-1) for x in (np.asarray(beads_nm), np.asarray(reference_nm))
    )
    if not len(i):
        return 0.0, 0.0
    runs, pairs = runs_or_blocks(runs, len(wanted)), []
    for a, b in zip(found.T, wanted.T, strict=True):
        edges = min(a.min(), b.min()) - 1e-6, max(a.max(), b.max()) + 1e-6
        pairs.append(jensen_shannon_with_floor(a, b, runs, 2, seed, range=edges))
    divergence, floor = np.mean(pairs, axis=0)
    return float(divergence), float(floor)


def runs_or_blocks(runs, n_frames):
    """Run of every reference frame; 20 contiguous blocks where there is no more than one run."""
    if runs is not None and len(np.unique(runs)) > 1:
        return np.asarray(runs)
    return np.arange(n_frames) * N_BLOCKS // n_frames


def iterative_boltzmann_inversion(
    mapping: CGMapping,
    potential: CGPotential,
    reference_nm: Positions,
    runs: ArrayLike | None = None,
    iterations: int = 40,
    replicas: int = 8,
    steps: int = 8000,
    rate: float = 0.1,
    seed: int = 0,
    checkpoint: PathLike | None = None,
    progress: bool = True,
) -> InversionResult:
    """Improve a potential until its own simulation has the reference's distributions.

    Every iteration runs `replicas` short simulations, each going on from where it was, and changes all tables by
    ``rate * kT / (1 + iteration / 20)`` times `relative_entropy_step`. Iterative Boltzmann inversion proper (Reith,
    Puetz, Mueller-Plathe, J. Comput. Chem. 2003, 24, 1624) changes each table by its own ln(g / g_ref). In one molecule
    the many distances follow few collective motions, so their changes add up, and it swings between folded and
    unfolded; the step taken here knows their covariance.

    In the end the initial potential, the one of the best iteration, and the mean over the second half of the iterations
    are simulated anew from reference frames, longer, and the one of the lowest `distance_divergence` is kept.

    Parameters
    ----------
    mapping : CGMapping
    potential : CGPotential
        To start from, as `boltzmann_inversion` gives.
    reference_nm : Quantity or array_like, shape (frames, N, 3)
        Bead positions of the reference in nm, molecules whole.
    runs : int array, shape (frames,), optional
        Independent run of every frame, for the floor.
    iterations, replicas, steps : int
        Steps of each replica in an iteration.
    rate : float
        Above 0, at most 1.
    seed : int
        Same seed, same result to the bit (Reference platform).
    checkpoint : path, optional
        Written after every iteration; a call with the same arguments goes on from there.
    progress : bool

    Returns
    -------
    InversionResult

    Raises
    ------
    SettingsError
        If a setting is out of range, or the checkpoint is of another call.
    DataError
        If there are fewer reference frames than replicas, or the checkpoint cannot be read.
    SimulationError
        If a run becomes unstable.
    """
    reference = as_positions_nm(reference_nm, potential.n_beads, "beads").astype(float)
    _check_settings(len(reference), iterations, replicas, steps, rate)
    settings = {"iterations": iterations, "replicas": replicas, "steps": steps, "rate": rate, "seed": seed}
    inputs = {"potential": fingerprint(potential.to_dict()), "reference": fingerprint(reference)}
    with locked(checkpoint):
        return _improve(mapping, potential, reference, runs, settings, inputs, checkpoint, progress)


def _improve(mapping, potential, reference, runs, settings, inputs, checkpoint, progress):
    """What is left of the iterations, and the choice after them."""
    iterations, replicas, steps, rate, seed = settings.values()
    identity = settings | inputs | {"mapping": fingerprint(mapping.to_dict())}
    begun = _State.start(potential, choose_starts(reference, replicas, seed))
    state = _State.load(checkpoint, identity, begun) or begun
    kT = BOLTZMANN_KJ_PER_MOL_K * potential.temperature
    target = histogram_features(potential, reference)
    with progress_bar(total=iterations, initial=len(state.history), shown=progress, unit="iteration") as bar:
        while (done := len(state.history)) < iterations:
            current = _timed(potential.with_energies(state.energies), mapping, reference)
            sampled = run_replicas(mapping, current, state.replicas, steps, FRAME_INTERVAL, [seed, done])
            state.replicas, frames = sampled[:, -1], np.concatenate(sampled)
            divergence, floor = distance_divergence(frames, reference, runs)
            features = histogram_features(potential, frames)
            changes = relative_entropy_step(potential, features, target, np.random.default_rng([seed, done]))
            state.advance(
                divergence, [rate * kT / (1 + done / HALF_RATE) * c for c in changes], done >= iterations // 2
            )
            state.save(checkpoint, identity)
            logger.info("iteration %d: divergence %.4f, floor %.4f", done + 1, divergence, floor)
            bar.set_postfix(divergence=f"{divergence:.4f}", floor=f"{floor:.4f}")
            bar.update()
    return _best(mapping, potential, state, reference, runs, steps, seed, progress)


def _check_settings(n_frames, iterations, replicas, steps, rate):
    if min(iterations, replicas) < 1 or steps < FRAME_INTERVAL or not 0 < rate <= 1:
        raise SettingsError(
            f"iterations={iterations}, replicas={replicas}, steps={steps}, rate={rate} given: 1 or more iterations and "
            f"replicas, {FRAME_INTERVAL} or more steps and a rate above 0, at most 1, are expected"
        )
    if n_frames < max(replicas, 2):
        raise DataError(f"{n_frames} reference frames given for {replicas} replicas: as many at least are needed")


def _best(mapping, potential, state, reference, runs, steps, seed, progress):
    """Simulate the candidates from the same reference frames, and keep the nearest to the reference."""
    mean = [total / state.n_summed for total in state.total]
    tables = {"initial": [terms.energies for terms in potential.terms], "best iteration": state.best, "mean": mean}
    starts = choose_starts(reference, len(state.replicas), [seed, 1])
    candidates, divergences = {}, {}
    for k, (name, energies) in enumerate(progress_bar(tables.items(), "comparing", shown=progress)):
        candidate = _timed(potential.with_energies([e.round(4) for e in energies]), mapping, reference)
        own_seed = [seed, len(state.history) + k]
        frames = run_replicas(mapping, candidate, starts, VALIDATION_FACTOR * steps, FRAME_INTERVAL, own_seed)
        settled = np.concatenate(frames[:, steps // FRAME_INTERVAL :])
        divergences[name], floor = distance_divergence(settled, reference, runs)
        # Include frames of the run in the estimate of the time step.
        candidates[name] = _timed(candidate, mapping, np.concatenate([reference, *frames]))
    chosen = min(divergences, key=divergences.get)
    return InversionResult(candidates[chosen], chosen, divergences, floor, state.history)


def _timed(potential, mapping, frames):
    return replace(potential, time_step_ps=stable_time_step(potential.terms, mapping.masses, frames))


@dataclass
class _State:
    """State of the iterations: tables (current, best, sum over the second half), replicas, divergences so far."""

    energies: list
    best: list
    total: list
    n_summed: int
    replicas: np.ndarray
    history: list

    @classmethod
    def start(cls, potential, replicas):
        energies = [terms.energies for terms in potential.terms]
        return cls(energies, energies, [0 * e for e in energies], 0, replicas, [])

    def advance(self, divergence, changes, summed):
        """Record the divergence of the current tables, then update them."""
        if divergence < min(self.history, default=np.inf):
            self.best = self.energies
        self.history = [*self.history, divergence]
        self.energies = [e + c for e, c in zip(self.energies, changes, strict=True)]
        if summed:
            self.total = [t + e for t, e in zip(self.total, self.energies, strict=True)]
            self.n_summed += 1

    def check(self, like):
        """Refuse arrays of other shapes than those of a state of the same run, or that are not finite (`DataError`)."""
        pairs = [(getattr(self, name)[k], like.energies[k]) for name in ("energies", "best", "total") for k in range(3)]
        fits = all(own.shape == other.shape for own, other in [*pairs, (self.replicas, like.replicas)])
        finite = all(np.isfinite(own).all() for own in (*(own for own, _ in pairs), self.replicas, self.history))
        if not (fits and finite and 0 <= self.n_summed <= len(self.history)):
            raise DataError("the checkpoint of the inversion holds arrays that are not of this run: remove it")

    def save(self, path, identity):
        if path is None:
            return
        arrays = {f"{name}_{k}": getattr(self, name)[k] for name in ("energies", "best", "total") for k in range(3)}
        arrays |= {"identity": json.dumps(identity), "n_summed": self.n_summed, "replicas": self.replicas,
                   "history": self.history}  # fmt: skip
        with complete_output(check_output(path, overwrite=True)) as temporary:
            write_arrays(temporary, arrays, compress=False)

    @classmethod
    def load(cls, path, identity, like):
        """State that `save` wrote, or None if there is no file."""
        if path is None or not Path(path).exists():
            return None
        with reading(path, "checkpoint of an inversion", "'openmm-cgvae cg-forcefield --checkpoint'", DataError):
            arrays, _ = read_arrays(path)
            stored = parsed_json(str(arrays["identity"]).encode())
            SETTINGS(stored, "identity")
            lists = [[arrays[f"{name}_{k}"] for k in range(3)] for name in ("energies", "best", "total")]
            state = cls(*lists, int(arrays["n_summed"]), arrays["replicas"], arrays["history"].tolist())
        what = "is a checkpoint of other data or settings"
        check_same_folder(identity, stored, path, "give another, or remove it", what)
        state.check(like)
        return state
