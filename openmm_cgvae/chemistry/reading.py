"""Molecules of files, SMILES and objects of other packages; a broken record does not end the reading of a file."""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from openmm_cgvae.chemistry.blocks import file_text, mol2_blocks, pdb_blocks, sdf_blocks, smiles_lines, smiles_parts
from openmm_cgvae.chemistry.smilestext import smiles_problem
from openmm_cgvae.chemistry.topologies import STEREO, determine_orders, topology_molecule
from openmm_cgvae.core.errors import MoleculeError, one_line

__all__ = ["FORMATS", "MoleculeRecord", "as_molecule", "is_molecule_file", "parsed_smiles", "read_molecules"]

logger = logging.getLogger(__name__)

# By the ending of the name.
FORMATS = {
    ".smi": "smiles", ".smiles": "smiles", ".txt": "smiles", ".sdf": "sdf", ".sd": "sdf", ".mol": "sdf",
    ".mol2": "mol2", ".pdb": "pdb",
}  # fmt: skip
# Columns 79 and 80 of an atom of a PDB file.
CHARGE = re.compile(r"^(?:ATOM  |HETATM).{72}(\d)([+-])", re.MULTILINE)
# What more likely names a file than is a SMILES, if it can be neither.
PATH = re.compile(r"\.[a-z]\w+$|[/\\].*\.[A-Za-z]\w*$")


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
        Sanitised, with the hydrogens that the record has; None if it is broken.
    problem : str
        Why it is, else empty.
    notes : tuple of str
        What of it is not taken into account.
    """

    place: str
    name: str
    mol: Any
    problem: str = ""
    notes: tuple[str, ...] = ()


def is_molecule_file(text: str | Path) -> bool:
    """Whether a text names a file of molecules, by its ending or because it is there, rather than being a SMILES."""
    return isinstance(text, Path) or _kind(Path(text)) is not None or os.path.isfile(text)


def read_molecules(source: str | Path, charge: int = 0) -> Iterator[MoleculeRecord]:
    """Read the molecules of a file, or one SMILES; broken records come with their problem.

    Parameters
    ----------
    source : str or path
        A SMILES, or a file: SMILES (``.smi``, ``.txt``: one a line, a name behind it), SDF, MOL, MOL2 or PDB (a record
        up to each END), gzipped or not.
    charge : int
        Net charge of a molecule of a PDB file without bond orders; if 0, the sum of the charges that the file gives its
        atoms.

    Raises
    ------
    MoleculeError
        If the file is missing, or its ending is of no format that is read.
    """
    if not is_molecule_file(source):
        record = _smiles_record("SMILES", str(source))
        if record.mol is None and PATH.search(source):
            raise MoleculeError(f"molecules {source}: there is no such file, nor is it a SMILES ({record.problem})")
        yield record
        return
    path = Path(source)
    kind = _kind(path)
    if kind is None:
        raise MoleculeError(
            f"{path}: a file of molecules is expected, whose name ends with {', '.join(FORMATS)}, or .gz behind these"
        )
    text = file_text(path)
    if kind == "smiles":
        for number, line in smiles_lines(text):
            yield _smiles_record(f"{path.name}:{number}", line)
        return
    if kind == "pdb":
        blocks, parse = pdb_blocks(text, _unpacked(path).stem), partial(_pdb_molecule, charge=charge)
    else:
        blocks, parse = (sdf_blocks(text), _sdf_molecule) if kind == "sdf" else (mol2_blocks(text), _mol2_molecule)
    for number, (name, block) in enumerate(blocks, 1):
        yield _record(f"{path.name}:{number}", name, parse, block)


def as_molecule(given: Any, charge: int = 0) -> Any:
    """Return what is given as one RDKit molecule.

    Parameters
    ----------
    given : str, path, rdkit.Chem.Mol, openmm.app.Topology, parmed.Structure or mdtraj.Topology
        A SMILES, to which hydrogens are added; a file of one molecule; or an object, as it is.
    charge : int
        Net charge, where bond orders must be determined and no formal charges are known.

    Returns
    -------
    rdkit.Chem.Mol

    Raises
    ------
    MoleculeError
        If it cannot be read, or is a file of several molecules.
    """
    from rdkit import Chem

    if isinstance(given, Chem.Mol):
        return given
    if isinstance(given, str | Path):
        records = list(read_molecules(given, charge))
        if len(records) != 1:
            raise MoleculeError(f"{given} holds {len(records)} molecules: one is expected")
        if records[0].mol is None:
            raise MoleculeError(f"{records[0].place}: {records[0].problem}")
        for note in records[0].notes:
            logger.warning("%s: %s", records[0].place, note)
        return records[0].mol if is_molecule_file(given) else Chem.AddHs(records[0].mol)
    if hasattr(given, "to_openmm"):
        topology = given.to_openmm()
        setattr(topology, STEREO, getattr(given, STEREO, None))
        return topology_molecule(topology, charge)
    if hasattr(given, "topology") and hasattr(given, "residues"):
        # A ParmEd structure has partial charges, which add up to the net one.
        return topology_molecule(given.topology, charge or round(sum(atom.charge for atom in given.atoms)))
    if hasattr(given, "addAtom") and hasattr(given, "bonds"):
        return topology_molecule(given, charge)
    raise MoleculeError(
        f"a {type(given).__name__} given: a SMILES, a file, an RDKit molecule, or a topology of OpenMM, "
        "ParmEd or mdtraj is expected"
    )


def parsed_smiles(text: str) -> Any:
    """Read one SMILES.

    Returns
    -------
    rdkit.Chem.Mol

    Raises
    ------
    MoleculeError
        If it cannot be read; the message says where it is wrong.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        # RDKit ends at a character that is not ASCII, as if nothing followed.
        mol = Chem.MolFromSmiles(text.strip()) if text.isascii() else None
    if mol is None or not mol.GetNumAtoms():
        position, why = smiles_problem(text.strip())
        place = "" if position is None else f" at position {position}"
        raise MoleculeError(f"SMILES {text.strip()!r} is invalid{place}: {why}")
    return mol


