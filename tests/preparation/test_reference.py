"""Reference MD: reproducible run by run, resumable, readable."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA

from openmm_cgvae.core.errors import DataError, MinimizationError, OutputError, SettingsError
from openmm_cgvae.metrics import cis_trans
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.preparation import reference as module
from openmm_cgvae.preparation.dataset import read_reference
from openmm_cgvae.preparation.reference import ReferenceProtocol, forces_path, reference_forces, sample_reference

SHORT = ReferenceProtocol(burst_ps=(0.1, 0.2), equilibration_ps=0.1, interval_ps=0.05, frames=4)
PDB = DATA / "alanine_dipeptide.pdb"


def test_runs_differ_and_are_the_same_again(tmp_path, topology):
    first = sample_reference(PDB, tmp_path / "a", 2, SHORT, seed=3, progress=False)
    again = sample_reference(PDB, tmp_path / "b", 2, SHORT, seed=3, progress=False)
    positions, runs = read_reference(first, topology)
    np.testing.assert_array_equal(positions, read_reference(again, topology)[0])
    np.testing.assert_array_equal(runs, [0, 0, 0, 0, 1, 1, 1, 1])
    assert np.abs(positions[:4] - positions[4:]).max() > 0.01


def test_an_interrupted_call_goes_on_with_the_same_result(tmp_path, topology):
    whole = sample_reference(PDB, tmp_path / "a", 3, SHORT, seed=3, progress=False)
    sample_reference(PDB, tmp_path / "b", 2, SHORT, seed=3, progress=False)
    kept = (tmp_path / "b" / "run-000.dcd").stat().st_mtime_ns
    resumed = sample_reference(PDB, tmp_path / "b", 3, SHORT, seed=3, progress=False)
    assert (tmp_path / "b" / "run-000.dcd").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(read_reference(whole, topology)[0], read_reference(resumed, topology)[0])


def test_a_solvent_felt_every_other_step_changes_neither_frame_times_nor_temperature(tmp_path, topology):
    protocol = replace(SHORT, burst_ps=(0.5, 0.5), equilibration_ps=1.0, frames=60)
    moves = []
    for every in (1, 2):
        folder = tmp_path / str(every)
        paths = sample_reference(PDB, folder, 3, replace(protocol, solvent_every=every), seed=3, progress=False)
        frames, runs = read_reference(paths, topology)
        assert len(frames) == 3 * protocol.frames
        moves.append(np.linalg.norm(np.diff(frames, axis=0)[np.diff(runs) == 0], axis=-1).mean())
    # How far atoms get in 50 fs goes with the root of the temperature: at that of the burst, 1.7 times as far.
    assert moves[1] == pytest.approx(moves[0], rel=0.1)
    with pytest.raises(SettingsError, match="no implicit solvent"):
        sample_reference(PDB, tmp_path / "c", 1, replace(protocol, forcefield=("amber14-all.xml",), solvent_every=2))


def test_a_burst_that_turns_a_peptide_bond_is_drawn_again(tmp_path, topology, caplog, monkeypatch):
    protocol = replace(SHORT, hot_temperature=3000.0, burst_ps=(0.5, 1.5), equilibration_ps=0.5)
    # About every third burst turns one; which do depends on the processor's rounding.
    for seed in range(50):
        with caplog.at_level("INFO"):
            paths = sample_reference(PDB, tmp_path / str(seed), 1, protocol, seed=seed, progress=False)
        if "another is drawn" in caplog.text:
            break
    assert "another is drawn" in caplog.text
    frames, _ = read_reference(paths, topology)
    graph = MolecularGraph.from_topology(topology)
    assert cis_trans(frames, graph).all()
    monkeypatch.setattr(module, "MAX_BURSTS", 1)
    with pytest.raises(DataError, match="lower hot_temperature, 3000 K"):
        sample_reference(PDB, tmp_path / "again", 1, protocol, seed=seed, progress=False)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        sample_reference(PDB, tmp_path / "no" / "folder", 1, SHORT)
    with pytest.raises(DataError, match="starting structure"):
        sample_reference(tmp_path / "no.pdb", tmp_path / "a", 1, SHORT)
    with pytest.raises(SettingsError, match="frames=0"):
        replace(SHORT, frames=0)
    with pytest.raises(MinimizationError, match="has no parameters"):
        sample_reference(PDB, tmp_path / "a", 1, replace(SHORT, forcefield=("tip3p.xml",)))


def test_a_folder_holds_runs_of_one_protocol(tmp_path):
    sample_reference(PDB, tmp_path / "a", 1, SHORT, seed=3, progress=False)
    with pytest.raises(SettingsError, match="other settings"):
        sample_reference(PDB, tmp_path / "a", 2, SHORT, seed=4, progress=False)
    with pytest.raises(SettingsError, match="other settings"):
        sample_reference(PDB, tmp_path / "a", 2, replace(SHORT, temperature=310.0), seed=3, progress=False)


def test_forces_are_kept_and_made_for_runs_without(tmp_path, topology):
    paths = sample_reference(PDB, tmp_path / "a", 2, SHORT, seed=3, progress=False)
    positions, _ = read_reference(paths, topology)
    kept = reference_forces(paths, topology.to_openmm(), positions, progress=False)
    assert kept.shape == positions.shape
    assert np.abs(kept.sum(1)).max() < 0.05 * np.abs(kept).max()  # No force on the molecule as a whole.
    written = [path.stat().st_mtime_ns for path in paths]
    for path in paths:
        forces_path(path).unlink()
    evaluated = reference_forces(paths, topology.to_openmm(), positions, SHORT, progress=False)
    np.testing.assert_allclose(evaluated, kept, rtol=1e-4, atol=0.1)
    sample_reference(PDB, tmp_path / "a", 2, SHORT, seed=3, progress=False)
    assert [path.stat().st_mtime_ns for path in paths] == written
    np.testing.assert_array_equal(reference_forces(paths, topology.to_openmm(), positions, progress=False), kept)
    strided = reference_forces(paths, topology.to_openmm(), positions[::2], stride=2, progress=False)
    np.testing.assert_array_equal(strided, kept[::2])


def test_forces_that_do_not_fit_are_refused(tmp_path, topology):
    paths = sample_reference(PDB, tmp_path / "a", 2, SHORT, seed=3, progress=False)
    positions, _ = read_reference(paths, topology)
    with pytest.raises(DataError, match="other frames"):
        reference_forces(paths, topology.to_openmm(), positions[1:], progress=False)
    forces_path(paths[0]).write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a file of forces"):
        reference_forces(paths, topology.to_openmm(), positions, progress=False)
    forces_path(paths[1]).unlink()
    with pytest.raises(DataError, match="keep all, or none"):
        reference_forces(paths, topology.to_openmm(), positions, progress=False)
