"""Several samples of a frame: together, in files of their own, or the best alone, by numbers worked by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from openmm import app

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.ensembles import Overlaps, best_of, boltzmann_weights, ensemble_files
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

FRAMES, SAMPLES = 12, 3


@pytest.fixture
def cg(tmp_path, reference, mapping):
    with TrajectoryWriter(tmp_path / "cg.dcd", mapping.cg_topology()) as writer:
        writer.write(mapping.project(reference[0][:FRAMES]), 5.0 + 2.0 * np.arange(FRAMES))
    return tmp_path / "cg.dcd"


def backmap(cg, backmapper, output, **options):
    return backmap_trajectory(cg, backmapper, output, SAMPLES, seed=3, chunk_size=15, progress=False, **options)


def read(path, backmapper):
    chunks = list(TrajectoryReader(path, backmapper.topology))
    return np.concatenate([c.positions for c in chunks]), np.concatenate([c.times for c in chunks])


def test_a_file_a_sample_has_what_one_file_has_together(cg, backmapper, tmp_path):
    backmap(cg, backmapper, tmp_path / "all.xtc")
    summary = backmap(cg, backmapper, tmp_path / "aa.xtc", ensemble="files", write_topology=True)
    names = [f"aa-{k}.xtc" for k in (1, 2, 3)]
    assert [file.name for file in summary.files] == names
    together = read(tmp_path / "all.xtc", backmapper)[0]
    for k, name in enumerate(names):
        positions, times = read(tmp_path / name, backmapper)
        np.testing.assert_array_equal(positions, together[k::SAMPLES])
        np.testing.assert_allclose(times, 5.0 + 2.0 * np.arange(FRAMES))
        assert (tmp_path / name).with_suffix(".pdb").exists()
    assert not (tmp_path / "aa.xtc").exists()
    with pytest.raises(OutputError, match=r"aa-1\.xtc exists"):
        backmap(cg, backmapper, tmp_path / "aa.xtc", ensemble="files")


def test_the_best_by_energy_is_the_lowest_of_each_frame(cg, backmapper, mapping, tmp_path):
    minimizer = Minimizer(mapping, maxIterations=3)
    everything = backmap(cg, backmapper, tmp_path / "all.dcd", minimizer=minimizer)
    summary = backmap(cg, backmapper, tmp_path / "aa.dcd", minimizer=minimizer, ensemble="best")
    energies = np.concatenate(everything.energies_after).reshape(FRAMES, SAMPLES)
    np.testing.assert_array_equal(np.concatenate(summary.energies_after).reshape(FRAMES, SAMPLES), energies)
    best = energies.argmin(1)
    np.testing.assert_array_equal(np.concatenate(summary.chosen), best)
    positions, times = read(tmp_path / "aa.dcd", backmapper)
    together = read(tmp_path / "all.dcd", backmapper)[0].reshape(FRAMES, SAMPLES, -1, 3)
    np.testing.assert_array_equal(positions, together[np.arange(FRAMES), best])
    np.testing.assert_allclose(times, 5.0 + 2.0 * np.arange(FRAMES), rtol=1e-6)
    assert summary.to_dict()["chosen"] == best.tolist()
    np.testing.assert_array_equal(summary.weights().argmax(1), best)


def test_the_best_by_clash_overlaps_least(cg, backmapper, tmp_path):
    backmap(cg, backmapper, tmp_path / "all.dcd")
    summary = backmap(cg, backmapper, tmp_path / "aa.dcd", ensemble="best")
    together = read(tmp_path / "all.dcd", backmapper)[0]
    overlaps = Overlaps(backmapper.topology)(together).reshape(FRAMES, SAMPLES)
    np.testing.assert_allclose(np.concatenate(summary.overlaps).reshape(FRAMES, SAMPLES), overlaps, atol=1e-5)
    chosen = np.concatenate(summary.chosen)
    np.testing.assert_allclose(overlaps[np.arange(FRAMES), chosen], overlaps.min(1), atol=1e-5)
    np.testing.assert_array_equal(summary.weights(), np.full((FRAMES, SAMPLES), 1 / SAMPLES))


def chain(*elements):
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [topology.addAtom(f"A{k}", app.Element.getBySymbol(e), residue) for k, e in enumerate(elements)]
    for pair in pairwise(atoms):
        topology.addBond(*pair)
    return topology


def test_overlaps_are_of_heavy_atoms_more_than_three_bonds_apart():
    # Atoms 0 and 3 are three bonds apart, 0 and 4 four, and atom 5 is a hydrogen.
    positions = np.array([[[0, 0, 0], [1, 0, 0], [2, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0.01, 0]]], dtype=float)
    overlaps = Overlaps(chain("C", "C", "C", "C", "O", "H"))
    np.testing.assert_allclose(overlaps(positions), [0.06])
    # The same across the side of a box: 0.2 nm along y.
    positions[0, 4, 1] = 2.8
    box = 3.0 * np.eye(3)[None]
    np.testing.assert_allclose(overlaps(positions, box), [0.06])
    np.testing.assert_allclose(overlaps(positions), [0.0])


def test_the_lowest_finite_score_is_chosen():
    arrays = {"positions": np.arange(6.0).reshape(6, 1, 1), "times": np.arange(6.0), "lengths": None, "angles": None}
    best = best_of(arrays, np.array([[2.0, 1.0, 3.0], [np.nan, np.inf, 7.0]]))
    assert best["positions"].ravel().tolist() == [1.0, 5.0]
    assert best["times"].tolist() == [0.0, 3.0]
    assert best["chosen"].tolist() == [1, 2]


def test_weights_are_boltzmanns():
    # kT ln 3 at 300 K is 2.740 kJ/mol: a third as likely.
    third = 0.00831446261815324 * 300 * math.log(3)
    weights = boltzmann_weights([0.0, third, np.nan, np.nan], 2, 300.0)
    np.testing.assert_allclose(weights, [[0.75, 0.25], [0.5, 0.5]])


def test_files_are_numbered_as_wide_as_the_last():
    assert [file.name for file in ensemble_files("aa.dcd", "files", 10)][::9] == ["aa-01.dcd", "aa-10.dcd"]


@pytest.mark.parametrize(("options", "message"), [
    ({"ensemble": "each"}, "'each' given: one of together, files, best"),
    ({"rank_by": "clash"}, 'give ensemble="best"'),
    ({"ensemble": "best", "rank_by": "energy"}, "without a minimizer"),
    ({"ensemble": "best", "rank_by": "rmsd"}, "one of energy, clash"),
])  # fmt: skip
def test_what_cannot_be_is_refused(cg, backmapper, tmp_path, options, message):
    with pytest.raises(SettingsError, match=message):
        backmap(cg, backmapper, tmp_path / "aa.dcd", **options)
