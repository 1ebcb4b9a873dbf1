"""Beads of files and of other libraries, read into one record."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from openmm_cgvae.binding import beadfiles
from openmm_cgvae.binding.beadrecord import BeadRecord, box_from_lengths
from openmm_cgvae.core.errors import DataError, PositionsError, TopologyMismatchError
from openmm_cgvae.core.translation import translated
from openmm_cgvae.core.units import value_in_md_units
from openmm_cgvae.molecule.foreign import attribute

__all__ = ["read_beads"]


def read_beads(source, positions=None):
    """Return the `BeadRecord` of a file or of another library's topology.

    Parameters
    ----------
    source : path or object
        A PDB, mmCIF, GRO, PSF or prmtop file, or a topology of OpenMM, mdtraj, ParmEd or MDAnalysis, or a pair of one
        and its positions.
    positions : array, shape (n, 3), optional
        nm; otherwise those of the source, if it has any.

    Raises
    ------
    DataError
        If the file is missing or cannot be read.
    TopologyMismatchError
        If it is no topology.
    PositionsError
        If `positions` are not of these beads.
    """
    if isinstance(source, BeadRecord):
        record = source
    elif isinstance(source, (str, Path)):
        record = _read_file(Path(source))
    else:
        record = _from_object(source)
    if record.n_beads == 0:
        raise TopologyMismatchError(f"{record.source} has no beads")
    if positions is None:
        return record
    positions = np.asarray(positions, dtype=float)
    if positions.shape != (record.n_beads, 3) or not np.isfinite(positions).all():
        raise PositionsError(
            f"positions of shape {positions.shape} given: finite ones of shape ({record.n_beads}, 3), one row for "
            f"every bead of {record.source}, are expected"
        )
    return replace(record, positions=positions)


def _read_file(path):
    if not path.is_file():
        raise DataError(f"topology {path} does not exist")
    readers = {
        ".pdb": beadfiles.read_pdb, ".ent": beadfiles.read_pdb, ".gro": beadfiles.read_gro,
        ".cif": _read_cif, ".mmcif": _read_cif, ".pdbx": _read_cif,
        ".psf": _read_mdtraj, ".prmtop": _read_mdtraj, ".parm7": _read_mdtraj, ".top": _read_mdtraj,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"topology {path}: one of {', '.join(readers)} is expected")
    with translated(DataError, f"topology {path} cannot be read ({{reason}}): a complete file is expected"):
        return reader(path)


def _read_cif(path):
    from openmm.app import PDBxFile

    file = PDBxFile(str(path))
    return _from_openmm(file.topology, file.getPositions(asNumpy=True)._value, str(path))


def _read_mdtraj(path):
    import mdtraj

    # What mdtraj makes of the elements of beads does not matter.
    return _from_mdtraj(mdtraj.load_topology(str(path)), None, str(path))


def _from_object(source):
    if isinstance(source, tuple | list) and len(source) == 2:
        return read_beads(source[0], value_in_md_units(source[1]))
    library = type(source).__module__.split(".")[0]
    if library in ("openmm", "simtk"):
        positions = getattr(source, "positions", None)
        topology = getattr(source, "topology", source)
        return _from_openmm(topology, None if positions is None else np.array(positions._value), "the OpenMM topology")
    if library == "mdtraj":
        positions = source.xyz[0] if hasattr(source, "xyz") else None
        vectors = getattr(source, "unitcell_vectors", None)
        box = None if vectors is None else vectors[0]
        return _from_mdtraj(getattr(source, "topology", source), positions, "the mdtraj topology", box)
    if library == "parmed":
        return _from_parmed(source)
    if library == "MDAnalysis":
        return _from_mdanalysis(source)
    raise TopologyMismatchError(
        f"a {type(source).__name__} given as beads: a path, or a topology of OpenMM, mdtraj, ParmEd or MDAnalysis is "
        "expected"
    )


def _number(text):
    """Residue number of an id that may be any text; None if it is no number."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def _record(rows, positions, bonds, source, box=None):
    """Record of rows (name, residue name, number, insertion code, chain, molecule, residue)."""
    names, residue_names, numbers, insertions, chains, molecules, residues = (
        zip(*rows, strict=True) if rows else [()] * 7
    )
    # Ids that are no numbers: residues are counted.
    counted = [residue + 1 if number is None else number for number, residue in zip(numbers, residues, strict=True)]
    return BeadRecord(
        names=[str(name).strip() for name in names],
        residue_names=[str(name).strip() for name in residue_names],
        numbers=np.array(counted, dtype=int),
        insertions=[str(code or "").strip() for code in insertions],
        chains=[str(chain or "").strip() for chain in chains],
        molecules=np.array(molecules, dtype=int),
        residues=np.array(residues, dtype=int),
        positions=None if positions is None else np.asarray(positions, dtype=float),
        bonds=np.array(sorted(bonds), dtype=int).reshape(-1, 2),
        box=None if box is None else np.asarray(box, dtype=float),
        source=source,
    )


