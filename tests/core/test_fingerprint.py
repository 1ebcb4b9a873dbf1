"""Hashes tell apart what differs, and a difference is named."""

import numpy as np
import pytest

from openmm_cgvae.core import fingerprint as module
from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.fingerprint import (
    check_same_folder,
    check_same_run,
    file_fingerprint,
    fingerprint,
    fingerprint_of,
)


def test_parts_and_their_borders_count():
    array = np.arange(6.0)
    same = fingerprint("a", array, {"x": 1, "y": [2]})
    assert fingerprint("a", array.copy(), {"y": [2], "x": 1}) == same
    others = [
        ("a", array.astype(np.float32), {"x": 1, "y": [2]}), ("a", array.reshape(2, 3), {"x": 1, "y": [2]}),
        ("a", array, {"x": 1, "y": [3]}), ("a", array), (array, "a", {"x": 1, "y": [2]}),
    ]  # fmt: skip
    assert len({same, *(fingerprint(*other) for other in others)}) == 6
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_a_file_is_told_by_its_content_alone(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"content")
    other.write_bytes(b"content")
    assert file_fingerprint(one) == file_fingerprint(other) == fingerprint_of(one)
    other.write_bytes(b"contenT")
    assert file_fingerprint(one) != file_fingerprint(other)
    assert fingerprint_of("amber14-all.xml") == "amber14-all.xml"
    with pytest.raises(DataError, match="cannot be read"):
        file_fingerprint(tmp_path / "none")


@pytest.mark.parametrize("changed", [0, 5_000, 99_999, "shorter", "swapped"])
def test_large_files_are_told_by_their_ends_size_and_blocks(tmp_path, monkeypatch, changed):
    for name, value in (("WHOLE_BYTES", 1000), ("END_BYTES", 100), ("BLOCK_BYTES", 64), ("N_BLOCKS", 50)):
        monkeypatch.setattr(module, name, value)
    content = bytearray(np.random.default_rng(0).bytes(100_000))
    path = tmp_path / "large"
    path.write_bytes(content)
    before = file_fingerprint(path)
    if changed == "shorter":
        del content[40_000]
    elif changed == "swapped":
        content = content[50_000:] + content[:50_000]
    else:
        # 5,000 lies between two blocks: such a change may be missed.
        content[changed] ^= 1
    path.write_bytes(content)
    assert (file_fingerprint(path) == before) == (changed == 5_000)


def test_the_first_difference_is_named_with_what_is_given_and_stored():
    stored = {"seed": 3, "model": {"features": 16, "layers": 2}, "files": {"a.dcd": "1" * 64}}
    check_same_run(stored, stored, "run.chk")
    # An older version said less.
    check_same_run(stored | {"new": 1}, stored, "run.chk")
    with pytest.raises(SettingsError, match=r"model.layers=4 given to go on with a run of model.layers=2 \(run.chk\)"):
        check_same_run(stored | {"model": {"features": 16, "layers": 4}}, stored, "run.chk")
    for files, name in (
        ({}, "files"),
        ({"a.dcd": "1" * 64, "b.dcd": "2"}, "files.b.dcd"),
        ({"a.dcd": "2"}, "files.a.dcd"),
    ):
        with pytest.raises(SettingsError, match=f"another folder.*{name}="):
            check_same_folder(stored | {"files": files}, stored, "run")
    with pytest.raises(SettingsError, match="seed=None given"):
        check_same_run({name: stored[name] for name in ("model", "files")}, stored, "run.chk")
