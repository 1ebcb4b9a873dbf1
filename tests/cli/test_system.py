"""Models and molecules from the command line's words."""

import argparse

import numpy as np
import pytest
from boxes import BOX, ORDER, cg_box
from conftest import untrained_file

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cli.system import add_system, load_backmapper
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.io.trajectory_files import TrajectoryWriter, box_lengths_and_angles
from openmm_cgvae.simulation.system import SystemBackmapper


@pytest.fixture
def files(model_path, five_bead_dataset, backmapper, tmp_path):
    """Model files of two kinds, and the PDB file of a box of them with ions and solvent beads."""
    five = untrained_file(five_bead_dataset)
    five.save(tmp_path / "five.pt")
    topology = cg_box({"three": backmapper, "five": Backmapper(five)})
    with TrajectoryWriter(tmp_path / "cg.pdb", topology) as writer:
        box = box_lengths_and_angles(BOX[None])
        writer.write(np.random.default_rng(0).uniform(0, 3, (1, topology.getNumAtoms(), 3)), np.zeros(1), *box)
    return ["--model", str(model_path), "--model", str(tmp_path / "five.pt"), "--top", str(tmp_path / "cg.pdb")]


def load(*arguments):
    parser = argparse.ArgumentParser()
    add_system(parser)
    return load_backmapper(parser.parse_args(arguments))


def test_one_model_is_a_backmapper(model_path):
    assert type(load("--model", str(model_path))) is Backmapper


@pytest.mark.parametrize("counted", [False, True])
def test_a_topology_makes_a_system_with_its_box(files, counted):
    names = {"three": "untrained", "five": "five"}
    molecules = ",".join(f"{names.get(name, name)}:1" for name in ORDER)
    found = load(*files, "--keep", "CL", "--drop", "W", *(["--molecules", molecules] if counted else []))
    assert isinstance(found, SystemBackmapper)
    assert [m.kind for m in found.molecules] == [names.get(name, name) for name in ORDER]
    np.testing.assert_allclose(found.topology.getPeriodicBoxVectors()._value, BOX, atol=2e-3)


def test_what_belongs_to_a_system_needs_its_topology(model_path):
    with pytest.raises(SettingsError, match="without --top"):
        load("--model", str(model_path), "--keep", "CL")
    with pytest.raises(SettingsError, match="without --top"):
        load("--model", str(model_path), "--model", str(model_path))


def test_names_and_numbers_that_cannot_be_read_are_refused(files):
    with pytest.raises(SettingsError, match=r"--molecules untrained given: NAME:number"):
        load(*files, "--molecules", "untrained")
    with pytest.raises(SettingsError, match="files of different names"):
        load(*files, "--model", files[1])
