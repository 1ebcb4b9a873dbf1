"""Files that hold names beside positions, PDB, mmCIF and GRO: their topology, frames and box."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.periodic import boxes_of_frames, vectors_of_cells
from openmm_cgvae.core.plainfiles import ascii_folder, file_format, plain_file
from openmm_cgvae.core.translation import translated
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.formats.textframes import TextFrames, find_text_frames
from openmm_cgvae.molecule.elements import forget_guessed_elements
from openmm_cgvae.molecule.foreign import foreign_topology

if TYPE_CHECKING:
    import mdtraj

    from openmm_cgvae.core.types import PathLike, SomeTopology

__all__ = ["STRUCTURES", "StructureFile", "load_box", "load_topology"]

STRUCTURES = (".pdb", ".ent", ".cif", ".mmcif", ".pdbx", ".gro")
CIF = (".cif", ".mmcif", ".pdbx")
# Of positions that are read in two ways.
SAME_NM = 1e-3
# Atoms a nm^3: ten times those of water.
DENSEST = 1000.0
# Characters that a format has for the name of an atom.
NAME_WIDTHS = {".pdb": 4, ".ent": 4, ".gro": 5}


def load_topology(path: PathLike | SomeTopology, own_names: bool = False) -> mdtraj.Topology:
    """Read the mdtraj ``Topology`` of a PDB, mmCIF, GRO, prmtop or PSF file, gzip unpacked, or of another library's.

    Elements are those the file tells, or that names tell without doubt; beads have none.

    Parameters
    ----------
    path : path or object
        A file, or what `foreign_topology` takes, whose names and elements stay.
    own_names : bool
        Keep names of PDB and GRO files as they are, for beads; those of atoms are made standard otherwise.

    Raises
    ------
    DataError
        If the file is missing or cannot be read.
    """
    import mdtraj

    if not isinstance(path, str | os.PathLike):
        return foreign_topology(path)
    if not Path(path).is_file():
        raise DataError(f"topology {path} does not exist")
    if file_format(path) in STRUCTURES:
        found = StructureFile.read(path, "topology")
        return found.named_topology if own_names else found.topology
    expected = "a PDB, mmCIF, GRO, prmtop or PSF file is expected"
    with translated(DataError, f"topology {path} cannot be read: {expected} ({{reason}})"), plain_file(path) as plain:
        topology = mdtraj.load_topology(str(plain))
    # Elements by atomic number or mass: an ion's name counts all the same.
    forget_guessed_elements(topology, range(topology.n_atoms))
    return topology


def load_box(path: PathLike) -> np.ndarray | None:
    """Read the periodic box of a PDB, mmCIF or GRO file: vectors (3, 3) in nm, None if it has none."""
    if file_format(path) not in STRUCTURES:
        return None
    vectors = boxes_of_frames(StructureFile.read(path, "topology").vectors[:1], path)
    return None if vectors is None else vectors[0]


# OpenMM's and mdtraj's words for a particle that is no atom.
NO_ELEMENT = ("EP", "VS")
# A row of the category of the unit cell, such as "_cell.length_a  30.0".
CELL = re.compile(r"^_cell\.(\S+)[ \t]+(\S+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class StructureFile:
    """All of a file: names, and frames that may be several, which are read where they lie if they can be told apart.

    Parameters
    ----------
    path : pathlib.Path
    topology : mdtraj.Topology
    positions : numpy.ndarray, shape (f, n, 3)
        nm; of the first frame alone, where others are read from the file.
    all_times : numpy.ndarray, shape (f,), or None
        ps; None where the file tells none.
    vectors : numpy.ndarray, shape (f, 3, 3)
        Box vectors in nm; zero where there is no box.
    own_names : list of (str, str) or None
        Residue and atom as the file has them, where the topology has standard names instead (HOH for SOL).
    text : TextFrames, optional
        Where frames lie.
    """

    path: Path
    topology: object
    positions: np.ndarray
    all_times: np.ndarray | None
    vectors: np.ndarray
    own_names: list | None = None
    text: TextFrames | None = None

    @classmethod
    def read(cls, path, what="trajectory"):
        """Read a file; `DataError` if it cannot be read."""
        kind = file_format(path)
        expected = f"a complete {'mmCIF' if kind in CIF else kind[1:].upper()} file is expected"
        with translated(DataError, f"{what} {path} cannot be read: {expected} ({{reason}})"):
            return _read_by_frames(path, kind) or _read_whole(path, kind)

    @property
    def n_atoms(self):
        return self.positions.shape[1]

    @property
    def n_frames(self):
        return len(self.positions) if self.text is None else self.text.n_frames

    @property
    def has_times(self):
        return self.all_times is not None

    @cached_property
    def name_width(self):
        """Characters of an atom's name that the format holds."""
        return NAME_WIDTHS.get(file_format(self.path))

    @cached_property
    def named_topology(self):
        """The topology with the file's own names."""
        topology = self.topology.copy()
        for atom, (residue, name) in zip(topology.atoms, self.own_names or [], strict=False):
            atom.name, atom.residue.name = name, residue
        return topology

    def times(self, frames):
        """Times in ps of frame numbers."""
        return self.all_times[frames]

    def frames(self, numbers):
        """Positions (f, n, 3) and box vectors (f, 3, 3), zero without a box, in nm."""
        if self.text is None:
            return self.positions[numbers], self.vectors[numbers]
        positions, own = self.text.read(numbers, self.n_atoms)
        vectors = np.array([self.vectors[0] if box is None else box for box in own]).reshape(-1, 3, 3)
        return positions, _without_dummies(vectors, self.n_atoms)


