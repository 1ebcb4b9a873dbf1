"""Axes of cumulenes are those of the input; of those that are not kept it is said."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms

from openmm_cgvae.chemistry.approximate import approximate_conformers, canonical_molecule, optimized
from openmm_cgvae.chemistry.axes import cumulene_axes, open_axes
from openmm_cgvae.chemistry.reading import parsed_smiles
from openmm_cgvae.chemistry.usable import usable_molecules


def angles(mol):
    (axis,) = cumulene_axes(mol)
    return [rdMolTransforms.GetDihedralDeg(conformer, *axis[:4]) for conformer in mol.GetConformers()]


@pytest.mark.parametrize("relaxation", ["mmff", "uff", "none"])
@pytest.mark.parametrize(
    ("smiles", "expected"),
    [("CC=C=CC", 90), ("FC(Cl)=C=C(C)CCO", 90), ("CC=C=C=CC", 0), ("CC1CCC(=C=C(C)F)CC1", 90), ("CC=C=C=C=CC", 90)],
)
def test_end_planes_of_cumulenes_have_their_angle_and_both_forms_come(smiles, expected, relaxation):
    made = approximate_conformers(Chem.AddHs(Chem.MolFromSmiles(smiles)), 4, 1, relaxation)
    found = np.array(angles(made))
    # Right angles are +-90, flat ones 0 and 180: alike when doubled.
    assert np.allclose(np.cos(np.radians(2 * found)), np.cos(np.radians(2 * expected)), atol=0.01)
    assert len({round(np.cos(np.radians(a)) + 2 * np.sin(np.radians(a))) for a in found}) == 2
    lengths = [rdMolTransforms.GetBondLength(c, *cumulene_axes(made)[0][:2]) for c in made.GetConformers()]
    assert np.ptp(lengths) < 0.05


@pytest.mark.parametrize("smiles", ["CC=C=CC", "FC(Cl)=C=C(C)CCO", "CC=C=C=CC"])
def test_conformers_have_the_axis_of_a_3d_input_whatever_the_order_of_atoms(smiles):
    given = approximate_conformers(Chem.AddHs(Chem.MolFromSmiles(smiles)), 2, 1)
    order = np.random.default_rng(0).permutation(given.GetNumAtoms()).tolist()
    for k, wanted in enumerate(angles(given)):
        mixed = Chem.RenumberAtoms(Chem.Mol(given, confId=k), order)
        canonical, places = canonical_molecule(mixed)
        made = approximate_conformers(canonical, 3, 5)
        for conformer in made.GetConformers():
            again = Chem.RenumberAtoms(Chem.Mol(made, confId=conformer.GetId()), places[np.argsort(order)].tolist())
            (axis,) = cumulene_axes(given)
            found = rdMolTransforms.GetDihedralDeg(again.GetConformer(), *axis[:4])
            assert np.cos(np.radians(found - wanted)) > 0.99
            optimized(again, "mmff")
            assert np.cos(np.radians(rdMolTransforms.GetDihedralDeg(again.GetConformer(), *axis[:4]) - wanted)) > 0.99


@pytest.mark.parametrize("smiles", ["CC=C=O", "CN=C=NC", "C1CCCCC=C=CC1", "CC=CC", "O=C=C=C=O"])
def test_what_has_no_axis_of_carbons_outside_rings_is_left_as_it_is(smiles):
    assert cumulene_axes(Chem.AddHs(Chem.MolFromSmiles(smiles))) == []


@pytest.mark.parametrize(
    ("smiles", "said"),
    [
        ("Oc1ccc2ccccc2c1-c1c(O)ccc2ccccc12", True), ("Cc1cccc(F)c1-c1c(C)cccc1F", True), ("CC=C=CC", True),
        ("Cc1cccc(Cl)c1N1C(=O)CCC1C", True), ("c1ccccc1-c1ccccc1", False), ("Cc1ccccc1-c1ccccc1C", False),
        ("Cc1cccc(C)c1-c1c(C)cccc1C", False), ("CC=C=C(C)C", False), ("C=C=CC", False), ("CC(=O)Nc1ccccc1", False),
    ],
)  # fmt: skip
def test_an_axis_of_two_forms_is_said(smiles, said):
    for mol in (Chem.MolFromSmiles(smiles), Chem.AddHs(Chem.MolFromSmiles(smiles))):
        assert ("axes with two forms" in open_axes(mol)) == said
    notes = usable_molecules(parsed_smiles(smiles))[1]
    assert any("two forms" in note for note in notes) == said


def test_the_axis_of_a_3d_allene_is_kept_and_of_a_3d_biaryl_is_not():
    for smiles, said in (("CC=C=CC", False), ("Oc1ccc2ccccc2c1-c1c(O)ccc2ccccc12", True)):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
        assert (open_axes(mol) != "") == said


def test_a_cumulene_without_parameters_stays_as_it_was_built(caplog):
    made = approximate_conformers(Chem.AddHs(Chem.MolFromSmiles("CC=C=CS(F)(F)(F)(F)F")), 1, 1)
    assert made.GetNumConformers() == 1
    assert "not minimised" in caplog.text
