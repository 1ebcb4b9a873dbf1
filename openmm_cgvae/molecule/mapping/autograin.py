"""Auto-Grain: a mapping learned from the motion (CGVAE paper, appendix F.2; Wang & Gómez-Bombarelli 2019)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.mapping.builders import check_request, custom_mapping
from openmm_cgvae.molecule.topology import as_mdtraj_topology

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from openmm_cgvae.core.types import Positions, SomeTopology
    from openmm_cgvae.molecule.mapping.cgmapping import CGMapping

__all__ = ["autograin_loss", "autograin_mapping"]

logger = logging.getLogger(__name__)

EPOCHS = 1500
MAX_FRAMES = 1000
GEOMETRIC_WEIGHT = 0.25
FIRST_TAU, LAST_TAU = 1.0, 0.025
# The paper's step of 0.001 reaches the last temperature after this part of its 1,500 epochs.
COOLING = (FIRST_TAU - LAST_TAU) / 0.001 / EPOCHS
# An epoch of 1,000 frames in batches of 32; the paper gives neither this nor the learning rate.
UPDATES = 31
LEARNING_RATE = 1e-2
RESTARTS = 4


def autograin_mapping(
    topology: SomeTopology,
    positions: Positions,
    n_beads: int,
    seed: int = 0,
    epochs: int = EPOCHS,
    weights: str | ArrayLike = "geometric",
    progress: bool = False,
) -> CGMapping:
    """Learn which atoms to put on a bead from how they move together.

    Each atom is assigned softly by Gumbel-Softmax, C (N x n), the beads are X = M x with M the row-normalised C, and
    a decode matrix D (n x N) rebuilds the centred frames as D M x. Adam minimises L_MSD + 0.25 L_geo, in which
    L_MSD = 1/n sum_i |(D M x)_i - x_i|^2 and L_geo = 1/n sum_i |(C^T M x)_i - x_i|^2, while the temperature falls
    by 0.001 an epoch from 1 to 0.025 (evenly faster or slower with other than 1,500 epochs).

    Both losses are quadratic in x, so the second moments of the frames stand for the frames: every update sees all
    of them. Four starts are trained side by side; each atom goes to its likeliest bead; a bead left empty is given
    the atom farthest from the centre of its own bead; and the start with the least `autograin_loss` is taken. This
    takes minutes for a few hundred atoms.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology
    positions : Quantity or array_like, shape (frames, n, 3)
        Reference MD in nm, molecules whole; 1,000 frames are drawn by `seed` where there are more.
    n_beads : int
        From 1 to the number of atoms.
    seed : int
        From 0 to 2**63 - 1. Same seed and positions, same mapping.
    epochs : int
        Passes of 31 updates.
    weights : {"geometric", "mass"} or array_like, shape (n,)
        Weights of the mapping returned; the training uses centres of geometry.
    progress : bool
        Show a progress bar.

    Returns
    -------
    CGMapping
        No bead is empty; beads and their atoms are in the order of the topology.

    Raises
    ------
    MappingError
        If `n_beads` is out of range.
    DataError
        If there are fewer frames than 2, or than a third of `n_beads`: decoding would not be determined.
    PositionsError
        If the positions are of another shape, or not finite.
    SettingsError
        If `seed` or `epochs` is out of range.
    """
    topology = as_mdtraj_topology(topology)
    check_request(n_beads, 1, topology.n_atoms, "atoms", seed)
    if epochs < 1:
        raise SettingsError(f"epochs={epochs} given: 1 or more is expected")
    frames = as_positions_nm(positions, topology.n_atoms, "atoms")
    least = max(2, -(-n_beads // 3))
    if len(frames) < least:
        raise DataError(f"frames given: {len(frames)}; AutoGrain learns {n_beads} beads from {least} or more frames")
    if len(frames) > MAX_FRAMES:
        chosen = np.random.default_rng(seed).choice(len(frames), MAX_FRAMES, replace=False)
        frames = frames[np.sort(chosen)]
    moments = _second_moments(frames)
    candidates = [_fill_empty(a, moments, n_beads) for a in _train(moments, n_beads, seed, epochs, progress)]
    losses = [_hard_loss(moments, a) for a in candidates]
    logger.debug("AutoGrain losses of the starts in nm^2: %s", losses)
    best = candidates[int(np.argmin(losses))]
    return custom_mapping(topology, sorted(np.flatnonzero(best == k).tolist() for k in range(n_beads)), weights)


def autograin_loss(mapping, positions):
    """Evaluate L_MSD + 0.25 L_geo of a mapping with its best decode matrix.

    Parameters
    ----------
    mapping : CGMapping
        Its assignment counts; the beads are placed at centres of geometry, as in the training.
    positions : Quantity or array_like, shape (frames, n, 3)
        nm.

    Returns
    -------
    float
        nm^2, mean over atoms and frames.

    Raises
    ------
    PositionsError
        If the positions are of another shape, or not finite.
    """
    frames = as_positions_nm(positions, mapping.n_atoms, "atoms")
    return _hard_loss(_second_moments(frames), mapping.assignment)


def _second_moments(frames):
    """Mean of x_i . x_j over the centred frames, shape (n, n), nm^2; no rotation of a frame changes it."""
    frames = frames.astype(np.float64)
    frames -= frames.mean(1, keepdims=True)
    flat = frames.transpose(1, 0, 2).reshape(frames.shape[1], -1)
    return flat @ flat.T / len(frames)


def _square_error(moments, cross, gram, decode):
    """1/n sum_i |x_i - (D X)_i|^2 with cross = S M^T and gram = M S M^T; numpy or torch, batched over starts."""
    fit = ((decode @ gram - 2 * cross) * decode).sum((-1, -2))
    return (moments.trace() + fit) / len(moments)


def _members(assignment, n_beads):
    """C^T and M^T of a hard assignment, each (n, N); the column of an empty bead is 0."""
    members = np.eye(n_beads)[assignment]
    return members, members / np.maximum(members.sum(0), 1)


def _hard_loss(moments, assignment):
    members, projection = _members(assignment, int(assignment.max()) + 1)
    cross = moments @ projection
    gram = projection.T @ cross
    # Frames are centred, so the beads are linearly dependent and the best decode matrix needs a pseudo-inverse.
    decode = cross @ np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    errors = [_square_error(moments, cross, gram, matrix) for matrix in (decode, members)]
    return float(errors[0] + GEOMETRIC_WEIGHT * errors[1])


def _fill_empty(assignment, moments, n_beads):
    """Give every empty bead the atom farthest from its bead's centre, among the beads of two atoms or more."""
    assignment = assignment.copy()
    while (sizes := np.bincount(assignment, minlength=n_beads)).min() == 0:
        _, projection = _members(assignment, n_beads)
        cross = moments @ projection
        centre = (projection * cross).sum(0)
        distance = moments.diagonal() - 2 * cross[np.arange(len(cross)), assignment] + centre[assignment]
        distance[sizes[assignment] == 1] = -np.inf
        assignment[np.argmax(distance)] = np.argmin(sizes)
    return assignment