def _kind(path):
    """Format of a file by the ending of its name; None if it is of no format that is read."""
    return FORMATS.get(_unpacked(path).suffix.lower())


def _unpacked(path):
    """Path without the ending that gzip adds."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _record(place, name, parse, *arguments):
    """The record that `parse` reads, or its problem."""
    from rdkit import rdBase

    try:
        with rdBase.BlockLogs():
            return MoleculeRecord(place, name, parse(*arguments))
    except MoleculeError as error:
        return MoleculeRecord(place, name, None, str(error))
    except Exception as error:
        # RDKit raises what it likes on damaged text.
        return MoleculeRecord(place, name, None, f"the record cannot be read ({one_line(error)})")


def _smiles_record(place, line):
    smiles, extension, name = smiles_parts(line)
    record = _record(place, name or smiles, parsed_smiles, smiles)
    note = f"{extension} behind the SMILES is not taken into account: the one isomer is done that the SMILES has"
    return replace(record, notes=(note,)) if extension else record


def _sdf_molecule(block):
    from rdkit import Chem

    supplier = Chem.SDMolSupplier()
    supplier.SetData(block, removeHs=False)
    mol = supplier[0] if len(supplier) else None
    if mol is not None:
        return _with_atoms(mol)
    bare = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    problems = Chem.DetectChemistryProblems(bare) if bare is not None else ()
    if problems:
        raise MoleculeError(f"no molecule: {one_line(problems[0].Message())}")
    raise MoleculeError("the record is damaged: a whole MOL block is expected, counts, atoms, bonds and M  END")


def _mol2_molecule(block):
    from rdkit import Chem

    mol = Chem.MolFromMol2Block(block, removeHs=False)
    if mol is None:
        _check_types(block)
        raise MoleculeError("the record is damaged, or its bond orders make no molecule")
    return _with_atoms(mol)


def _check_types(block):
    """Refuse atom types of MOL2 that are not SYBYL's: an element, or one with a dot and what it is bonded as."""
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    known = {table.GetElementSymbol(number) for number in range(1, 119)} | {"Du", "LP", "Any", "Hal", "Het", "Hev"}
    for line in block.partition("@<TRIPOS>ATOM\n")[2].partition("@<TRIPOS>")[0].split("\n"):
        number, name, *_, kind = line.split()[:6] if len(line.split()) > 5 else ("", "", "C")
        if kind.partition(".")[0] not in known:
            raise MoleculeError(
                f"atom {number} ({name}) has the type {kind!r}: SYBYL's are expected (C.3, O.co2, H), as "
                "'antechamber -at sybyl' writes them; or give an SDF file"
            )


def _pdb_molecule(text, charge):
    """The molecule of a PDB file, its bond orders by repeated CONECT records or determined from its hydrogens."""
    from rdkit import Chem

    mol = Chem.MolFromPDBBlock(text, sanitize=False, removeHs=False)
    if mol is None or not mol.GetNumAtoms():
        raise MoleculeError("no atom found: ATOM or HETATM records are expected")
    if not any(atom.GetAtomicNum() == 1 for atom in mol.GetAtoms()) and mol.GetNumAtoms() > 1:
        if all(str(bond.GetBondType()) == "SINGLE" for bond in mol.GetBonds()):
            raise MoleculeError("a PDB file without hydrogens tells no bond orders: give an SDF or MOL2 file")
    else:
        for atom in mol.GetAtoms():
            atom.SetNoImplicit(True)
        whole = Chem.Mol(mol)
        if Chem.DetectChemistryProblems(whole) or _has_radicals(whole):
            for bond in mol.GetBonds():
                bond.SetBondType(Chem.BondType.SINGLE)
            # RDKit's formal charges are guesses.
            own = [int(sign + number) for number, sign in CHARGE.findall(text.partition("\nENDMDL")[0])]
            determine_orders(mol, charge or sum(own))
    Chem.SanitizeMol(mol)
    Chem.AssignStereochemistryFrom3D(mol)
    return mol


def _has_radicals(mol):
    from rdkit import Chem

    Chem.SanitizeMol(mol)
    return any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


def _with_atoms(mol):
    if not mol.GetNumAtoms():
        raise MoleculeError("the record has no atom")
    return mol
