"""PDB and mmCIF files keep names, ids and bonds, also of more than 99,999 atoms."""

import mdtraj
import numpy as np
import pytest
from openmm import app

from openmm_cgvae.formats.pdb import PDBWriter
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.trajectory_files import TrajectoryWriter

READERS = {".pdb": app.PDBFile, ".cif": app.PDBxFile}
BOX = np.array([[3.0, 0, 0], [1.4, 3.2, 0], [-1.2, 1.5, 2.9]])


def diatomics(count, chain_ids="AB", first_number=7):
    """Molecules of a residue no library knows, one a chain."""
    topology = app.Topology()
    for k in range(count):
        chain = topology.addChain(chain_ids[k % len(chain_ids)])
        residue = topology.addResidue("XYZ", chain, str(first_number + k))
        atoms = [topology.addAtom(name, app.element.carbon, residue) for name in ("C1", "C2")]
        topology.addBond(*atoms)
    return topology


def positions(topology, seed=0):
    return np.random.default_rng(seed).uniform(-3, 3, (1, topology.getNumAtoms(), 3))


def pairs(topology):
    return sorted(tuple(sorted((a.index, b.index))) for a, b in as_openmm(topology).bonds())


def as_openmm(topology):
    return topology.to_openmm() if isinstance(topology, mdtraj.Topology) else topology


def write(path, topology, frames, vectors=None):
    writer = PDBWriter(path, topology)
    writer.write(frames, None if vectors is None else np.tile(vectors, (len(frames), 1, 1)))
    writer.close()


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_ids_bonds_box_and_positions_come_back(tmp_path, suffix):
    topology, path = diatomics(3, chain_ids="QRS"), tmp_path / f"aa{suffix}"
    frames = np.concatenate([positions(topology, seed) for seed in (1, 2)])
    write(path, topology, frames, BOX)
    found = READERS[suffix](str(path))
    assert [chain.id for chain in found.topology.chains()] == ["Q", "R", "S"]
    assert [residue.id for residue in found.topology.residues()] == ["7", "8", "9"]
    assert [atom.element.symbol for atom in found.topology.atoms()] == ["C"] * 6
    assert pairs(found.topology) == pairs(topology)
    np.testing.assert_allclose(found.topology.getPeriodicBoxVectors()._value, BOX, atol=2e-3)
    assert found.getNumFrames() == 2
    for k in range(2):
        np.testing.assert_allclose(found.getPositions(asNumpy=True, frame=k)._value, frames[k], atol=6e-5)


@pytest.mark.slow
def test_a_pdb_file_of_more_than_99999_atoms_keeps_its_columns_and_bonds(tmp_path):
    topology, path = diatomics(50_050), tmp_path / "aa.pdb"
    frames = positions(topology)
    write(path, topology, frames)
    lines = path.read_text().splitlines()
    assert {len(line) for line in lines if line.startswith("HETATM")} == {80}
    # Each chain's end takes a number too, so 150,150 are needed.
    last = 16 * 16**3 * 10 + (150_149 - 100_000)
    assert lines[-2] == f"CONECT{last:5X}{last - 1:5X}"
    # OpenMM takes long for all: it reads the last molecules and those about atom 99,999, of 3 lines and 2 bonds each.
    some = [*range(33_000, 34_000), *range(49_050, 50_050)]
    kept = [*lines[:2], *(line for k in some for line in lines[2 + 3 * k : 5 + 3 * k]), "ENDMDL"]
    kept += [line for k in some for line in lines[150_153 + 2 * k : 150_155 + 2 * k]] + ["END"]
    path.write_text("\n".join(kept) + "\n")
    found = app.PDBFile(str(path))
    assert pairs(found.topology) == [(2 * k, 2 * k + 1) for k in range(2000)]
    expected = frames[0].reshape(-1, 2, 3)[some].reshape(-1, 3)
    np.testing.assert_allclose(found.getPositions(asNumpy=True)._value, expected, atol=6e-5)


@pytest.mark.slow
def test_an_mmcif_file_of_more_than_99999_atoms_keeps_its_bonds(tmp_path):
    topology, path = app.Topology(), tmp_path / "aa.cif"
    residues = [topology.addResidue("XYZ", topology.addChain(), "1") for _ in range(100)]
    for residue in residues:
        atoms = [topology.addAtom(f"C{k}", app.element.carbon, residue) for k in range(1001)]
        topology.addBond(atoms[-2], atoms[-1])
    write(path, topology, positions(topology))
    assert pairs(load_topology(path)) == pairs(topology)


def test_molecules_whose_chain_ids_repeat_keep_their_own_bonds_in_mmcif(tmp_path):
    topology, path = app.Topology(), tmp_path / "aa.cif"
    for k in range(3):
        residue = topology.addResidue("XYZ", topology.addChain("A"), "1")
        atoms = [topology.addAtom(f"C{i}", app.element.carbon, residue) for i in range(3)]
        topology.addBond(atoms[0], atoms[1 + k % 2])
    write(path, topology, positions(topology))
    assert pairs(app.PDBxFile(str(path)).topology) == pairs(topology)


def beads(names, bonds, chain_ends=()):
    """A chain of beads, one a residue, named as amino acids are."""
    topology, chain = app.Topology(), None
    for k, name in enumerate(names):
        if chain is None or k in chain_ends:
            chain = topology.addChain()
        topology.addAtom("CA", None, topology.addResidue(name, chain))
    atoms = list(topology.atoms())
    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_all_bonds_of_beads_named_as_amino_acids_come_back(tmp_path, suffix):
    names = ["GLY", "TYR", "ASP", "PRO", "GLU", "THR", "GLY", "THR", "TRP", "GLY"] * 3
    chain = [(k, k + 1) for k in range(29) if k != 14]
    # A branched one too, whose bead has more bonds than a record has room for.
    topology = beads(names, [*chain, *((3, k) for k in range(6, 12))], chain_ends=(15,))
    path = tmp_path / f"cg{suffix}"
    write(path, topology, positions(topology))
    assert pairs(READERS[suffix](str(path)).topology) == pairs(topology)
    assert pairs(load_topology(path)) == pairs(topology)


def test_bonds_that_no_name_implies_come_back(tmp_path, topology, reference):
    ring = topology.copy()
    atoms = list(ring.atoms)
    ring.add_bond(atoms[4], atoms[16])
    write(tmp_path / "aa.pdb", ring, reference[0][:1])
    assert pairs(app.PDBFile(str(tmp_path / "aa.pdb")).topology) == pairs(ring)
    # The caps are no residues that every program knows.
    assert "CONECT" in (tmp_path / "aa.pdb").read_text()


def test_particles_without_an_element_stay_so(tmp_path, mapping):
    path = tmp_path / "cg.pdb"
    with TrajectoryWriter(path, mapping.cg_topology()) as writer:
        writer.write(np.zeros((1, 3, 3)), np.zeros(1))
    topology = load_topology(path)
    assert [atom.element.symbol for atom in topology.atoms] == ["VS"] * 3
    assert [atom.element for atom in app.PDBFile(str(path)).topology.atoms()] == [None] * 3
    assert [(a.index, b.index) for a, b in topology.bonds] == [(0, 1), (1, 2)]
