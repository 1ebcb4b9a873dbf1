"""Whatever a file holds that a command is given: one line that says what to do, and never a traceback."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from openmm_cgvae.cli import main as command_line
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.translation import said_by_library, translated
from openmm_cgvae.io.trajectory_files import TrajectoryWriter

DATA = Path(__file__).parents[1] / "data"
RNG = np.random.default_rng(7)
CONTENTS = {
    "nothing": b"",
    "noise": RNG.bytes(3000),
    "words": b"the quick brown fox\njumps over\n" * 20,
    "numbers": b"1 2 3 4 5 6 7\n" * 50,
    "page": b"<html><head><title>404 Not Found</title></head></html>\n",
    "json": b'{"beads": [[0, 1], "x"], "weights": null, "names": 7, "topology": {"atoms": [1]}}',
    "xml": b"<ForceField><AtomTypes><Type name='a'/></AtomTypes><Residues><Residue/></Residues></ForceField>",
    "pdb": b"ATOM      1  CA  ALA A   1      xx.xxx   1.000   1.000  1.00  0.00\nEND\n",
    "cif": b"data_x\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 2\n3\n",
    "gro": b"title\n 7\n    1ALA     CA    1   0.1   0.2\n",
    "prmtop": b"%VERSION  VERSION_STAMP = V0001.000\n%FLAG TITLE\n%FORMAT(20a4)\nx\n%FLAG POINTERS\n%FORMAT(10I8)\n  22\n",
    "psf": b"PSF\n\n       1 !NTITLE\n REMARKS\n\n      22 !NATOM\n       1 A\n",
}
# Each with {bad} once: a file of any content under a suffix of its own.
# ruff: noqa: E501
COMMANDS = {
    "backmap trajectory": ("backmap {bad} -o out.dcd --model {model}", ".dcd .xtc .nc .trr .pdb .cif .gro .xyz .h5 .pdb.gz"),
    "backmap --top": ("backmap cg.dcd --top {bad} -o out.dcd --model {model}", ".pdb .cif .gro .prmtop .psf .xyz"),
    "backmap --model": ("backmap cg.dcd -o out.dcd --model {bad}", ".pt"),
    "backmap --prmtop": ("backmap cg.dcd -o out.dcd --model {model} --minimize --prmtop {bad}", ".prmtop .psf .xml .pdb"),
    "backmap protein": ("backmap {bad} -o out.pdb --model protein-ca", ".pdb .cif .gro"),
    "backmap protein --top": ("backmap cg.dcd --top {bad} -o out.pdb --model protein-ca", ".psf .prmtop"),
    "project": ("project {bad} --top aa.pdb -o out.dcd --model {model}", ".dcd .nc .mdcrd .lammpstrj"),
    "project --top": ("project aa.pdb --top {bad} -o out.dcd --model {model}", ".pdb .psf .prmtop"),
    "continue": ("continue {bad} --model {model} --steps 1 -o out.dcd", ".dcd .trr"),
    "continue --forcefield": ("continue cg.dcd --model {model} --steps 1 -o out.dcd --forcefield {bad}", ".xml"),
    "simulate": ("simulate --steps 1 --report-interval 1 -o out.dcd --model {model} --potential {bad}", ".json .pt"),
    "evaluate": ("evaluate {bad} --top aa.pdb --model {model} --json out.json", ".dcd .npz .xtc"),
    "evaluate protein": ("evaluate {bad} --model protein-ca --json out.json", ".pdb .cif .npz"),
    "prepare": ("prepare {bad} --top aa.pdb -o out.npz", ".dcd .xtc"),
    "prepare --mapping": ("prepare aa.pdb --top aa.pdb --mapping {bad} -o out.npz", ".json"),
    "map": ("map {bad} --top aa.pdb --method community --beads 3 -o out.json", ".dcd .nc"),
    "info": ("info {bad}", ".pt"),
    "export": ("export {bad} -o out.pt", ".pt .npz"),
    "train": ("train {bad} --top aa.pdb -o out.pt", ".npz .xtc"),
    "sample-reference": ("sample-reference {bad} --runs 1 -o out", ".pdb"),
    "cg-forcefield": ("cg-forcefield {bad} --top aa.pdb -o out.json", ".xtc .npz"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch, topology, mapping, reference):
    monkeypatch.chdir(tmp_path)
    shutil.copy(DATA / "alanine_dipeptide.pdb", "aa.pdb")
    with TrajectoryWriter("cg.dcd", mapping.cg_topology()) as writer:
        writer.write(mapping.project(reference[0][:3]), np.arange(3.0))
    return tmp_path


def run(command, capsys):
    """Exit status and error of a command line."""
    try:
        status = main(command.split())
    except SystemExit as error:
        status = error.code
    return status, capsys.readouterr().err


def kinds_for(name, number, suffix):
    """Some of the contents: the beginning of what is expected, and two that differ by command and suffix."""
    own, rest = suffix.lstrip(".").split(".")[0], list(CONTENTS)[2:]
    other = ("nothing", "noise")[number % 2]
    return dict.fromkeys([own if own in CONTENTS else "words", other, rest[(sum(name.encode()) + number) % len(rest)]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", COMMANDS)
def test_no_content_of_a_file_ends_in_a_traceback(folder, model_path, capsys, name):
    command, suffixes = COMMANDS[name]
    for number, suffix in enumerate(suffixes.split()):
        for kind in kinds_for(name, number, suffix):
            bad = Path(f"bad-{kind}{suffix}")
            bad.write_bytes(CONTENTS[kind])
            status, error = run(command.format(bad=bad, model=model_path), capsys)
            lines = [line for line in error.splitlines() if line.startswith("openmm-cgvae: error: ")]
            assert (status, len(lines)) == (2, 1), (bad, error)
            # The command was right.
            assert "--help" not in error
            bad.unlink()
    assert not [path for path in folder.iterdir() if path.name.startswith(("out", ".out")) and path.is_file()]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param("charmm36.xml", r"does not fit|no parameters", marks=pytest.mark.slow),
        ("amber14/tip3p.xml", r"no parameters for ACE1, ALA2, NME3"),
        ("nowhere.xml", r"force field \['nowhere.xml'\] cannot be read"),
    ],
)
def test_force_fields_of_others_that_do_not_fit_are_said(folder, model_path, capsys, files, message):
    status, error = run(f"continue cg.dcd --model {model_path} --steps 1 -o out.dcd --forcefield {files}", capsys)
    last = error.strip().splitlines()[-1]
    assert status == 2
    assert re.search(message, last), last


def test_settings_that_a_library_refuses_are_said(folder, model_path, capsys):
    for more, message in (
        ("--platform Abacus", "Abacus"),
        ("--water-model sea --solvate 1", "waterModel 'sea' given"),
        ("--implicit-solvent GBn3", "did you mean 'GBn'"),
    ):
        status, error = run(f"continue cg.dcd --model {model_path} --steps 1 -o out.dcd {more}", capsys)
        assert status == 2
        assert message in error.strip().splitlines()[-1]


def test_errors_of_other_packages_become_ours_and_ours_stay():
    first = pytest.raises(SettingsError, match=r"^give x \(two lines\): do y$")
    with first, translated(SettingsError, "give x ({reason}): do y"):
        raise RuntimeError("two\nlines.")
    with pytest.raises(SettingsError, match=r"^own$"), translated(ValueError, "{reason}"):
        raise SettingsError("own")
    with pytest.raises(KeyboardInterrupt), translated(SettingsError, "{reason}"):
        raise KeyboardInterrupt


def test_what_a_library_raises_unforeseen_is_told_from_faults_of_our_own(monkeypatch, capsys, tmp_path):
    import parmed

    (tmp_path / "notes.prmtop").write_text("not a topology")

    def theirs(options):
        parmed.load_file(str(tmp_path / "notes.prmtop"))

    def ours(options):
        raise KeyError("a fault")

    for function in (theirs, ours):
        monkeypatch.setattr(command_line.COMMANDS["info"], "run", function)
        if function is ours:
            with pytest.raises(KeyError):
                main(["info", "x.pt"])
        else:
            assert main(["info", "x.pt"]) == 2
            assert "openmm-cgvae: error: parmed says: " in capsys.readouterr().err
    try:
        np.zeros(3)[7]
    except IndexError as error:
        assert said_by_library(error) is None
