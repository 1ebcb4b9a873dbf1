"""The table of residue shapes, what follows from its bonds, and how it is measured."""

from itertools import pairwise

import numpy as np
import pytest

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS
from openmm_cgvae.metrics.residueshapes import residue_shapes
from openmm_cgvae.metrics.vectors import angle, distance, torsion


def slot(letter, name):
    return HEAVY_ATOMS[AMINO_ACIDS.index(letter)].index(name)


def test_lengths_and_angles_are_near_those_of_engh_and_huber():
    shapes = residue_shapes()
    alanine = AMINO_ACIDS.index("A")
    lengths = {
        tuple(bond): length
        for bond, length in zip(shapes.bonds[alanine].tolist(), shapes.bond_lengths[alanine], strict=True)
    }
    for bond, length in (((0, 1), 1.458), ((1, 2), 1.525), ((2, 3), 1.231), ((1, 4), 1.521)):
        assert lengths[bond] == pytest.approx(length, abs=0.01)
    assert shapes.peptide_lengths == pytest.approx([1.329, 1.341], abs=0.01)
    assert shapes.link_means[0] == pytest.approx([116.2, 123.0, 121.7], abs=1.0)


def test_rings_are_those_of_five_residues():
    shapes = residue_shapes()
    found = sorted((AMINO_ACIDS[kind], len(ring)) for kind, ring in shapes.rings)
    assert found == [("F", 6), ("H", 5), ("P", 5), ("W", 5), ("W", 6), ("Y", 6)]
    for kind, ring in shapes.rings:
        assert all(shapes.separations[kind, a, b] == 1 for a, b in pairwise([*ring, ring[0]]))


def test_separations_count_bonds():
    apart = residue_shapes().separations[AMINO_ACIDS.index("R")]
    # N CA CB CG CD NE CZ NH1, and NH1 to NH2 over CZ.
    assert apart[0, slot("R", "NH1")] == 7 and apart[slot("R", "NH1"), slot("R", "NH2")] == 2
    assert apart[0, 13] == 99


def test_levels_are_shares_of_residues():
    shapes = residue_shapes()
    # Bins of the helix hold more than half of what is general, those of phi = 90, psi = -90 none.
    helix, empty = (int(x / 5) for x in (360 - 63, 360 - 43)), (90 // 5, 270 // 5)
    assert shapes.ramachandran[(0, *helix)] > 0.9
    assert shapes.ramachandran[(0, *empty)] < 0.0005
    assert shapes.ramachandran[(4, *empty)] > 0.0005
    assert ((shapes.rotamers >= 0) & (shapes.rotamers <= 1)).all()


def test_distances_angles_and_torsions_of_points_on_axes():
    origin, x, y = np.zeros(3), np.array([2.0, 0, 0]), np.array([0, 3.0, 0])
    assert distance(x, y) == pytest.approx(np.sqrt(13))
    assert angle(x, origin, y) == pytest.approx(np.pi / 2)
    # Looking along b-c (z upward), a quarter turn clockwise from a to d is +90 degrees.
    up = np.array([0, 0, 1.0])
    assert torsion(x, origin, up, up - y) == pytest.approx(-np.pi / 2)
    assert torsion(x, origin, up, up + y) == pytest.approx(np.pi / 2)
    assert torsion(x, origin, up, up + x) == pytest.approx(0)
