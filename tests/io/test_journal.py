"""Parts of a long output: kept as they were, whatever moment the process is killed at, and of one run only."""

import subprocess
import sys

import numpy as np
import pytest

from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.core.output import unfinished_folder
from openmm_cgvae.io.journal import Journal, Steps

SETTINGS = {"seed": 3, "trajectory": "a" * 64}


class StopError(Exception):
    """Ends a run as Ctrl-C does."""


@pytest.fixture
def output(tmp_path):
    return tmp_path / "aa.dcd"


def part(k):
    return {"positions": np.full((k + 1, 2, 3), k, np.float32), "times": None, "energies": np.arange(k + 0.0)}


def keep(output, parts, settings=SETTINGS, **options):
    """Add parts, and be interrupted."""
    with pytest.raises(StopError), Journal(output, settings, **options) as journal:
        for k in parts:
            journal.keep(part(k), {"number": k})
        raise StopError


def check(journal, n):
    assert journal.n_done == n
    for k in range(n):
        arrays, record = journal.part(k)
        assert record == {"number": k}
        assert set(arrays) == {"positions", "energies"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, part(k)[name])
            assert array.dtype == part(k)[name].dtype


def test_parts_are_kept_until_the_output_is_complete(output):
    keep(output, range(3))
    keep(output, range(3, 5), resume=True)
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 5)
        journal.keep(part(5), {"number": 5})
        check(journal, 6)
    assert not unfinished_folder(output).exists()


def test_nothing_is_left_where_nothing_was_done(output):
    keep(output, [])
    assert list(output.parent.iterdir()) == []
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 0)


@pytest.mark.parametrize("resume", [False, True])
def test_parts_whose_first_line_is_damaged_are_not_lost_unasked(output, resume):
    keep(output, range(3))
    journal = unfinished_folder(output) / "journal.jsonl"
    journal.write_bytes(b"}" + journal.read_bytes()[1:])
    before = {path.name: path.read_bytes() for path in journal.parent.iterdir()}
    with pytest.raises(OutputError, match=r"first line of its journal\.jsonl.*damaged.*--overwrite"):
        Journal(output, SETTINGS, resume=resume)
    assert {path.name: path.read_bytes() for path in journal.parent.iterdir()} == before
    with Journal(output, SETTINGS, overwrite=True) as anew:
        assert anew.n_done == 0


def test_a_run_killed_before_its_first_line_was_whole_begins(output):
    keep(output, range(1))
    folder = unfinished_folder(output)
    (folder / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes()[:20])
    (folder / "parts.bin").write_bytes(b"")
    with Journal(output, SETTINGS, resume=True) as journal:
        assert journal.n_done == 0


