"""The table of residue shapes, what follows from its bonds, and how it is measured."""

from itertools import pairwise

import numpy as np
import pytest
from proteinchains import LETTERS, crambin

from openmm_cgvae.metrics import residueshapes
from openmm_cgvae.metrics.residueshapes import residue_shapes
from openmm_cgvae.metrics.shapesurvey import measure_shapes, write_shapes
from openmm_cgvae.metrics.vectors import angle, distance, torsion


def slot(letter, name):
    shapes = residue_shapes()
    return shapes.atom_names[shapes.type_of(letter)].index(name)


def test_types_are_in_the_order_of_the_packed_chains():
    assert residue_shapes().letters == tuple(LETTERS)


def test_lengths_and_angles_are_near_those_of_engh_and_huber():
    shapes = residue_shapes()
    alanine = shapes.type_of("A")
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
    found = sorted((shapes.letters[kind], len(ring)) for kind, ring in shapes.rings)
    assert found == [("F", 6), ("H", 5), ("P", 5), ("W", 5), ("W", 6), ("Y", 6)]
    for kind, ring in shapes.rings:
        assert all(shapes.separations[kind, a, b] == 1 for a, b in pairwise([*ring, ring[0]]))


def test_separations_count_bonds():
    apart = residue_shapes().separations[residue_shapes().type_of("R")]
    # N CA CB CG CD NE CZ NH1, and NH1 to NH2 over CZ.
    assert apart[0, slot("R", "NH1")] == 7 and apart[slot("R", "NH1"), slot("R", "NH2")] == 2
    assert apart[0, 13] == 99


def test_torsions_end_before_rings_and_planar_groups():
    shapes = residue_shapes()
    counts = {letter: int((shapes.torsions[k] >= 0).all(-1).sum()) for k, letter in enumerate(shapes.letters)}
    assert counts == {"A": 0, "G": 0, "S": 1, "T": 1, "C": 1, "V": 1, "P": 2, "F": 2, "Y": 2, "W": 2, "H": 2, "D": 2,
                      "N": 2, "I": 2, "L": 2, "M": 3, "E": 3, "Q": 3, "K": 4, "R": 4}  # fmt: skip
    isoleucine = shapes.type_of("I")
    assert [shapes.atom_names[isoleucine][s] for s in shapes.torsions[isoleucine, 1]] == ["CA", "CB", "CG1", "CD1"]


def test_levels_are_shares_of_residues():
    shapes = residue_shapes()
    # Bins of the helix hold more than half of what is general, those of phi = 90, psi = -90 none.
    helix, empty = (int(x / 5) for x in (360 - 63, 360 - 43)), (90 // 5, 270 // 5)
    assert shapes.ramachandran[(0, *helix)] > 0.9
    assert shapes.ramachandran[(0, *empty)] < 0.0005
    assert shapes.ramachandran[(4, *empty)] > 0.0005
    assert ((shapes.rotamers >= 0) & (shapes.rotamers <= 1)).all()


def test_a_survey_of_one_chain_returns_its_own_means(tmp_path, monkeypatch):
    types, atoms, mask, connected = crambin()
    kinds = sorted(set(types))
    names = [residue_shapes().atom_names[kind] for kind in kinds]
    shapes = measure_shapes(
        [(np.searchsorted(kinds, types), atoms, mask, connected)], [LETTERS[k] for k in kinds], names
    )
    alanine = types == LETTERS.index("A")
    lengths = distance(atoms[alanine, 0], atoms[alanine, 1])
    row = shapes.type_of("A")
    assert shapes.bonds[row, :4].tolist() == [[0, 1], [1, 2], [1, 4], [2, 3]]
    assert shapes.bond_lengths[row, 0] == pytest.approx(lengths.mean())
    assert shapes.bond_spreads[row, 0] == pytest.approx(lengths.std())
    monkeypatch.setattr(residueshapes, "FILE", tmp_path / "shapes.npz")
    write_shapes(shapes, tmp_path / "shapes.npz")
    read = residue_shapes.__wrapped__()
    assert read.letters == shapes.letters and read.atom_names == shapes.atom_names
    assert read.bond_lengths == pytest.approx(shapes.bond_lengths, rel=1e-6)
    assert (read.angles == shapes.angles).all()


def test_distances_angles_and_torsions_of_points_on_axes():
    origin, x, y = np.zeros(3), np.array([2.0, 0, 0]), np.array([0, 3.0, 0])
    assert distance(x, y) == pytest.approx(np.sqrt(13))
    assert angle(x, origin, y) == pytest.approx(np.pi / 2)
    # Looking along b-c (z upward), a quarter turn clockwise from a to d is +90 degrees.
    up = np.array([0, 0, 1.0])
    assert torsion(x, origin, up, up - y) == pytest.approx(-np.pi / 2)
    assert torsion(x, origin, up, up + y) == pytest.approx(np.pi / 2)
    assert torsion(x, origin, up, up + x) == pytest.approx(0)
