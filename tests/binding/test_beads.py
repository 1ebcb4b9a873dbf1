"""The same beads from every file format and library."""

from dataclasses import replace

import numpy as np
import pytest
from proteinbeads import beads, helix, pdb_lines

from openmm_cgvae.binding.beadfiles import decode_number
from openmm_cgvae.binding.beadrecord import box_from_lengths
from openmm_cgvae.binding.beads import read_beads
from openmm_cgvae.binding.protein import bind_protein

RESIDUES = ["MET", "HIS", "GLY", "ALA", "TRP", "SER"]


@pytest.fixture
def record():
    positions = np.concatenate([helix(4), helix(2) + 4.0])
    return beads(RESIDUES, positions, numbers=[7, 8, 9, 10, 1, 2], chains="AAAABB", molecules=[0] * 4 + [1] * 2)


@pytest.fixture
def openmm_topology(record):
    from openmm.app import Topology

    topology, chain = Topology(), None
    for k in range(record.n_beads):
        if chain is None or chain.id != record.chains[k]:
            chain = topology.addChain(record.chains[k])
        residue = topology.addResidue(record.residue_names[k], chain, str(record.numbers[k]))
        topology.addAtom("CA", None, residue)
    return topology


def check(found, record, chains="AAAABB"):
    assert found.names == record.names
    assert found.residue_names == RESIDUES
    assert found.numbers.tolist() == record.numbers.tolist()
    assert found.chains == list(chains)
    assert len(set(found.residues.tolist())) == 6
    if found.positions is not None:
        np.testing.assert_allclose(found.positions, record.positions, atol=2e-3)
    protein = bind_protein(found)
    assert protein.connected.tolist() == [False, True, True, True, False, True]
    assert [r.id for r in protein.topology.residues()] == ["7", "8", "9", "10", "1", "2"]