@pytest.mark.parametrize("name", ["journal.jsonl", "parts.bin"])
def test_wherever_the_files_are_cut_off_what_is_whole_stays(output, name):
    keep(output, range(3))
    path = unfinished_folder(output) / name
    content = path.read_bytes()
    sizes = {len(content) - cut for cut in range(0, len(content), max(1, len(content) // 40))} | {0, 1}
    counts = set()
    for size in sorted(sizes, reverse=True):
        path.write_bytes(content[:size])
        if b"\n" not in content[:size] and name == "journal.jsonl":
            # Its first line was on the disk before the first part was: another than a crash has cut it.
            with pytest.raises(OutputError, match="first line"):
                Journal(output, SETTINGS, resume=True)
            continue
        journal = Journal(output, SETTINGS, resume=True)
        check(journal, journal.n_done)
        counts.add(journal.n_done)
        journal._close()
    assert counts == {0, 1, 2, 3}
    # And the run goes on from there.
    path.write_bytes(content[: len(content) // 2])
    done = (journal := Journal(output, SETTINGS, resume=True)).n_done
    journal._close()
    keep(output, range(done, 4), resume=True)
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 4)


def test_damaged_parts_are_not_taken(output):
    keep(output, range(3))
    path = unfinished_folder(output) / "parts.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with Journal(output, SETTINGS, resume=True) as journal:
        assert 0 < journal.n_done < 3
        check(journal, journal.n_done)


@pytest.mark.parametrize(("settings", "message"), [
    ({"seed": 4, "trajectory": "a" * 64}, "seed=4 given to go on with a run of seed=3"),
    ({"seed": 3, "trajectory": "b" * 64}, "trajectory=b+[.]* given to go on with a run of trajectory=a"),
    ({"seed": 3, "trajectory": "a" * 64, "stride": 2}, "stride=2 given to go on with a run of stride=None"),
])  # fmt: skip
def test_another_run_is_refused_by_the_name_of_what_differs(output, settings, message):
    keep(output, range(2))
    with pytest.raises(SettingsError, match=message):
        Journal(output, settings, resume=True)
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 2)


def test_a_setting_that_is_left_open_is_that_of_the_earlier_run(output):
    keep(output, range(1))
    with Journal(output, {"seed": None, "trajectory": "a" * 64}, resume=True) as journal:
        assert journal.settings["seed"] == 3


def test_an_interrupted_run_is_not_forgotten_unasked(output):
    keep(output, range(2))
    with pytest.raises(OutputError, match=r"earlier run that was interrupted: .*--resume.*--partial.*--overwrite"):
        Journal(output, SETTINGS)
    keep(output, range(1), {"seed": 9, "trajectory": "a" * 64}, overwrite=True)
    with pytest.raises(SettingsError, match="seed=3 given to go on with a run of seed=9"):
        Journal(output, SETTINGS, resume=True)


def test_an_output_that_exists_is_kept_unless_it_is_what_this_run_made(output):
    keep(output, range(2))
    output.write_text("of others")
    with pytest.raises(OutputError, match="exists"):
        Journal(output, SETTINGS, resume=True)
    output.unlink()
    with pytest.raises(StopError), Journal(output, SETTINGS, resume=True) as journal:
        (output.parent / "temporary").write_text("complete")
        journal.complete(output.parent / "temporary")
        (output.parent / "temporary").rename(output)
        raise StopError
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 2)


def test_two_processes_do_not_work_on_one_output(output):
    keep(output, range(1))
    program = (
        "import sys; from openmm_cgvae.core.lock import locked\nwith locked(sys.argv[1]): print(flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        for options in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputError, match="is being written by process"):
                Journal(output, SETTINGS, **options)
    finally:
        other.communicate(b"\n")
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 1)


def test_a_full_disk_is_told_and_what_was_done_before_is_kept(output, full_disk):
    with pytest.raises(OutputError, match=r"output \S*aa.dcd cannot be written"), Journal(output, SETTINGS) as journal:
        journal.keep(part(0), {"number": 0})
        journal.keep({"positions": np.zeros(10**5)}, {})
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 1)


@pytest.mark.parametrize(("there", "changed"), [('"number": 1', '"number": 7'), ('"positions"', '"velocities"')])
def test_a_part_whose_line_was_changed_is_made_again(output, there, changed):
    keep(output, range(3))
    path = unfinished_folder(output) / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace(there, changed)
    path.write_text("".join(lines))
    with Journal(output, SETTINGS, resume=True) as journal:
        check(journal, 1)


def test_steps_that_are_kept_are_not_made_again(output):
    made = []

    def double(k):
        made.append(k)
        if len(made) == 3:
            raise StopError
        return {"twice": np.array([2 * k])}, {"k": k}

    def run(steps):
        first = steps(lambda: ({}, {"name": "first"}))
        return [first, *steps.each(double, [4, 5, 6])]

    with pytest.raises(StopError), Journal(output, SETTINGS) as journal:
        run(Steps(journal))
    assert made == [4, 5, 6]
    with Journal(output, SETTINGS, resume=True) as journal:
        found = run(Steps(journal))
    assert made == [4, 5, 6, 6]
    assert [(record, {name: array.tolist() for name, array in arrays.items()}) for arrays, record in found] == [
        ({"name": "first"}, {}), ({"k": 4}, {"twice": [8]}), ({"k": 5}, {"twice": [10]}), ({"k": 6}, {"twice": [12]}),
    ]  # fmt: skip
