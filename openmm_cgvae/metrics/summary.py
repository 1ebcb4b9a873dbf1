"""Summaries of validity and of the distributions of a set of structures."""

import numpy as np

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.metrics.distribution import jensen_shannon_with_floor, wasserstein
from openmm_cgvae.metrics.structure import (
    bond_angles,
    bond_graph_edit_ratios,
    bond_lengths,
    clashes,
    correct_chirality,
    correct_cis_trans,
    handedness,
    in_chunks,
    torsion_angles,
)

__all__ = ["geometry_distance", "structure_summary", "torsion_divergence"]

# 6 degrees a bin; three equivalent hydrogens leave a third of the circle. 10 degrees for the two-dimensional plot.
HISTOGRAMS = {
    "phi": {"bins": 60},
    "psi": {"bins": 60},
    "omega": {"bins": 60},
    "methyl": {"bins": 20, "range": (-np.pi / 3, np.pi / 3)},
    "ramachandran": {"bins": 36},
}


def structure_summary(
    positions, graph, reference_signs, beads=None, mapping=None, reference_trans=None, reference_sides=None
):
    """Summarise how many structures are right.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3)
        nm.
    graph : MolecularGraph
    reference_signs : array_like, shape (centres,) or (frames, centres)
        What `handedness` says of a reference structure.
    beads : Quantity or array_like, shape (frames, N, 3), optional
        The bead positions that the structures were made from; nm.
    mapping : CGMapping, optional
    reference_trans : array_like of bool, shape (t,) or (frames, t), optional
        What `cis_trans` says of a reference; all trans if omitted.
    reference_sides : array_like, shape (g,) or (frames, g), optional
        What `handedness` says of a reference's ``graph.alike_pairs[:, :4]``.

    Returns
    -------
    dict
        ``frames``; ``valid_ratio_all``, ``valid_ratio_heavy``: frames with exact bond graph; ``lambda_all``,
        ``lambda_heavy``: mean edit ratio (paper, section F.3); ``chirality_ratio``, ``cis_trans_ratio``: frames with
        all centres and all omega torsions right; ``clash_ratio``: frames with a clash; with `reference_sides`
        ``prochirality_ratio``: frames with the hydrogens of every CH2 and CH3 named right; with `beads` and `mapping`
        ``cg_consistency_max_nm``: the farthest that any bead M x is from X.

    Raises
    ------
    PositionsError
        If positions or beads do not fit the molecule or each other.
    DataError
        If there is no frame.
    """
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    if not len(frames):
        raise DataError("no frame given: at least one structure expected")
    edits = dict(zip(("all", "heavy"), bond_graph_edit_ratios(frames, graph, [None, graph.heavy]), strict=True))
    summary = {
        "frames": len(frames),
        **{f"valid_ratio_{kind}": float((values == 0).mean()) for kind, values in edits.items()},
        **{f"lambda_{kind}": float(values.mean()) for kind, values in edits.items()},
        "chirality_ratio": float(correct_chirality(frames, graph, reference_signs).mean()),
        "cis_trans_ratio": float(correct_cis_trans(frames, graph, reference_trans).mean()),
        "clash_ratio": float(clashes(frames, graph).mean()),
    }
    if reference_sides is not None:
        sides = handedness(frames, graph, graph.alike_pairs[:, :4])
        summary["prochirality_ratio"] = float((sides == np.asarray(reference_sides)).all(-1).mean())
    if beads is not None and mapping is not None:
        summary["cg_consistency_max_nm"] = _cg_inconsistency(frames, beads, mapping)
    return summary


def _cg_inconsistency(frames, beads, mapping):
    """Largest distance between M x and X in nm; float64, so that the measuring adds no rounding."""
    beads = as_positions_nm(beads, mapping.n_beads, "beads")
    if len(beads) != len(frames):
        raise PositionsError(f"{len(frames)} structures and {len(beads)} bead frames given: repeat beads by sample")
    projected = in_chunks(lambda chunk: mapping.project(chunk.astype(np.float64)), frames, 6 * mapping.n_atoms)
    return float(np.linalg.norm(projected - beads, axis=-1).max())


def torsion_divergence(positions, reference, graph, runs=None, seed=0):
    """Compare the torsion distributions of structures with those of a reference.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3)
        nm.
    reference : Quantity or array_like, shape (reference frames, n, 3)
        nm.
    graph : MolecularGraph
    runs : array_like, shape (reference frames,), optional
        Independent run of every reference frame, for an honest floor.
    seed : int
        Of the thinning to equal counts.

    Returns
    -------
    dict
        Jensen-Shannon divergence in nats, mean over the torsions of a kind, under ``phi``, ``psi``, ``omega``,
        ``methyl`` (folded by its threefold symmetry) and ``ramachandran``, as far as the molecule has them; and under
        ``phi_floor`` and so on what the reference scores against itself at the same count.

    Raises
    ------
    PositionsError
        If positions or reference do not fit the molecule.
    DataError
        If there is no frame, or fewer than two reference runs.
    """
    result = {}
    for kind, columns in _torsion_columns(graph).items():
        angles, expected = (
            np.stack([torsion_angles(x, graph, rows) for rows in columns], axis=-1) for x in (positions, reference)
        )
        pairs = [
            jensen_shannon_with_floor(angles[:, t], expected[:, t], runs, seed=seed, **HISTOGRAMS[kind])
            for t in range(angles.shape[1])
        ]
        result[kind], result[f"{kind}_floor"] = (float(value) for value in np.mean(pairs, axis=0))
    return result


def _torsion_columns(graph):
    """Atom rows to be measured together by kind: one array of shape (t, 4), or two for (phi, psi)."""
    torsions = graph.torsions
    columns = {kind: (rows,) for kind, rows in torsions.items()}
    # The two torsions about one alpha carbon, which uncapped ends have only one of.
    pairs = [(phi, psi) for phi in torsions["phi"] for psi in torsions["psi"] if phi[2] == psi[1]]
    columns["ramachandran"] = tuple(np.array(pairs, dtype=np.int64).reshape(-1, 2, 4).transpose(1, 0, 2))
    return {kind: rows for kind, rows in columns.items() if len(rows[0])}


def geometry_distance(positions, reference, graph):
    """Wasserstein-1 distance of bond lengths and angles to those of a reference, mean over bonds and over angles.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3)
        nm.
    reference : Quantity or array_like, shape (reference frames, n, 3)
        nm.
    graph : MolecularGraph

    Returns
    -------
    dict
        ``bond_wasserstein_nm`` and ``angle_wasserstein_rad``, as far as the molecule has bonds and angles.

    Raises
    ------
    PositionsError
        If positions or reference do not fit the molecule.
    DataError
        If there is no frame.
    """
    result = {}
    for name, measure in (("bond_wasserstein_nm", bond_lengths), ("angle_wasserstein_rad", bond_angles)):
        distances = wasserstein(measure(positions, graph), measure(reference, graph))
        if distances.size:
            result[name] = float(distances.mean())
    return result
