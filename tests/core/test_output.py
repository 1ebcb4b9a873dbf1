import os
import subprocess
import sys

import numpy as np
import pytest

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.output import check_output, complete_output, write_json, write_text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.dcd"


def test_new_output_in_an_existing_folder_is_accepted(path):
    assert check_output(str(path)) == path


def test_output_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"missing of output .* does not exist: create it first"):
        check_output(tmp_path / "missing" / "frames.dcd")


def test_existing_output_is_refused_unless_it_may_be_replaced(path):
    path.write_text("old")
    with pytest.raises(OutputError, match="exists: choose another name, or pass overwrite"):
        check_output(path)
    assert check_output(path, overwrite=True) == path
    assert path.read_text() == "old"


def test_folder_as_output_is_refused_even_if_it_may_be_replaced(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)


def test_output_appears_only_when_complete(path):
    with complete_output(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == path.suffix
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_output_replaces_the_old_file_only_when_complete(path):
    path.write_text("old")
    with complete_output(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_file_and_nothing_else(path, failure):
    path.write_text("old")
    with pytest.raises(failure), complete_output(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_failure_before_anything_is_written_is_not_hidden(path):
    with pytest.raises(ValueError, match="first"), complete_output(path):
        raise ValueError("first")
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("name", ["x" * 246 + ".dcd", "ü" * 120 + ".dcd", "x" * 251 + ".xtc"])
def test_names_as_long_as_a_file_system_takes_are_written(tmp_path, name):
    with complete_output(tmp_path / name) as temporary:
        temporary.write_text("complete")
        assert temporary.suffix == name[-4:]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def left_by(path, pid, host=None):
    """A temporary file as a process leaves it that is killed."""
    with complete_output(path) as temporary:
        name = temporary.name
        temporary.write_text("")
    path.unlink()
    left = path.with_name(name.replace(f"-{os.getpid()}.", f"-{pid}."))
    if host is not None:
        left = left.with_name(left.name.replace(name.split(".cgvae-")[1].split("-")[0], host))
    left.write_text("half")
    return left


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_processes_left_in_the_folder_is_removed_and_no_other_file(tmp_path):
    pid = ended_process()
    dead = [left_by(tmp_path / name, pid) for name in ("frames.dcd", "other.xtc", "x" * 246 + ".dcd")]
    kept = [left_by(tmp_path / "frames.dcd", os.getppid()), left_by(tmp_path / "frames.dcd", pid, "0" * 8)]
    kept += [tmp_path / ".frames.tmp.dcd", tmp_path / f".frames.{pid}.tmp.dcd"]
    for path in kept:
        path.write_text("of others")
    with complete_output(tmp_path / "frames.dcd") as temporary:
        temporary.write_text("complete")
    assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in kept)


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.dcd").symlink_to(tmp_path / "elsewhere" / "frames.dcd")
    with complete_output(tmp_path / "link.dcd") as temporary:
        temporary.write_text("complete")
    assert (tmp_path / "link.dcd").is_symlink()
    assert (tmp_path / "elsewhere" / "frames.dcd").read_text() == "complete"


WRITERS = {
    "text": lambda path: write_text(path, "x" * 10**6),
    "json": lambda path: write_json(path, ["x" * 10**6]),
    "npy": lambda path: completed(path, np.save),
    "npz": lambda path: completed(path, np.savez),
}


def completed(path, save):
    with complete_output(path) as temporary:
        save(temporary, np.zeros(10**6))


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_takes_no_more_is_told_with_the_name_of_the_output(tmp_path, name, full_disk):
    path = tmp_path / f"out.{name}"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"output \S*/out.* cannot be written: the (file is too large|disk is full)"):
        WRITERS[name](path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_of_other_files_are_left_as_they_are(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="input"), complete_output(path):
        (tmp_path / "input.dcd").read_bytes()
