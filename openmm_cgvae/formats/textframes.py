"""Frames of PDB, GRO and mmCIF files found where they lie, so that a file of many is read a few at a time."""

import mmap
import re
import tempfile
from array import array
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.periodic import vectors_of_cells
from openmm_cgvae.core.plainfiles import unpack
from openmm_cgvae.core.units import ANGSTROM_PER_NM

__all__ = ["TextFrames", "find_text_frames"]

# Models of a PDB file end so; some programs write END after each, and no MODEL.
PDB_END = re.compile(rb"\nEND(?:MDL)?[ \t\r]*(?=\n|\Z)")
PDB_ATOMS = re.compile(rb"(?:^|\n)(?:ATOM  |HETATM)")
# A row of mmCIF as words, of which some are quoted.
WORD = re.compile(r"""'(?:[^']|'(?=\S))*'|"(?:[^"]|"(?=\S))*"|\S+""")


@dataclass(frozen=True)
class TextFrames:
    """Where the frames of a file lie.

    Parameters
    ----------
    path : pathlib.Path
        The file, unpacked.
    name : path
        What messages call it.
    kind : {"pdb", "gro", "cif"}
    places : numpy.ndarray of int, shape (f, 2)
        Where each frame begins and ends.
    first : bytes
        A file of the first frame alone, with all that the file says beside frames.
    all_times : numpy.ndarray, shape (f,), or None
        ps; None where the file does not tell them.
    columns : tuple of int
        Of mmCIF: where a row has x, y and z, and how many words it has.
    folder : tempfile.TemporaryDirectory or None
        Of a file that was unpacked, as long as it is needed.
    """

    path: Path
    name: object
    kind: str
    places: np.ndarray
    first: bytes
    all_times: np.ndarray | None = None
    columns: tuple = ()
    folder: object = field(default=None, repr=False)

    @property
    def n_frames(self):
        return len(self.places)

    def read(self, numbers, n_atoms):
        """Read frames.

        Parameters
        ----------
        numbers : sequence of int
        n_atoms : int
            That each of them has.

        Returns
        -------
        positions : numpy.ndarray, shape (f, n, 3)
            nm, float32.
        vectors : list of numpy.ndarray, shape (3, 3), or None
            Box vectors in nm of frames that tell them.

        Raises
        ------
        DataError
            If a frame is damaged, or of another number of atoms.
        """
        positions, vectors = np.empty((len(numbers), n_atoms, 3), np.float32), []
        with open(self.path, "rb") as file:
            for row, number in enumerate(numbers):
                begin, end = self.places[number].tolist()
                file.seek(begin)
                try:
                    own, box = getattr(self, f"_{self.kind}")(file.read(end - begin))
                except (ValueError, IndexError) as error:
                    raise DataError(f"{self.name} is damaged in frame {number}: copy it again") from error
                if len(own) != n_atoms:
                    raise DataError(f"frame {number} of {self.name} has {len(own)} particles, the first has {n_atoms}")
                positions[row] = own
                vectors.append(box)
        return positions, vectors

    def _pdb(self, block):
        lines = block.split(b"\n")
        atoms = [line for line in lines if line.startswith((b"ATOM  ", b"HETATM"))]
        cell = next((line for line in lines if line.startswith(b"CRYST1")), None)
        return _numbers(atoms, 30, 8) / ANGSTROM_PER_NM, None if cell is None else _cell_of_pdb(cell)

    def _gro(self, block):
        _, count, *rows = block.split(b"\n")
        rows, box = rows[: int(count)], rows[int(count)]
        points = [k for k, letter in enumerate(rows[0]) if letter == ord(".")]
        return _numbers(rows, 20, points[1] - points[0]), _box_of_gro(box)

    def _cif(self, block):
        *places, width = self.columns
        rows = [_words(line, width) for line in block.decode(errors="replace").split("\n") if line.strip()]
        return np.array([[row[k] for k in places] for row in rows], float) / ANGSTROM_PER_NM, None