def _read_by_frames(path, kind):
    """A file whose frames can be told apart; None of another."""
    if not Path(path).stat().st_size:
        return None
    text = find_text_frames(path, "cif" if kind in CIF else "gro" if kind == ".gro" else "pdb")
    if text is None:
        return None
    with ascii_folder() as folder:
        plain = folder / f"first{kind}"
        plain.write_bytes(text.first)
        first = _read_plain(path, plain, kind)
    try:
        own = text.read([0], first.n_atoms)[0]
    except DataError:
        return None
    # Atoms in several places, of which the library takes one, are not told apart by lines.
    if not np.allclose(own, first.positions[:1], atol=SAME_NM):
        return None
    return replace(first, all_times=text.all_times, text=text)


def _read_whole(path, kind):
    with plain_file(path) as plain:
        return _read_plain(path, plain, kind)


def _read_plain(path, plain, kind):
    return _read_cif(path, plain) if kind in CIF else _read_with_mdtraj(path, plain, kind)


def _read_with_mdtraj(path, plain, kind):
    import mdtraj

    found = mdtraj.load(str(plain)) if kind == ".gro" else mdtraj.load_pdb(str(plain), no_boxchk=True)
    columns = (_columns_of_gro if kind == ".gro" else _columns_of_pdb)(plain)
    declared = {k: element for k, (_, _, element) in enumerate(columns) if element}
    forget_guessed_elements(found.topology, declared, [k for k, name in declared.items() if name in NO_ELEMENT])
    names = [row[:2] for row in columns] if len(columns) == found.n_atoms else None
    cells = (None, None) if found.unitcell_lengths is None else (found.unitcell_lengths, found.unitcell_angles)
    times = found.time.astype(float) if kind == ".gro" and _tells_time(plain) else None
    vectors = np.zeros((len(found), 3, 3)) if cells[0] is None else vectors_of_cells(*cells)
    return StructureFile(Path(path), found.topology, found.xyz, times, _without_dummies(vectors, found.n_atoms), names)


def _columns_of_pdb(path):
    """Names of residue and atom, and element or "", of each atom of the first model, as the columns have them."""
    rows = {}
    with open(path, errors="replace") as file:
        for line in file:
            if line.startswith(("ATOM", "HETATM")):
                # Of alternate places mdtraj reads one.
                place = (line[12:16], line[17:27], len(rows) if line[16:17] in ("", " ") else None)
                rows.setdefault(place, (line[17:21].strip(), line[12:16].strip(), line[76:78].strip()))
            elif line.startswith("ENDMDL"):
                break
    return list(rows.values())


def _columns_of_gro(path):
    with open(path, errors="replace") as file:
        next(file)
        count = int(next(file))
        return [(line[5:10].strip(), line[10:15].strip(), "") for line, _ in zip(file, range(count), strict=False)]


def _without_dummies(vectors, n_atoms):
    """Boxes with no room for their atoms, as databases fill them in, become zero: no box."""
    return np.where((np.linalg.det(vectors) * DENSEST < n_atoms)[:, None, None], 0.0, vectors)


def _tells_time(path):
    with open(path, errors="replace") as file:
        return "t=" in file.readline()


def _read_cif(path, plain):
    # What writes them is OpenMM too; mdtraj reads them as a topology only.
    from openmm.app import PDBxFile

    from openmm_cgvae.molecule.topology import as_mdtraj_topology

    text = plain.read_text(errors="replace")
    # OpenMM divides by the edges of a cell of zeros.
    found = PDBxFile(StringIO(re.sub(CELL, "", text)))
    topology = as_mdtraj_topology(found.topology)
    forget_guessed_elements(topology, range(topology.n_atoms))
    frames = [found.getPositions(asNumpy=True, frame=k)._value for k in range(found.getNumFrames())]
    vectors = np.tile(_without_dummies(_cell_of_cif(text), topology.n_atoms), (len(frames), 1, 1))
    return StructureFile(Path(path), topology, np.array(frames, np.float32), None, vectors)


def _cell_of_cif(text):
    """Box vectors (1, 3, 3) in nm; zero where the file has no cell, or leaves it open."""
    values = dict(re.findall(CELL, text))
    try:
        lengths = [float(values[f"length_{name}"]) / ANGSTROM_PER_NM for name in "abc"]
        angles = [float(values[f"angle_{name}"]) for name in ("alpha", "beta", "gamma")]
    except (KeyError, ValueError):
        return np.zeros((1, 3, 3))
    return vectors_of_cells([lengths], [angles])
