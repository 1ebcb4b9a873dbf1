"""The box example runs, and ends without clashes."""

import json

import mdtraj
import pytest
from conftest import run_example


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "copies", "beads", "atoms", "box"),
    [("alanine-dipeptide-3", 8, 3, 22, 2.0), ("chignolin-10", 2, 10, 175, 4.0)],
)
def test_the_quick_box_is_backmapped_and_minimised(model, copies, beads, atoms, box, tmp_path):
    run_example("box", tmp_path / "work", "--quick", "--model", model)
    summary = json.loads((tmp_path / "work" / "summary.json").read_text())
    assert summary["atoms"] == copies * atoms
    assert summary["clashes_minimized"] == [0, 0]
    assert summary["left_unminimized"] == 0
    assert summary["beads_moved_at_most_nm"] < 0.01
    for name, particles in (("cg", copies * beads), ("aa", copies * atoms), ("minimized", copies * atoms)):
        path = tmp_path / "work" / name
        frames = mdtraj.load(f"{path}.dcd", top=f"{path}.pdb")
        assert (frames.n_frames, frames.n_atoms) == (2, particles)
        assert frames.unitcell_lengths[0] == pytest.approx([box] * 3, abs=1e-4)
