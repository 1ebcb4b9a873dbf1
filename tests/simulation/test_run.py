"""Runs that write atoms: resumed they are what they would have been, unstable they leave their last state."""

import inspect
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.cg.system import create_cg_simulation
from openmm_cgvae.core.errors import DataError, OutputError, SettingsError, SimulationError
from openmm_cgvae.core.lock import locked
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.simulation import checkpoint, running
from openmm_cgvae.simulation.run import FREE, run_and_backmap, whole_system

RUN = {"nSamples": 2, "seed": 5, "correlationTime": 1.0, "progress": False}
INTERVAL = 20


@pytest.fixture(autouse=True)
def _frequent_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_STEPS", 90)


def frames_of(path):
    """All of a DCD file but its header, in which OpenMM keeps the time of day."""
    with open(path, "rb") as file:
        return file.read()[276:]


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(backmapper):
    whole = run_and_backmap(backmapper, 250, INTERVAL, "whole.dcd", "whole_cg.dcd", checkpoint="whole.chk", **RUN)
    assert (whole.steps, whole.n_frames) == (250, 12)
    run_and_backmap(backmapper, 110, INTERVAL, "a.dcd", "a_cg.dcd", checkpoint="a.chk", **RUN)
    shutil.copy("a.chk", "early.chk")
    # Ended after its last checkpoint, when frames had been written that it did not know of.
    run_and_backmap(backmapper, 230, INTERVAL, "a.dcd", "a_cg.dcd", checkpoint="a.chk", resume=True, **RUN)
    resumed = run_and_backmap(
        backmapper, 250, INTERVAL, "a.dcd", "a_cg.dcd", checkpoint="early.chk", resume=True, **RUN
    )
    assert (resumed.steps, resumed.n_frames, resumed.seed) == (140, 7, 5)
    for name in ("", "_cg"):
        assert frames_of(f"a{name}.dcd") == frames_of(f"whole{name}.dcd")
    header = DCDHeader.read("a.dcd")
    assert header.n_frames == 24
    assert header == DCDHeader.read("whole.dcd")
    again = run_and_backmap(backmapper, 250, INTERVAL, "a.dcd", "a_cg.dcd", checkpoint="early.chk", resume=True, **RUN)
    assert again.steps == 0


def test_checkpoints_do_not_change_the_run(backmapper):
    run_and_backmap(backmapper, 250, INTERVAL, "plain.dcd", "plain_cg.dcd", **RUN)
    run_and_backmap(backmapper, 250, INTERVAL, "checked.dcd", "checked_cg.dcd", checkpoint="run.chk", **RUN)
    for name in ("", "_cg"):
        assert frames_of(f"plain{name}.dcd") == frames_of(f"checked{name}.dcd")


def test_what_cannot_be_resumed_is_refused_before_anything_is_touched(backmapper):
    run_and_backmap(backmapper, 100, INTERVAL, "a.dcd", checkpoint="a.chk", **RUN)
    before = frames_of("a.dcd")
    shutil.copy("a.dcd", "copy.dcd")

    def resume(**change):
        options = {"checkpoint": "a.chk", "resume": True, "temperature": None} | RUN | change
        file = options.pop("file", "a.dcd")
        run_and_backmap(backmapper, 200, INTERVAL, file, **{k: v for k, v in options.items() if v is not None})

    with pytest.raises(SettingsError, match="without a checkpoint"):
        resume(checkpoint=None)
    with pytest.raises(DataError, match=r"other\.chk does not exist"):
        resume(checkpoint="other.chk")
    with pytest.raises(SettingsError, match="seed=6 given to go on with a run of seed=5"):
        resume(seed=6)
    with pytest.raises(SettingsError, match="temperature=350"):
        resume(temperature=350)
    with pytest.raises(DataError, match="not a checkpoint of a run"):
        resume(checkpoint="copy.dcd")
    with pytest.raises(OutputError, match="exists"):
        run_and_backmap(backmapper, 200, INTERVAL, "b.dcd", checkpoint="a.chk", **RUN)
    with pytest.raises(OutputError, match=r"ending in \.dcd"):
        run_and_backmap(backmapper, 200, INTERVAL, "b.xtc", checkpoint="b.chk", **RUN)
    assert frames_of("a.dcd") == before
    with open("a.dcd", "r+b") as file:
        file.truncate(50)
    with pytest.raises(OutputError, match="missing or shorter"):
        resume()


