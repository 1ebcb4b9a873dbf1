"""The exact calls that users make, and the one line each mistake gets."""

import json
import subprocess
import sys
from pathlib import Path

import mdtraj
import numpy as np
import pytest
import torch
from conftest import DATA
from openmm import app

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cli.main import COMMANDS, main, parser
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

AA, TOP = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(model_path):
    return str(model_path)


@pytest.fixture
def cg(model):
    assert main(["project", AA, "--top", TOP, "--model", model, "-o", "cg.dcd"]) == 0
    return "cg.dcd"


def frames(path, topology):
    return np.concatenate([c.positions for c in TrajectoryReader(path, topology)])


def test_project_writes_the_beads_and_their_pdb(cg, mapping, reference):
    np.testing.assert_allclose(frames("cg.dcd", mapping.cg_topology()), mapping.project(reference[0]), atol=1e-6)
    assert mdtraj.load("cg.pdb").n_atoms == 3


def test_backmap_writes_atoms_and_their_pdb(cg, model, backmapper, capsys):
    assert (
        main(["backmap", cg, "--model", model, "-o", "aa.dcd", "--samples", "2", "--seed", "5", "--stride", "10"]) == 0
    )
    beads = frames(cg, backmapper.cg_topology())[::10]
    expected = backmapper.sample(beads, 2, seed=5, frames=np.arange(0, 200, 10)).reshape(-1, 22, 3)
    np.testing.assert_allclose(frames("aa.dcd", backmapper.topology), expected, atol=2e-6)
    assert app.PDBFile("aa.pdb").topology.getNumBonds() == 21
    assert "40 in aa.dcd" in capsys.readouterr().out


def test_backmap_takes_a_correlation_time(cg, model, backmapper):
    assert main(["backmap", cg, "--model", model, "-o", "aa.dcd", "--seed", "5", "--correlation-time", "80"]) == 0
    # Frames are 20 ps apart.
    expected = backmapper.sample(frames(cg, backmapper.cg_topology()), seed=5, correlation=4.0)[:, 0]
    np.testing.assert_allclose(frames("aa.dcd", backmapper.topology), expected, atol=2e-6)


def test_backmap_minimize_reports_energies(cg, model, backmapper, capsys):
    assert main(["backmap", cg, "--model", model, "-o", "aa.xtc", "--seed", "5", "--stride", "50", "--minimize"]) == 0
    out = capsys.readouterr().out
    assert "before" in out and "after minimisation" in out
    beads = frames(cg, backmapper.cg_topology())[::50]
    assert np.abs(backmapper.mapping.project(frames("aa.xtc", backmapper.topology)) - beads).max() < 0.01


def test_fewer_iterations_of_the_minimisation_may_be_asked_for():
    model = ["--model", "alanine-dipeptide-3"]
    assert main(["project", AA, "--top", TOP, *model, "-o", "beads.dcd", "--stride", "100"]) == 0
    topology = Backmapper.load("alanine-dipeptide-3").topology
    moved = {}
    for given in ([], ["--iterations", "5"], ["--iterations", "50"]):
        arguments = ["backmap", "beads.dcd", *model, "-o", "aa.dcd", "--seed", "5", "--minimize", "--overwrite"]
        assert main([*arguments, *given]) == 0
        moved[tuple(given)] = frames("aa.dcd", topology)
    usual, few, fifty = moved.values()
    assert (usual == fifty).all() and (usual != few).any()


def test_simulate_writes_atoms_of_a_real_run(model, backmapper):
    arguments = [
        "simulate",
        "--model",
        model,
        "--steps",
        "100",
        "--report-interval",
        "20",
        "-o",
        "aa.dcd",
        "--seed",
        "2",
    ]
    assert main([*arguments, "--cg-output", "cg.dcd"]) == 0
    atoms, beads = frames("aa.dcd", backmapper.topology), frames("cg.dcd", backmapper.cg_topology())
    assert len(atoms) == 5
    np.testing.assert_allclose(backmapper.mapping.project(atoms), beads, atol=1e-5)
    first = atoms.copy()
    assert main([*arguments, "--overwrite"]) == 0
    np.testing.assert_array_equal(frames("aa.dcd", backmapper.topology), first)