def _from_openmm(topology, positions, source):
    rows = [
        (a.name, a.residue.name, _number(a.residue.id), a.residue.insertionCode, a.residue.chain.id,
         a.residue.chain.index, a.residue.index)
        for a in topology.atoms()
    ]  # fmt: skip
    bonds = [(b.atom1.index, b.atom2.index) for b in topology.bonds()]
    box = topology.getPeriodicBoxVectors()
    return _record(rows, positions, bonds, source, None if box is None else box._value)


def _from_mdtraj(topology, positions, source, box=None):
    rows = [
        (a.name, a.residue.name, a.residue.resSeq, "", a.residue.segment_id or getattr(a.residue.chain, "chain_id", ""),
         a.residue.chain.index, a.residue.index)
        for a in topology.atoms
    ]  # fmt: skip
    bonds = [(a.index, b.index) for a, b in topology.bonds]
    return _record(rows, positions, bonds, source, box)


def _from_parmed(structure):
    rows, molecule, previous = [], 0, None
    for a in structure.atoms:
        residue = a.residue
        # A residue may be marked as the last of its chain.
        if previous is not None and residue is not previous and previous.ter:
            molecule += 1
        previous = residue
        chain = residue.segid or residue.chain
        rows.append((a.name, residue.name, residue.number, residue.insertion_code, chain, molecule, residue.idx))
    bonds = [(b.atom1.idx, b.atom2.idx) for b in structure.bonds]
    positions = None if structure.coordinates is None else structure.coordinates / 10.0
    box = None if structure.box is None else box_from_lengths(structure.box[:3] / 10.0, structure.box[3:])
    return _record(rows, positions, bonds, "the ParmEd structure", box)


def _from_mdanalysis(source):
    atoms = source.atoms
    chains = attribute(atoms, "chainIDs", None)
    if chains is None or not any(str(c).strip() for c in chains):
        chains = attribute(atoms, "segids", [""] * len(atoms))
    insertions = attribute(atoms, "icodes", [""] * len(atoms))
    # Not those of the universe but those of the group: a selection may leave atoms out.
    index = {int(i): k for k, i in enumerate(atoms.indices)}
    molecules = attribute(atoms, "segindices", [0] * len(atoms))
    rows = list(
        zip(atoms.names, atoms.resnames, map(int, atoms.resids), insertions, chains, molecules, atoms.resindices,
            strict=True)
    )  # fmt: skip
    pairs = attribute(atoms, "bonds", None)
    bonds = [] if pairs is None else [(index[i], index[j]) for i, j in pairs.indices if i in index and j in index]
    size = attribute(atoms, "dimensions", None)
    box = None if size is None else box_from_lengths(size[:3] / 10.0, size[3:])
    positions = attribute(atoms, "positions", None)
    positions = None if positions is None else np.asarray(positions) / 10.0
    return _record(rows, positions, bonds, "the MDAnalysis universe", box)