def find_text_frames(path, kind):
    """Return the `TextFrames` of a file, or None where its frames cannot be told apart without reading all of it.

    Parameters
    ----------
    path : path
    kind : {"pdb", "gro", "cif"}

    Raises
    ------
    DataError
        If a file called .gz is none.
    """
    path, folder, plain = Path(path), None, Path(path)
    if path.suffix.lower() == ".gz":
        folder = tempfile.TemporaryDirectory()
        plain = unpack(path, Path(folder.name) / "file")
    if plain.stat().st_size == 0:
        return None
    with open(plain, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = {"pdb": _scan_pdb, "gro": _scan_gro, "cif": _scan_cif}[kind](data)
    if found is None:
        return None
    return TextFrames(plain, path, kind, *found, folder=folder)


def _scan_pdb(data):
    ends = np.fromiter(chain([0], (match.end() for match in PDB_END.finditer(data)), [len(data)]), np.int64)
    there = [PDB_ATOMS.search(data, a, b) is not None for a, b in pairwise(ends.tolist())]
    places = np.stack([ends[:-1], ends[1:]], axis=1)[there]
    # Bonds stand behind all models.
    return (places, data[: places[0, 1]] + data[places[-1, 1] :]) if len(places) else None


def _scan_gro(data):
    ends, times, first = array("q", [0]), array("d"), None
    while data.tell() < len(data):
        begin, title, count = data.tell(), data.readline(), data.readline()
        if not count.strip() and not title.strip():
            # Empty lines at the end.
            continue
        if not count.strip().isdigit() or begin != ends[-1]:
            return None
        for _ in range(int(count) + 1):
            if not data.readline():
                return None
        ends.append(data.tell())
        times.append(_time_of_gro(title))
        first = first or data[begin : data.tell()]
    if not first:
        return None
    ends, times = np.array(ends), np.array(times)
    return np.stack([ends[:-1], ends[1:]], axis=1), first, None if np.isnan(times).any() else times


def _scan_cif(data):
    """Frames by runs of one model number among the rows of atoms, which are a row a line."""
    start = data.find(b"_atom_site.")
    if start < 0:
        return None
    data.seek(start)
    names, begin = [], start
    while (line := data.readline()).startswith(b"_atom_site."):
        names.append(line.split()[0].decode(errors="replace").removeprefix("_atom_site."))
        begin = data.tell()
    wanted = ("Cartn_x", "Cartn_y", "Cartn_z", "pdbx_PDB_model_num")
    if any(name not in names for name in wanted):
        return None
    *columns, model = (names.index(name) for name in wanted)
    data.seek(begin)
    begins, last, end = array("q"), None, begin
    while (line := data.readline()) and not line.startswith((b"#", b"loop_", b"_", b"data_", b";")):
        words = _words(line.decode(errors="replace"), len(names), strict=False)
        if words is None:
            return None
        if words[model] != last:
            last = words[model]
            begins.append(end)
        end = data.tell()
    if not begins:
        return None
    places = np.stack([begins, [*begins[1:], end]], axis=1)
    return places, data[: places[0, 1]] + data[end:], None, (*columns, len(names))


def _words(line, width, strict=True):
    words = line.split()
    if len(words) != width:
        words = WORD.findall(line)
    if len(words) != width:
        if strict:
            raise ValueError("row")
        return None
    return words


def _numbers(lines, start, width):
    """Three columns of lines as an array (n, 3)."""
    columns = [[line[start + k * width : start + (k + 1) * width] for k in range(3)] for line in lines]
    return np.array(columns, dtype=f"S{width}").astype(float).reshape(-1, 3)


def _cell_of_pdb(line):
    try:
        sizes = [float(line[a : a + w]) for a, w in ((6, 9), (15, 9), (24, 9), (33, 7), (40, 7), (47, 7))]
    except ValueError:
        return None
    return vectors_of_cells([np.array(sizes[:3]) / ANGSTROM_PER_NM], [sizes[3:]])[0]


def _box_of_gro(line):
    sizes = [float(word) for word in line.split()]
    if len(sizes) not in (3, 9):
        raise ValueError("box")
    box = np.diag(sizes[:3])
    if len(sizes) == 9:
        box[0, 1], box[0, 2], box[1, 0], box[1, 2], box[2, 0], box[2, 1] = sizes[3:]
    return box


def _time_of_gro(title):
    found = re.search(rb"t=\s*([-+]?\d[\d.eE+-]*)", title)
    try:
        return float(found.group(1)) if found else np.nan
    except ValueError:
        return np.nan
