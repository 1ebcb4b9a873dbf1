import subprocess
import sys

import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.metrics import (
    geometry_distance,
    handedness,
    jensen_shannon_with_floor,
    structure_summary,
    torsion_angles,
    torsion_divergence,
)
from openmm_cgvae.molecule.graph import MolecularGraph

# ACE-ALA-NME, heavy atoms only but for one methyl: enough for phi, psi, both omega and a rotor.
ATOMS = [
    ("ACE", 0, "CH3", 6, None),
    ("ACE", 0, "C", 6, 0),
    ("ACE", 0, "O", 8, 1),
    ("ALA", 1, "N", 7, 1),
    ("ALA", 1, "CA", 6, 3),
    ("ALA", 1, "CB", 6, 4),
    ("ALA", 1, "HA", 1, 4),
    ("ALA", 1, "HB1", 1, 5),
    ("ALA", 1, "HB2", 1, 5),
    ("ALA", 1, "HB3", 1, 5),
    ("ALA", 1, "C", 6, 4),
    ("ALA", 1, "O", 8, 10),
    ("NME", 2, "N", 7, 10),
    ("NME", 2, "CH3", 6, 12),
]


@pytest.fixture(scope="module")
def dipeptide():
    residues, residue_index, names, numbers, parents = zip(*ATOMS, strict=True)
    bonds = np.array([[p, i] for i, p in enumerate(parents) if p is not None])
    return MolecularGraph(np.array(numbers), bonds, names, residues, np.array(residue_index))


def place(a, b, c, length, angle, torsion):
    """Put an atom by its distance to c, angle with b and torsion with a, shape (frames, 3)."""
    axis = (c - b) / np.linalg.norm(c - b, axis=-1, keepdims=True)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    torsion = np.asarray(torsion)[..., None]
    across = np.cross(normal, axis) * np.cos(torsion) + normal * np.sin(torsion)
    return c - length * np.cos(angle) * axis + length * np.sin(angle) * across


def build(phi, psi, methyl):
    """Ideal dipeptides with these torsions, shape (frames, 14, 3) in nm."""
    flat, wide, frames = np.radians(120), np.radians(109.5), len(phi)
    x = np.zeros((frames, 14, 3))
    x[:, 1] = [0.15, 0, 0]
    x[:, 2] = [0.15 - 0.123 * np.cos(flat), 0.123 * np.sin(flat), 0]
    zero = np.zeros(frames)

    def put(i, a, b, c, length, angle, torsion):
        x[:, i] = place(x[:, a], x[:, b], x[:, c], length, angle, torsion)

    x[:, 3] = [0.15 - 0.133 * np.cos(flat), -0.133 * np.sin(flat), 0]
    put(4, 0, 1, 3, 0.145, flat, zero + np.pi)
    put(10, 1, 3, 4, 0.152, wide, phi)
    put(5, 1, 3, 4, 0.153, wide, phi - np.radians(120))
    put(6, 1, 3, 4, 0.109, wide, phi + np.radians(120))
    put(12, 3, 4, 10, 0.133, flat, psi)
    put(11, 3, 4, 10, 0.123, flat, psi + np.pi)
    put(13, 4, 10, 12, 0.145, flat, zero + np.pi)
    for k in range(3):
        put(7 + k, 3, 4, 5, 0.109, wide, methyl + np.radians(120 * k))
    return x


def draw(seed, phi=-1.2, psi=2.4, methyl=1.0, frames=400):
    rng = np.random.default_rng(seed)
    return build(*(rng.normal(mean, 0.2, frames) for mean in (phi, psi, methyl)))


@pytest.fixture(scope="module")
def structures():
    return draw(0)


class CentreOfGeometry:
    """What `structure_summary` needs of a mapping, here with all atoms on one bead."""

    n_beads, n_atoms = 1, len(ATOMS)

    def project(self, positions):
        return positions.mean(1, keepdims=True)


def test_intact_structures(dipeptide, structures):
    signs = handedness(structures[:1], dipeptide)
    assert signs.shape == (1, 1)
    summary = structure_summary(structures, dipeptide, signs[0])
    assert summary == {
        "frames": 400,
        "valid_ratio_all": 1.0,
        "valid_ratio_heavy": 1.0,
        "lambda_all": 0.0,
        "lambda_heavy": 0.0,
        "chirality_ratio": 1.0,
        "cis_trans_ratio": 1.0,
        "clash_ratio": 0.0,
    }


def test_each_fault_is_counted_where_it_belongs(dipeptide, structures):
    signs = handedness(structures[:1], dipeptide)
    frames = structures[:4].copy()
    frames[0, 7] += 1.0  # one hydrogen of 13 bonds
    frames[1, 13] += 1.0  # one heavy atom: of 13 bonds, and of 9 among heavy atoms
    frames[2] *= [1, 1, -1]
    summary = structure_summary(frames, dipeptide, signs)
    assert summary["valid_ratio_all"] == 0.5
    assert summary["valid_ratio_heavy"] == 0.75
    assert summary["lambda_all"] == pytest.approx(2 / 13 / 4)
    assert summary["lambda_heavy"] == pytest.approx(1 / 9 / 4)
    assert summary["chirality_ratio"] == 0.75


