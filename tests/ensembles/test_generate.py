"""Conformers of small molecules: what is kept, what is the same again, and what is refused."""

import numpy as np
import pytest
from ligandmodels import DRUG, random_model
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

import openmm_cgvae
from openmm_cgvae.chemistry import approximate
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.core.errors import ModelFileError, MoleculeError, SettingsError
from openmm_cgvae.ensembles import forcefield, generate
from openmm_cgvae.ensembles.forcefield import energies_kj
from openmm_cgvae.ensembles.generate import ENERGY, ConformerModel
from openmm_cgvae.metrics.pairrmsd import pair_rmsd


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return ConformerModel.load(random_model(tmp_path_factory.mktemp("ligands") / "model.pt"))


def positions_of(mol):
    return np.array([conformer.GetPositions() for conformer in mol.GetConformers()])


def smiles_in_3d(mol, number):
    """Canonical SMILES with the stereo marks of one conformer."""
    made = Chem.Mol(mol, confId=number)
    Chem.AssignStereochemistryFrom3D(made, number)
    return Chem.MolToSmiles(Chem.RemoveHs(made))


@pytest.mark.parametrize(
    "smiles",
    [
        "OC[C@H](F)C(=O)/C=C/c1ccccc1",
        "OC[C@@H](F)C(=O)/C=C\\c1ccccc1",
        "C[C@H]1CC[C@@H](C(=O)NCCO)CC1",
        "C[S@](=O)CC[C@H](N)C(=O)[O-]",
        "O=C(C[N@@+]1(C)CCC[C@H]1CO)c1ccccc1",
        "C[C@@H](O)[C@H](O)[C@@H](C)c1ccc2ccccc2c1",
    ],
)
def test_every_conformer_has_the_stereo_marks_of_the_molecule(model, smiles):
    made = model.conformers(smiles, 6, seed=1)
    assert made.GetNumConformers() == 6
    expected = Chem.CanonSmiles(smiles)
    assert {smiles_in_3d(made, c.GetId()) for c in made.GetConformers()} == {expected}


def test_bond_lengths_and_angles_are_those_of_the_approximate_conformers(model):
    made = model.conformers(DRUG, 12, seed=1)
    near = np.argwhere(Chem.GetDistanceMatrix(made) <= 2)
    x = positions_of(made)
    lengths = np.linalg.norm(x[:, near[:, 0]] - x[:, near[:, 1]], axis=-1)
    # Minima of MMFF94s: as near to one another as those are, whatever the torsions.
    assert np.ptp(lengths, axis=0).max() < 0.25


def test_energies_are_mmffs_and_rise(model):
    made = model.conformers(DRUG, 5, seed=1)
    energies = [conformer.GetDoubleProp(ENERGY) for conformer in made.GetConformers()]
    assert energies == sorted(energies)
    assert np.allclose(energies, energies_kj(made))
    lower = model.conformers(DRUG, 5, seed=1, optimize="mmff")
    assert lower.GetConformer(0).GetDoubleProp(ENERGY) < energies[0]


