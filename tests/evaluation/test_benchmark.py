"""The benchmark: honest folds, resumable cases, means by hand, and the paper's figures beside ours."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY

import openmm_cgvae.evaluation.benchmark as benchmark
from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.evaluation.benchmark import BenchmarkSettings, collect, run_benchmark, split_fold
from openmm_cgvae.models import TrainingConfig
from openmm_cgvae.report.benchmark import benchmark_markdown
from openmm_cgvae.report.paper_tables import paper_figures
from openmm_cgvae.training.baselines import BaselineConfig

RUNS = np.repeat(np.arange(8), 25)
QUICK = BenchmarkSettings(
    models=("linear",), folds=2, samples=1, test_frames=12, baseline_config=BaselineConfig(epochs=1),
    model_config=TINY, training_config=TrainingConfig(epochs=1),
)  # fmt: skip


def run(folder, reference, mapping, settings=QUICK):
    return run_benchmark(*reference, {"residue": mapping}, folder, settings, "the command", progress=False)


def without_times(results):
    rows = [{name: value for name, value in row.items() if name != "minutes"} for row in results["results"]]
    return results | {"results": rows}


CHIGNOLIN = ["ACE", "TYR", "TYR", "ASP", "PRO", "GLU", "THR", "GLY", "THR", "TRP", "TYR", "NME"]


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_frame_is_held_out_once(shuffled):
    folds = [split_fold(RUNS, 3, k, 7, shuffled) for k in range(3)]
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(200))
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(200))


def test_only_shuffled_folds_train_on_the_runs_they_test_on():
    train, test = split_fold(RUNS, 4, 0, 0)
    assert not set(RUNS[train]) & set(RUNS[test])
    train, test = split_fold(RUNS, 4, 0, 0, shuffled=True)
    assert set(RUNS[test]) <= set(RUNS[train])


def test_more_folds_than_runs_are_refused():
    with pytest.raises(DataError, match="8 runs given for 9 folds"):
        split_fold(RUNS, 9, 0, 0)
    split_fold(RUNS, 9, 0, 0, shuffled=True)


def test_a_killed_benchmark_goes_on_to_the_same_result(reference, mapping, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", reference, mapping)
    measured, measure = [], benchmark.held_out_figures

    def killed_at_the_third(*arguments):
        measured.append(arguments[0].metadata["name"])
        if len(measured) == 3:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(benchmark, "held_out_figures", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", reference, mapping)
    assert len(list((tmp_path / "killed" / "cases").iterdir())) == 2
    again = run(tmp_path / "killed", reference, mapping)
    assert without_times(again) == without_times(whole)
    # The third again, and the fourth.
    assert measured[2:] == ["residue.linear.shuffled.0", "residue.linear.shuffled.0", "residue.linear.shuffled.1"]


def test_mean_and_standard_error_of_two_folds_are_those_by_hand(reference, mapping, tmp_path):
    results = run(tmp_path, reference, mapping, replace(QUICK, splits=("runs",)))
    row = results["results"][0]
    one, two = (
        json.loads(path.read_text())["figures"]["recon_rmsd_heavy_angstrom"]
        for path in sorted((tmp_path / "cases").iterdir())
    )
    found = row["figures"]["recon_rmsd_heavy_angstrom"]
    assert found["mean"] == pytest.approx((one + two) / 2)
    # The standard deviation of two values is |a - b| / sqrt 2, over sqrt 2 for the error.
    assert found["standard_error"] == pytest.approx(abs(one - two) / 2)
    assert row["folds"] == found["folds"] == 2
    # No linear map of three beads puts hydrogens right.
    assert row["figures"]["gen_rmsd_all_angstrom"]["mean"] is None


@pytest.mark.slow
def test_raw_and_projected_cgvae_share_one_training(reference, mapping, tmp_path):
    settings = replace(QUICK, models=("cgvae-raw", "cgvae"), splits=("runs",))
    rows = {row["model"]: row for row in run(tmp_path, reference, mapping, settings)["results"]}
    assert len(list((tmp_path / "training").iterdir())) == 2
    assert rows["cgvae"]["epochs"] == rows["cgvae-raw"]["epochs"] == 1
    raw, projected = (rows[name]["figures"]["lambda_all"]["mean"] for name in ("cgvae-raw", "cgvae"))
    assert projected < raw


def test_a_folder_of_other_settings_is_refused(reference, mapping, tmp_path):
    settings = replace(QUICK, splits=("runs",))
    run(tmp_path, reference, mapping, settings)
    with pytest.raises(SettingsError, match="other data or settings"):
        run(tmp_path, reference, mapping, replace(settings, seed=1))


def test_an_empty_folder_has_no_results(tmp_path):
    with pytest.raises(DataError, match="no case"):
        collect(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("quadratic",)}, "models quadratic given: of linear, mlp"),
        ({"splits": ("frames",)}, "splits frames given"),
        ({"folds": 1}, "folds=1 given: 2 or more"),
        ({"minutes": 0}, "minutes=0 given"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        BenchmarkSettings(**settings)


def test_the_table_shows_the_paper_beside_ours():
    values = {"mean": 0.5, "standard_error": 0.25, "folds": 2}
    row = {"mapping": "residue", "n_beads": 3, "model": "linear", "split": "runs", "folds": 2, "epochs": 3.0,
           "minutes": 0.1, "settings": {"test_frames": 12, "samples": 1},
           "figures": {"recon_rmsd_heavy_angstrom": values,
                       "gen_rmsd_all_angstrom": {**values, "mean": None}}}  # fmt: skip
    text = benchmark_markdown({"commands": ["the command"], "residues": ["ACE", "ALA", "NME"], "results": [row]})
    assert "the command" in text
    assert "| RMSD_recon heavy / A | linear | 0.500 ± 0.250 | 1.211 ± 0.075 |" in text
    assert "| RMSD_gen all / A | linear | - | - |" in text


def test_the_paper_tables_are_complete_and_of_their_molecules_only():
    table, figures = paper_figures(["ACE", "ALA", "NME"])
    assert (table, len(figures), figures[8, "valid_ratio_all", "mlp"]) == ("Table 5", 3 * 20, (0.790, 0.038))
    table, figures = paper_figures(CHIGNOLIN)
    assert (table, len(figures), figures[30, "valid_ratio_all", "cgvae"]) == ("Table 6", 4 * 20, (0.132, 0.011))
    assert paper_figures(["ACE", "GLY", "NME"]) == (None, {})
