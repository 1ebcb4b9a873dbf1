"""``openmm-cgvae continue``: from a CG frame to an all-atom run."""

import shutil

import mdtraj
import numpy as np
import pytest
from conftest import DATA

from openmm_cgvae.cli.main import main
from openmm_cgvae.simulation import checkpoint

MODEL = "alanine-dipeptide-3"
RUN = ["--model", MODEL, "--steps=40", "--report-interval=10", "--platform=Reference", "--equilibration=0.1"]


@pytest.fixture(autouse=True)
def cg(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    aa, top = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")
    assert main(["project", aa, "--top", top, "--model", MODEL, "-o", "cg.dcd"]) == 0


@pytest.mark.parametrize("output", ["aa.dcd", "aa.xtc", "aa.pdb"])
def test_a_frame_goes_on_in_atoms(output, mapping, capsys):
    assert main(["continue", "cg.dcd", *RUN, "-o", output, "--frame", "120", "--seed", "3"]) == 0
    run = mdtraj.load(output, top="aa.pdb")
    assert run.n_frames == 4 and run.n_atoms == 22
    beads = mdtraj.load_frame("cg.dcd", 120, top="cg.pdb").xyz[0]
    assert np.abs(mapping.project(run.xyz[0]) - beads).max() < 0.1
    assert "4 in aa" in capsys.readouterr().out


def test_the_topology_of_the_beads_is_checked(capsys):
    assert main(["continue", "cg.dcd", *RUN, "-o", "aa.dcd", "--top", "cg.pdb"]) == 0
    assert main(["continue", "cg.dcd", *RUN, "-o", "no.dcd", "--top", str(DATA / "alanine_dipeptide.pdb")]) == 2
    assert "22 atoms given, the all-atom molecule itself" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_run():
    for output in ("one.dcd", "two.dcd"):
        assert main(["continue", "cg.dcd", *RUN, "-o", output, "--seed", "3"]) == 0
    one, two = (mdtraj.load(output, top="one.pdb").xyz for output in ("one.dcd", "two.dcd"))
    np.testing.assert_array_equal(one, two)


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_STEPS", 15)
    go = ["continue", "cg.dcd", *RUN]
    assert main([*go, "-o", "whole.dcd", "--checkpoint", "whole.chk", "--seed", "3"]) == 0
    assert main([*go, "-o", "a.dcd", "--checkpoint", "a.chk", "--seed", "3", "--steps", "20"]) == 0
    shutil.copy("a.chk", "early.chk")
    begun_from = (tmp_path / "a.pdb").read_bytes()
    resume = [*go, "-o", "a.dcd", "--resume", "--checkpoint"]
    assert main([*resume, "a.chk", "--steps", "30"]) == 0
    # The checkpoint knows the seed, and nothing of the frame that was written after it.
    assert main([*resume, "early.chk"]) == 0
    whole, resumed = (mdtraj.load(name, top="whole.pdb").xyz for name in ("whole.dcd", "a.dcd"))
    np.testing.assert_array_equal(resumed, whole)
    assert (tmp_path / "a.pdb").read_bytes() == begun_from
    capsys.readouterr()
    for wrong, message in (
        (["a.chk", "--temperature", "310"], "temperature=310.0 given to go on with a run of temperature=300.0"),
        (["a.chk", "--seed", "4"], "seed=4 given"),
        (["other.chk"], "other.chk does not exist"),
        (["a.chk", "-o", "lost.dcd"], "lost.dcd of the run to go on with is missing"),
    ):
        assert main([*resume, *wrong]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--frame", "200"], "frame 200 given: cg.dcd holds frames 0 to 199"),
        (["--report-interval", "50"], "an interval from 1 to the number of steps"),
        (["--solvate", "0.1"], "nm wide is too small: the molecule is"),
        (["--forcefield", "amber14/tip3p.xml"], "no parameters for ACE1"),
        (["-o", "aa.mdcrd"], "a name ending in"),
        (["-o", "cg.dcd", "--overwrite"], "input of the same command"),
        (["-o", "old.dcd"], "exists"),
        (["--resume"], "--resume given without --checkpoint"),
        (["-o", "aa.xtc", "--checkpoint", "run.chk"], "ending in .dcd"),
        (["--checkpoint", "old.dcd"], "exists"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(wrong, message, tmp_path, capsys):
    (tmp_path / "old.dcd").write_text("precious")
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert main(["continue", "cg.dcd", *RUN, "-o", "aa.dcd", *wrong]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.dcd").read_text() == "precious"
