"""Small molecules at the beads of their rigid fragments."""

import numpy as np
import pytest
from ligandmodels import DRUG, embedded, positions_of, random_model
from openmm import app
from rdkit import Chem

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import PositionsError, TopologyMismatchError
from openmm_cgvae.io.trajectory_files import TrajectoryWriter, read_frames
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.simulation.system import SystemBackmapper


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(random_model(tmp_path_factory.mktemp("ligands") / "model.pt"))


@pytest.fixture(scope="module")
def drug():
    return embedded(DRUG, 2, seed=3)


@pytest.fixture(scope="module")
def backmapper(model, drug):
    return Backmapper.load(model, molecule=drug)


def beads_of(backmapper, mol):
    return backmapper.mapping.project(positions_of(mol) / 10)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_structures_project_to_their_beads(model, drug, precision):
    backmapper = Backmapper.load(model, molecule=drug, precision=precision)
    beads = beads_of(backmapper, drug) + 5.0
    x = backmapper.sample(beads, n_samples=2, seed=1)
    assert x.shape == (2, 2, drug.GetNumAtoms(), 3)
    found = backmapper.mapping.project(x.reshape(4, -1, 3))
    assert np.abs(found - np.repeat(beads, 2, axis=0)).max() < 1e-5


def test_stereo_marks_and_bonds_are_those_of_the_molecule(backmapper, drug):
    x = backmapper.sample(beads_of(backmapper, drug), n_samples=3, seed=1).reshape(-1, drug.GetNumAtoms(), 3) * 10
    for places in x:
        made = Chem.Mol(drug, confId=0)
        made.GetConformer().SetPositions(places.astype(np.float64))
        Chem.AssignStereochemistryFrom3D(made)
        assert Chem.MolToSmiles(Chem.RemoveHs(made)) == Chem.CanonSmiles(DRUG)
        for bond in drug.GetBonds():
            length = np.linalg.norm(places[bond.GetBeginAtomIdx()] - places[bond.GetEndAtomIdx()])
            assert 0.9 < length < 2.0


def test_a_seed_gives_the_same_structures_however_frames_are_split(backmapper, drug):
    beads = np.concatenate([beads_of(backmapper, drug)] * 2)
    whole = backmapper.sample(beads, seed=4)
    parts = [backmapper.sample(beads[k : k + 1], seed=4, frames=[k]) for k in range(4)]
    assert np.abs(whole - np.concatenate(parts)).max() < 1e-5
    assert np.abs(whole[0] - whole[2]).max() > 1e-3


@pytest.mark.parametrize(("smiles", "n_beads"), [("c1ccccc1", 1), ("CCO", 1), ("c1ccccc1-c1ccccc1", 2)])
def test_molecules_of_one_and_two_beads(model, smiles, n_beads):
    backmapper = Backmapper.load(model, molecule=smiles)
    assert backmapper.n_beads == n_beads
    beads = np.array([[[1.0, 2.0, 3.0], [1.43, 2.0, 3.0]]])[:, :n_beads]
    x = backmapper.sample(beads, n_samples=40, seed=2)[0]
    assert np.abs(backmapper.mapping.project(x) - beads).max() < 1e-5
    # What beads leave open is turned at random: one atom is found all around.
    arms = x[:, 0] - beads[0, 0]
    arms = arms[:, 1:] if n_beads == 2 else arms
    assert np.linalg.norm(arms.mean(0)) < 0.5 * np.linalg.norm(arms, axis=1).mean()


def test_the_order_of_atoms_is_the_users(model):
    mol = embedded(DRUG, 1, seed=3)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    shuffled = Chem.RenumberAtoms(mol, order)
    backmapper = Backmapper.load(model, molecule=shuffled)
    assert [a.element.symbol for a in backmapper.topology.atoms()] == [a.GetSymbol() for a in shuffled.GetAtoms()]
    x = backmapper.sample(beads_of(backmapper, shuffled), seed=1)[0, 0] * 10
    for bond in shuffled.GetBonds():
        assert np.linalg.norm(x[bond.GetBeginAtomIdx()] - x[bond.GetEndAtomIdx()]) < 2.0


def test_a_ligand_stands_beside_a_molecule_of_another_model(backmapper, drug):
    peptide = Backmapper.load("alanine-dipeptide-3")
    topology, samplers = app.Topology(), (peptide, backmapper, backmapper)
    for sampler in samplers:
        beads = sampler.cg_topology()
        residues = {residue: topology.addResidue(residue.name, topology.addChain()) for residue in beads.residues()}
        atoms = [topology.addAtom(bead.name, bead.element, residues[bead.residue]) for bead in beads.atoms()]
        for first, second in beads.bonds():
            topology.addBond(atoms[first.index], atoms[second.index])
    apart = np.array([2.0, 4.0])[:, None, None]
    places = [np.asarray(peptide.cg_potential().starts_nm[0]), *(beads_of(backmapper, drug) + apart)]
    system = SystemBackmapper(topology, {"ALA": peptide, "LIG": backmapper})
    x = system.sample(np.concatenate(places), seed=1)[0]
    assert np.abs(system.mapping.project(x[0]) - np.concatenate(places)).max() < 1e-5


def test_beads_of_another_unit_or_molecule_are_refused(backmapper, model, drug):
    with pytest.raises(PositionsError, match="nm apart"):
        backmapper.sample(beads_of(backmapper, drug) * 10)
    with pytest.raises(TopologyMismatchError, match="without the molecule"):
        Backmapper.load(model)
    with pytest.raises(TopologyMismatchError, match="another molecule"):
        Backmapper.load(model, CGMapping.rigid_fragments("c1ccccc1-c1ccccc1").cg_topology(), molecule=drug)


def test_the_command_backmaps_a_trajectory_of_the_beads(model, drug, backmapper, tmp_path):
    beads = beads_of(backmapper, drug)
    topology = backmapper.cg_topology()
    with open(tmp_path / "cg.pdb", "w") as file:
        app.PDBFile.writeFile(topology, beads[0] * 10, file)
    with TrajectoryWriter(tmp_path / "cg.dcd", topology) as writer:
        writer.write(beads, np.arange(2))
    arguments = ["backmap", str(tmp_path / "cg.dcd"), "--model", model, "--molecule", DRUG]
    assert main([*arguments, "-o", str(tmp_path / "aa.dcd"), "--seed", "1"]) == 0
    x = read_frames(tmp_path / "aa.dcd", Backmapper.load(model, molecule=DRUG).topology)
    assert np.abs(backmapper.mapping.project(x) - beads).max() < 1e-4