def test_a_seed_gives_the_same_conformers_and_another_gives_others(model):
    first, again = (positions_of(model.conformers(DRUG, 4, seed=3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.abs(first - positions_of(model.conformers(DRUG, 4, seed=4))).max() > 0.1


def test_every_seed_has_conformers_of_its_own(model):
    made = [positions_of(approximate.approximate_conformers(Chem.AddHs(Chem.MolFromSmiles(DRUG)), 4, seed))
            for seed in (0, 1, 2)]  # fmt: skip
    assert len(np.unique(np.concatenate(made).reshape(12, -1).round(3), axis=0)) == 12


@pytest.mark.parametrize("n", [3, 30])
def test_the_number_of_threads_and_of_samples_at_once_change_nothing(model, n, set_torch_threads, monkeypatch):
    found = []
    for threads, rows in ((1, 32), (3, 32), (2, 1000)):
        set_torch_threads(threads)
        monkeypatch.setattr(generate, "ROWS", rows)
        monkeypatch.setattr(approximate, "available_cores", lambda: threads)  # noqa: B023 (called within the round)
        found.append(positions_of(model.conformers(DRUG, n, seed=1)))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_any_order_of_atoms_gives_the_same_conformers(model):
    mol = Chem.MolFromSmiles(DRUG)
    order = np.random.default_rng(2).permutation(mol.GetNumAtoms()).tolist()
    given, shuffled = (model.conformers(m, 4, seed=3) for m in (mol, Chem.RenumberAtoms(mol, order)))
    x, y = positions_of(given)[:, order], positions_of(shuffled)[:, : len(order)]
    # To labels of equivalent atoms; the conformers are not superposed.
    symmetries = heavy_symmetries(Chem.RenumberAtoms(mol, order))
    apart = [np.abs(x - y[:, symmetry]).max() for symmetry in symmetries.orders]
    assert min(apart) < 1e-3
    energies = [[c.GetDoubleProp(ENERGY) for c in m.GetConformers()] for m in (given, shuffled)]
    assert np.allclose(*energies, atol=1e-2)


def test_pruned_conformers_are_apart(model):
    made = model.conformers(DRUG, 20, seed=1, prune=0.8)
    apart = pair_rmsd(positions_of(made), positions_of(made), heavy_symmetries(made))
    assert 1 < made.GetNumConformers() < 20
    assert apart[~np.eye(len(apart), dtype=bool)].min() >= 0.8


@pytest.mark.parametrize("smiles", ["C", "CCO", "c1ccccc1", "[NH4+]", "C1CCCCCCCCCCC1", "OCC#CCO"])
def test_molecules_without_much_that_turns(model, smiles):
    made = model.conformers(smiles, 3, seed=1)
    assert made.GetNumConformers() == 3
    assert np.isfinite(positions_of(made)).all()


def test_hydrogens_that_were_given_keep_their_numbers(model):
    mol = Chem.RenumberAtoms(Chem.AddHs(Chem.MolFromSmiles("CCO")), [8, 2, 3, 4, 0, 1, 5, 6, 7])
    made = model.conformers(mol, 2, seed=1)
    assert [a.GetSymbol() for a in made.GetAtoms()] == [a.GetSymbol() for a in mol.GetAtoms()]
    x = positions_of(made)[0]
    for bond in made.GetBonds():
        length = np.linalg.norm(x[bond.GetBeginAtomIdx()] - x[bond.GetEndAtomIdx()])
        assert 0.9 < length < 1.6


def test_stereo_marks_that_are_not_set_are_told(model, caplog):
    made = model.conformers("CC(F)CO", 2, seed=1)
    assert "undefined stereo mark" in caplog.text
    assert smiles_in_3d(made, 0) == smiles_in_3d(made, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("CC(C", "SMILES"),
        ("CCO.c1ccccc1", "mixture of 2"),
        ("CC[Pt]", "Pt"),
        ("C" * 301, "300"),
        ("C[CH]C", "unpaired"),
    ],
)
def test_what_is_no_known_molecule_is_refused(model, given, message):
    with pytest.raises(MoleculeError, match=message):
        model.conformers(given, 1, seed=1)


def test_elements_that_were_never_seen_can_be_tried(model):
    made = model.conformers("C[Si](C)(C)CCO", 2, seed=1, allow_unknown=True)
    assert made.GetNumConformers() == 2


@pytest.mark.parametrize("settings", [{"n": 0}, {"optimize": "amber"}, {"prune": -1}, {"temperature": -1}])
def test_settings_out_of_range_are_refused(model, settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        model.conformers("CCO", **settings)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(ModelFileError, match="small molecules"):
        openmm_cgvae.conformers("CCO", model="alanine-dipeptide-3")


@pytest.mark.parametrize("smiles", ["FS(F)(F)(F)(F)F", "FS(F)(F)(F)(F)c1ccccc1", "OCl(=O)(=O)=O"])
def test_molecules_that_no_force_field_knows_are_sampled(model, smiles):
    made = model.conformers(smiles, 2, seed=1)
    assert np.isfinite(positions_of(made)).all()


def test_contacts_without_mmff_are_uffs_or_of_radii():
    mol = Chem.AddHs(Chem.MolFromSmiles("OB(O)S(F)(F)(F)(F)F"))
    radius, depth = forcefield._contacts(mol, None)
    # B and O: 4.083 and 3.5 A, 0.18 and 0.06 kcal/mol; S: 2 ** (1 / 6) * 2 * 1.8 A.
    assert radius[0, 1] == pytest.approx((4.083 * 3.5) ** 0.5) and depth[0, 1] == pytest.approx(4.184 * 0.0108**0.5)
    assert radius[3, 3] == pytest.approx(4.041, abs=0.01) and np.isfinite(radius).all() and (depth > 0).all()


@pytest.mark.parametrize("optimize", ["none", "mmff"])
def test_an_allene_in_3d_keeps_its_hand(model, optimize):
    given = approximate.approximate_conformers(Chem.AddHs(Chem.MolFromSmiles("CC=C=CCCO")), 2, 1)
    for k in range(2):
        one = Chem.Mol(given, confId=k)
        wanted = rdMolTransforms.GetDihedralDeg(one.GetConformer(), 0, 1, 3, 4)
        made = model.conformers(one, 3, seed=1, optimize=optimize)
        found = [rdMolTransforms.GetDihedralDeg(conformer, 0, 1, 3, 4) for conformer in made.GetConformers()]
        assert np.abs(wanted) == pytest.approx(90, abs=5) and found == pytest.approx([wanted] * 3, abs=10)


@pytest.mark.parametrize(
    "smiles",
    ["C[P@](=O)([O-])OCC[N+](C)(C)C", "CC[C@@H](O)[C@@H](O)[C@@H](O)[C@H](O)CO", "OC(=O)CCC[C@H]([NH3+])C(=O)[O-]"],
)
def test_opposite_charges_do_not_lie_on_each_other(smiles):
    made = ConformerModel.load("ligands").conformers(smiles, 12, seed=1)
    far = np.argwhere(np.triu(Chem.GetDistanceMatrix(made) > 3))
    radius = np.array([Chem.GetPeriodicTable().GetRcovalent(atom.GetAtomicNum()) for atom in made.GetAtoms()])
    x = positions_of(made)
    apart = np.linalg.norm(x[:, far[:, 0]] - x[:, far[:, 1]], axis=-1)
    assert (apart / radius[far].sum(1)).min() > 1.2
