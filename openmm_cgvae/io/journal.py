"""The parts of a long output, kept in a folder beside it until it is complete, so that an interrupted run goes on."""

import hashlib
import io
import json
import logging
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from openmm_cgvae import __version__
from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.core.fingerprint import check_same_run
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import check_output, naming_output, sync, unfinished_folder
from openmm_cgvae.core.reading import parsed_json
from openmm_cgvae.core.schema import anything, either, entries, listing, one_of, record, text, whole
from openmm_cgvae.io.cluster import made_in_order

__all__ = ["Journal", "Steps"]

logger = logging.getLogger(__name__)

# Seconds between writes that wait for the disk. A killed process loses nothing; a power cut what came later.
SYNC_INTERVAL = 1.0
FORMAT = "openmm_cgvae journal 2"
REMEDY = "give what it was begun with, or begin anew by overwrite (--overwrite)"
NAMES = ("journal.jsonl", "parts.bin")
# The first line, and the others.
HEAD = record({"format": one_of(FORMAT), "settings": entries(anything)}, ("format", "settings"))
PART = record(
    {"part": whole(0), "length": whole(0), "sha256": text(64), "arrays": listing(text()), "record": entries(anything)},
    ("part", "length", "sha256", "arrays", "record"),
)
LINE = either(record({"complete": listing(listing(whole(0), 2))}, ("complete",)), PART)


class Journal:
    """What is done of an output that is made in numbered parts; a context manager.

    A part is some arrays and a record of JSON types. Parts are appended to one file, and each is noted, with its length
    and a hash of both, in ``journal.jsonl``; what does not fit its hash, as a power cut leaves it, is made again.

    Parameters
    ----------
    output : path
    settings : dict
        All that the output depends on, inputs by their hashes; JSON types. None takes what a run to go on with had.
    resume : bool
        Go on with an earlier run, if there is one.
    overwrite : bool
        Forget an earlier run, and replace an output that exists.
    files : sequence of path, optional
        Of the output, if they are others than `output` itself.
    partial : bool
        Whether an output of some of the parts is of use, and can be asked for.

    Attributes
    ----------
    settings : dict
        Those in force.
    n_done : int
        Parts 0 to n_done - 1 are kept.

    Raises
    ------
    OutputError
        If there is an earlier run and neither is wanted, or it cannot be read; if another process is at it; if the
        output exists and may not be replaced.
    SettingsError
        If the earlier run had other settings, naming the first.
    """

    def __init__(self, output, settings, resume=False, overwrite=False, files=None, partial=True):
        self.output = Path(output)
        self._or_partial = "make an output of them by partial (--partial), " if partial else ""
        self.folder = unfinished_folder(output)
        self.settings = {"openmm_cgvae": __version__, **settings}
        # Of the parts that are whole, where each begins and the last one ends, and the bytes of the lines that say so.
        self._entries, self._offsets, self._said = [], [0], 0
        self._complete = self._lines = self._parts = None
        self._unreadable = False
        self._synced = 0.0
        # Until the run has ended: no other process makes this output.
        self._lock = ExitStack()
        self._lock.enter_context(locked(output))
        try:
            earlier = self._read()
            if self._unreadable and not overwrite:
                raise OutputError(
                    f"{self.folder} has parts of an earlier run, but the first line of its {NAMES[0]}, which says what "
                    "run that was, is damaged: restore it from a copy, or begin anew by overwrite (--overwrite)"
                )
            if self._entries and not resume and not overwrite:
                raise OutputError(
                    f"{self.folder} holds the parts of an earlier run that was interrupted: go on with it by resume "
                    f"(--resume), {self._or_partial}or begin anew by overwrite (--overwrite)"
                )
            for file in files or [output]:
                check_output(file, overwrite or (resume and self._is_own(file)))
            if earlier is None or not resume:
                self._entries, self._offsets, self._said = [], [0], 0
            else:
                self._check(earlier)
        except Exception:
            self._close()
            raise

    @property
    def n_done(self):
        return len(self._entries)

    def _read(self):
        """Find the parts that are whole, and return the settings they are of, None if there are none yet."""
        settings = None
        try:
            lines, parts = (open(self.folder / name, "rb") for name in NAMES)  # noqa: SIM115
        except OSError:
            return None
        with lines, parts:
            for line in lines:
                entry = _whole(line, HEAD if settings is None else LINE)
                if settings is None:
                    if entry is None:
                        break
                    settings = entry["settings"]
                elif entry is not None and "complete" in entry:
                    self._complete = entry["complete"]
                elif entry is None or not self._take(entry, parts.read(entry["length"])):
                    break
                self._said += len(line)
            # Without parts it is a run that was killed before it had any.
            self._unreadable = settings is None and bool(parts.read(1))
        return settings

    def _take(self, entry, content):
        whole = entry["part"] == self.n_done and _digest(content, entry) == entry["sha256"]
        if whole:
            self._entries.append(entry)
            self._offsets.append(self._offsets[-1] + entry["length"])
        return whole

    def _is_own(self, file):
        """Whether the run was killed when this file was complete and its parts were not yet removed."""
        return self._complete is not None and Path(file).is_file() and _mark(file) in self._complete

    def _check(self, earlier):
        given = {name: earlier.get(name) if value is None else value for name, value in self.settings.items()}
        check_same_run(given, dict.fromkeys(given) | earlier, self.folder, REMEDY)
        self.settings = given

    def __enter__(self):
        with naming_output(self.output):
            self.folder.mkdir(exist_ok=True)
            self._lines, self._parts = (open(self.folder / name, "ab") for name in NAMES)  # noqa: SIM115
            self._lines.truncate(self._said)
            self._parts.truncate(self._offsets[-1])
            if not self._said:
                self._write_line({"format": FORMAT, "settings": self.settings})
            self._sync(force=True)
        if self._entries:
            logger.info("%d parts of %s are there already", self.n_done, self.output)
        return self

    def _write_line(self, entry):
        self._lines.write(json.dumps(entry).encode() + b"\n")
        self._lines.flush()

    def _sync(self, force=False):
        if not force and time.monotonic() < self._synced + SYNC_INTERVAL:
            return
        for file in (self._parts, self._lines):
            os.fsync(file.fileno())
        if force:
            sync(self.folder)
        self._synced = time.monotonic()

    def keep(self, arrays, record):
        """Add the next part.

        Parameters
        ----------
        arrays : dict of str to numpy.ndarray or None
        record : dict
            JSON types.
        """
        buffer = io.BytesIO()
        names = [name for name, array in arrays.items() if array is not None]
        for name in names:
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
        content = buffer.getbuffer()
        entry = {"part": self.n_done, "length": len(content), "arrays": names, "record": record}
        entry["sha256"] = _digest(content, entry)
        with naming_output(self.output):
            self._parts.write(content)
            self._parts.flush()
            self._write_line(entry)
            self._sync()
        self._entries.append(entry)
        self._offsets.append(self._offsets[-1] + len(content))

    def part(self, number):
        """Return the arrays (dict of str to numpy.ndarray) and the record of a part that is kept.

        Raises
        ------
        DataError
            If the file was changed meanwhile.
        """
        entry = self._entries[number]
        with open(self.folder / "parts.bin", "rb") as file:
            file.seek(self._offsets[number])
            try:
                arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name in entry["arrays"]}
            except (ValueError, OSError, EOFError) as error:
                raise DataError(f"part {number} in {self.folder} was changed meanwhile: begin anew") from error
        return arrays, entry["record"]

    def complete(self, *paths):
        """Note that all files of the output are whole under temporary names, before they get their own."""
        with naming_output(self.output):
            for path in paths:
                sync(path)
            self._write_line({"complete": [_mark(path) for path in paths]})
            self._sync(force=True)

    def forget(self):
        """Leave nothing to go on with."""
        self._entries = []

    def __exit__(self, kind, error, traceback):
        with naming_output(self.output):
            try:
                self._close()
            finally:
                if kind is None or not self._entries:
                    # The output is complete, or there is nothing to go on with.
                    shutil.rmtree(self.folder, ignore_errors=True)
                else:
                    remedy = f"{self._or_partial}go on by resume (--resume)"
                    logger.warning("what is done of %s is kept in %s: %s", self.output, self.folder, remedy)

    def _close(self):
        try:
            for file in filter(None, (self._lines, self._parts)):
                file.close()
        finally:
            self._lock.close()


