"""What the baselines promise of every model file, and the symmetries that each has or lacks."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from conftest import rotation

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.evaluation.exporting import model_file
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.metrics import correct_chirality, handedness, valid_graphs
from openmm_cgvae.molecule.mapping import alpha_carbon_mapping, custom_mapping, residue_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset
from openmm_cgvae.training.baselines import BASELINES, BaselineConfig, fit_baseline

QUICK = BaselineConfig(epochs=1)
FRAMES = np.arange(150)
ISOMETRIES = {"rotation": rotation(1), "reflection": np.diag([1.0, 1.0, -1.0])}


@pytest.fixture(params=BASELINES)
def kind(request):
    return request.param


def fitted(kind, dataset):
    module = fit_baseline(kind, dataset, FRAMES, QUICK)
    return model_file(module, dataset, (FRAMES, FRAMES[:0], FRAMES[:0]), name=kind, baseline={"kind": kind})


@pytest.mark.parametrize(
    "make",
    [residue_mapping, partial(residue_mapping, weights="mass"), alpha_carbon_mapping],
    ids=["geometric", "mass", "alpha carbon"],
)
@pytest.mark.parametrize(("precision", "tolerance_nm"), [("single", 1e-5), ("double", 1e-10)])
def test_samples_project_back_to_their_beads(kind, make, precision, tolerance_nm, topology, reference):
    dataset = prepare_dataset(*reference, make(topology), temperature=None)
    backmapper = Backmapper(fitted(kind, dataset), precision=precision)
    beads = backmapper.mapping.project(reference[0][150:].astype(np.float64)) + 2.0
    atoms = backmapper.sample(beads, 2, seed=1).astype(np.float64)
    # One bead, as that of the only alpha carbon, gives a linear map nothing to place atoms by.
    if kind != "linear" or backmapper.n_beads > 1:
        assert np.abs(atoms[:, 0] - backmapper.mapping.lift(beads)).max() > 1e-3
    for sample in atoms.transpose(1, 0, 2, 3):
        assert np.abs(backmapper.mapping.project(sample) - beads).max() < tolerance_nm


def test_reconstruction_uses_nothing_but_the_beads(kind, dataset, reference):
    backmapper = Backmapper(fitted(kind, dataset), precision="double")
    atoms = reference[0][150:155].astype(np.float64)
    # Other atoms at the same beads.
    shuffled = backmapper.sample(backmapper.mapping.project(atoms), seed=3)[:, 0]
    np.testing.assert_allclose(backmapper.reconstruct(shuffled), backmapper.reconstruct(atoms), atol=1e-7)


@pytest.mark.slow
def test_a_model_file_runs_without_this_package(kind, dataset, reference, tmp_path):
    path = tmp_path / "baseline.pt"
    file = fitted(kind, dataset)
    file.save(path)
    code = (
        "import sys; sys.modules['openmm_cgvae'] = None; import torch; m = torch.jit.load(sys.argv[1]);"
        "x = m(torch.zeros(2, m.n_beads, 3), torch.zeros(2, m.n_beads, m.latent)); print(tuple(x.shape))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout.strip() == "(2, 22, 3)", done.stderr
    beads = Backmapper(file).mapping.project(reference[0][150:])
    again = Backmapper(ModelFile.load(path)).sample(beads, seed=1)
    np.testing.assert_array_equal(again, Backmapper(file).sample(beads, seed=1))


@pytest.mark.parametrize("isometry", ISOMETRIES)
def test_linear_map_turns_and_mirrors_with_its_beads(isometry, dataset, reference):
    backmapper = Backmapper(fitted("linear", dataset), precision="double")
    beads, matrix = backmapper.mapping.project(reference[0][150:].astype(np.float64)), ISOMETRIES[isometry]
    moved = backmapper.sample(beads @ matrix.T + 1.0)
    np.testing.assert_allclose(moved, backmapper.sample(beads) @ matrix.T + 1.0, atol=1e-10)


def test_mlp_moves_with_its_beads_but_does_not_turn(dataset, reference):
    backmapper = Backmapper(fitted("mlp", dataset), precision="double")
    beads = backmapper.mapping.project(reference[0][150:].astype(np.float64))
    atoms = backmapper.sample(beads)
    np.testing.assert_allclose(backmapper.sample(beads + 1.0), atoms + 1.0, atol=1e-10)
    turn = rotation(1)
    assert np.abs(backmapper.sample(beads @ turn.T) - atoms @ turn.T).max() > 1e-3


def test_geometric_samples_are_valid_right_handed_and_diverse(dataset, reference, graph):
    backmapper = Backmapper(fitted("geometric", dataset))
    samples = backmapper.sample(backmapper.mapping.project(reference[0][150:]), 2, seed=0)
    flat = samples.reshape(-1, 22, 3)
    assert valid_graphs(flat, graph).mean() >= 0.95
    assert correct_chirality(flat, graph, handedness(reference[0][0], graph)).mean() >= 0.95
    assert np.linalg.norm(samples[:, 0] - samples[:, 1], axis=-1).mean() > 0.05


def test_geometric_bonds_are_near_the_range_of_the_training_frames(dataset, reference, graph):
    backmapper = Backmapper(fitted("geometric", dataset))
    atoms = backmapper.sample(backmapper.mapping.project(reference[0][150:]), seed=0)[:, 0]
    i, j = graph.bonds.T
    seen, made = (np.linalg.norm(x[:, i] - x[:, j], axis=-1) for x in (reference[0][FRAMES], atoms))
    # Not inside: random starts may be frustrated. Unrelaxed, bonds are off by 0.1 nm and more.
    outside = np.maximum(seen.min(0) - made, 0) + np.maximum(made - seen.max(0), 0)
    assert outside.mean() < 0.01


@pytest.mark.parametrize("beads", [[range(22)], [range(11), range(11, 22)]], ids=["1 bead", "2 beads"])
def test_linear_map_of_very_few_beads_is_finite(beads, topology, reference):
    dataset = prepare_dataset(*reference, custom_mapping(topology, beads), temperature=None)
    backmapper = Backmapper(fitted("linear", dataset))
    projected = backmapper.mapping.project(reference[0][150:])
    assert np.abs(backmapper.sample(projected)[:, 0] - backmapper.mapping.lift(projected)).max() < 1.0


def test_scripted_modules_take_beads_of_either_precision(kind, dataset):
    module = fit_baseline(kind, dataset, FRAMES, QUICK)
    for dtype in (torch.float32, torch.float64):
        assert module(torch.rand(2, 3, 3, dtype=dtype), torch.rand(2, 3, module.latent)).dtype == dtype
