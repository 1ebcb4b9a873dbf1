import logging

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

from openmm_cgvae.backmapping.backmapper import Backmapper, bead_spread
from openmm_cgvae.core.errors import ModelFileError, PositionsError, SettingsError
from openmm_cgvae.io.modelfile import ModelFile


@pytest.fixture(scope="module")
def beads(mapping, reference):
    """Ten frames of bead positions in nm."""
    return mapping.project(reference[0][::20])


@pytest.fixture
def fresh(model_path):
    """A Backmapper that has not warned yet."""
    return Backmapper.load(model_path)


def test_samples_have_a_row_a_frame_and_sample(backmapper, beads):
    atoms = backmapper.sample(beads, n_samples=4, seed=0)
    assert atoms.shape == (10, 4, 22, 3)
    assert atoms.dtype == np.float32
    assert backmapper.sample(beads[0], seed=0).shape == (1, 1, 22, 3)
    assert backmapper.sample(beads[:0], n_samples=2, seed=0).shape == (0, 2, 22, 3)


def test_double_precision_is_asked_for(model_path, beads):
    double = Backmapper.load(model_path, precision="double").sample(beads, seed=0)
    assert double.dtype == np.float64
    single = Backmapper.load(model_path).sample(beads, seed=0)
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-5)
    assert not np.array_equal(single, double)


def test_samples_project_back_to_their_beads(backmapper, mapping, beads):
    atoms = backmapper.sample(beads + 50, n_samples=3, seed=0)
    projected = mapping.project(atoms.reshape(30, 22, 3)).reshape(10, 3, 3, 3)
    np.testing.assert_allclose(projected, np.broadcast_to(beads[:, None] + 50, projected.shape), rtol=0, atol=1e-5)


def test_double_precision_projects_back_to_rounding(model_path, mapping, beads):
    beads = beads.astype(float)
    atoms = Backmapper.load(model_path, precision="double").sample(beads, seed=0)[:, 0]
    np.testing.assert_allclose(mapping.project(atoms), beads, rtol=0, atol=1e-14)


# ------------------------------------------------------------------------------------------------- seeds


def test_same_call_gives_the_same_bits(backmapper, beads):
    one, two = (backmapper.sample(beads, n_samples=2, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 1000])
