"""Results that are read back: what they may say, and errors that name the file and the entry."""

import json

import numpy as np
import pytest
from resultfiles import CASE, LOG, NOTE, RECORDS

from openmm_cgvae.core.errors import DataError, TrainingError
from openmm_cgvae.evaluation.conformers.records import RESULTS, check_record
from openmm_cgvae.io.bundled import PRETRAINED
from openmm_cgvae.io.results import (
    BENCHMARK_CASE,
    EVALUATION,
    PROTEIN_EVALUATION,
    read_log,
    read_record,
    read_records,
)
from openmm_cgvae.preparation.reference import forces_path, reference_forces
from openmm_cgvae.training.folder import last_figures, read_data


def schema_of(name):
    return PROTEIN_EVALUATION if name.startswith("protein") else RESULTS if name == "ligands" else EVALUATION


@pytest.mark.parametrize("path", sorted(set(PRETRAINED.glob("*.json")) - {PRETRAINED / "index.json"}), ids=str)
def test_all_bundled_results_are_what_their_schema_says(path):
    assert read_record(path, schema_of(path.stem), "evaluation", "evaluate")


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("figures", {"frames": 3.5}, r"it.figures.frames is 3.5, a whole number"),
        ("figures", {"tica_js": "small"}, r"it.figures.tica_js is 'small', a number is expected"),
        ("figures", {"torsions": {"phi": {"kind": "backbone"}}}, r"it.figures.torsions.phi has no divergence"),
        ("training", None, r"it.training is None"),
        ("n_beads", 0, r"it.n_beads is 0, a whole number from 1"),
        ("residues", [1], r"it.residues\[0\] is 1"),
    ],
)
def test_a_wrong_entry_is_named_with_its_file(entry, value, words, tmp_path):
    path = tmp_path / "case.json"
    path.write_text(json.dumps(json.loads(CASE) | {entry: value}))
    with pytest.raises(DataError, match=rf"case\.json is not a case .*{words}"):
        read_record(path, BENCHMARK_CASE, "case", "benchmark")


def test_a_line_that_is_cut_off_is_left_out_and_one_that_is_damaged_named(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(RECORDS[:-20])
    assert len(read_records(path, check_record, "file of records", "evaluate-conformers")) == 3
    path.write_bytes(RECORDS.replace(b'"requested": 4', b'"requested": -4', 1))
    with pytest.raises(DataError, match=r"records\.jsonl .*line 1\.requested is -4"):
        read_records(path, check_record, "file of records", "evaluate-conformers")


def test_what_a_training_notes_is_read_or_refused(tmp_path):
    assert read_data(tmp_path) is None and last_figures(tmp_path, ("val_loss",)) == {}
    (tmp_path / "data.json").write_bytes(NOTE)
    (tmp_path / "training.csv").write_bytes(LOG)
    assert read_data(tmp_path)["frames"] == 10
    assert last_figures(tmp_path, ("epoch", "train_loss")) == {"epoch": 2, "train_loss": 1.5}
    with pytest.raises(TrainingError, match="has no column backbone"):
        last_figures(tmp_path, ("backbone",))
    (tmp_path / "data.json").write_bytes(NOTE.replace(b"10,", b'"ten",'))
    with pytest.raises(TrainingError, match=r"data\.json .*frames is 'ten'"):
        read_data(tmp_path)
    (tmp_path / "training.csv").write_bytes(LOG.replace(b"1.5", b"x"))
    with pytest.raises(DataError, match="train_loss of its line 2 is 'x'"):
        read_log(tmp_path / "training.csv")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (np.zeros((3, 4, 3)), "shape"),
        (np.zeros((3, 22, 3), int), "int64"),
        (np.full((3, 22, 3), np.nan), "not finite"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 22, 3), }", "forces"),
    ],
)
def test_forces_that_are_no_forces_are_refused(kept, words, tmp_path, reference, topology):
    path = forces_path(tmp_path / "run.dcd")
    path.write_bytes(kept) if isinstance(kept, bytes) else np.save(path, kept)
    with pytest.raises(DataError, match=rf"run-forces\.npy .*{words}"):
        reference_forces([tmp_path / "run.dcd"], topology, reference[0][:3])