def _train(moments, n_beads, seed, epochs, progress):
    """Likeliest bead of every atom, shape (RESTARTS, n)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    # Dimensionless, so that the epsilon of Adam has the same meaning for every molecule.
    moments = torch.from_numpy(moments / moments.diagonal().mean())
    shape = RESTARTS, len(moments), n_beads
    logits, decode = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    optimizer = torch.optim.Adam([logits.requires_grad_(), decode.requires_grad_()], lr=LEARNING_RATE)
    for epoch in progress_bar(range(epochs), unit="epoch", leave=False, shown=progress):
        tau = max(LAST_TAU, FIRST_TAU - (FIRST_TAU - LAST_TAU) * epoch / (COOLING * epochs))
        for _ in range(UPDATES):
            gumbel = -torch.empty(shape, dtype=torch.float64).exponential_(generator=generator).log()
            optimizer.zero_grad()
            _soft_loss(moments, (logits + gumbel) / tau, decode).sum().backward()
            optimizer.step()
    return logits.detach().argmax(-1).numpy()


def _soft_loss(moments, scores, decode):
    """L_MSD + 0.25 L_geo of every start, shape (RESTARTS,)."""
    log_members = scores.log_softmax(-1)
    # Normalise in logarithms, which stays finite for an empty bead.
    projection = log_members.softmax(-2)
    cross = moments @ projection
    gram = projection.transpose(-1, -2) @ cross
    msd, geometric = (_square_error(moments, cross, gram, matrix) for matrix in (decode, log_members.exp()))
    return msd + GEOMETRIC_WEIGHT * geometric
