"""Models of any small molecule, bound to one whose beads a coarse-grained run moves."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from openmm import app

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["AnyLigand", "LigandBackmapper"]

# Approximate conformers, which give bond lengths, angles and ring conformations, and the seed that they are made by.
BASES, BASE_SEED = 64, 2023
# Structures a call: each is chosen of many conformers.
CHUNK = 16
# Ratio of the distance of two bonded beads to the nearest and the farthest of the approximate conformers.
NEAREST, FARTHEST = 0.4, 2.5


class AnyLigand:
    """The `ModelKind` of models of any small molecule."""

    of_any_molecule = True

    @staticmethod
    def rebuild(file):
        """Build the module by the package's own classes."""
        from openmm_cgvae.ligands.model import rebuild_ligand

        return rebuild_ligand(file.metadata["model"], file.state)

    @staticmethod
    def bind(
        file, topology=None, *, molecule=None, mapping=None, temperature=1.0, representative=False, device="cpu",
        precision="single", chunk_size=None,
    ):  # fmt: skip
        """Make the `LigandBackmapper` of a molecule.

        Parameters
        ----------
        file : ModelFile
        topology : openmm.app.Topology or mdtraj.Topology, optional
            Of the beads, which is checked.
        molecule : optional
            A SMILES, a file, an RDKit molecule or an all-atom topology with hydrogens (see `as_molecule`); that of the
            mapping if omitted.
        mapping : CGMapping or path, optional
            Of its atoms on the beads; ``CGMapping.rigid_fragments(molecule)`` if omitted.
        temperature : float
            Of the torsions' distributions: 1 samples them, less prefers the likely ones.
        representative : bool
            Take the likeliest structure, one a frame.
        device, precision, chunk_size
            As of `Backmapper`.

        Raises
        ------
        TopologyMismatchError
            If neither molecule nor mapping is given, or they or the beads are of different molecules.
        """
        mapping = _mapping(molecule, mapping)
        mol = _molecule(molecule, mapping)
        if not temperature > 0:
            raise SettingsError(f"temperature={temperature} given: a positive number is expected (or representative)")
        if topology is not None:
            _check_beads(topology, mapping)
        module = copy.deepcopy(file.module)
        tensors, made, order = _tensors(mol, mapping, file.metadata.get("approximate", "mmff"))
        module.take(tensors)
        module.temperature = 0.0 if representative else float(temperature)
        bound = replace(file, module=module, mapping=None, state={})
        return LigandBackmapper(bound, mapping, made, order, device, precision, chunk_size or CHUNK)

    @staticmethod
    def serves(file):
        """Say which molecules the model is of."""
        return f"any small molecule, on {file.metadata['beads']}"


class LigandBackmapper(Backmapper):
    """Samples all-atom structures of one small molecule at its beads.

    ``Backmapper.load("ligands", molecule="CC(=O)Nc1ccc(O)cc1").sample(positions)``; beads are its rigid fragments. A
    molecule of one bead is turned at random, and one of two about the line through them.

    Parameters
    ----------
    model : ModelFile
        Its module has taken the molecule.
    mapping : CGMapping
    positions : array, shape (S, n, 3)
        Approximate conformers in nm.
    order : int array, shape (n,)
        For every atom of the mapping that of the module.
    device, precision, chunk_size
        As of `Backmapper`.
    """

    def __init__(self, model, mapping, positions, order, device, precision, chunk_size):
        super().__init__(model, device, precision, chunk_size, mapping=mapping)
        self._atom_order = order
        bonds = np.array(mapping.bead_bonds, dtype=np.int64).reshape(-1, 2)
        beads = mapping.weighted_sums(positions)
        lengths = np.linalg.norm(beads[:, bonds[:, 0]] - beads[:, bonds[:, 1]], axis=-1)
        self._bonds = bonds
        self._limits = lengths.min(0) * NEAREST, lengths.max(0) * FARTHEST

    def _options(self):
        return [*super()._options(), float(self._module.temperature)]

    def _called(self, function, *arrays):
        return super()._called(function, *arrays)[:, self._atom_order]

    def reconstruct(self, positions):
        """Refuse: torsions of given structures are not encoded (`SettingsError`)."""
        raise SettingsError("a model of small molecules has no encoder: sample at the beads (mapping.project)")

    def _check_spread(self, beads, frames):
        """Refuse beads that cannot be bonded, as wrong units and molecules in pieces make them."""
        lengths = np.linalg.norm(beads[:, self._bonds[:, 0]] - beads[:, self._bonds[:, 1]], axis=-1)
        bad = np.argwhere(~((lengths >= self._limits[0]) & (lengths <= self._limits[1])))
        if len(bad):
            frame, k = bad[0]
            i, j = self._bonds[k]
            raise PositionsError(
                f"beads {i} and {j} of frame {frames[frame]} are {lengths[frame, k]:.3g} nm apart, "
                f"{self._limits[0][k]:.2g} to {self._limits[1][k]:.2g} nm are expected: check that positions are in "
                "nm, in the order of the mapping's beads, and molecules whole"
            )