def test_chunk_size_does_not_change_the_structures(chunk_size, backmapper, model_path, beads):
    other = Backmapper.load(model_path, chunk_size=chunk_size)
    expected = backmapper.sample(beads, n_samples=3, seed=5)
    np.testing.assert_allclose(other.sample(beads, n_samples=3, seed=5), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_change_the_structures(threads, backmapper, beads, reference, set_torch_threads):
    expected = backmapper.sample(beads, n_samples=3, seed=5), backmapper.reconstruct(reference[0])
    set_torch_threads(threads)
    own = backmapper.sample(beads, n_samples=3, seed=5), backmapper.reconstruct(reference[0])
    for one, other in zip(own, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_what_torch_optimises_later_is_the_same_to_the_bit(fresh, beads, monkeypatch):
    early = fresh.sample(beads, seed=5)
    monkeypatch.setattr("openmm_cgvae.backmapping.backmapper.OPTIMIZED_AFTER", 0.0)
    for _ in range(3):
        np.testing.assert_array_equal(fresh.sample(beads, seed=5), early)


def test_calls_for_parts_give_the_structures_of_the_whole(backmapper, beads):
    whole = backmapper.sample(beads, n_samples=3, seed=5)
    for part in (np.arange(4), np.arange(4, 10), np.array([7, 1, 9])):
        own = backmapper.sample(beads[part], n_samples=3, seed=5, frames=part)
        np.testing.assert_allclose(own, whole[part], rtol=0, atol=1e-6)


def test_correlated_samples_do_not_depend_on_the_split_either(backmapper, beads):
    whole = backmapper.sample(beads, n_samples=2, seed=5, correlation=6.0)
    for part in (np.arange(4), np.array([7, 1, 9])):
        own = backmapper.sample(beads[part], n_samples=2, seed=5, frames=part, correlation=6.0)
        np.testing.assert_allclose(own, whole[part], rtol=0, atol=1e-6)


def test_correlation_keeps_consecutive_frames_alike(backmapper, beads):
    still = np.repeat(beads[:1], 50, axis=0)
    steps = [np.abs(np.diff(backmapper.sample(still, seed=5, correlation=c)[:, 0], axis=0)).mean() for c in (0, 5, 500)]
    assert steps[0] > 1.5 * steps[1] > 3 * steps[2] > 0
    np.testing.assert_array_equal(backmapper.sample(beads, seed=5, correlation=0), backmapper.sample(beads, seed=5))


def test_more_samples_begin_with_the_fewer(backmapper, beads):
    few, many = (backmapper.sample(beads, n_samples=n, seed=5) for n in (2, 5))
    np.testing.assert_allclose(many[:, :2], few, rtol=0, atol=1e-6)


def test_samples_frames_and_seeds_differ(backmapper, beads):
    same = np.repeat(beads[:1], 3, axis=0)
    atoms = backmapper.sample(same, n_samples=2, seed=5).reshape(6, 22, 3)
    atoms = np.concatenate([atoms, backmapper.sample(same, n_samples=2, seed=6).reshape(6, 22, 3)])
    distances = np.abs(atoms[:, None] - atoms[None]).max((2, 3))
    assert (distances + np.eye(12) > 1e-4).all()


def test_without_a_seed_calls_differ(backmapper, beads):
    assert not np.array_equal(backmapper.sample(beads), backmapper.sample(beads))


def test_largest_seeds_are_seeds(backmapper, beads):
    one, two = (backmapper.sample(beads, seed=seed) for seed in (2**64 - 1, 2**64 - 2))
    assert not np.array_equal(one, two)


# ------------------------------------------------------------------------------------------------- input


def test_quantities_lists_and_arrays_are_the_same_beads(backmapper, beads):
    beads = beads.astype(float)
    expected = backmapper.sample(beads, seed=0)
    for given in (
        beads.tolist(),
        beads * unit.nanometer,
        10 * beads * unit.angstrom,
        [10 * frame * unit.angstrom for frame in beads],
    ):
        np.testing.assert_allclose(backmapper.sample(given, seed=0), expected, rtol=0, atol=1e-6)


def test_positions_of_an_openmm_state_are_accepted(backmapper, beads):
    system = openmm.System()
    for _ in range(3):
        system.addParticle(50.0)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(beads[0].astype(float))
    state = context.getState(positions=True)
    expected = backmapper.sample(beads[0], seed=0)
    for positions in (state.getPositions(), state.getPositions(asNumpy=True)):
        np.testing.assert_allclose(backmapper.sample(positions, seed=0), expected, rtol=0, atol=1e-6)


def test_wrong_number_of_beads_is_refused(backmapper):
    with pytest.raises(PositionsError, match=r"shape \(5, 3\) given, \(3, 3\) .* the 3 beads of this model"):
        backmapper.sample(np.zeros((4, 5, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frame_that_is_not_finite_is_named(backmapper, beads, value):
    broken = beads.copy()
    broken[6, 1, 0] = value
    with pytest.raises(PositionsError, match="frame 6 hold NaN or infinity"):
        backmapper.sample(broken)


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_angstrom_for_nm_is_refused(fresh, beads, factor):
    with pytest.raises(PositionsError, match="positions in nm"):
        fresh.sample(beads * factor, seed=0)


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_angstrom_for_nm_is_warned_of_once_where_no_distance_is_known(fresh, beads, caplog, factor):
    fresh.potential = None
    with caplog.at_level(logging.WARNING):
        fresh.sample(beads * factor, seed=0)
        fresh.sample(beads * factor, seed=0)
    assert [record.message.endswith("check that positions are in nm and molecules whole") for record in caplog.records]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("factor", [100.0, 0.01, 0.0])
def test_beads_a_hundred_times_off_are_refused(fresh, beads, factor):
    broken = beads.copy()
    broken[4] *= factor
    with pytest.raises(PositionsError, match=r"beads of frame 4 .* positions are in nm and molecules whole"):
        fresh.sample(broken)


def test_usual_beads_are_not_warned_of(fresh, mapping, reference, caplog):
    with caplog.at_level(logging.WARNING):
        fresh.sample(mapping.project(reference[0]), seed=0)
    assert not caplog.records


def test_bead_spread_by_hand():
    # Two beads 1 nm either side of their centre, wherever that is.
    assert bead_spread(np.array([[3.0, 5.0, 1.0], [5.0, 5.0, 1.0]])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples=0"),
        ({"n_samples": -1}, "n_samples=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**64}, "seed=18446744073709551616"),
        ({"frames": [0, 1]}, "frames"),
        ({"correlation": -1.0}, "correlation time of -1"),
        ({"frames": -np.arange(10)}, "frames"),
    ],
)
def test_settings_out_of_range_are_refused(backmapper, beads, options, message):
    with pytest.raises(SettingsError, match=message):
        backmapper.sample(beads, **options)


def test_unknown_precision_and_empty_chunks_are_refused(model_path):
    with pytest.raises(SettingsError, match="precision='half'"):
        Backmapper.load(model_path, precision="half")
    with pytest.raises(SettingsError, match="chunk_size=0"):
        Backmapper.load(model_path, chunk_size=0)


# ------------------------------------------------------------------------------------------------- the rest


def test_reconstructions_are_of_the_structures_given(backmapper, mapping, reference):
    positions = reference[0][:7]
    rebuilt = backmapper.reconstruct(positions)
    assert rebuilt.shape == (7, 22, 3)
    assert rebuilt.dtype == np.float32
    np.testing.assert_allclose(mapping.project(rebuilt), mapping.project(positions), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(rebuilt, backmapper.reconstruct(positions))
    np.testing.assert_allclose(backmapper.reconstruct(positions[3]), rebuilt[3:4], rtol=0, atol=1e-6)


def test_reconstruction_does_not_depend_on_the_chunk_size(backmapper, model_path, reference):
    positions = reference[0][:7]
    other = Backmapper.load(model_path, chunk_size=2).reconstruct(positions)
    np.testing.assert_allclose(other, backmapper.reconstruct(positions), rtol=0, atol=1e-6)


def test_no_structures_are_reconstructed_as_none(backmapper):
    assert backmapper.reconstruct(np.zeros((0, 22, 3))).shape == (0, 22, 3)


def test_reconstruction_of_another_molecule_is_refused(backmapper):
    with pytest.raises(PositionsError, match="the 22 atoms of this model"):
        backmapper.reconstruct(np.zeros((3, 10, 3)))


def test_model_knows_its_molecule(backmapper, topology):
    assert (backmapper.n_atoms, backmapper.n_beads) == (22, 3)
    backmapper.mapping.check_topology(topology)
    assert backmapper.topology.getNumAtoms() == 22
    assert backmapper.cg_topology().getNumAtoms() == 3
    assert backmapper.handedness in ([1.0], [-1.0])
    assert backmapper.cg_potential().temperature == 300.0


def test_model_without_potential_says_so(model_path):
    file = ModelFile.load(model_path)
    file.potential = None
    with pytest.raises(ModelFileError, match="holds no CG potential"):
        Backmapper(file).cg_potential()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_structures_of_the_cpu(model_path, reference, mapping):
    beads = mapping.project(reference[0][:20])
    on_cpu = Backmapper.load(model_path, precision="double").sample(beads, n_samples=2, seed=4)
    on_gpu = Backmapper.load(model_path, device="cuda", precision="double").sample(beads, n_samples=2, seed=4)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-8)


def test_beads_of_which_no_structure_comes_out_are_refused_not_turned_into_nan(backmapper, mapping, reference):
    """As beads in another order, or of a CG run that fell apart, make of a trained model."""
    beads = mapping.project(reference[0][:4])
    exploded = backmapper.sample(beads, seed=1)[:, 0]
    exploded[2, 5] = np.nan
    with pytest.raises(PositionsError, match=r"beads of frame 12 are too unlike .* \(1 of 4 here\)"):
        backmapper._check_reach(exploded, beads, np.arange(10, 14))
    exploded[2, 5] = 1e9
    with pytest.raises(PositionsError, match="frame 12"):
        backmapper._check_reach(exploded, beads, np.arange(10, 14))


def test_a_box_smaller_than_the_molecule_is_refused(backmapper, mapping, reference):
    beads = mapping.project(reference[0][:2])
    with pytest.raises(PositionsError, match="box smaller than the molecule"):
        backmapper.sample(beads, seed=1, box=np.eye(3) * 0.3)
