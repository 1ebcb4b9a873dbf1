import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.preparation.dataset import prepare_dataset
from openmm_cgvae.training import Dataset, split_runs

# ------------------------------------------------------------------------------------------------- files


def test_saved_dataset_loads_as_the_same(dataset, tmp_path):
    dataset.save(tmp_path / "data.npz")
    loaded = Dataset.load(tmp_path / "data.npz")
    assert loaded.sha256 == dataset.sha256
    assert loaded.description == dataset.description
    assert loaded.positions.dtype == np.float32
    for field in fields(dataset.spec):
        np.testing.assert_array_equal(getattr(loaded.spec, field.name), getattr(dataset.spec, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


def test_hash_tells_other_positions_and_other_runs(dataset):
    assert replace(dataset, positions=dataset.positions[::-1]).sha256 != dataset.sha256
    assert replace(dataset, runs=dataset.runs + 1).sha256 != dataset.sha256
    assert replace(dataset, positions=dataset.positions.copy()).sha256 == dataset.sha256


def test_saving_into_a_missing_folder_is_refused(dataset, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        dataset.save(tmp_path / "missing" / "data.npz")


def foreign_npz(path):
    np.savez(path, positions=np.zeros((2, 2, 3)))


def newer_dataset(path):
    np.savez(path, format=np.array("openmm_cgvae dataset 2"))


def pickled_object(path):
    np.savez(path, format=np.array({"a": 1}, dtype=object))


def plain_array(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


def other_archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("format", "text")


@pytest.mark.parametrize(
    "write",
    [
        foreign_npz,
        newer_dataset,
        pickled_object,
        plain_array,
        other_archive,
        lambda path: path.write_text("frames\n"),
        lambda path: path.write_bytes(b""),
        lambda path: path.mkdir(),
    ],
    ids=["npz", "newer", "pickle", "npy", "zip", "text", "empty", "folder"],
)
def test_foreign_files_are_refused_in_one_line(write, tmp_path):
    write(tmp_path / "data.npz")
    with pytest.raises(DataError, match=r"data\.npz") as caught:
        Dataset.load(tmp_path / "data.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0.3, 0.99])
def test_truncated_dataset_is_refused(part, dataset, tmp_path):
    path = tmp_path / "data.npz"
    dataset.save(path)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(DataError, match="is not a dataset"):
        Dataset.load(path)


def test_missing_dataset_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist: 'openmm-cgvae prepare' makes one"):
        Dataset.load(tmp_path / "data.npz")


# ------------------------------------------------------------------------------------------------- split


def test_split_puts_each_frame_into_one_part_and_no_run_into_two():
    runs = np.repeat(np.arange(10), 7)
    parts = split_runs(runs, 0.1, 0.2, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(70))
    assert [len(np.unique(runs[part])) for part in parts] == [7, 1, 2]
    assert sum(len(np.unique(runs[part])) for part in parts) == 10


def test_split_is_by_run_even_where_runs_are_interleaved():
    runs = np.arange(60) % 6
    parts = split_runs(runs, 0.2, 0.2, seed=1)
    for one in range(3):
        for other in range(one):
            assert not set(runs[parts[one]]) & set(runs[parts[other]])


def test_same_seed_gives_the_same_split_and_another_seed_another():
    runs = np.repeat(np.arange(50), 2)
    one, same, other = (split_runs(runs, 0.1, 0.2, seed)[2] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_no_test_fraction_holds_no_test_runs_out():
    train, validation, test = split_runs(np.repeat(np.arange(5), 3), 0.1, 0.0, seed=0)
    assert (len(train), len(validation), len(test)) == (12, 3, 0)


def test_single_run_is_cut_into_twenty_contiguous_blocks():
    train, validation, test = split_runs(np.zeros(200, dtype=int), 0.1, 0.2, seed=0)
    assert (len(train), len(validation), len(test)) == (140, 20, 40)
    for part in (train, validation, test):
        blocks = part.reshape(-1, 10)
        np.testing.assert_array_equal(blocks - blocks[:, :1], np.tile(np.arange(10), (len(blocks), 1)))
        assert (blocks[:, 0] % 10 == 0).all()


@pytest.mark.parametrize(("n_runs", "fractions"), [(2, (0.1, 0.2)), (4, (0.5, 0.5))])
def test_too_few_runs_to_train_on_are_refused(n_runs, fractions):
    with pytest.raises(DataError, match=rf"{n_runs} runs given, .* give more runs"):
        split_runs(np.arange(n_runs), *fractions, seed=0)


# ------------------------------------------------------------------------------------------------- preparation


def test_projection_of_the_dataset_is_that_of_the_mapping(dataset, mapping):
    beads = dataset.spec.projection @ dataset.positions.astype(float)
    np.testing.assert_allclose(beads, mapping.project(dataset.positions.astype(float)), atol=1e-12)
    np.testing.assert_array_equal(dataset.spec.channels, [*range(6), *range(10), *range(6)])


def test_one_frame_is_no_dataset(dataset):
    with pytest.raises(DataError, match="1 frames given"):
        replace(dataset, positions=dataset.positions[:1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_no_dataset(dataset, value):
    positions = dataset.positions.copy()
    positions[17, 3, 1] = value
    with pytest.raises(DataError, match="frame 17"):
        replace(dataset, positions=positions)


def test_molecule_split_over_the_box_is_refused(reference, mapping):
    positions, runs = reference[0].copy(), reference[1]
    positions[42, 16:] += 3.0
    with pytest.raises(DataError, match="bonds of frame 42 are more than twice too long"):
        prepare_dataset(positions, runs, mapping)


def test_frames_of_the_other_handedness_are_refused(reference, mapping):
    positions, runs = reference[0].copy(), reference[1]
    positions[10:20] *= np.array([-1, 1, 1], dtype=np.float32)
    with pytest.raises(DataError, match=r"^5 % of the reference frames .* atom 8 \(ALA CA\)"):
        prepare_dataset(positions, runs, mapping)


def test_all_frames_may_have_the_other_handedness(reference, mapping, dataset):
    mirrored = reference[0] * np.array([-1, 1, 1], dtype=np.float32)
    other = prepare_dataset(mirrored, reference[1], mapping, temperature=None)
    np.testing.assert_array_equal(other.spec.handedness, -dataset.spec.handedness)


def test_elements_may_be_the_atom_types_as_in_the_paper(reference, mapping, graph):
    data = prepare_dataset(*reference, mapping, temperature=None, atom_types="element")
    # H, C, N, O in the order of their atomic numbers.
    np.testing.assert_array_equal(data.spec.atom_types, np.searchsorted([1, 6, 7, 8], graph.atomic_numbers))


def test_hops_choose_the_pairs_of_the_graph_loss(reference, mapping, graph):
    data = prepare_dataset(*reference, mapping, temperature=None, hops=1)
    np.testing.assert_array_equal(data.spec.graph_pairs, np.unique(np.sort(graph.bonds, axis=1), axis=0))


def test_few_runs_are_cut_into_blocks_of_their_own():
    runs = np.repeat([3, 8], [100, 60])
    parts = split_runs(runs, 0.1, 0.2, seed=0)
    assert sorted(np.concatenate(parts)) == list(range(160))
    assert [len(np.unique(runs[part])) for part in parts[:1]] == [2]
    # Contiguous blocks: far fewer jumps than frames.
    assert all((np.diff(part) > 1).sum() < len(part) / 4 for part in parts)