def test_info_tells_beads_and_json(model, capsys):
    assert main(["info", model]) == 0
    assert "22 atoms on 3 beads" in capsys.readouterr().out
    assert main(["info", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "openmm_cgvae model"


@pytest.mark.slow
def test_prepare_train_and_export_make_a_model(capsys):
    assert main(["prepare", AA, "--top", TOP, "--run-frames", "25", "-o", "data.npz"]) == 0
    sizes = ["--set", "features=16", "--set", "decoder_layers=3", "--set", "flow_width=16", "--set", "ema_decay=0",
             "--set", "prior_updates=2"]  # fmt: skip
    train = ["train", "data.npz", "-o", "run", "--epochs", "2", *sizes]
    assert main(train) == 0
    rows = (np.genfromtxt("run/training.csv", delimiter=",", names=True))["epoch"]
    np.testing.assert_array_equal(rows, [1, 2])
    assert main(["info", "run/model.pt"]) == 0
    assert "held-out valid_ratio_all" in capsys.readouterr().out
    assert main(["export", "run", "--data", "data.npz", "-o", "again.pt"]) == 0
    assert main(["project", AA, "--top", TOP, "--model", "again.pt", "-o", "cg.dcd"]) == 0


def test_train_takes_trajectories_directly_and_a_folder_is_of_one_dataset(capsys):
    sizes = ["--set", "decoder_layers=3", "--set", "encoder_layers=1", "--epochs", "1"]
    train = ["train", AA, "--top", TOP, "--run-frames", "25", "-o", "run", *sizes, "--set"]
    # 10 atoms on a bead need as many channels.
    assert main([*train, "features=9", "--weights", "mass"]) == 2
    for _ in range(2):
        assert main([*train, "features=12", "--weights", "mass"]) == 0
    capsys.readouterr()
    assert main([*train, "features=12"]) == 2
    assert "other trajectories or with other settings" in capsys.readouterr().err


def test_training_starts_from_a_model_of_the_same_shape(model_path, capsys):
    sizes = ["features=16", "radial=4", "encoder_layers=1", "prior_layers=1", "decoder_layers=3", "flow_width=16",
             "flow_layers=1", "flow_steps=2"]  # fmt: skip
    train = ["train", AA, "--top", TOP, "--run-frames", "25", "-o", "run", "--start", str(model_path), "--epochs", "0"]
    train += [word for size in sizes for word in ("--set", size)]
    assert main([*train, "--set", "latent=4"]) == 2
    assert "of the same molecule, mapping and model settings" in capsys.readouterr().err
    assert main(train) == 0
    own, given = (ModelFile.load(path).weights["decoder.enter.weight"] for path in ("run/model.pt", model_path))
    assert torch.equal(own, given)


def test_an_unstable_run_says_so(model, capsys):
    run = ["simulate", "--model", model, "--steps", "2000", "--report-interval", "100", "-o", "aa.dcd"]
    assert main([*run, "--time-step", "5"]) == 2
    assert "use a timeStep below" in capsys.readouterr().err


def test_sample_reference_makes_runs_to_train_on(topology):
    short = ["--burst", "0.1", "0.2", "--equilibration", "0.1", "--interval", "0.1", "--frames", "3"]
    assert main(["sample-reference", TOP, "-o", "md", "--runs", "2", *short]) == 0
    assert [len(frames(f"md/run-00{k}.dcd", topology)) for k in range(2)] == [3, 3]


def mistakes(tmp_path, backmapper, five_beads, reference):
    """Name to (arguments, what the line must hold)."""
    beads = backmapper.mapping.project(reference[0][:10])

    def written(name, positions, topology=None):
        with TrajectoryWriter(name, topology or backmapper.cg_topology()) as writer:
            writer.write(positions, np.arange(float(len(positions))))
        return name

    nan = beads.copy()
    nan[3, 0, 0] = np.nan
    written("good.dcd", beads)
    (tmp_path / "truncated.dcd").write_bytes((tmp_path / "good.dcd").read_bytes()[:-7])
    (tmp_path / "empty.dcd").touch()
    (tmp_path / "text.pt").write_text("not a model")
    (tmp_path / "exists.dcd").write_text("precious")
    atoms = [line for line in Path(TOP).read_text().splitlines(keepends=True) if line.startswith(("ATOM", "HETATM"))]
    (tmp_path / "other.pdb").write_text("".join(atoms[:-1]) + "END\n")
    model = ["--model", "MODEL"]
    backmap = ["backmap", "good.dcd", *model, "-o", "aa.dcd"]
    return {
        "bead count": (["backmap", written("five.dcd", five_beads.project(reference[0][:10]), five_beads.cg_topology()),
                        *model, "-o", "aa.dcd"], "5 particles a frame, 3 are expected"),
        "unit": (["backmap", written("far.dcd", beads * 100), *model, "-o", "aa.dcd"], "nm was seen in training"),
        "nan": (["backmap", written("nan.dcd", nan), *model, "-o", "aa.dcd"], "NaN"),
        "truncated": (["backmap", "truncated.dcd", *model, "-o", "aa.dcd"], "10 frames announced, 9 complete"),
        "empty": (["backmap", "empty.dcd", *model, "-o", "aa.dcd"], "empty"),
        "missing": (["backmap", "missing.dcd", *model, "-o", "aa.dcd"], "does not exist"),
        "other molecule": (["project", AA, "--top", "other.pdb", *model, "-o", "aa.dcd"], "no bond|21 atoms given"),
        "missing topology": (["project", AA, "--top", "no.pdb", *model, "-o", "aa.dcd"], "no.pdb does not exist"),
        "missing model": (["backmap", "good.dcd", "--model", "no.pt", "-o", "aa.dcd"], "neither a file nor a bundled"),
        "no model": (["backmap", "good.dcd", "--model", "text.pt", "-o", "aa.dcd"], "not a model file"),
        "folder": (["backmap", "good.dcd", *model, "-o", "no/aa.dcd"], "folder no of output no/aa.dcd does not exist"),
        "existing": (["backmap", "good.dcd", *model, "-o", "exists.dcd"], "--overwrite"),
        "format": (["backmap", "good.dcd", *model, "-o", "aa.mdcrd"], "name ending in .dcd, .xtc, .nc, .h5, .pdb"),
        "samples": ([*backmap, "--samples", "0"], "n_samples=0"),
        "stride": ([*backmap, "--stride", "-1"], "stride=-1"),
        "seed": ([*backmap, "--seed", "-1"], "seed=-1"),
        "own input": (["backmap", "good.dcd", *model, "-o", "good.dcd", "--overwrite"], "is an input"),
        "project stride": (["project", AA, "--top", TOP, *model, "-o", "aa.dcd", "--stride", "0"], "stride=0"),
        "same names": (["simulate", *model, "--steps", "5", "--report-interval", "5", "-o", "aa.dcd", "--cg-output",
                        "aa.dcd"], "different names"),
        "cg format": (["simulate", *model, "--steps", "5", "--report-interval", "5", "-o", "aa.dcd", "--cg-output",
                       "cg.xtc"], "ending in .dcd"),
        "hops": (["prepare", AA, "--top", TOP, "--hops", "0", "-o", "d.npz"], "hops=0"),
        "device": (["train", AA, "--top", TOP, "-o", "run", "--device", "gpu"], "device 'gpu'"),
        "word": (["train", AA, "--top", TOP, "-o", "run", "--set", "batch_size=abc"], "a number is expected"),
        "demo folder": (["demo", "-o", "no/where"], "folder no does not exist"),
        "solvent alone": ([*backmap, "--implicit-solvent", "GBn2"], "add --minimize"),
        "iterations alone": ([*backmap, "--iterations", "0"], "--iterations given, of the minimisation"),
        "solvent": ([*backmap, "--minimize", "--implicit-solvent", "water"], "water"),
        "interval": (["simulate", *model, "--steps", "5", "--report-interval", "9", "-o", "aa.dcd"], "interval"),
        "platform": (["simulate", *model, "--steps", "5", "--report-interval", "5", "-o", "aa.dcd",
                      "--platform", "TPU"], "TPU"),
        "temperature": (["simulate", *model, "--steps", "5", "--report-interval", "5", "-o", "aa.dcd",
                         "--temperature", "-3"], "temperature"),
        "preset": (["train", AA, "--top", TOP, "-o", "run", "--preset", "smal"], "did you mean 'small'"),
        "one bead": (["train", AA, "--top", TOP, "-o", "run", "--mapping", "alpha-carbon"], "at least 3 are needed"),
        "setting": (["train", AA, "--top", TOP, "-o", "run", "--set", "feature=3"], "did you mean 'features'"),
        "no topology": (["train", AA, "-o", "run"], "--top is missing"),
        "dataset": (["train", "text.npz", "-o", "run"], "does not exist"),
        "mapping": (["prepare", AA, "--top", TOP, "--mapping", "residues", "-o", "d.npz"], "residues"),
        "checkpoint": (["export", ".", "--data", "none.npz"], "none.npz does not exist"),
    }  # fmt: skip


def test_every_mistake_gets_one_line_and_leaves_nothing(
    tmp_path, model, backmapper, five_beads, reference, capsys, subtests
):
    cases = mistakes(tmp_path, backmapper, five_beads, reference)
    before = {p.name for p in tmp_path.iterdir()}
    for name, (arguments, expected) in cases.items():
        with subtests.test(name):
            assert main([model if a == "MODEL" else a for a in arguments]) == 2
            lines = capsys.readouterr().err.strip().split("\n")
            assert len(lines) == 1, lines
            assert lines[0].startswith("openmm-cgvae: error: ")
            assert any(part in lines[0] for part in expected.split("|")), lines[0]
            assert {p.name for p in tmp_path.iterdir()} == before
    assert (tmp_path / "exists.dcd").read_text() == "precious"


def test_positions_in_angstrom_are_refused(tmp_path, model, backmapper, reference, capsys):
    with TrajectoryWriter("far.dcd", backmapper.cg_topology()) as writer:
        writer.write(backmapper.mapping.project(reference[0][:10]) * 10, np.arange(10.0))
    assert main(["backmap", "far.dcd", "--model", model, "-o", "aa.dcd"]) == 2
    assert "nm" in capsys.readouterr().err and not (tmp_path / "aa.dcd").exists()


def test_the_topology_of_another_molecule_is_refused(tmp_path, model, capsys):
    (tmp_path / "other.pdb").write_text(Path(TOP).read_text().replace("ALA", "GLY"))
    assert main(["project", AA, "--top", "other.pdb", "--model", model, "-o", "cg.dcd"]) == 2
    assert "GLY" in capsys.readouterr().err


def test_top_is_the_topology_of_the_input_in_every_command():
    options = [(name, option) for name, command in parser().commands.items() for option in command._actions]
    found = {name: option.help for name, option in options if "--top" in option.option_strings}
    assert {"backmap", "benchmark", "continue", "evaluate", "map", "prepare", "project", "train"} <= set(found)
    assert all(text.startswith("topology of the input, ") for text in found.values())


def test_the_installed_command_lists_every_subcommand():
    done = subprocess.run([sys.executable, "-m", "openmm_cgvae", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for name in COMMANDS:
        assert name in done.stdout


def test_a_reader_that_goes_away_gets_no_traceback(model):
    command = [sys.executable, "-m", "openmm_cgvae", "info", model, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
