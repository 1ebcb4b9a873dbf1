"""Workers of a Dask cluster make the same bytes as one process, those that are lost too."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.frames import FrameBackmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import ClusterError, PositionsError
from openmm_cgvae.evaluation.evaluate import evaluate
from openmm_cgvae.io.cluster import cluster_client, in_order
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.preparation.reference import ReferenceProtocol, sample_reference

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
FRAMES = 60
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def client():
    import dask

    # A worker takes seconds to start again.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), cluster_client("local", 2) as client:
        yield client


@pytest.fixture
def cg(tmp_path, reference, mapping):
    beads = mapping.project(reference[0])[:FRAMES].astype(np.float32)
    beads[31] = np.nan
    with TrajectoryWriter(tmp_path / "cg.dcd", mapping.cg_topology()) as writer:
        writer.write(beads, 2.0 * np.arange(FRAMES))
    return tmp_path / "cg.dcd"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cluster_on_this_machine_has_as_many_workers_as_asked_for(workers):
    with cluster_client("local", workers) as client:
        assert len(client.nthreads()) == workers


@pytest.mark.parametrize("minimize", [False, True])
def test_a_cluster_writes_the_bytes_of_one_process(client, cg, backmapper, mapping, tmp_path, minimize):
    options = {
        "minimizer": Minimizer(mapping, maxIterations=3, workers=1) if minimize else None, "seed": 3, "n_samples": 2,
        "correlation_time": 10.0, "chunk_size": 20, "on_bad_frame": "skip", "progress": False,
    }  # fmt: skip
    serial = backmap_trajectory(cg, backmapper, tmp_path / "serial.dcd", **options)
    spread = backmap_trajectory(cg, backmapper, tmp_path / "spread.dcd", client=client, **options)
    assert (tmp_path / "spread.dcd").read_bytes() == (tmp_path / "serial.dcd").read_bytes()
    assert (spread.n_frames, spread.n_failed) == (serial.n_frames, serial.n_failed) == (FRAMES - 1, serial.n_failed)
    assert spread.skipped == serial.skipped
    for one, other in zip(spread.energies_after, serial.energies_after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_interrupted_run_goes_on_on_a_cluster(client, cg, backmapper, tmp_path, monkeypatch):
    options = {"seed": 3, "chunk_size": 10, "on_bad_frame": "skip", "progress": False}
    backmap_trajectory(cg, backmapper, tmp_path / "serial.dcd", **options)
    original, calls = FrameBackmapper.__call__, iter([True, True])

    def call(*arguments, **more):
        if not next(calls, False):
            raise KeyboardInterrupt
        return original(*arguments, **more)

    monkeypatch.setattr(FrameBackmapper, "__call__", call)
    with pytest.raises(KeyboardInterrupt):
        backmap_trajectory(cg, backmapper, tmp_path / "aa.dcd", **options)
    monkeypatch.undo()
    backmap_trajectory(cg, backmapper, tmp_path / "aa.dcd", client=client, resume=True, **options)
    assert (tmp_path / "aa.dcd").read_bytes() == (tmp_path / "serial.dcd").read_bytes()


def test_a_bad_frame_is_named_by_a_worker_too(client, cg, backmapper, tmp_path):
    with pytest.raises(PositionsError, match=r"frame 31\b"):
        backmap_trajectory(cg, backmapper, tmp_path / "aa.dcd", chunk_size=10, client=client, progress=False)


class Dies:
    """Ends the worker the first time that it is given an item."""

    def __init__(self, item, marker):
        self.item, self.marker = item, marker

    def __call__(self, item):
        if item == self.item and not (self.marker is not None and self.marker.exists()):
            if self.marker is not None:
                self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item**2


def test_what_a_lost_worker_was_at_is_done_again(client, tmp_path):
    found = list(in_order(client, Dies(5, tmp_path / "died"), range(12)))
    assert (tmp_path / "died").exists()
    assert found == [(k, k**2) for k in range(12)]


def test_work_that_ends_every_worker_is_given_up(client):
    with pytest.raises(ClusterError, match="lost at the same part of the work"):
        list(in_order(client, Dies(2, None), range(4)))


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    with (
        pytest.raises(ClusterError, match=r"no scheduler of Dask answers at tcp://127.0.0.1:1"),
        cluster_client("tcp://127.0.0.1:1", timeout=2),
    ):
        pass


def test_figures_of_an_evaluation_are_the_same(client, backmapper, reference):
    frames, runs = reference
    arguments = backmapper, frames[::4], runs[::4], 2
    alone, spread = (evaluate(*arguments, n_minimized=30, progress=False, client=where) for where in (None, client))
    for figures in (alone, spread):
        del figures["frames_per_second"]
    assert dict(spread) == dict(alone)


def test_reference_runs_are_the_same(client, tmp_path):
    pdb = DATA / "alanine_dipeptide.pdb"
    protocol = ReferenceProtocol(burst_ps=(0.1, 0.2), hot_temperature=310.0, equilibration_ps=0.1, interval_ps=0.05,
                                 frames=3)  # fmt: skip
    for name, where in (("alone", None), ("spread", client)):
        sample_reference(pdb, tmp_path / name, 2, protocol, progress=False, client=where)
    found = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("alone", "spread")]
    assert found[0] == found[1]
    for name in found[0]:
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_figures_of_proteins_are_the_same(client, tmp_path):
    command = ["evaluate", str(DATA / "5k6d.pdb"), str(DATA / "3i40_aa.pdb"), "--model", "protein-ca", "--samples", "2"]
    figures = []
    for name, how in (("here", []), ("spread", ["--scheduler", client.scheduler.address])):
        assert main([*command, *how, "--json", str(tmp_path / f"{name}.json")]) == 0
        found = json.loads((tmp_path / f"{name}.json").read_text())
        (measured,) = found["rows"].values()
        assert measured["figures"].pop("residues_per_second")
        figures.append(measured)
    assert figures[0] == figures[1]
