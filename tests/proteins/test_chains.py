"""Packed chains come back as they were, and archives that are none are refused."""

import numpy as np
import pytest
from proteintrainings import chains, packed

from openmm_cgvae.core.errors import OutputError, TrainingError
from openmm_cgvae.proteins.chains import ARRAYS, Chain, PackedChains


@pytest.fixture
def archive(tmp_path):
    """Path of a good archive, and its arrays."""
    path = tmp_path / "chains.npz"
    packed().save(path)
    with np.load(path) as file:
        return path, dict(file)


def refused(path, arrays, match):
    np.savez(path, **arrays)
    with pytest.raises(TrainingError, match=match):
        PackedChains.load(path)


def test_chains_come_back_to_a_thousandth_of_an_angstrom(archive):
    loaded = PackedChains.load(archive[0])
    for chain, known in zip(loaded, chains(), strict=True):
        assert chain.name == known.name
        np.testing.assert_array_equal(chain.residue_types, known.residue_types)
        np.testing.assert_array_equal(chain.mask, known.mask)
        np.testing.assert_array_equal(chain.connected, known.connected)
        centred = np.where(known.mask[..., None], known.atoms - known.atoms[:, 1].mean(0), 0.0)
        assert np.abs(chain.atoms - centred).max() < 1.1e-3
    assert loaded.sha256 == packed().sha256


def test_hash_tells_other_positions(archive):
    path, arrays = archive
    arrays["ca"][5, 0] += 1
    np.savez(path, **arrays)
    assert PackedChains.load(path).sha256 != packed().sha256


def test_description_counts_what_is_trained_on():
    known = packed().description
    assert known["chains_train_validation_test"] == [1, 1, 0]
    assert (known["residues"], known["clusters"], known["trained_on"]) == (78, 1, "5k6d_B")
    assert (known["md_frames"], known["held_out_by"]) == (0, "cluster")


def test_description_tells_frames_of_runs():
    chain = chains()[0]
    frames = [Chain(f"run-{k}:7", *(getattr(chain, n) for n in ("residue_types", "atoms", "mask", "connected")))
              for k in (1, 0, 0, 2)]  # fmt: skip
    data = PackedChains.packed(frames, [np.nan] * 4, ["train"] * 3 + ["validation"], [0] * 4, [True] * 4)
    known = data.description
    assert (known["md_frames"], known["held_out_by"], known["trained_on"]) == (3, "run", "run-0 run-1")


def test_no_bond_leads_to_the_chain_before(archive):
    path, arrays = archive
    arrays["chain_break"][:] = False
    np.savez(path, **arrays)
    assert [bool(chain.connected[0]) for chain in PackedChains.load(path)] == [False, False]


@pytest.mark.parametrize("name", ARRAYS)
def test_archive_that_lacks_an_array_is_refused(name, archive):
    path, arrays = archive
    del arrays[name]
    refused(path, arrays, "not a set of packed chains")


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "length"])
def test_arrays_of_unequal_length_are_refused(name, archive):
    path, arrays = archive
    refused(path, arrays | {name: arrays[name][:-1]}, rf"{name} has shape .* is expected")


def test_unknown_amino_acid_is_refused(archive):
    path, arrays = archive
    arrays["residue"][3] = 20
    refused(path, arrays, "residue type 20 found, 0 to 19 are expected")


def test_unknown_split_is_refused(archive):
    path, arrays = archive
    refused(path, arrays | {"split": np.array(["train", "trian"])}, "split 'trian' found")


def test_empty_chain_is_refused(archive):
    path, arrays = archive
    refused(path, arrays | {"length": np.array([124, 0])}, "1ejg_A has no residue")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"no archive at all"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "chains.npz"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="not a set of packed chains"):
        PackedChains.load(path)


def test_truncated_archive_is_refused(archive):
    path, _ = archive
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(TrainingError, match="not a set of packed chains"):
        PackedChains.load(path)


def test_missing_archive_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="does not exist"):
        PackedChains.load(tmp_path / "none.npz")


def test_archive_is_not_replaced_unasked(archive):
    with pytest.raises(OutputError, match="exists"):
        packed().save(archive[0])
    packed().save(archive[0], overwrite=True)


@pytest.mark.parametrize(("change", "match"), [("alpha", "residue 3 has no C-alpha"), ("far", "3 nm apart")])
def test_chains_that_cannot_be_packed_are_refused(change, match):
    chain = chains()[1]
    atoms, mask = chain.atoms.copy(), chain.mask.copy()
    if change == "alpha":
        mask[2, 1] = False
    else:
        atoms[2, 3] += 40.0
    broken = Chain(chain.name, chain.residue_types, atoms, mask, chain.connected)
    with pytest.raises(TrainingError, match=match):
        PackedChains.packed([broken], [1.0], ["train"], [0], [True])


def test_nothing_is_not_packed():
    with pytest.raises(TrainingError, match="no chain given"):
        PackedChains.packed([], [], [], [], [])
