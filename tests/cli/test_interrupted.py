"""Commands that are interrupted: exit codes, nothing hidden left, and what --resume and --partial make of it."""

import numpy as np
import pytest

from openmm_cgvae.backmapping.frames import FrameBackmapper
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.signals import Terminated
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

FRAMES = 4100


@pytest.fixture
def command(tmp_path, mapping, reference, model_path):
    """``backmap`` of a trajectory of two parts."""
    beads = np.resize(mapping.project(reference[0]), (FRAMES, 3, 3))
    with TrajectoryWriter(tmp_path / "cg.dcd", mapping.cg_topology()) as writer:
        writer.write(beads, np.arange(float(FRAMES)))
    return ["backmap", str(tmp_path / "cg.dcd"), "--model", str(model_path), "--seed", "3"]


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupted_command_says_how_it_ended_and_goes_on(command, tmp_path, monkeypatch, capsys, interrupt, code):
    original, calls = FrameBackmapper.__call__, iter([True])

    def once(*arguments, **options):
        if not next(calls, False):
            raise interrupt
        return original(*arguments, **options)

    monkeypatch.setattr(FrameBackmapper, "__call__", once)
    output = tmp_path / "aa.dcd"
    assert main([*command, "-o", str(output)]) == code
    assert capsys.readouterr().err.splitlines()[-1] == "openmm-cgvae: interrupted"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aa.dcd.unfinished", "cg.dcd"]
    monkeypatch.undo()
    assert main([*command, "-o", str(output)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "-o", str(output), "--stride", "2", "--resume"]) == 2
    assert "stride=2 given to go on with a run of stride=1" in capsys.readouterr().err
    if interrupt is Terminated:
        assert main([*command, "-o", str(output), "--partial"]) == 0
        assert sum(len(chunk.frames) for chunk in TrajectoryReader(output, tmp_path / "aa.pdb")) == 4000
    else:
        assert main([*command, "-o", str(output), "--resume"]) == 0
        assert main([*command, "-o", str(tmp_path / "whole.dcd")]) == 0
        for suffix in (".dcd", ".pdb"):
            assert output.with_suffix(suffix).read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not list(tmp_path.glob(".*")) + list(tmp_path.glob("*.unfinished"))


def test_ensembles_are_written_by_the_command(command, tmp_path, capsys):
    ensemble = [*command, "--stride", "500", "--samples", "3", "-o", str(tmp_path / "aa.xtc")]
    assert main([*ensemble, "--ensemble", "files"]) == 0
    assert "27 in " in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("aa*.xtc")) == ["aa-1.xtc", "aa-2.xtc", "aa-3.xtc"]
    assert main([*ensemble, "--ensemble", "best", "--json", str(tmp_path / "s.json")]) == 0
    assert "9 in " in capsys.readouterr().out