def _mapping(molecule, mapping):
    if isinstance(mapping, CGMapping):
        return mapping
    if mapping is not None:
        return CGMapping.load(mapping)
    if molecule is None:
        raise TopologyMismatchError(
            "a model of any small molecule given without the molecule: give its SMILES or file (molecule=..., on the "
            "command line --molecule), or its mapping"
        )
    return CGMapping.rigid_fragments(molecule)


def _molecule(molecule, mapping):
    """The RDKit molecule of a mapping's atoms, or the one given, whose atoms are the same."""
    from openmm_cgvae.chemistry.reading import as_molecule

    mol = as_molecule(mapping.topology if molecule is None else molecule)
    own = [atom.element and atom.element.atomic_number for atom in mapping.topology.atoms()]
    if own != [atom.GetAtomicNum() for atom in mol.GetAtoms()]:
        raise TopologyMismatchError(
            f"a molecule of {mol.GetNumAtoms()} atoms given, the mapping is of {mapping.n_atoms} or of others: give "
            "the same one, with its hydrogens"
        )
    return mol


def _tensors(mol: Any, mapping: CGMapping, relaxation: str):
    """What the module takes of a molecule, its approximate conformers in nm, and its atom for each of the mapping's."""
    from openmm_cgvae.chemistry.approximate import approximate_conformers, canonical_molecule
    from openmm_cgvae.chemistry.usable import usable_molecules
    from openmm_cgvae.ensembles.binding import ligand_tensors

    molecules, _ = usable_molecules(mol, seed=BASE_SEED)
    if len(molecules) != 1 or molecules[0].GetNumAtoms() != mol.GetNumAtoms():
        raise TopologyMismatchError(f"{len(molecules)} molecules, or one without its hydrogens, given: one is expected")
    canonical, order = canonical_molecule(molecules[0])
    made = approximate_conformers(canonical, BASES, BASE_SEED, relaxation)
    assignment, weights = np.empty_like(mapping.assignment), np.empty(mapping.n_atoms)
    assignment[order], weights[order] = mapping.assignment, mapping.fractions
    positions = np.array([conformer.GetPositions() for conformer in made.GetConformers()])[:, order] / 10
    return ligand_tensors(made, assignment=assignment, weights=weights), positions, order


def _check_beads(topology: app.Topology, mapping: CGMapping):
    """Refuse a topology of other beads (`TopologyMismatchError`)."""
    from openmm_cgvae.molecule.topology import as_mdtraj_topology

    given = [atom.name for atom in as_mdtraj_topology(topology).atoms]
    own = [atom.name for atom in mapping.cg_topology().atoms()]
    if given != own:
        raise TopologyMismatchError(
            f"a topology of {len(given)} particles ({', '.join(given[:4])}, ...) given, the molecule has "
            f"{len(own)} beads ({', '.join(own[:4])}, ...): it is of another molecule or mapping"
        )
