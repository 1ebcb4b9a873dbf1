"""Distributions of the torsions of a protein, on crambin with side chains turned at random."""

import numpy as np
import pytest
from proteinchains import crambin, residue, turned

from openmm_cgvae.metrics.proteintorsions import protein_torsion_divergence


def spun(number, slots, axis, angles):
    """Copies of crambin with some atoms of a residue turned by each of these angles in degrees."""
    _, atoms, mask, _ = crambin()
    moved = np.zeros_like(mask)
    moved[number, slots] = True
    return np.stack([turned(atoms, atoms[number, axis], moved & mask, angle) for angle in angles])


def test_only_the_torsion_that_differs_diverges():
    types, _, mask, connected = crambin()
    number, rng = residue("L"), np.random.default_rng(0)
    branches = (slice(6, 8), [4, 5])  # CD1, CD2 about CB-CG: chi2
    reference = spun(number, *branches, np.tile([0, 120], 100))
    alike, stuck = (
        protein_torsion_divergence(types, spun(number, *branches, angles), reference, mask, connected)
        for angles in (rng.choice([0, 120], 200), np.zeros(200))
    )
    assert alike["chi2"]["divergence"] < 2 * alike["chi2"]["floor"] + 0.01
    # p = (1, 0) and q = (1/2, 1/2) have the mean (3/4, 1/4); no other residue differs.
    expected = (np.log(4 / 3) + np.log(2 / 3) / 2 + np.log(2) / 2) / 2
    assert stuck["chi2"]["divergence"] * stuck["chi2"]["residues"] == pytest.approx(expected, abs=0.03)
    for name in ("phi", "psi", "omega", "chi1"):
        assert stuck[name]["divergence"] == 0


def test_half_a_turn_of_a_ring_is_no_difference():
    types, _, mask, connected = crambin()
    number = residue("F")
    ring = (slice(6, 14), [4, 5])
    angles = np.tile([0.0, 180.0], 20)
    found = protein_torsion_divergence(
        types, spun(number, *ring, angles), spun(number, *ring, np.zeros(40)), mask, connected
    )
    assert found["chi2"]["divergence"] == 0
