"""Archives of ours, which are zip files: sealed by checksums when written, examined before anything in them is used."""

import contextlib
import hashlib
import io
import json
import struct
import zipfile
import zlib

import numpy as np

from openmm_cgvae.core.errors import CGVAEError, one_line
from openmm_cgvae.core.reading import parsed_json, regular_file

__all__ = ["Archive", "ArchiveError", "ArchiveWriter", "read_arrays", "write_arrays"]

# A member with the SHA-256 of every other one, and the comment of the whole file, which ends in the SHA-256 of all
# that is before these digits: the first tells which member is damaged, the second covers the bytes between members.
CHECKSUMS = "checksums.json"
MARK = b"openmm_cgvae sha256 "
DIGITS = 64
# Members, and bytes of them in all where they are many times those of the file, as those of a zip bomb are.
MOST_MEMBERS = 20_000
MOST_RATIO = 20
FREE_BYTES = 1 << 27
CHUNK = 1 << 20
# Bytes of one JSON member.
MOST_JSON = 1 << 24
# Dates in archives, so that the same content gives the same file.
DATE = (1980, 1, 1, 0, 0, 0)
KINDS = "biufSU"


class ArchiveError(CGVAEError, ValueError):
    """An archive that is damaged, foreign, or made to do harm."""


class Archive:
    """A zip file, examined: its names, sizes and checksums are right before the first member is read.

    ``with Archive(path) as archive: archive.json("metadata.json")``.

    Parameters
    ----------
    path : path or bytes

    Attributes
    ----------
    sealed : bool
        Whether it has checksums, which have then been compared.
    names : list of str
        Members, without the folder that all are in, if there is one.
    sha256 : str
        Of the file.

    Raises
    ------
    ArchiveError
        If it is no zip file, its sizes are those of a zip bomb, a name leads out of it, or a checksum differs.
    OSError
        If it cannot be read.
    """

    def __init__(self, path):
        if isinstance(path, bytes):
            self._size, self._file = len(path), io.BytesIO(path)
        else:
            # Before it is opened: a pipe would wait for a writer.
            self._size = regular_file(path)
            self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._members = self._examined()
            self.sha256, self.sealed = self._verified()
        except BaseException as error:
            self._file.close()
            known = zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, EOFError, LookupError, RuntimeError
            if isinstance(error, CGVAEError) or not isinstance(error, (*known, ValueError)):
                raise
            raise ArchiveError(f"no zip archive, or a damaged one ({one_line(error)})") from error

    @property
    def names(self):
        return [name for name in self._members if name != CHECKSUMS]

    def __contains__(self, name):
        return name in self._members

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self._zip.close()
        self._file.close()

    def _examined(self):
        """Members by name without the common folder."""
        infos = self._zip.infolist()
        if len(infos) > MOST_MEMBERS:
            raise ArchiveError(f"{len(infos)} members, {MOST_MEMBERS} at most are expected")
        for info in infos:
            _check_name(info)
            if not 0 <= info.header_offset < self._size:
                raise ArchiveError(f"its member {info.filename} lies outside the file")
        total = sum(info.file_size for info in infos)
        if total > max(FREE_BYTES, MOST_RATIO * self._size):
            raise ArchiveError(f"{total} bytes are packed into {self._size}, as into a zip bomb")
        folder = infos[0].filename.split("/")[0] + "/" if infos else "/"
        inside = all(info.filename.startswith(folder) for info in infos)
        members = {info.filename[len(folder) * inside :]: info for info in infos if not info.is_dir()}
        if len({info.filename for info in infos}) != len(infos):
            raise ArchiveError("two members have the same name")
        return members

    def _verified(self):
        """SHA-256 of the file, and whether it is sealed."""
        whole, digest, marked = self._digests()
        if self._zip.comment and not marked:
            raise ArchiveError("its comment is no checksum: the file was changed since it was written")
        if not marked and CHECKSUMS not in self._members:
            return whole, False
        if marked != digest:
            # Somewhere: say where, if it is in a member. One that was written anew, member by member, is the same file.
            self._verify_members()
            if marked is not None:
                raise ArchiveError("its checksum differs: bytes between the members were changed since it was written")
        return whole, True

    def _digests(self):
        """SHA-256 of the file, that of all but its last digits, and what these say, None if nothing."""
        comment = self._zip.comment
        marked = comment[len(MARK) :].decode("latin-1") if comment.startswith(MARK) else None
        if marked is not None and (len(marked) != DIGITS or not set(marked) <= set("0123456789abcdef")):
            raise ArchiveError("its checksum is damaged: the file was changed since it was written")
        part, left = hashlib.sha256(), self._size - DIGITS * (marked is not None)
        self._file.seek(0)
        while left > 0:
            block = self._file.read(min(CHUNK, left))
            if not block:
                raise ArchiveError("it became shorter while it was read")
            part.update(block)
            left -= len(block)
        whole = part.copy()
        whole.update(self._file.read())
        return whole.hexdigest(), part.hexdigest(), marked

    def _verify_members(self):
        stated = self.json(CHECKSUMS) if CHECKSUMS in self._members else None
        if not isinstance(stated, dict):
            raise ArchiveError("its checksums are missing: the file was changed since it was written")
        for name in self.names:
            if stated.get(name) != self._digest(name):
                raise ArchiveError(f"its member {name} was changed since it was written: its checksum differs")
        gone = sorted(set(stated) - set(self.names))
        if gone:
            raise ArchiveError(f"its member {gone[0]} is missing")

    def _digest(self, name):
        digest = hashlib.sha256()
        with self._opened(name) as member:
            while block := member.read(CHUNK):
                digest.update(block)
        return digest.hexdigest()

    @contextlib.contextmanager
    def _opened(self, name):
        if name not in self._members:
            raise ArchiveError(f"its member {name} is missing")
        try:
            with self._zip.open(self._members[name]) as member:
                yield member
        except CGVAEError:
            raise
        except (zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, EOFError, LookupError, OSError,
                RuntimeError, ValueError) as error:  # fmt: skip
            raise ArchiveError(f"its member {name} is damaged ({one_line(error)})") from error

    def size(self, name):
        """Bytes of a member, as the archive states."""
        if name not in self._members:
            raise ArchiveError(f"its member {name} is missing")
        return self._members[name].file_size

    def read(self, name, most=None):
        """Content of a member; `ArchiveError` if it is missing, damaged, or larger than `most` bytes."""
        if most is not None and self.size(name) > most:
            raise ArchiveError(f"its member {name} is of {self.size(name)} bytes, {most} at most are expected")
        with self._opened(name) as member:
            return member.read()

    def json(self, name):
        """Content of a JSON member."""
        try:
            return parsed_json(self.read(name, most=MOST_JSON))
        except ValueError as error:
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError(f"its member {name} is no JSON ({error})") from error

    def array(self, name):
        """Array of a member ``name.npy``; nothing is unpickled, and no more is allocated than is there."""
        with self._opened(f"{name}.npy") as member:
            shape, dtype, begin = _array_header(member, name)
        count = int(np.prod(shape, dtype=object)) if shape else 1
        there = self.size(f"{name}.npy") - begin
        if count * dtype.itemsize != there:
            raise ArchiveError(
                f"its array {name} of shape {shape} takes {count * dtype.itemsize} bytes, {there} are there"
            )
        with self._opened(f"{name}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    def arrays(self):
        """All arrays by name."""
        return {name[:-4]: self.array(name[:-4]) for name in self.names if name.endswith(".npy")}


def _check_name(info):
    name = info.filename
    if not name or name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise ArchiveError(f"its member {name!r} leads out of the archive")
    if info.flag_bits & 1:
        raise ArchiveError(f"its member {name} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"its member {name} is compressed in a way that is not read")


def _array_header(member, name):
    """Shape, dtype and size in bytes of the header of an array."""
    try:
        version = np.lib.format.read_magic(member)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(member)
    except Exception as error:  # Python's own parser reads it, with errors of many kinds.
        raise ArchiveError(f"its member {name}.npy is no array") from error
    if dtype.hasobject or dtype.kind not in KINDS or any(side < 0 for side in shape):
        raise ArchiveError(f"its array {name} is of {dtype}, numbers or text are expected")
    return shape, dtype, member.tell()


class ArchiveWriter:
    """Writes a sealed archive; the same members in the same order give the same bytes.

    ``with ArchiveWriter(path) as archive: archive.write_json("metadata.json", metadata)``.

    Parameters
    ----------
    path : path
    folder : str
        That all members are in; none if empty.
    compress : bool
    """

    def __init__(self, path, folder="", compress=True):
        self._path, self._folder = path, folder and f"{folder}/"
        self._kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self._zip = zipfile.ZipFile(path, "w")
        self._checksums = {}

    def write(self, name, content):
        """Write a member of these bytes."""
        with self._member(name) as member:
            member.write(content)

    def write_json(self, name, value):
        """Write a member of JSON."""
        self.write(name, json.dumps(value).encode())

    def write_array(self, name, array):
        """Write an array as the member ``name.npy``, which ``numpy.load`` reads."""
        with self._member(f"{name}.npy") as member:
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    @contextlib.contextmanager
    def _member(self, name):
        info = zipfile.ZipInfo(self._folder + name, DATE)
        info.compress_type = self._kind
        with self._zip.open(info, "w", force_zip64=True) as file:
            member = _Hashed(file)
            yield member
        self._checksums[name] = member.digest.hexdigest()

    def close(self):
        """Write the checksums."""
        self.write(CHECKSUMS, json.dumps(self._checksums).encode())
        self._zip.comment = MARK + b"0" * DIGITS
        self._zip.close()
        digest = hashlib.sha256()
        with open(self._path, "r+b") as file:
            left = file.seek(0, io.SEEK_END) - DIGITS
            file.seek(0)
            while left > 0:
                block = file.read(min(CHUNK, left))
                digest.update(block)
                left -= len(block)
            file.seek(-DIGITS, io.SEEK_END)
            file.write(digest.hexdigest().encode())

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        if kind is None:
            self.close()
        else:
            self._zip.close()


class _Hashed:
    """A file to write to that keeps the SHA-256 of what it is given."""

    def __init__(self, file):
        self._file, self.digest = file, hashlib.sha256()

    def write(self, content):
        self.digest.update(content)
        return self._file.write(content)


def write_arrays(path, arrays, compress=True):
    """Write a sealed archive of arrays, a dict, which ``numpy.load`` reads."""
    with ArchiveWriter(path, compress=compress) as archive:
        for name, array in arrays.items():
            archive.write_array(name, array)


def read_arrays(path):
    """Read all arrays of an archive, and whether it is sealed: a dict of arrays, a bool (`ArchiveError`, `OSError`)."""
    with Archive(path) as archive:
        return archive.arrays(), archive.sealed
