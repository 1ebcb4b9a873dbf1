"""Checks of conformers pass what RDKit builds, and each finds what it is for."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from openmm_cgvae.ensembles.packed import with_conformers
from openmm_cgvae.evaluation.conformers.accuracy import conformer_positions
from openmm_cgvae.evaluation.conformers.validity import CHECKS, ConformerChecks

SMILES = [
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "C/C=C\\C/C=C/C", "C[C@H]1CC[C@@H](O)CC1", "O=S(=O)(N)c1ccc(Cl)cc1",
    "C1CCCCCCCCCCC1", "CC12CC3CC(CC(C3)C1)C2", "C1C2CC12", "N#Cc1c[nH]c(Br)c1I", "[NH3+][C@@H](C)C(=O)[O-]",
]  # fmt: skip


def built(smiles, count=4):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, count, randomSeed=7)) == count
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol)
    return mol, conformer_positions(mol)


def failed(mol, positions):
    """Names of the checks that a conformer does not pass."""
    return {name for name, good in ConformerChecks(mol)(positions[None]).items() if not good[0]}


@pytest.mark.parametrize("smiles", SMILES)
def test_minimised_conformers_pass(smiles):
    mol, x = built(smiles)
    found = ConformerChecks(mol)(x)
    assert set(found) == set(CHECKS)
    assert all(good.all() and good.shape == (4,) for good in found.values())


def test_a_mirror_image_has_other_centres_and_the_same_bonds():
    mol, x = built("C[C@H]1CC[C@@H](F)C1")
    assert failed(mol, -x[0]) == {"centres"}
    mol, x = built("CCO")
    assert failed(mol, -x[0]) == set()


def test_one_centre_of_several_is_found():
    (mol, _), (other, y) = built("C[C@H](F)[C@@H](Cl)O"), built("C[C@H](F)[C@H](Cl)O")
    assert failed(mol, y[0]) == {"centres"} and failed(other, y[0]) == set()


def test_cis_in_place_of_trans_is_found():
    (mol, _), (_, y) = built("C/C=C/C"), built("C/C=C\\C")
    assert failed(mol, y[0]) == {"double_bonds"}


def test_a_bent_aromatic_ring_and_a_torn_ring_are_found():
    mol, x = built("Cc1ccccc1")
    bent = x[0].copy()
    bent[[1, 7]] += 0.8 * np.cross(x[0, 2] - x[0, 1], x[0, 3] - x[0, 1]) / 2
    assert "rings" in failed(mol, bent)
    mol, x = built("C1CCCCC1")
    torn = x[0].copy()
    torn[0] += 1.5 * (x[0, 0] - x[0, :6].mean(0))
    assert {"rings", "bond_graph"} <= failed(mol, torn)


def test_broken_bonds_and_atoms_on_one_another_are_found():
    mol, x = built("CCCCCC")
    torn = x[0].copy()
    torn[0] += 3 * (x[0, 0] - x[0, 1])
    assert "bond_graph" in failed(mol, torn)
    met = x[0].copy()
    shift = x[0, 5] - x[0, 0] + 0.4
    ends = [0, *[a.GetIdx() for a in mol.GetAtomWithIdx(0).GetNeighbors() if a.GetAtomicNum() == 1]]
    met[ends] += shift
    assert "bond_graph" in failed(mol, met)


def test_a_bond_through_a_ring_is_found():
    mol = Chem.AddHs(Chem.MolFromSmiles("c1ccccc1CCCCCCCC"))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    x = mol.GetConformer().GetPositions()
    ring = x[:6]
    centre, normal = ring.mean(0), np.linalg.svd(ring - ring.mean(0))[2][2]
    pierced = x.copy()
    # The last bond of the chain, moved onto the axis of the ring.
    pierced[12], pierced[13] = centre - 0.75 * normal, centre + 0.75 * normal
    assert not ConformerChecks(mol)(pierced[None])["rings"][0]
    assert ConformerChecks(mol)(x[None])["rings"][0]


def test_posebusters_agrees_on_what_passes(tmp_path):
    posebusters = pytest.importorskip("posebusters")
    mol, x = built("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", 2)
    torn = x[0].copy()
    torn[0] += 3 * (x[0, 0] - x[0, 1])
    bust = posebusters.PoseBusters(config="mol")
    verdicts = []
    for places in (x[0], torn):
        table = bust.bust(with_conformers(mol, places[None]))
        verdicts.append(bool(table.to_numpy().all()))
    assert verdicts == [True, False]
    assert [not failed(mol, places) for places in (x[0], torn)] == verdicts
