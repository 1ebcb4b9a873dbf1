"""Files as people have them, by the command line: what is needed is said, and what is written is right."""

import subprocess
import sys
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from conftest import untrained_file
from openmm import app

from openmm_cgvae.cli.main import main
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

IONS = [("NA", "NA", "Na"), ("CL", "CL", "Cl"), ("SOD", "SOD", "Na"), ("CLA", "CLA", "Cl"), ("K", "K", "K")]


@pytest.fixture
def beads(reference, mapping):
    return mapping.project(reference[0][:30])


@pytest.fixture
def run(model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return main([*map(str, arguments), "--model", str(model_path), "--overwrite"])

    return run


@pytest.fixture
def long_names(five_bead_dataset, tmp_path):
    """A model file of five beads whose names no PDB column holds."""
    file = untrained_file(five_bead_dataset)
    file.mapping = file.mapping | {"names": ["CONH1", "CONH2", "METHYL", "CARBOXYL", "CARBOXYLATE"]}
    file.save(tmp_path / "long.pt")
    return tmp_path / "long.pt"


def write(path, mapping, beads):
    with TrajectoryWriter(path, mapping.cg_topology()) as writer:
        writer.write(beads, 2.0 * np.arange(1, len(beads) + 1))


def test_times_that_a_file_does_not_tell_are_asked_for(run, mapping, beads, capsys, caplog):
    mdtraj.Trajectory(beads, mdtraj.Topology.from_openmm(mapping.cg_topology())).save("cg.dcd")
    assert run("backmap", "cg.dcd", "-o", "aa.dcd", "--correlation-time", 4) == 2
    assert "--frame-interval" in capsys.readouterr().err
    assert run("backmap", "cg.dcd", "-o", "aa.dcd", "--correlation-time", 4, "--frame-interval", 2) == 0
    np.testing.assert_allclose(np.diff(DCDHeader.read("aa.dcd").times(np.arange(30))), 2.0, rtol=1e-6)
    assert run("backmap", "cg.dcd", "-o", "aa.dcd") == 0
    assert "cg.dcd does not tell the times of its frames" in caplog.text
    assert not DCDHeader.read("aa.dcd").has_times


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
@pytest.mark.parametrize("command", ["backmap", "project"])
def test_the_frames_of_a_killed_run_are_used_when_asked(
    run, mapping, topology, beads, reference, capsys, suffix, command
):
    path = f"in{suffix}"
    if command == "backmap":
        write(path, mapping, beads)
    else:
        with TrajectoryWriter("top.pdb", topology) as writer:
            writer.write(reference[0][:1], None)
        with TrajectoryWriter(path, topology) as writer:
            writer.write(reference[0][:30], 2.0 * np.arange(1, 31))
    with open(path, "r+b") as file:
        file.truncate(file.seek(0, 2) - 10)
    more = ("--top", "top.pdb") if command == "project" else ()
    assert run(command, path, *more, "-o", "out.xtc") == 2
    assert "--salvage" in capsys.readouterr().err
    assert run(command, path, *more, "-o", "out.xtc", "--salvage") == 0
    with mdtraj.formats.XTCTrajectoryFile("out.xtc") as file:
        np.testing.assert_allclose(file.read()[1], 2.0 * np.arange(1, 30), rtol=1e-6)


@pytest.mark.parametrize("writable", [".pdb", ".cif", ".dcd"])
@pytest.mark.parametrize("readable", [".gro", ".pdb"])
def test_kept_ions_are_what_their_names_say(run, mapping, beads, readable, writable):
    names = [(atom.residue.name, atom.name) for atom in mapping.cg_topology().atoms()]
    names += [("W", "W"), *(ion[:2] for ion in IONS)]
    lines = ["beads", f"{len(names)}"]
    positions = np.concatenate([beads[0], 1 + 0.5 * np.arange(6)[:, None] * np.ones(3)])
    for k, ((residue, atom), x) in enumerate(zip(names, positions, strict=True), 1):
        if readable == ".gro":
            lines.append(f"{k:5d}{residue:<5}{atom:>5}{k:5d}" + "".join(f"{value:8.3f}" for value in x))
        else:
            place = "".join(f"{10 * value:8.3f}" for value in x)
            lines.append(f"ATOM  {k:5d} {atom:<4} {residue:<4}A{k:4d}    {place}  1.00  0.00")
    lines.append("   9.0   9.0   9.0" if readable == ".gro" else "END")
    with open(f"cg{readable}", "w") as file:
        file.write("\n".join(lines) + "\n")
    kept = ",".join(ion[0] for ion in IONS)
    assert run("backmap", f"cg{readable}", "--top", f"cg{readable}", "--keep", kept, "--drop", "W",
               "-o", f"aa{writable}") == 0  # fmt: skip
    for path in {f"aa{writable}", "aa.pdb"} - {"aa.dcd"}:
        found = (app.PDBxFile if path.endswith("cif") else app.PDBFile)(path).topology
        assert [atom.element.symbol for atom in found.atoms()][-5:] == [ion[2] for ion in IONS]
        with open(path) as file:
            written = [line for line in file if line.startswith(("ATOM", "HETATM"))][-5:]
        at = (lambda line: line.split()[2]) if path.endswith("cif") else (lambda line: line[76:78].strip())
        assert [at(line) for line in written] == [ion[2] for ion in IONS]


def test_a_run_in_a_hexagonal_box_goes_in_and_out_of_files(run, backmapper):
    box = (4, 0, 0, -2, 3.4641016, 0, 0, 0, 4)
    assert run("simulate", "--steps", 40, "--report-interval", 20, "--copies", 4, "--box", *box, "-o", "aa.xtc",
               "--cg-output", "cg.dcd", "--seed", 1) == 0  # fmt: skip
    for name in ("cg.dcd", "aa.xtc"):
        topology = mdtraj.load_topology(f"{name[:2]}.pdb")
        found = next(iter(TrajectoryReader(name, topology)))
        np.testing.assert_allclose(found.angles[0], [90, 90, 120], atol=1e-4)
    assert run("backmap", "cg.dcd", "--top", "cg.pdb", "-o", "again.xtc", "--seed", 1) == 0
    assert run("backmap", "cg.pdb", "--top", "cg.pdb", "-o", "again.pdb", "--seed", 1) == 0


@pytest.mark.parametrize("suffix", [".pdb", ".cif", ".dcd", ".xtc"])
def test_names_of_beads_survive_every_format(run, long_names, topology, reference, suffix):
    with TrajectoryWriter("aa.pdb", topology) as writer:
        writer.write(reference[0][:3], None)
    model = ("--model", str(long_names), "--overwrite")
    assert main(["project", "aa.pdb", "--top", "aa.pdb", "-o", f"cg{suffix}", *model]) == 0
    assert main(["backmap", f"cg{suffix}", "-o", "again.pdb", *model]) == 0
    assert main(["backmap", f"cg{suffix}", "--top", "cg.pdb" if suffix in (".dcd", ".xtc") else f"cg{suffix}",
                 "-o", "again.dcd", *model]) == 0  # fmt: skip
    assert main(["simulate", "--steps", "20", "--report-interval", "10", "--copies", "3", "--box", "3", "-o", "box.dcd",
                 "--cg-output", "boxcg.dcd", *model]) == 0  # fmt: skip
    assert main(["backmap", "boxcg.dcd", "--top", "boxcg.pdb", "-o", "boxagain.dcd", *model]) == 0


def test_other_names_are_still_refused_with_those_of_the_file(run, long_names, five_beads, reference, capsys):
    with TrajectoryWriter("cg.pdb", five_beads.cg_topology()) as writer:
        writer.write(five_beads.project(reference[0][:2]), None)
    assert main(["backmap", "cg.pdb", "-o", "aa.pdb", "--model", str(long_names)]) == 2
    assert f"is called {five_beads.names[0]}, CONH1 is expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["backmap", "cg.dcd", "-o", "aa.dcd", "--samples", "1000000000"],
            "1000000000 samples a frame given, which need",
        ),
        (["simulate", "--steps", "10", "--report-interval", "5", "-o", "aa.dcd", "--box", "1e9"], "9999 nm at most"),
    ],
)
def test_sizes_are_estimated_before_the_run(run, mapping, beads, capsys, command, message):
    write("cg.dcd", mapping, beads)
    assert run(*command) == 2
    assert message in capsys.readouterr().err
    assert not list(Path().glob("*aa*"))


