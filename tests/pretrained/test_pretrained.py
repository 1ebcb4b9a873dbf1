"""What the bundled models must reach, on MD of runs they have not seen."""

import json

import numpy as np
import pytest
from conftest import rotation

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.io.bundled import PRETRAINED, pretrained_names, resolve_model
from openmm_cgvae.io.trajectory_files import read_frames
from openmm_cgvae.metrics import correct_chirality, handedness, structure_summary, valid_graphs
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.pretrained.bundle import reference_frames

NAMES = ("alanine-dipeptide-3", "alanine-dipeptide-5")
# Of the larger molecule, of which few MD runs were had, not every sample is right.
CHIGNOLINS = ("chignolin-6", "chignolin-10", "chignolin-30")
ALL_NAMES = (*NAMES, *CHIGNOLINS)


@pytest.fixture(params=NAMES, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def pretrained(name):
    return Backmapper.load(name)


@pytest.fixture(scope="module")
def molecule(pretrained):
    return MolecularGraph.from_topology(as_mdtraj_topology(pretrained.topology))


@pytest.fixture(scope="module")
def held_out(name):
    return reference_frames(name)[::4]


def test_the_index_names_every_file():
    assert set(ALL_NAMES) <= set(pretrained_names())
    assert {path.name for path in PRETRAINED.glob("*.pt")} == {f"{name}.pt" for name in pretrained_names()}


@pytest.mark.parametrize("name", ALL_NAMES)
def test_the_evaluation_beside_a_model_is_of_that_model(name):
    """Its reference is rounded to 0.001 nm, and so agrees with what the model file says only nearly."""
    evaluated = json.loads((PRETRAINED / f"{name}.json").read_text())
    held_out = Backmapper.load(name).metadata["held_out"]
    assert evaluated["model"] == name
    assert (evaluated["frames"], evaluated["runs"]) == (held_out["frames"], held_out["runs"])
    for figure, tolerance in (("recon_rmsd_heavy_angstrom", 5e-3), ("raw_valid_ratio_all", 0.01)):
        assert evaluated[figure] == pytest.approx(held_out[figure], abs=tolerance)
    minimised = [evaluated[f"{prefix}energy_per_atom_after_kj_mol"] for prefix in ("", "md_")]
    assert abs(minimised[0] - minimised[1]) < 0.5


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_bundled_model_is_small(name):
    assert resolve_model(name).stat().st_size <= (5e6 if name in NAMES else 1e7)


@pytest.mark.parametrize("name", CHIGNOLINS)
def test_chignolin_samples_are_nearly_all_the_right_molecule(name):
    backmapper, reference = Backmapper.load(name), reference_frames(name)[::7]
    graph = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
    beads = backmapper.mapping.project(reference)
    samples = backmapper.sample(beads, seed=11)[:, 0]
    sides = handedness(reference[:1], graph, graph.alike_pairs[:, :4])
    figures = structure_summary(samples, graph, backmapper.handedness, beads, backmapper.mapping, reference_sides=sides)
    assert figures["valid_ratio_all"] >= 0.99
    assert figures["chirality_ratio"] >= 0.99
    assert figures["prochirality_ratio"] >= 0.999
    assert figures["clash_ratio"] <= 0.01
    assert figures["cg_consistency_max_nm"] <= 1e-5


def test_samples_are_the_right_molecule(pretrained, molecule, held_out):
    beads = pretrained.mapping.project(held_out)
    samples = pretrained.sample(beads, seed=11)[:, 0]
    figures = structure_summary(samples, molecule, pretrained.handedness, beads=beads, mapping=pretrained.mapping)
    assert figures["valid_ratio_all"] >= 0.999
    assert figures["chirality_ratio"] == 1.0
    assert figures["cis_trans_ratio"] >= 0.999
    assert figures["cg_consistency_max_nm"] <= 1e-5


@pytest.mark.parametrize(("dtype", "share"), [(np.float32, 0.005), (np.float64, 0.0)])
def test_samples_follow_the_beads_through_space(pretrained, name, dtype, share):
    """Rounded to single precision, as in a DCD file, few frames answer with more: those between conformations."""
    # So few that they are counted over all frames where these cost little.
    frames = reference_frames(name)[:: 1 if name.startswith("alanine") else 4]
    beads = pretrained.mapping.project(frames.astype(np.float64))
    beads -= beads.mean(1, keepdims=True)
    turn, shift = rotation(4), np.array([1.0, -1.0, 0.5])
    samples = pretrained.sample(beads.astype(dtype), seed=2)[:, 0].astype(np.float64)
    moved = pretrained.sample((beads @ turn.T + shift).astype(dtype), seed=2)[:, 0]
    errors = np.abs(moved - (samples @ turn.T + shift)).max(axis=(1, 2))
    assert (errors > 1e-5).mean() <= share
    assert errors.max() <= 1e-3


def test_mirrored_beads_still_give_l_amino_acids(pretrained, molecule, held_out):
    mirrored = pretrained.mapping.project(held_out) * np.array([1.0, 1.0, -1.0])
    samples = pretrained.sample(mirrored, seed=3)[:, 0]
    assert correct_chirality(samples, molecule, pretrained.handedness).mean() >= 0.99


def test_minimised_samples_are_all_valid(pretrained, molecule, held_out):
    beads = pretrained.mapping.project(held_out[::5])
    samples = pretrained.sample(beads, seed=5)[:, 0]
    result = Minimizer(pretrained.mapping, handedness=pretrained.handedness).minimize(samples, beads, progress=False)
    assert not result.failed.any()
    assert valid_graphs(result.positions, molecule).all()
    assert np.abs(pretrained.mapping.project(result.positions) - beads).max() <= 0.01
    assert np.median(result.energy_after) < np.median(result.energy_before)


def test_samples_of_one_frame_are_diverse(pretrained, held_out):
    beads = pretrained.mapping.project(held_out[:20])
    samples = pretrained.sample(beads, n_samples=16, seed=8)
    # The methyl groups alone turn by more than this.
    assert (samples.std(1).mean((1, 2)) > 0.005).all()


@pytest.mark.slow
def test_the_demo_leaves_what_it_promises(tmp_path):
    from openmm_cgvae.cli.main import main

    folder = tmp_path / "demo"
    assert main(["demo", "-o", str(folder), "--steps", "20000"]) == 0
    names = {"cg.dcd", "cg.pdb", "aa.dcd", "aa.pdb", "minimized.dcd", "ramachandran.png", "summary.json", "report.html"}
    assert {path.name for path in folder.iterdir()} == names
    backmapper = Backmapper.load("alanine-dipeptide-3")
    beads = read_frames(folder / "cg.dcd", backmapper.cg_topology())
    for name in ("aa.dcd", "minimized.dcd"):
        atoms = read_frames(folder / name, backmapper.topology)
        assert np.abs(backmapper.mapping.project(atoms) - beads).max() <= (1e-5 if name == "aa.dcd" else 0.01)
    assert main(["demo", "-o", str(folder), "--steps", "20000"]) == 2, "an existing demo is not overwritten"
