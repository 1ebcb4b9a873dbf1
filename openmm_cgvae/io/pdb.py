"""PDB and mmCIF files of any size, written with OpenMM.

mdtraj's PDB files of more than 99,999 atoms have wrong bonds: its CONECT records run over their columns. OpenMM goes
on in hexadecimal, which OpenMM reads back whole, and mdtraj without the bonds of non-standard residues. mmCIF has no
limit.
"""

from pathlib import Path

import numpy as np

from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = ["PDBWriter"]


class PDBWriter:
    """Writes frames as the models of a PDB or an mmCIF file, by the suffix of `path`.

    Chain and residue ids are kept where the format has room: PDB has one character for a chain and four for a residue
    number, and mmCIF, which names bonds by ids, needs chain ids that differ; chains are lettered or numbered otherwise.

    Parameters
    ----------
    path : path
        Ending in .pdb or .cif.
    topology : mdtraj.Topology or openmm.app.Topology
    """

    def __init__(self, path, topology):
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
        self._file = open(path, "w")  # noqa: SIM115 (closed by close)

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
            if self._count == 0:
                self._write_header(None if vectors is None else vectors[k])
            self._count += 1
            if self._cif:
                PDBxFile.writeModel(self._topology, frame, self._file, self._count, keepIds=True)
            else:
                # What mdtraj calls a particle without an element.
                options = {"keepIds": True, "extraParticleIdentifier": "VS"}
                PDBFile.writeModel(self._topology, frame, self._file, self._count, **options)

    def _write_header(self, vectors):
        from openmm.app import PDBFile, PDBxFile

        if vectors is not None:
            self._topology.setPeriodicBoxVectors(np.asarray(vectors, dtype=float))
        if self._cif:
            PDBxFile.writeHeader(self._topology, self._file, keepIds=True)
        else:
            PDBFile.writeHeader(self._topology, self._file)

    def close(self):
        """Finish the file: a PDB file has its bonds at the end."""
        from openmm.app import PDBFile

        if not self._cif and not self._file.closed:
            PDBFile.writeFooter(self._topology, self._file)
        self._file.close()


def _make_chain_ids_unique(topology):
    chains = list(topology.chains())
    ids = [chain.id for chain in chains]
    if len(set(ids)) < len(ids) or any(not name or set(name) & set(" \t'\"#") for name in ids):
        for k, chain in enumerate(chains):
            chain.id = str(k + 1)
