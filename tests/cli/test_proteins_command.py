"""Any protein on the command line: what users type, and the one line each mistake gets."""

import logging

import mdtraj
import numpy as np
import pytest
from openmm import app
from proteinbeads import CRYSTAL, beads, pdb_lines, rows_of
from proteinchains import all_types, crambin
from proteinmodels import trace, untrained_file

from openmm_cgvae.binding.beads import read_beads
from openmm_cgvae.chemistry.aminoacids.residues import RESIDUE_NAMES
from openmm_cgvae.cli.main import main
from openmm_cgvae.io.bundled import pretrained_names

N = 16


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "untrained-ca.pt"
    untrained_file().save(path)
    return str(path)


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def record(chain=None):
    chain = all_types() if chain is None else chain
    return beads([RESIDUE_NAMES[kind] for kind in chain[0]], trace(chain))


def write(path, source):
    with open(path, "w") as file:
        file.write(pdb_lines(source))
    return path


@pytest.fixture
def ca():
    """Names of a topology and a trajectory of two frames."""
    source = rows_of(record(), range(N))
    write("ca.pdb", source)
    frames = mdtraj.load("ca.pdb").xyz + np.array([0, 0.01])[:, None, None]
    mdtraj.Trajectory(frames, mdtraj.load_topology("ca.pdb")).save_dcd("ca.dcd")
    return "ca.pdb", "ca.dcd"


