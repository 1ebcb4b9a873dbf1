"""All-atom force fields: OpenMM's, ParmEd structures, Amber files; refused with a reason where they do not fit."""

import copy
from difflib import get_close_matches
from functools import cache

import numpy as np
from openmm import app, unit

from openmm_cgvae.core.errors import MinimizationError, MissingDependencyError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.periodic import box_widths
from openmm_cgvae.core.translation import translated

__all__ = [
    "IMPLICIT_SOLVENTS",
    "amber14",
    "create_atomistic_system",
    "create_system",
    "cutoff_nm",
    "first_line",
    "nearest_name",
]

IMPLICIT_SOLVENTS = ("HCT", "OBC1", "OBC2", "GBn", "GBn2")
CUTOFF_NM = 0.9
# charmm36 has caps as parts of the residues that they cap, which it takes by --caps merged.
OTHER_FIELD = "give a ForceField that has templates for its residues as they are named here, or a prmtop"


def create_atomistic_system(mapping, graph, forcefield=None, implicitSolvent=None, box=None):
    """Build the all-atom ``System`` of a molecule: no constraints, nothing rigid, no cutoff unless in a box.

    Parameters
    ----------
    mapping : CGMapping
    graph : MolecularGraph
        Of the same molecule.
    forcefield : openmm.app.ForceField, parmed.Structure or path, optional
        amber14 if omitted.
    implicitSolvent : str, optional
        One of `IMPLICIT_SOLVENTS`; vacuum if omitted.
    box : numpy.ndarray, shape (3, 3), optional
        Periodic box vectors in nm; long-range forces are then particle mesh Ewald's.

    Returns
    -------
    openmm.System

    Raises
    ------
    MinimizationError, TopologyMismatchError, SettingsError
        As `Minimizer` says.
    """
    solvent = (
        None if implicitSolvent is None else nearest_name("implicitSolvent", str(implicitSolvent), IMPLICIT_SOLVENTS)
    )
    if solvent and box is not None:
        raise SettingsError(f"implicitSolvent {solvent!r} given with a box: leave out one of them")
    if isinstance(forcefield, app.ForceField) and solvent:
        raise SettingsError(
            f"implicitSolvent {solvent!r} given with a ForceField: "
            f"include its file, ForceField(..., 'implicit/{solvent.lower()}.xml'), instead"
        )
    if forcefield is None:
        forcefield = amber14(*([f"implicit/{solvent.lower()}.xml"] if solvent else []))
    if isinstance(forcefield, app.ForceField):
        return _system_from_forcefield(mapping.topology, forcefield, box)
    structure = _as_structure(forcefield)
    _check_same_molecule(structure, graph)
    settings = {"implicitSolvent": getattr(app, solvent)} if solvent else {}
    if box is not None:
        structure = copy.copy(structure)
        structure.box_vectors = box * unit.nanometer
    with translated(
        MinimizationError,
        "no energy for this ParmEd structure ({reason}): give one with all its parameters, as an Amber prmtop has them",
    ):
        return structure.createSystem(**_common_settings(box), **settings)


@cache
def amber14(*more):
    """OpenMM's amber14 with `more` of its files (of a solvent), read once: an ``openmm.app.ForceField``."""
    return app.ForceField("amber14-all.xml", *more)


def cutoff_nm(box):
    """Cutoff of the pair forces for box vectors, shape (3, 3)."""
    # OpenMM allows half the width; a little less leaves room for boxes that fluctuate.
    return min(CUTOFF_NM, 0.45 * float(box_widths(box).min()))


def _common_settings(box):
    """Arguments of both kinds of ``createSystem``."""
    pairs = {"nonbondedMethod": app.NoCutoff}
    if box is not None:
        pairs = {"nonbondedMethod": app.PME, "nonbondedCutoff": cutoff_nm(box) * unit.nanometer}
    return pairs | {"constraints": None, "rigidWater": False, "removeCMMotion": False}


def _system_from_forcefield(topology, forcefield, box):
    if box is not None:
        topology.setPeriodicBoxVectors(box * unit.nanometer)
    return create_system(topology, forcefield, **_common_settings(box))


def create_system(topology, forcefield, **settings):
    """``forcefield.createSystem``, whose refusals are ours.

    Parameters
    ----------
    topology : openmm.app.Topology
    forcefield : openmm.app.ForceField
    **settings
        Of ``createSystem``.

    Raises
    ------
    MinimizationError
        Naming the residues that the force field does not know, or why it cannot be used.
    """
    with translated(MinimizationError, f"the force field does not fit the molecule ({{reason}}): {OTHER_FIELD}"):
        try:
            return forcefield.createSystem(topology, **settings)
        except ValueError:
            # Of several templates that match, the search for those that do not says the same again.
            lacking = [f"{r.name}{r.index + 1}" for r in forcefield.getUnmatchedResidues(topology)]
            if not lacking:
                raise
            raise MinimizationError(
                f"the force field has no parameters for {', '.join(lacking[:5])}"
                f"{f' and {len(lacking) - 5} more' if len(lacking) > 5 else ''}: {OTHER_FIELD}"
            ) from None


def _as_structure(forcefield):
    """Return a ``parmed.Structure``, read from a file if need be."""
    try:
        import parmed
    except ImportError as error:
        raise MissingDependencyError(
            "a force field other than an openmm.app.ForceField needs ParmEd: pip install parmed"
        ) from error
    if isinstance(forcefield, parmed.Structure):
        return forcefield
    with translated(
        MinimizationError,
        f"force field {str(forcefield)!r} cannot be read ({{reason}}): an openmm.app.ForceField, a parmed.Structure or "
        "a file of parameters that ParmEd reads, such as a prmtop, is expected",
    ):
        structure = parmed.load_file(str(forcefield))
    if not isinstance(structure, parmed.Structure):
        raise MinimizationError(
            f"{forcefield} holds a {type(structure).__name__}: a molecule with its parameters, such as a prmtop, "
            "is expected"
        )
    return structure


def _check_same_molecule(structure, graph):
    """Check that elements and bonds agree in order; atom names differ between file formats and are not compared."""
    numbers = np.array([atom.atomic_number for atom in structure.atoms])
    if len(numbers) != graph.n_atoms:
        raise TopologyMismatchError(
            f"a ParmEd structure of {len(numbers)} atoms given, the mapping is of a molecule of {graph.n_atoms} atoms: "
            "give that of the same molecule, without solvent"
        )
    differing = np.flatnonzero(numbers != graph.atomic_numbers)
    bonds = {tuple(sorted((bond.atom1.idx, bond.atom2.idx))) for bond in structure.bonds}
    odd = bonds ^ {tuple(sorted(bond)) for bond in graph.bonds.tolist()}
    if differing.size or odd:
        i = int(differing[0]) if differing.size else min(odd)[0]
        what = "of another element" if differing.size else "bonded to another atom"
        raise TopologyMismatchError(
            f"atom {i} ({graph.residues[i]} {graph.names[i]}) is {what} in the ParmEd structure: "
            "it is of another molecule, or its atoms are in another order"
        )


def nearest_name(what, given, names):
    """Return the entry of `names` that equals `given` apart from case; otherwise raise, naming the nearest one."""
    by_lower = {name.lower(): name for name in names}
    if given.lower() not in by_lower:
        near = get_close_matches(given.lower(), by_lower, n=1)
        hint = f", did you mean {by_lower[near[0]]!r}?" if near else ""
        raise SettingsError(f"{what} {given!r} given: one of {', '.join(names)} is expected{hint}")
    return by_lower[given.lower()]


def first_line(error):
    """The first line of another package's error, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
