"""Atoms of PDB and mmCIF files as they stand there: alternates, occupancies and all."""

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError

__all__ = ["SUFFIXES", "AtomRecord", "is_structure", "read_atoms"]

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")
# A value of mmCIF: quoted, or without spaces.
_VALUE = re.compile(r"'(?:[^']|'(?=\S))*'|\"(?:[^\"]|\"(?=\S))*\"|\S+")
_CIF_COLUMNS = ("group_PDB", "auth_asym_id", "auth_comp_id", "auth_seq_id", "pdbx_PDB_ins_code", "label_atom_id",
                "label_alt_id", "occupancy", "Cartn_x", "Cartn_y", "Cartn_z", "pdbx_PDB_model_num")  # fmt: skip
_CIF_RESOLUTIONS = ("_refine.ls_d_res_high", "_em_3d_reconstruction.resolution", "_reflns.d_resolution_high")


@dataclass(frozen=True)
class AtomRecord:
    """One atom of a file.

    Parameters
    ----------
    chain, residue, number, insertion, name, alternate : str
        As the authors of the file call them.
    occupancy : float
    position : tuple of float
        Angstrom.
    """

    chain: str
    residue: str
    number: str
    insertion: str
    name: str
    alternate: str
    occupancy: float
    position: tuple


def is_structure(path):
    """Whether a file is a structure by its name."""
    return Path(path).name.lower().removesuffix(".gz").endswith(SUFFIXES)


def read_atoms(path):
    """Read the atoms of the first model.

    Parameters
    ----------
    path : path
        Ending in one of `SUFFIXES`, or in that and ``.gz``.

    Returns
    -------
    atoms : list of AtomRecord
    resolution : float
        Angstrom, NaN where the file does not tell.

    Raises
    ------
    DataError
        If the file cannot be read, or has no atoms.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rt") if path.suffix.lower() == ".gz" else path.open() as file:
            lines = file.read().splitlines()
        cif = path.name.lower().removesuffix(".gz").endswith("cif")
        atoms, resolution = _read_cif(lines) if cif else _read_pdb(lines)
    except (OSError, EOFError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"{path} cannot be read: a PDB or mmCIF file is expected ({error})") from error
    if not atoms:
        raise DataError(f"{path} has no atoms: a PDB or mmCIF file is expected")
    return atoms, resolution


def _read_pdb(lines):
    atoms, resolution = [], np.nan
    for line in lines:
        if line.startswith(("ATOM  ", "HETATM")):
            position = (float(line[30:38]), float(line[38:46]), float(line[46:54]))
            occupancy = float(line[54:60]) if line[54:60].strip() else 1.0
            names = (line[21], line[17:21], line[22:26], line[26], line[12:16], line[16])
            atoms.append(AtomRecord(*(name.strip() for name in names), occupancy, position))
        elif line.startswith("ENDMDL"):
            break
        elif line.startswith("REMARK   2 RESOLUTION."):
            found = re.search(r"\d+\.\d*", line[22:])
            resolution = float(found.group()) if found else np.nan
    return atoms, resolution


def _read_cif(lines):
    atoms, resolution, columns, model = [], np.nan, [], None
    for line in lines:
        if line.startswith("_atom_site."):
            columns.append(line.split()[0].removeprefix("_atom_site."))
        elif columns and line.startswith(("ATOM", "HETATM")):
            values = [value.strip("'\"") if value[0] in "'\"" else value for value in _VALUE.findall(line)]
            entry = {name: values[columns.index(name)] if name in columns else "" for name in _CIF_COLUMNS}
            model = entry["pdbx_PDB_model_num"] if model is None else model
            if entry["pdbx_PDB_model_num"] == model:
                atoms.append(_cif_atom(entry))
        elif line.startswith(_CIF_RESOLUTIONS) and len(line.split()) == 2 and np.isnan(resolution):
            value = line.split()[1]
            resolution = np.nan if value in ".?" else float(value)
    return atoms, resolution


def _cif_atom(entry):
    entry = {name: "" if value in (".", "?") else value for name, value in entry.items()}
    names = ("auth_asym_id", "auth_comp_id", "auth_seq_id", "pdbx_PDB_ins_code", "label_atom_id", "label_alt_id")
    occupancy = float(entry["occupancy"]) if entry["occupancy"] else 1.0
    position = tuple(float(entry[f"Cartn_{axis}"]) for axis in "xyz")
    return AtomRecord(*(entry[name] for name in names), occupancy, position)