def error(capsys, *words):
    """The one line that a call ends with."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("openmm-cgvae: error: ")
    return lines[0]


def test_a_trajectory_of_beads_becomes_one_of_atoms(ca, file, capsys):
    assert main(["backmap", "ca.dcd", "--top", "ca.pdb", "--model", file, "-o", "aa.dcd", "--seed", "1"]) == 0
    assert "2 in aa.dcd" in capsys.readouterr().out
    aa = mdtraj.load("aa.dcd", top="aa.pdb")
    given = mdtraj.load("ca.dcd", top="ca.pdb")
    np.testing.assert_allclose(aa.xyz[:, aa.topology.select("name CA")], given.xyz, atol=2e-6)
    topology = app.PDBFile("aa.pdb").topology
    app.ForceField("amber14-all.xml").createSystem(topology)
    assert [(r.name, r.id) for r in topology.residues()] == [(r.name, str(r.resSeq)) for r in given.topology.residues]


@pytest.mark.skipif("protein-ca" not in pretrained_names(), reason="protein-ca is not bundled yet")
def test_the_bundled_model_does_what_the_first_example_says():
    write("ca.pdb", record())
    assert main(["backmap", "ca.pdb", "--model", "protein-ca", "-o", "aa.pdb", "--seed", "1"]) == 0
    aa, crystal = mdtraj.load("aa.pdb"), mdtraj.load(str(CRYSTAL))
    rows = {(a.residue.index, a.name): a.index for a in aa.topology.atoms}
    rows = [rows[a.residue.index, a.name] for a in crystal.topology.atoms]
    off = np.sqrt(((aa.xyz[0, rows] - crystal.xyz[0]) ** 2).sum(-1))
    backbone = [a.index for a in crystal.topology.atoms if a.name in ("N", "CA", "C", "O")]
    assert np.sqrt((off[backbone] ** 2).mean()) < 0.06
    assert np.sqrt((off**2).mean()) < 0.2


def test_a_pdb_file_is_its_own_topology(ca, file):
    assert main(["backmap", "ca.pdb", "--model", file, "-o", "aa.pdb"]) == 0
    assert mdtraj.load("aa.pdb").topology.n_residues == N


def test_a_dcd_file_asks_for_a_topology(ca, file, capsys):
    assert "--top is missing" in error(capsys, "backmap", "ca.dcd", "--model", file, "-o", "aa.dcd")


def test_options_of_proteins_reach_the_molecule(file):
    write("ca.pdb", record(crambin()))

    def names(*options):
        assert main(["backmap", "ca.pdb", "--model", file, "-o", "aa.pdb", "--overwrite", *options]) == 0
        return mdtraj.load_topology("aa.pdb")

    def sulphur_bonds(topology):
        return sum(1 for i, j in topology.bonds if i.name == j.name == "SG")

    def hydrogens(topology):
        return topology.n_atoms - topology.select("not element H").size

    plain = names()
    assert sulphur_bonds(plain) == 3
    assert sulphur_bonds(names("--disulfides", "none")) == 0
    assert sulphur_bonds(names("--disulfides", "A:3-A:40,4-32")) == 2
    capped = names("--termini", "capped,charged")
    assert [r.name for r in capped.residues][:2] == ["ACE", "THR"]
    acid = names("--protonation", "A:23=GLH", "--representative")
    assert hydrogens(acid) == hydrogens(plain) + 1
    assert names("--breaks", "A:10").n_chains == 2


def test_histidines_are_protonated_as_asked(file):
    source = record()
    write("ca.pdb", source)
    assert "HIS" in source.residue_names
    for state, there in (("HIP", {"HD1", "HE2"}), ("HID", {"HD1"}), ("HIE", {"HE2"})):
        assert main(["backmap", "ca.pdb", "--model", file, "-o", f"{state}.pdb", "--histidine", state]) == 0
        residue = next(r for r in mdtraj.load_topology(f"{state}.pdb").residues if r.name == "HIS")
        assert {a.name for a in residue.atoms} & {"HD1", "HE2"} == there


def test_kept_and_dropped_residues(file, capsys):
    names = ["ALA"] * 6 + ["LIG"]
    positions = np.concatenate([trace(all_types())[:6], [[1.0, 1, 1]]])
    atoms = ["CA"] * 6 + ["L1"]
    source = beads(names, positions, names=atoms, chains="A" * 6 + "B", molecules=[0] * 6 + [1])
    write("ca.pdb", source)
    call = ["backmap", "ca.pdb", "--model", file, "-o", "aa.pdb", "--overwrite"]
    assert "LIG 7" in error(capsys, *call)
    for unknown, last in (("keep", "L1"), ("drop", "HB3")):
        assert main([*call, "--unknown", unknown]) == 0
        assert unknown == "drop" or list(mdtraj.load_topology("aa.pdb").atoms)[-1].name == last


def test_sound_says_how_far_beads_moved(ca, file, caplog, capsys):
    with caplog.at_level(logging.INFO):
        assert main(["--debug", "backmap", "ca.pdb", "--model", file, "-o", "aa.pdb", "--consistency", "sound"]) == 0
    assert "beads moved by" in caplog.text
    assert "beads moved, nm" in capsys.readouterr().out


def test_info_says_what_the_model_serves(file, capsys):
    assert main(["info", file]) == 0
    assert "any protein" in capsys.readouterr().out


def test_atoms_are_projected_to_beads_of_the_model(file):
    assert main(["project", str(CRYSTAL), "--top", str(CRYSTAL), "--model", file, "-o", "ca.dcd"]) == 0
    crystal = mdtraj.load(str(CRYSTAL))
    beads = mdtraj.load("ca.dcd", top="ca.pdb").xyz
    np.testing.assert_allclose(beads, crystal.xyz[:, crystal.topology.select("name CA")], atol=1e-6)
    assert [a.name for a in mdtraj.load_topology("ca.pdb").atoms] == ["CA"] * 78
    assert main(["backmap", "ca.dcd", "--top", "ca.pdb", "--model", file, "-o", "aa.dcd"]) == 0


def test_what_else_a_crystal_structure_holds_is_not_projected(file):
    """Caps, water, ions and ligands, calcium among them."""
    lines = CRYSTAL.read_text().splitlines()
    atoms = [line for line in lines if line.startswith("ATOM")]
    others = [
        "HETATM 9001 CA    CA C 301      10.000  10.000  10.000  1.00  0.00          CA",
        "HETATM 9002  O   HOH D 302      12.000  10.000  10.000  1.00  0.00           O",
        "HETATM 9003  C1  LIG E 303      14.000  10.000  10.000  1.00  0.00           C",
    ]
    cap = "ATOM      0  C   ACE B   0     -13.000  11.500  -7.000  1.00  0.00           C"
    with open("all.pdb", "w") as out:
        out.write("\n".join([cap, *atoms, "TER", *others, "END\n"]))
    assert main(["project", "all.pdb", "--top", "all.pdb", "--model", file, "-o", "ca.pdb"]) == 0
    found, crystal = mdtraj.load("ca.pdb"), mdtraj.load(str(CRYSTAL))
    assert [r.name for r in found.topology.residues] == [r.name for r in crystal.topology.residues]
    np.testing.assert_allclose(found.xyz, crystal.xyz[:, crystal.topology.select("name CA")], atol=1e-3)


def bad_beads():
    """Name, beads and what the one line says."""
    source = rows_of(record(), range(N))

    def changed(**values):
        return type(source)(**{**source.__dict__, **values})

    def named(row, name):
        return [name if k == row else own for k, own in enumerate(source.residue_names)]

    martini = beads(["LEU", "LEU", "VAL", "VAL", "SER", "SER"], trace(all_types())[:6], numbers=[1, 1, 2, 2, 3, 3],
                    names=["BB", "SC1"] * 3)  # fmt: skip
    order = [0, 1, 5, 3, 4, 2, *range(6, N)]
    twice = changed(numbers=np.array([1, 2, 2, *range(3, N)]), residue_names=named(2, source.residue_names[1]))
    no_alpha = changed(names=["CB" if k == 5 else "CA" for k in range(N)])
    return [
        ("Angstrom", changed(positions=source.positions * 10), ["look like Angstrom", "nm"]),
        ("tenth", changed(positions=source.positions * 0.1), ["a tenth of nm"]),
        ("martini", martini, ["protein-martini"]),
        ("order", rows_of(source, order), ["out of order", "TER or another chain id"]),
        ("short", rows_of(source, [0, 1]), ["a chain of 2 residues", "3 or more"]),
        ("one", rows_of(source, [0]), ["a chain of 1 residues"]),
        ("twice", twice, ["has bead CA twice"]),
        ("no C-alpha", no_alpha, ["no C-alpha but CB"]),
        ("D", changed(residue_names=named(4, "DAL")), ["mirror image of ALA"]),
        ("ligand", changed(residue_names=named(4, "HEM")), ["HEM 5", "unknown="]),
        ("water alone", beads(["W"] * 4, trace(all_types())[:4], names="W"), ["no amino acid"]),
    ]


@pytest.mark.parametrize(("source", "words"), [case[1:] for case in bad_beads()], ids=[case[0] for case in bad_beads()])
def test_bad_beads_get_one_line_with_the_next_step(source, words, file, capsys):
    write("bad.pdb", source)
    line = error(capsys, "backmap", "bad.pdb", "--model", file, "-o", "aa.pdb")
    assert all(word in line for word in words), line


def test_an_all_atom_structure_gets_the_command_that_makes_beads(file, capsys):
    line = error(capsys, "backmap", CRYSTAL, "--model", file, "-o", "aa.pdb")
    assert "all-atom structure" in line and "openmm-cgvae project" in line


def test_a_trajectory_of_other_beads_is_refused(ca, file, capsys):
    write("short.pdb", rows_of(record(), range(N - 1)))
    line = error(capsys, "backmap", "ca.dcd", "--top", "short.pdb", "--model", file, "-o", "aa.dcd")
    assert str(N) in line and str(N - 1) in line


def test_water_and_ions_among_the_beads_are_left_out(file):
    source = beads(["ALA"] * 5 + ["W", "NA"], np.concatenate([trace(all_types())[:5], [[2.0, 2, 2], [3, 3, 3]]]),
                   names=["CA"] * 5 + ["W", "NA"], chains="A" * 5 + "WI", molecules=[0] * 5 + [1, 2])  # fmt: skip
    write("ca.pdb", source)
    assert main(["backmap", "ca.pdb", "--model", file, "-o", "aa.pdb"]) == 0
    assert {r.name for r in mdtraj.load_topology("aa.pdb").residues} == {"ALA"}


def test_insertion_codes_and_numbers_come_out_as_they_went_in(file):
    numbers, codes = [51, 52, 52, 52, 53, 54], ["", "", "A", "B", "", ""]
    source = beads(["ALA"] * 6, trace(all_types())[:6], numbers=numbers, insertions=codes)
    write("ca.pdb", source)
    assert main(["backmap", "ca.pdb", "--model", file, "-o", "aa.pdb"]) == 0
    found = read_beads("aa.pdb")
    rows = [k for k, name in enumerate(found.names) if name == "CA"]
    assert [found.numbers[k] for k in rows] == numbers
    assert [found.insertions[k] for k in rows] == codes


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--temperature", "0"], ["temperature=0", "positive"]), (["--consistency", "loose"], ["exact, sound"]),
     (["--histidine", "HIX"], ["HID, HIE, HIP"]), (["--disulfides", "3"], ["A:3-A:40"]),
     (["--disulfides", "A:1-A:2"], ["MET 1 listed"]), (["--protonation", "57"], ["A:57=HIP"]),
     (["--termini", "a,b,c"], ["charged, neutral or capped"]), (["--unknown", "x"], ['"drop"']),
     (["--breaks", "A:99"], ["A:99"]), (["--keep", "CL"], ["--unknown"])],
)  # fmt: skip
def test_options_that_cannot_be_get_one_line(options, words, ca, file, capsys):
    line = error(capsys, "backmap", "ca.pdb", "--top", "ca.pdb", "--model", file, "-o", "aa.pdb", *options)
    assert all(word in line for word in words), line


def test_options_of_proteins_are_refused_with_a_model_of_one_molecule(ca, model_path, file, capsys):
    line = error(capsys, "backmap", "ca.dcd", "--model", model_path, "-o", "aa.dcd", "--histidine", "HIP")
    assert "histidine" in line and "any protein" in line
    both = ["--top", "ca.pdb", "--model", file, "--model", model_path]
    assert "with others" in error(capsys, "backmap", "ca.dcd", *both, "-o", "aa.dcd")
    simulate = ["simulate", "--model", file, "--steps", "10", "--report-interval", "5", "-o", "aa.dcd"]
    assert "BackmapReporter" in error(capsys, *simulate)
