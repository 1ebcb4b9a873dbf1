"""The chignolin example runs from nothing to minimised frames."""

import json

import pytest
from conftest import run_example


@pytest.mark.slow
def test_the_quick_example_goes_through_every_stage(tmp_path):
    run_example("chignolin", tmp_path / "work", "--quick")
    summary = json.loads((tmp_path / "work" / "run-10" / "summary.json").read_text())
    assert summary["frames"] == 40
    # A model of two epochs is no good, but its beads are right, and what cannot be minimised is kept as it was.
    assert summary["sampled"]["cg_consistency_max_nm"] < 1e-5
    assert summary["minimized"]["cg_consistency_max_nm"] < 0.01
    assert len(list((tmp_path / "work" / "reference").glob("run-*.dcd"))) == 6
    compared = json.loads((tmp_path / "work" / "forcefields-10" / "comparison.json").read_text())["force_fields"]
    assert list(compared) == ["MD's own beads", "direct", "iterated", "learned"]
    assert {"bead_distances", "backbone", "side_chain", "rotatable_hydrogen"} < set(compared["learned"])
