"""The bundled model of small molecules: conformers and backmapping of molecules that it has not seen."""

import numpy as np
import pytest
import torch
from rdkit import Chem

import openmm_cgvae
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.chemistry.approximate import approximate_conformers
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.ensembles.generate import ENERGY, ConformerModel
from openmm_cgvae.io.bundled import PRETRAINED, pretrained_names

pytestmark = pytest.mark.skipif("ligands" not in pretrained_names(), reason="ligands is not bundled yet")
# Imatinib and ibuprofen.
DRUGS = ("Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1", "CC(C)Cc1ccc([C@H](C)C(=O)O)cc1")


@pytest.fixture(scope="module")
def model():
    return ConformerModel.load("ligands")


@pytest.mark.parametrize("smiles", DRUGS)
def test_conformers_keep_the_molecule_and_are_low_in_energy(model, smiles):
    made = model.conformers(smiles, 10, seed=1)
    energies = np.array([conformer.GetDoubleProp(ENERGY) for conformer in made.GetConformers()])
    approximate = approximate_conformers(Chem.AddHs(Chem.MolFromSmiles(smiles)), 5, 1, "none")
    from openmm_cgvae.ensembles.forcefield import energies_kj

    # Raw ETKDG conformers are some hundred kJ/mol above minima.
    assert np.median(energies) < np.median(energies_kj(approximate))
    for conformer in made.GetConformers():
        one = Chem.Mol(made, confId=conformer.GetId())
        Chem.AssignStereochemistryFrom3D(one, conformer.GetId())
        assert Chem.MolToSmiles(Chem.RemoveHs(one)) == Chem.CanonSmiles(smiles)


def test_the_public_function_takes_the_bundled_model():
    made = openmm_cgvae.conformers("CC(=O)Nc1ccc(O)cc1", 3, seed=1)
    assert made.GetNumConformers() == 3


def test_structures_at_known_beads_are_near_those_that_these_are_of():
    made = approximate_conformers(Chem.AddHs(Chem.MolFromSmiles(DRUGS[0])), 3, 7)
    bare = Chem.Mol(made)
    bare.RemoveAllConformers()
    backmapper = Backmapper.load("ligands", molecule=bare)
    x = np.array([conformer.GetPositions() for conformer in made.GetConformers()]) / 10
    beads = backmapper.mapping.project(x)
    found = backmapper.sample(beads, seed=1)[:, 0]
    assert np.abs(backmapper.mapping.project(found) - beads).max() < 1e-5
    symmetries = heavy_symmetries(bare)
    heavy = symmetries.heavy
    apart = [
        min(np.sqrt(np.square(a[heavy[order]] - b[heavy]).sum(-1).mean()) for order in symmetries.orders)
        for a, b in zip(found, x, strict=True)
    ]
    assert np.median(apart) < 0.08


def test_rebuilt_from_weights_it_samples_what_its_torchscript_does(monkeypatch):
    scripted = Backmapper.load("ligands", molecule=DRUGS[1])
    beads = np.cumsum(np.full((1, scripted.n_beads, 3), 0.15), axis=1)
    monkeypatch.setattr(torch.jit, "load", None)
    rebuilt = Model.load("ligands", rebuild=True).bind(molecule=DRUGS[1])
    np.testing.assert_allclose(rebuilt.sample(beads, seed=1), scripted.sample(beads, seed=1), rtol=0, atol=1e-5)


def test_it_has_its_evaluation_and_card_beside_it_and_is_small():
    assert (PRETRAINED / "ligands.pt").stat().st_size < 10e6
    assert (PRETRAINED / "ligands.json").is_file()
    assert (PRETRAINED / "ligands.md").read_text().startswith("# ligands")