def test_pdb(record, tmp_path):
    path = tmp_path / "beads.pdb"
    path.write_text("CRYST1   60.000   70.000   80.000  90.00  90.00  90.00 P 1\n" + pdb_lines(record))
    found = read_beads(path)
    check(found, record)
    assert found.molecules.tolist() == [0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(found.box, np.diag([6.0, 7.0, 8.0]), atol=1e-9)


def test_second_model_is_not_read(record, tmp_path):
    path = tmp_path / "beads.pdb"
    body = pdb_lines(record).replace("END\n", "")
    path.write_text(f"MODEL        1\n{body}ENDMDL\nMODEL        2\n{body}ENDMDL\nEND\n")
    check(read_beads(path), record)


def test_gro(record, tmp_path):
    path = tmp_path / "beads.gro"
    lines = [
        f"{record.numbers[k]:5d}{record.residue_names[k]:<5s}{'CA':>5s}{k + 1:5d}"
        + "".join(f"{x:8.3f}" for x in record.positions[k])
        for k in range(6)
    ]
    path.write_text("\n".join(["beads", "6", *lines, "   9.0 9.0 9.0", ""]))
    found = read_beads(path)
    check(found, record, chains=[""] * 6)
    np.testing.assert_array_equal(found.box, 9.0 * np.eye(3))


def test_mmcif(record, openmm_topology, tmp_path):
    from openmm.app import PDBxFile

    path = tmp_path / "beads.cif"
    with open(path, "w") as file:
        PDBxFile.writeFile(openmm_topology, 10 * record.positions, file, keepIds=True)
    check(read_beads(path), record)


def test_psf(record, tmp_path):
    path = tmp_path / "beads.psf"
    rows = [
        f"{k + 1:8d} {record.chains[k]:<4s} {record.numbers[k]:<4d} {record.residue_names[k]:<4s} CA   CA   "
        f"{0.0:10.6f}     {57.0:9.4f}           0"
        for k in range(6)
    ]
    text = ["PSF", "", "       1 !NTITLE", " REMARKS beads", "", "       6 !NATOM", *rows, ""]
    text += ["       4 !NBOND: bonds", "       1       2       2       3       3       4       5       6", ""]
    text += [f"       0 {section}\n\n" for section in ("!NTHETA: angles", "!NPHI: dihedrals", "!NIMPHI: impropers")]
    path.write_text("\n".join(text))
    found = read_beads(path, record.positions)
    check(found, record)
    assert len(found.bonds) == 4


def test_openmm(record, openmm_topology):
    check(read_beads(openmm_topology, record.positions), record)


def test_mdtraj(record, tmp_path):
    import mdtraj

    path = tmp_path / "beads.pdb"
    path.write_text(pdb_lines(record))
    trajectory = mdtraj.load(str(path), standard_names=False)
    check(read_beads(trajectory), record)
    check(read_beads(trajectory.topology, record.positions), record)


def test_parmed(record, tmp_path):
    import parmed

    path = tmp_path / "beads.pdb"
    path.write_text(pdb_lines(record))
    check(read_beads(parmed.load_file(str(path))), record)


def test_prmtop(record, openmm_topology, tmp_path):
    """Residue numbers and chain ids are not in the format: names and order are."""
    import parmed

    structure = parmed.openmm.load_topology(openmm_topology)
    kind = parmed.AtomType("CA", 1, 57.0, 6)
    kind.set_lj_params(0.1, 2.0)
    for atom in structure.atoms:
        atom.atom_type, atom.type, atom.mass, atom.atomic_number = kind, "CA", 57.0, 6
    path = tmp_path / "beads.prmtop"
    parmed.amber.AmberParm.from_structure(structure).write_parm(str(path))
    found = read_beads(path, record.positions)
    assert found.residue_names == RESIDUES
    assert bind_protein(found).connected.tolist() == [False, True, True, True, False, True]


def test_mdanalysis(record, tmp_path):
    universe = pytest.importorskip("MDAnalysis").Universe
    path = tmp_path / "beads.pdb"
    path.write_text(pdb_lines(record))
    check(read_beads(universe(str(path))), record)
    assert read_beads(universe(str(path)).select_atoms("resname TRP SER")).n_beads == 2


def test_hybrid_numbers():
    assert [decode_number(t) for t in (" 999", "9999", "A000", "A00Z", "ZZZZ", "a000", "  -3")] == [
        999, 9999, 10000, 10035, 1223055, 1223056, -3,
    ]  # fmt: skip
    for text in ("   x", "12.5", "    "):
        with pytest.raises(ValueError):
            decode_number(text)


def test_box_of_lengths_and_angles():
    box = box_from_lengths([3.0, 4.0, 5.0], [70.0, 80.0, 95.0])
    a, b, c = box
    assert np.linalg.norm(box, axis=1).tolist() == pytest.approx([3.0, 4.0, 5.0])
    assert np.degrees(np.arccos(b @ c / 20)) == pytest.approx(70.0)
    assert np.degrees(np.arccos(a @ c / 15)) == pytest.approx(80.0)
    assert np.degrees(np.arccos(a @ b / 12)) == pytest.approx(95.0)
    # What a PDB file without a box says.
    assert box_from_lengths([0.1, 0.1, 0.1], [90.0] * 3) is None


@pytest.mark.parametrize("box", [np.diag([2.0, 2.0, 2.0]), np.array([[2.0, 0, 0], [0.5, 2.0, 0], [-0.5, 0.5, 2.0]])])
def test_chain_wrapped_in_a_box_is_whole(box):
    record = beads(["ALA"] * 40, positions=helix(40) + np.array([0.8, 0.7, 0.0]))
    cells = np.floor(record.positions @ np.linalg.inv(box))
    wrapped = replace(record, positions=record.positions - cells @ box, box=box)
    assert len(np.unique(cells, axis=0)) > 2
    assert (~bind_protein(wrapped).connected).sum() == 1
    # Without the box they are breaks.
    assert (~bind_protein(replace(wrapped, box=None)).connected).sum() > 2
