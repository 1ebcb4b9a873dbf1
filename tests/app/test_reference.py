"""Reference MD: reproducible run by run, resumable, readable."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA

from openmm_cgvae.app.reference import ReferenceProtocol, sample_reference
from openmm_cgvae.errors import DataError, MinimizationError, OutputError, SettingsError
from openmm_cgvae.preparation import read_reference

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


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        sample_reference(PDB, tmp_path / "no" / "folder", 1, SHORT)
    with pytest.raises(DataError, match="starting structure"):
        sample_reference(tmp_path / "no.pdb", tmp_path / "a", 1, SHORT)
    with pytest.raises(SettingsError, match="frames=0"):
        replace(SHORT, frames=0)
    with pytest.raises(MinimizationError, match="does not fit"):
        sample_reference(PDB, tmp_path / "a", 1, replace(SHORT, forcefield=("tip3p.xml",)))


def test_a_folder_holds_runs_of_one_protocol(tmp_path):
    sample_reference(PDB, tmp_path / "a", 1, SHORT, seed=3, progress=False)
    with pytest.raises(SettingsError, match="other settings"):
        sample_reference(PDB, tmp_path / "a", 2, SHORT, seed=4, progress=False)
    with pytest.raises(SettingsError, match="other settings"):
        sample_reference(PDB, tmp_path / "a", 2, replace(SHORT, temperature=310.0), seed=3, progress=False)
