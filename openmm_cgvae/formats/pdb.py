"""PDB and mmCIF files of any size, written with OpenMM.

mdtraj's PDB files of more than 99,999 atoms have wrong bonds: its CONECT records run over their columns. OpenMM goes
on in hexadecimal, which OpenMM reads back whole, and mdtraj without the bonds of non-standard residues. mmCIF has no
limit.
"""

from collections import defaultdict
from io import StringIO
from pathlib import Path

import numpy as np

from openmm_cgvae.core.periodic import reduced_vectors
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.formats.outputfile import OutputFile
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = ["PDBWriter"]

NO_ELEMENT = "EP"


class PDBWriter:
    """Writes frames as the models of a PDB or an mmCIF file, by the suffix of `path`.

    Chain and residue ids are kept where the format has room: PDB has one character for a chain and four for a residue
    number, and mmCIF, which names bonds by ids, needs chain ids that differ; chains are lettered or numbered otherwise.

    Parameters
    ----------
    path : path
        Ending in .pdb or .cif.
    topology : mdtraj.Topology or openmm.app.Topology
    name : path, optional
        What messages call the file, where `path` is a temporary one.
    """

    def __init__(self, path, topology, name=None):
        from openmm.app import Topology

        self._cif = Path(path).suffix.lower() == ".cif"
        # By way of mdtraj, for a copy: the box is the file's own.
        self._topology = as_mdtraj_topology(topology).to_openmm()
        if isinstance(topology, Topology):
            # mdtraj knows no insertion codes.
            for own, given in zip(self._topology.residues(), topology.residues(), strict=True):
                own.insertionCode = given.insertionCode
        if self._cif:
            _make_chain_ids_unique(self._topology)
        self._count = 0
        self._file = OutputFile(path, name=name)

    def write(self, positions, vectors=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        vectors : numpy.ndarray, shape (f, 3, 3), optional
            Box vectors in nm; both formats have room for one box, the first frame's.
        """
        from openmm.app import PDBFile, PDBxFile

        for k, frame in enumerate(np.asarray(positions, dtype=float) * ANGSTROM_PER_NM):
            text = StringIO()
            if self._count == 0:
                self._write_header(text, None if vectors is None else vectors[k])
            self._count += 1
            if self._cif:
                PDBxFile.writeModel(self._topology, frame, text, self._count, keepIds=True)
            else:
                # What OpenMM takes for a particle without an element: it would guess calcium of a bead called CA,
                # and leave its bonds out.
                options = {"keepIds": True, "extraParticleIdentifier": NO_ELEMENT}
                PDBFile.writeModel(self._topology, frame, text, self._count, **options)
            self._file.append(text.getvalue().encode())

    def _write_header(self, file, vectors):
        from openmm.app import PDBFile, PDBxFile

        if vectors is not None:
            self._topology.setPeriodicBoxVectors(reduced_vectors(vectors))
        if self._cif:
            header = StringIO()
            PDBxFile.writeHeader(_without_bonds(self._topology), header, keepIds=True)
            before, atoms = header.getvalue().split("loop_\n_atom_site.", 1)
            bonds = "".join(f"{line}\n" for line in _struct_conn(self._topology))
            file.write(f"{before}{bonds}loop_\n_atom_site.{atoms}")
        else:
            PDBFile.writeHeader(self._topology, file)

    def flush(self):
        """Have what was written put on the disk."""
        self._file.flush()

    def close(self):
        """Finish the file, a PDB file with its bonds; `OutputError` if not all of it is on the disk."""
        if not self._cif and not self._file.closed and not self._file.failed:
            self._file.append("".join(f"{line}\n" for line in [*_conect(self._topology), "END"]).encode())
        self._file.close()


def _explicit_bonds(topology):
    """Bonds, sorted pairs of atoms, of residues that are not standard, and all that names do not imply.

    OpenMM's own writers leave out whatever joins residues of standard names: beads that are called as amino acids are.
    """
    from openmm.app import PDBFile

    implied, explicit = _implied_bonds(topology), set()
    for i, j in topology.bonds():
        pair = tuple(sorted((i.index, j.index)))
        if pair not in implied or not {i.residue.name, j.residue.name} <= set(PDBFile._standardResidues):
            explicit.add(pair)
    return sorted(explicit)


def _conect(topology):
    """CONECT records, at most four partners each."""
    serials, partners = _serials(topology), defaultdict(list)
    for i, j in _explicit_bonds(topology):
        partners[i].append(j)
        partners[j].append(i)
    for i in sorted(partners):
        for first in range(0, len(partners[i]), 4):
            yield "CONECT" + "".join(_index(serials[k]) for k in (i, *partners[i][first : first + 4]))


def _struct_conn(topology):
    """The lines of mmCIF that tell bonds."""
    bonds, atoms = _explicit_bonds(topology), list(topology.atoms())
    if not bonds:
        return
    yield from ("loop_", "_struct_conn.id", "_struct_conn.conn_type_id")
    for partner in ("ptnr1", "ptnr2"):
        yield from (f"_struct_conn.{partner}_label_{what}_id" for what in ("asym", "comp", "seq", "atom"))
    for number, pair in enumerate(bonds, 1):
        names = [(a.residue.chain.id, a.residue.name, a.residue.id, a.name) for a in (atoms[k] for k in pair)]
        kind = "disulf" if all(name[1] == "CYS" and name[3] == "SG" for name in names) else "covale"
        yield " ".join([f"bond{number}", kind, *names[0], *names[1]])
    yield "#"


def _implied_bonds(topology):
    bare = _without_bonds(topology)
    bare.createStandardBonds()
    return {tuple(sorted((i.index, j.index))) for i, j in bare.bonds()}


def _without_bonds(topology):
    from openmm.app import Topology

    bare = Topology()
    bare.setPeriodicBoxVectors(topology.getPeriodicBoxVectors())
    for chain in topology.chains():
        own = bare.addChain(chain.id)
        for residue in chain.residues():
            place = bare.addResidue(residue.name, own, residue.id, residue.insertionCode)
            for atom in residue.atoms():
                bare.addAtom(atom.name, atom.element, place)
    return bare


def _serials(topology):
    """Numbers of atoms as ``PDBFile.writeModel`` gives them: the end of each chain takes one too."""
    return [atom.index + 1 + atom.residue.chain.index for atom in topology.atoms()]


def _index(number):
    """Five columns: decimal up to 99,999, and from A0000 on hexadecimal, as OpenMM writes and reads them."""
    return f"{number:5d}" if number < 10**5 else f"{(number - 10**5 + 10 * 16**4) % 16**5:5X}"


def _make_chain_ids_unique(topology):
    chains = list(topology.chains())
    ids = [chain.id for chain in chains]
    if len(set(ids)) < len(ids) or any(not name or set(name) & set(" \t'\"#") for name in ids):
        for k, chain in enumerate(chains):
            chain.id = str(k + 1)