class Steps:
    """Results that are made one after the other, in the same order by every run; those that a journal has are not.

    Parameters
    ----------
    journal : Journal, optional
        In use. Without one everything is made.
    """

    def __init__(self, journal=None):
        self._journal, self._number = journal, 0

    @property
    def is_kept(self):
        """Whether the next step need not be made."""
        return self._journal is not None and self._number < self._journal.n_done

    def __call__(self, make):
        """Return the arrays (dict) and the record (JSON types) of the next step, which `make` returns."""
        (made,) = self.each(lambda _: make(), [None])
        return made

    def each(self, function, items, client=None):
        """Yield arrays and record of every item, in order, which `function` returns of it.

        Parameters
        ----------
        function : callable
        items : sequence
        client : distributed.Client, optional
            Of a Dask cluster, whose workers call `function`.
        """
        n_kept = 0 if self._journal is None else min(len(items), max(0, self._journal.n_done - self._number))
        for _ in range(n_kept):
            self._number += 1
            yield self._journal.part(self._number - 1)
        for arrays, found in made_in_order(function, items[n_kept:], client):
            self._number += 1
            if self._journal is not None:
                self._journal.keep(arrays, found)
            yield arrays, found


def _whole(line, schema):
    """The entry of a line, None of one that is cut off, damaged, or not what it should be."""
    try:
        entry = parsed_json(line) if line.endswith(b"\n") else None
        schema(entry, "line")
    except ValueError:
        return None
    return entry


def _digest(content, entry):
    """Hash of a part: its arrays, and what its line says of them."""
    said = json.dumps([entry["part"], entry["arrays"], entry["record"]]).encode()
    digest = hashlib.sha256(said)
    digest.update(content)
    return digest.hexdigest()


def _mark(path):
    """What tells a file that was moved from others."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]