@pytest.fixture
def half(backmapper):
    """A run with everything that a run can have, half way."""
    options = RUN | {"temperature": 350 * unit.kelvin, "minimizer": Minimizer(backmapper.mapping, maxIterations=3)}
    run_and_backmap(backmapper, 100, INTERVAL, "a.dcd", "cg.dcd", checkpoint="a.chk", **options)
    return {"file": "a.dcd", "cgFile": "cg.dcd", **options}


def softer(backmapper):
    potential = backmapper.cg_potential()
    return potential.with_energies([0.5 * terms.energies for terms in potential.terms])


# What may be given anew, and what the message calls it.
CHANGES = {
    "reportInterval": lambda b: 10, "file": lambda b: "b.dcd", "cgFile": lambda b: None, "nSamples": lambda b: 1,
    "seed": lambda b: 6, "minimizer": lambda b: None, "correlationTime": lambda b: None,
    "potential": lambda b: softer(b), "onBadFrame": lambda b: "skip", "temperature": lambda b: None,
    "friction": lambda b: 2.0, "timeStep": lambda b: 0.001, "platform": lambda b: "CPU", "box": lambda b: 3.0,
    "copies": lambda b: 2, "backmapper": lambda b: b.unbounded(),
}  # fmt: skip


def test_every_setting_and_input_of_a_run_is_compared_when_it_is_resumed(backmapper, half, subtests):
    known = {*inspect.signature(run_and_backmap).parameters, *inspect.signature(create_cg_simulation).parameters}
    assert set(CHANGES) == known - FREE - {"dynamics", "mapping", "start"}
    shutil.copy("a.dcd", "b.dcd")
    before = {name: Path(name).read_bytes() for name in ("a.dcd", "b.dcd", "cg.dcd", "a.chk")}
    for name, changed in CHANGES.items():
        options = {"backmapper": backmapper, "reportInterval": INTERVAL, **half, name: changed(backmapper)}
        if name == "copies":
            options["box"] = 3.0
        with subtests.test(name), pytest.raises(SettingsError, match=f"{name}=.* given to go on with a run of {name}="):
            run_and_backmap(steps=200, checkpoint="a.chk", resume=True, **options)
    assert {name: Path(name).read_bytes() for name in before} == before


def test_settings_left_out_are_what_they_are_by_default(backmapper, half):
    potential = backmapper.cg_potential()
    run_and_backmap(backmapper, 40, INTERVAL, "c.dcd", checkpoint="c.chk", seed=1, progress=False)
    same = {"temperature": potential.temperature, "timeStep": potential.time_step_ps * unit.picoseconds,
            "platform": "Reference", "friction": 1, "potential": potential}  # fmt: skip
    again = run_and_backmap(backmapper, 60, INTERVAL, "c.dcd", checkpoint="c.chk", resume=True, progress=False, **same)
    assert (again.steps, again.seed) == (20, 1)


def test_a_minimizer_of_other_settings_is_another(backmapper, half):
    for change in ({"maxIterations": 4}, {"restraint": 1e5}, {"implicitSolvent": "GBn2"}):
        options = half | {"minimizer": Minimizer(backmapper.mapping, **{"maxIterations": 3} | change)}
        with pytest.raises(SettingsError, match="minimizer="):
            run_and_backmap(backmapper, 200, INTERVAL, checkpoint="a.chk", resume=True, **options)


def test_a_foreign_file_under_the_name_of_an_output_is_not_touched(backmapper, half):
    resumed = {"checkpoint": "a.chk", "resume": True, **half}
    run_and_backmap(backmapper, 400, INTERVAL, "other.dcd", seed=8, temperature=350.0, progress=False)
    for foreign in (Path("other.dcd").read_bytes(), np.random.default_rng(0).bytes(10**5)):
        Path("a.dcd").write_bytes(foreign)
        with pytest.raises(OutputError, match=r"a\.dcd is not what the run to go on with wrote"):
            run_and_backmap(backmapper, 200, INTERVAL, **resumed)
        assert Path("a.dcd").read_bytes() == foreign


