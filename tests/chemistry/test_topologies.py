"""Bond orders, formal charges and stereo marks survive the way through topologies, dictionaries and mapping files."""

import json

import mdtraj
import numpy as np
import parmed
import pytest
from openmm import app
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae import CGMapping
from openmm_cgvae.chemistry.stereo import set_stereo_marks, stereo_marks
from openmm_cgvae.chemistry.topologies import molecule_topology, topology_molecule
from openmm_cgvae.core.errors import MoleculeError
from openmm_cgvae.molecule.topology import copied_topology, topology_from_dict, topology_to_dict

SMILES = [
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "C/C=C\\CC", "F/C=C/[C@](Cl)(Br)C", "[NH3+][C@@H](C)C(=O)[O-]",
    "O=[N+]([O-])c1ccccc1", "C#CC[N+](C)(C)C", "c1ccc2[nH]ccc2c1", "C[S@](=O)CC", "OP(=O)([O-])OCC",
    "N[C@@H]1CC[C@H](O)CC1", "CC1=CC(=O)C=CC1=O", "C/C(Cl)=N/O",
]  # fmt: skip


def molecule(smiles):
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def shuffled(mol, seed=0):
    return Chem.RenumberAtoms(mol, np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist())


@pytest.mark.parametrize("smiles", SMILES)
def test_a_molecule_comes_back_from_its_topology_in_any_order_of_atoms(smiles):
    for mol in (molecule(smiles), shuffled(molecule(smiles))):
        topology = molecule_topology(mol)
        again = topology_molecule(topology)
        assert Chem.MolToSmiles(again) == Chem.MolToSmiles(mol)
        assert [a.GetFormalCharge() for a in again.GetAtoms()] == [a.GetFormalCharge() for a in mol.GetAtoms()]


@pytest.mark.parametrize("smiles", SMILES)
def test_a_mapping_file_keeps_orders_charges_and_stereo_marks(smiles, tmp_path):
    mapping = CGMapping.rigid_fragments(smiles)
    mapping.save(tmp_path / "mapping.json")
    again = CGMapping.load(tmp_path / "mapping.json")
    assert again.to_dict() == mapping.to_dict()
    assert Chem.MolToSmiles(topology_molecule(again.topology)) == Chem.MolToSmiles(molecule(smiles))
    assert Chem.MolToSmiles(topology_molecule(copied_topology(again.topology))) == Chem.MolToSmiles(molecule(smiles))


def test_stereo_marks_do_not_depend_on_the_order_of_bonds():
    mol = molecule("F/C=C/[C@](Cl)(Br)C")
    marks = json.loads(json.dumps(stereo_marks(mol)))
    bare = Chem.Mol(mol)
    Chem.RemoveStereochemistry(bare)
    backward = Chem.RWMol(Chem.Mol())
    for atom in bare.GetAtoms():
        backward.AddAtom(atom)
    for bond in reversed(list(bare.GetBonds())):
        backward.AddBond(bond.GetEndAtomIdx(), bond.GetBeginAtomIdx(), bond.GetBondType())
    backward = backward.GetMol()
    Chem.SanitizeMol(backward)
    set_stereo_marks(backward, marks)
    assert Chem.MolToSmiles(backward) == Chem.MolToSmiles(mol)
    with pytest.raises(ValueError, match="expected"):
        set_stereo_marks(molecule("CCCCCCCC"), marks)


def test_descriptions_without_chemistry_still_load_and_are_the_same_mapping(topology):
    mapping = CGMapping.rigid_fragments("CC(=O)NCC")
    old = mapping.to_dict()
    old["topology"] = {key: old["topology"][key] for key in ("atoms", "residues", "bonds")}
    again = CGMapping.from_dict(json.loads(json.dumps(old)))
    assert again == mapping
    assert set(again.to_dict()["topology"]) == {"atoms", "residues", "bonds"}
    described = topology_to_dict(topology)
    assert topology_to_dict(topology_from_dict(described)) == described


def test_single_bonds_alone_are_completed_from_valences_and_charges():
    mol = molecule("CC(=O)Nc1ccc(C#N)cc1")
    topology = molecule_topology(mol)
    bare = app.Topology()
    residue = bare.addResidue("LIG", bare.addChain())
    atoms = [bare.addAtom(a.name, a.element, residue) for a in topology.atoms()]
    for bond in topology.bonds():
        bare.addBond(atoms[bond[0].index], atoms[bond[1].index])
    assert Chem.MolToSmiles(topology_molecule(bare)) == Chem.MolToSmiles(mol)
    assert len(CGMapping.rigid_fragments(bare).beads) == len(CGMapping.rigid_fragments(mol).beads) == 2
    # As an Amber prmtop has them: every order 1.
    structure = parmed.openmm.load_topology(bare)
    assert Chem.MolToSmiles(topology_molecule(structure.topology)) == Chem.MolToSmiles(mol)
    assert CGMapping.rigid_fragments(structure) == CGMapping.rigid_fragments(bare)
    with pytest.raises(MoleculeError, match="net charge 7"):
        topology_molecule(bare, charge=7)


def test_every_source_of_a_molecule_has_the_same_fragments(tmp_path):
    mol = molecule("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)OC")
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    Chem.MolToMolFile(mol, str(tmp_path / "a.sdf"))
    Chem.MolToPDBFile(mol, str(tmp_path / "a.pdb"))
    topology = molecule_topology(mol)
    lines = (tmp_path / "a.pdb").read_text().splitlines(True)
    (tmp_path / "bare.pdb").write_text("".join(line for line in lines if not line.startswith("CONECT")))
    expected = CGMapping.rigid_fragments(mol).beads
    for source in (
        "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)OC", tmp_path / "a.sdf", str(tmp_path / "a.pdb"), tmp_path / "bare.pdb",
        topology, mdtraj.Topology.from_openmm(topology),
    ):  # fmt: skip
        assert CGMapping.rigid_fragments(source).beads == expected, source


def test_topologies_that_are_no_molecule_are_refused():
    topology = molecule_topology(molecule("CCO"))
    without = app.Topology()
    residue = without.addResidue("LIG", without.addChain())
    for atom in topology.atoms():
        without.addAtom(atom.name, atom.element, residue)
    with pytest.raises(MoleculeError, match="no bonds"):
        topology_molecule(without)
    without.addAtom("V", None, residue)
    with pytest.raises(MoleculeError, match="no element"):
        topology_molecule(without)
