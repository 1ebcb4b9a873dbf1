"""Archives are sealed when written; what was changed since, or was never right, is refused by name."""

import json
import zipfile

import numpy as np
import pytest

from openmm_cgvae.core.archive import Archive, ArchiveError, ArchiveWriter, read_arrays, write_arrays

ARRAYS = {"a": np.arange(12.0).reshape(3, 4), "b": np.array("text"), "c": np.zeros((0, 3), dtype=np.int64)}


@pytest.fixture
def path(tmp_path):
    write_arrays(tmp_path / "arrays.npz", ARRAYS)
    return tmp_path / "arrays.npz"


def refusal(path):
    with pytest.raises(ArchiveError) as caught:
        read_arrays(path)
    return str(caught.value)


def rezipped(path, change=lambda members: None):
    """The same members, changed, in a new zip file, as an archiver writes them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_arrays_come_back_and_numpy_reads_them_too(path):
    arrays, sealed = read_arrays(path)
    assert sealed and set(arrays) == set(ARRAYS)
    with np.load(path, allow_pickle=False) as other:
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array)
            np.testing.assert_array_equal(other[name], array)


def test_the_same_content_gives_the_same_bytes(path, tmp_path):
    write_arrays(tmp_path / "again.npz", ARRAYS)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_every_flipped_bit_is_refused(path):
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        if bit % (5 if len(content) - bit // 8 < 120 else 41):
            continue
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        refusal(path)


def test_a_member_that_was_changed_is_named(path):
    def change(members):
        members["a.npy"] = members["a.npy"][:-8] + np.float64(7).tobytes()

    assert "its member a.npy was changed since it was written" in refusal(rezipped(path, change))


def test_members_that_were_exchanged_lost_or_added_are_named(path):
    def exchange(members):
        members["a.npy"], members["c.npy"] = members["c.npy"], members["a.npy"]

    content = path.read_bytes()
    assert "its member a.npy was changed" in refusal(rezipped(path, exchange))
    path.write_bytes(content)
    assert "its member b.npy is missing" in refusal(rezipped(path, lambda members: members.pop("b.npy")))
    path.write_bytes(content)
    assert "its member d.npy was changed" in refusal(rezipped(path, lambda members: members.update({"d.npy": b""})))


def test_the_same_members_in_another_zip_file_are_the_same_archive(path):
    assert read_arrays(rezipped(path))[1]


def test_an_archive_without_checksums_is_read_and_says_so(path):
    arrays, sealed = read_arrays(rezipped(path, lambda members: members.pop("checksums.json")))
    assert not sealed and set(arrays) == set(ARRAYS)


@pytest.mark.parametrize("shape", ["(10**12,)", "(-1,)", "(2, 3)", "('a',)"])
def test_an_array_of_another_size_than_it_says_is_refused_before_memory_is_taken(shape, tmp_path):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".replace("10**12", "1" + 12 * "0")
    content = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header.encode() + b"\n"
    with ArchiveWriter(tmp_path / "a.npz") as archive:
        archive.write("a.npy", content + bytes(24))
    assert "a" in refusal(tmp_path / "a.npz")


def test_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array({"a": 1}, dtype=object))
    assert "is of object, numbers or text are expected" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["../a", "/a", "x/../../a", "a\\..\\b"])
def test_names_that_lead_out_are_refused(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(name, b"")
    assert "leads out of the archive" in refusal(tmp_path / "a.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    assert "the same name" in refusal(tmp_path / "a.npz")


def test_json_members(tmp_path):
    with ArchiveWriter(tmp_path / "a", folder="model") as archive:
        archive.write_json("good.json", {"a": [1, 2]})
        archive.write("bad.json", b"{")
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert json.loads(archive.read("model/good.json")) == {"a": [1, 2]}
    with Archive(tmp_path / "a") as archive:
        assert archive.json("good.json") == {"a": [1, 2]}
        with pytest.raises(ArchiveError, match=r"bad\.json is no JSON"):
            archive.json("bad.json")
        with pytest.raises(ArchiveError, match=r"none\.json is missing"):
            archive.json("none.json")
        with pytest.raises(ArchiveError, match="3 at most are expected"):
            archive.read("good.json", most=3)
