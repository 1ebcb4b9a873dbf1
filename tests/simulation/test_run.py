"""Runs that write atoms: resumed they are what they would have been, unstable they leave their last state."""

import shutil

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_cgvae.core.errors import DataError, OutputError, SettingsError, SimulationError
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.simulation import checkpoint
from openmm_cgvae.simulation.run import run_and_backmap, whole_system

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

    def resume(**change):
        options = {"checkpoint": "a.chk", "resume": True, "temperature": None} | RUN | change
        run_and_backmap(backmapper, 200, INTERVAL, "a.dcd", **{k: v for k, v in options.items() if v is not None})

    with pytest.raises(SettingsError, match="without a checkpoint"):
        resume(checkpoint=None)
    with pytest.raises(DataError, match=r"other\.chk does not exist"):
        resume(checkpoint="other.chk")
    with pytest.raises(SettingsError, match="seed=6 given to go on with a run of seed=5"):
        resume(seed=6)
    with pytest.raises(SettingsError, match="temperature=350"):
        resume(temperature=350)
    with pytest.raises(DataError, match="no checkpoint of a run"):
        resume(checkpoint="a.dcd")
    with pytest.raises(OutputError, match="exists"):
        run_and_backmap(backmapper, 200, INTERVAL, "b.dcd", checkpoint="a.chk", **RUN)
    with pytest.raises(OutputError, match=r"ending in \.dcd"):
        run_and_backmap(backmapper, 200, INTERVAL, "b.xtc", checkpoint="b.chk", **RUN)
    assert frames_of("a.dcd") == before
    with open("a.dcd", "r+b") as file:
        file.truncate(50)
    with pytest.raises(OutputError, match="missing or shorter"):
        resume()


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