def test_a_closed_stdout_costs_nothing(run, mapping, beads, model_path, tmp_path):
    write("cg.dcd", mapping, beads)
    command = f"backmap cg.dcd --model {model_path} -o aa.dcd >&-"
    done = subprocess.run(f"{sys.executable} -m openmm_cgvae {command}", shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert DCDHeader.read("aa.dcd").n_frames == 30


FOREIGN = {"ACE": "BB", "ALA": "BB", "NME": "CAP"}


def foreign(path, mapping, beads, copies=1, water=0):
    """A GRO file of molecules whose beads have other names, and of water of another name."""
    rows = [(name, FOREIGN[name]) for name in mapping.names] * copies + [("SOL", "W")] * water
    positions = np.concatenate([beads[k] + k for k in range(copies)] + [5 + np.zeros((water, 3))])
    lines = [
        f"{k:5d}{residue:<5}{atom:>5}{k:5d}" + "".join(f"{value:8.3f}" for value in x)
        for k, ((residue, atom), x) in enumerate(zip(rows, positions, strict=True), 1)
    ]
    Path(path).write_text("\n".join(["beads", f"{len(rows)}", *lines, "   9.0   9.0   9.0"]) + "\n")


def test_beads_of_other_names_are_used_once_they_are_said_to_be_the_models(run, mapping, backmapper, beads, capsys):
    foreign("cg.gro", mapping, beads)
    assert run("backmap", "cg.gro", "-o", "aa.dcd") == 2
    assert "is called BB, ACE is expected" in (message := capsys.readouterr().err)
    assert "--rename" in message
    for rule in ("order", "ACE:BB=ACE,ALA:BB=ALA,CAP=NME"):
        assert run("backmap", "cg.gro", "-o", "aa.dcd", "--rename", rule, "--seed", 1) == 0
        found = next(iter(TrajectoryReader("aa.dcd", backmapper.topology))).positions
        np.testing.assert_allclose(mapping.project(found)[0], beads[0], atol=2e-3)
    assert run("backmap", "cg.gro", "-o", "aa.dcd", "--rename", "BB") == 2
    assert "OLD=NEW" in capsys.readouterr().err


def test_a_system_of_other_names_is_renamed_too(run, mapping, beads, capsys):
    foreign("cg.gro", mapping, beads, copies=3, water=2)
    system = ("backmap", "cg.gro", "--top", "cg.gro", "-o", "aa.pdb", "--drop")
    assert run(*system, "SOL") == 2
    assert "ACE BB" in capsys.readouterr().err
    rules = "ACE:BB=ACE,ALA:BB=ALA,CAP=NME"
    for dropped, more in (("SOL", ""), ("HOH", ",SOL=HOH")):
        assert run(*system, dropped, "--rename", rules + more) == 0
        assert app.PDBFile("aa.pdb").topology.getNumAtoms() == 66
    system = (*system, "SOL")
    assert run(*system, "--rename", "XX=ACE") == 2
    assert "rename of XX given, but particles are called ACE:BB, ALA:BB, NME:CAP, SOL:W" in capsys.readouterr().err


def test_several_files_are_read_as_one(run, mapping, backmapper, beads):
    write("whole.dcd", mapping, beads)
    topology = mdtraj.Topology.from_openmm(mapping.cg_topology())
    times = 2.0 * np.arange(1, 31)
    write("1.dcd", mapping, beads[:7])
    for name, part in (("2.xtc", slice(7, 18)), ("3.trr", slice(18, 30))):
        mdtraj.Trajectory(beads[part], topology, times[part]).save(name)
    for stride in (1, 4):
        for output, inputs in (("a.dcd", ["whole.dcd"]), ("b.dcd", ["1.dcd", "2.xtc", "3.trr"])):
            assert run("backmap", *inputs, "-o", output, "--seed", 1, "--stride", stride, "--correlation-time", 4) == 0
        a, b = (next(iter(TrajectoryReader(name, backmapper.topology))) for name in ("a.dcd", "b.dcd"))
        np.testing.assert_allclose(b.times, a.times, rtol=1e-6)
        # The middle one is rounded.
        np.testing.assert_allclose(b.positions, a.positions, atol=0.02)


def test_bad_frames_are_named_and_listed(run, mapping, beads, capsys):
    beads[7, 1] = np.nan
    write("cg.dcd", mapping, beads)
    assert run("backmap", "cg.dcd", "-o", "aa.dcd") == 2
    assert "frame 7 " in capsys.readouterr().err
    assert run("backmap", "cg.dcd", "-o", "aa.dcd", "--on-bad-frame", "skip") == 0
    assert "1: 7" in capsys.readouterr().out
    assert DCDHeader.read("aa.dcd").n_frames == 29
