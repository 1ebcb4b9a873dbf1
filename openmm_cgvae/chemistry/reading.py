"""Molecules of files and of SMILES, one record after another; a broken record does not end the reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmm_cgvae.core.errors import MoleculeError

__all__ = ["MoleculeRecord", "parsed_smiles", "read_molecules"]

SMILES_FILES = (".smi", ".smiles", ".txt")


@dataclass(frozen=True)
class MoleculeRecord:
    """One record of a source.

    Parameters
    ----------
    place : str
        Where it is, for messages: the file and the number of the record in it.
    name : str
        Its title, or the SMILES where it has none.
    mol : rdkit.Chem.Mol or None
        None if the record is broken.
    problem : str
        Why it is, else empty.
    """

    place: str
    name: str
    mol: Any
    problem: str = ""


def read_molecules(source: str | Path) -> Iterator[MoleculeRecord]:
    """Read the molecules of a file of SMILES (``.smi``, ``.txt``: a SMILES and a name a line) or an SDF file.

    Raises
    ------
    MoleculeError
        If the file is missing or of another format.
    """
    path = Path(source)
    if not path.is_file():
        raise MoleculeError(f"{path} does not exist: a file of molecules (.sdf, .smi) is expected")
    if path.suffix.lower() in SMILES_FILES:
        yield from _smiles_lines(path)
    elif path.suffix.lower() in (".sdf", ".sd", ".mol"):
        yield from _sdf_records(path)
    else:
        raise MoleculeError(f"{path} is no file of molecules that can be read: .sdf or .smi is expected")


def parsed_smiles(text: str) -> Any:
    """Read one SMILES.

    Returns
    -------
    rdkit.Chem.Mol

    Raises
    ------
    MoleculeError
        If it cannot be read.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text)
    if mol is None:
        raise MoleculeError(f"SMILES {text} cannot be read")
    return mol


def _smiles_lines(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        smiles, _, name = line.strip().partition(" ")
        place = f"{path.name}:{number}"
        try:
            yield MoleculeRecord(place, name or smiles, parsed_smiles(smiles))
        except MoleculeError as error:
            yield MoleculeRecord(place, name or smiles, None, str(error))


def _sdf_records(path):
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        for number, mol in enumerate(Chem.SDMolSupplier(str(path), removeHs=False), 1):
            place = f"{path.name}:{number}"
            if mol is None:
                yield MoleculeRecord(place, "", None, "the record cannot be read")
            else:
                yield MoleculeRecord(place, mol.GetProp("_Name") if mol.HasProp("_Name") else "", mol)