def test_a_run_that_was_killed_before_its_first_frame_is_resumed(backmapper, monkeypatch):
    def killed(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running, "run_steps", killed)
        with pytest.raises(KeyboardInterrupt):
            run_and_backmap(backmapper, 60, INTERVAL, "a.dcd", checkpoint="a.chk", **RUN)
    assert not Path("a.dcd").exists()
    # What is under its name now has not the run's id.
    run_and_backmap(backmapper, 60, INTERVAL, "whole.dcd", checkpoint="whole.chk", **RUN)
    shutil.copy("whole.dcd", "a.dcd")
    with pytest.raises(OutputError, match="is not what the run"):
        run_and_backmap(backmapper, 60, INTERVAL, "a.dcd", checkpoint="a.chk", resume=True, **RUN)
    begun = Path("a.chk").read_bytes()
    for left in (b"", bytes(100), None):
        Path("a.chk").write_bytes(begun)
        Path("a.dcd").unlink() if left is None else Path("a.dcd").write_bytes(left)
        run_and_backmap(backmapper, 60, INTERVAL, "a.dcd", checkpoint="a.chk", resume=True, **RUN)
        assert frames_of("a.dcd") == frames_of("whole.dcd")


def test_a_new_run_takes_the_place_of_the_old_ones_checkpoint(backmapper, half):
    old = Path("a.chk").read_bytes()
    with pytest.raises(SimulationError):
        run_and_backmap(backmapper, 100_000, INTERVAL, checkpoint="a.chk", overwrite=True, **half | {"timeStep": 1.0})
    assert Path("a.chk").read_bytes() != old
    with pytest.raises(SettingsError, match="timeStep"):
        run_and_backmap(backmapper, 200, INTERVAL, checkpoint="a.chk", resume=True, **half)


def test_a_second_process_at_the_same_run_is_refused(backmapper, half):
    with locked("a.chk"), ThreadPoolExecutor(1) as pool:
        second = pool.submit(run_and_backmap, backmapper, 200, INTERVAL, checkpoint="a.chk", resume=True, **half)
        with pytest.raises(OutputError, match=r"a\.chk is being written by"):
            second.result()


def test_a_link_stays_a_link(backmapper, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("a.dcd", "cg.dcd", "a.chk"):
        Path(name).symlink_to(tmp_path / "elsewhere" / name)
    run_and_backmap(backmapper, 60, INTERVAL, "a.dcd", "cg.dcd", checkpoint="a.chk", **RUN)
    run_and_backmap(backmapper, 100, INTERVAL, "a.dcd", "cg.dcd", checkpoint="a.chk", resume=True, **RUN)
    assert all(Path(name).is_symlink() for name in ("a.dcd", "cg.dcd", "a.chk"))
    assert DCDHeader.read(tmp_path / "elsewhere" / "a.dcd").n_frames == 10


def test_an_unstable_run_leaves_its_last_state_and_no_empty_files(backmapper, tmp_path):
    with pytest.raises(SimulationError, match=r"last good state is in .*aa-last-state\.xml"):
        run_and_backmap(backmapper, 100_000, 50_000, "aa.dcd", "cg.dcd", timeStep=1.0, **RUN)
    with open("aa-last-state.xml") as file:
        state = openmm.XmlSerializer.deserialize(file.read())
    assert np.isfinite(state.getPositions(asNumpy=True)._value).all()
    # No frame was reached: no file that is none.
    assert [path.name for path in tmp_path.iterdir()] == ["aa-last-state.xml"]


def test_atoms_of_all_copies_project_to_their_beads(backmapper):
    run_and_backmap(
        backmapper, 60, INTERVAL, "aa.dcd", "cg.dcd", copies=4, box=30 * unit.angstrom, seed=1, progress=False
    )
    whole = whole_system(backmapper, 4, 3.0)
    topology = whole.topology
    assert topology.getNumAtoms() == 88
    np.testing.assert_allclose(topology.getPeriodicBoxVectors()._value, 3 * np.eye(3), atol=1e-6)
    atoms, beads = (
        np.concatenate([chunk.positions for chunk in TrajectoryReader(name, kind)])
        for name, kind in (("aa.dcd", topology), ("cg.dcd", whole.cg_topology()))
    )
    assert len(atoms) == len(beads) == 3
    found = backmapper.mapping.project(atoms.reshape(-1, 22, 3)).reshape(beads.shape)
    # Whole molecules, of which atoms and beads may have been wrapped into different images.
    difference = found - beads
    np.testing.assert_allclose(difference - 3 * np.round(difference / 3), 0, atol=1e-5)


def test_another_potential_is_run_where_it_is_given(backmapper):
    potential = backmapper.cg_potential()
    softer = potential.with_energies([0.1 * terms.energies for terms in potential.terms])
    for name, given in (("own.dcd", None), ("same.dcd", potential), ("soft.dcd", softer)):
        run_and_backmap(backmapper, 100, 50, name, potential=given, **RUN)
    assert frames_of("own.dcd") == frames_of("same.dcd")
    assert frames_of("own.dcd") != frames_of("soft.dcd")