def test_hydrogens_that_exchanged_their_names_are_counted(dipeptide, structures):
    rows, signs = dipeptide.alike_pairs, handedness(structures[:1], dipeptide)
    sides = handedness(structures[:1], dipeptide, rows[:, :4])
    assert len(rows) and (handedness(structures, dipeptide, rows[:, :4]) == sides).all()
    frames = structures[:4].copy()
    frames[1, rows[0, 3:]] = frames[1, rows[0, [4, 3]]]
    summary = structure_summary(frames, dipeptide, signs, reference_sides=sides)
    assert (summary["prochirality_ratio"], summary["chirality_ratio"]) == (0.75, 1.0)


def test_consistency_is_the_farthest_bead(dipeptide, structures):
    mapping, signs = CentreOfGeometry(), handedness(structures[:1], dipeptide)
    beads = mapping.project(structures)
    exact = structure_summary(structures, dipeptide, signs, beads, mapping)
    assert exact["cg_consistency_max_nm"] == pytest.approx(0, abs=1e-12)
    beads[7, 0] += [0.3, 0, 0.4]
    moved = structure_summary(structures, dipeptide, signs, beads, mapping)
    assert moved["cg_consistency_max_nm"] == pytest.approx(0.5)
    with pytest.raises(PositionsError, match="repeat beads"):
        structure_summary(structures, dipeptide, signs, beads[:5], mapping)


def test_no_frame_is_refused(dipeptide):
    with pytest.raises(DataError):
        structure_summary(np.zeros((0, 14, 3)), dipeptide, [1])


def test_torsions_of_the_same_distribution_meet_the_floor(dipeptide, structures):
    divergence = torsion_divergence(draw(1, frames=200), structures, dipeptide)
    kinds = {"phi", "psi", "omega", "methyl", "ramachandran"}
    assert set(divergence) == kinds | {f"{kind}_floor" for kind in kinds}
    for kind in kinds - {"omega"}:
        assert divergence[f"{kind}_floor"] / 2 < divergence[kind] < 2 * divergence[f"{kind}_floor"]


def test_only_the_torsion_that_moved_diverges(dipeptide, structures):
    turned = draw(1, phi=1.2, methyl=1.0 + 2 * np.pi / 3)
    divergence = torsion_divergence(turned, structures, dipeptide, runs=np.arange(400) // 40)
    np.testing.assert_allclose(divergence["phi"], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(divergence["ramachandran"], np.log(2), rtol=1e-6)
    for kind in ("psi", "methyl"):
        assert divergence[kind] < 2 * divergence[f"{kind}_floor"]


def test_uncapped_ends_are_left_out_of_the_ramachandran():
    # N-CA-C three times: psi, phi and psi, phi.
    names, residue_index = ("N", "CA", "C") * 3, np.repeat([0, 1, 2], 3)
    bonds = np.array([[i, i + 1] for i in range(8)])
    chain = MolecularGraph(np.array([7, 6, 6] * 3), bonds, names, ("GLY",) * 9, residue_index)
    a, b = np.random.default_rng(0).normal(size=(2, 60, 9, 3))
    middle = np.array([[2, 3, 4, 5], [3, 4, 5, 6]])
    expected = jensen_shannon_with_floor(*(torsion_angles(x, chain, middle) for x in (a, b)), bins=36)
    divergence = torsion_divergence(a, b, chain)
    assert (divergence["ramachandran"], divergence["ramachandran_floor"]) == pytest.approx(expected)


def test_a_molecule_without_torsions_gives_nothing():
    monoxide = MolecularGraph(np.array([6, 8]), np.array([[0, 1]]), ("C", "O"), ("MOL",) * 2, np.zeros(2, dtype=int))
    frames = np.random.default_rng(0).normal(size=(10, 2, 3))
    assert torsion_divergence(frames, frames, monoxide) == {}


def test_geometry_distance_is_the_stretch(dipeptide, structures):
    lengths = np.linalg.norm(structures[0, dipeptide.bonds[:, 0]] - structures[0, dipeptide.bonds[:, 1]], axis=-1)
    distance = geometry_distance(structures * 1.1, structures, dipeptide)
    assert distance["bond_wasserstein_nm"] == pytest.approx(0.1 * lengths.mean())
    assert distance["angle_wasserstein_rad"] == pytest.approx(0, abs=1e-9)


def test_import_is_light():
    heavy = "{'scipy', 'matplotlib', 'mdtraj', 'openmm', 'rdkit', 'torch'}"
    code = f"import sys, openmm_cgvae.metrics, openmm_cgvae.report; sys.exit(str({heavy} & set(sys.modules) or ''))"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).stderr.strip() == b""
