"""Names of files as C libraries take them: in ASCII, unpacked, their suffix in small letters."""

import gzip
import os
import shutil
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

from openmm_cgvae.core.errors import DataError

__all__ = ["ascii_folder", "file_format", "plain_file", "unpack"]


def file_format(path):
    """The suffix that tells a file's format, in small letters, that of compression left out: ``a.PDB.gz`` is .pdb."""
    path = Path(path)
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


@contextmanager
def plain_file(path):
    """Give the path of the same file under a name that any library can open.

    A file that is compressed with gzip is unpacked into a temporary folder; one whose name is not ASCII, or whose
    suffix is in capitals, gets a link there. Others are given as they are.

    Raises
    ------
    DataError
        If a file called .gz is none.
    """
    path = Path(path)
    packed = path.suffix.lower() == ".gz"
    if not packed and str(path).isascii() and path.suffix == path.suffix.lower():
        yield path
        return
    with ascii_folder() as folder:
        plain = folder / f"file{file_format(path)}"
        if packed:
            unpack(path, plain)
        else:
            plain.symlink_to(path.resolve())
        yield plain


@contextmanager
def ascii_folder():
    """Give a temporary folder whose path is ASCII, also where the usual one for temporary files is not."""
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp", "."]
    place = next((p for p in places if p.isascii() and os.access(p, os.W_OK)), None)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        # Python makes the name absolute, which the current folder's may not be fit for.
        yield Path(folder if folder.isascii() else os.path.relpath(folder))


def unpack(path, plain):
    """Write what a gzip file holds to `plain`, and return that; `DataError` if it is no complete gzip file."""
    try:
        with gzip.open(path) as source, open(plain, "wb") as target:
            shutil.copyfileobj(source, target)
        return plain
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}): a complete gzip file is expected") from error
