"""Assigns the beads of a coarse-grained topology to molecules and their kinds."""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from openmm_cgvae.core.errors import SettingsError, TopologyMismatchError

__all__ = ["FoundMolecule", "check_order", "find_molecules"]


# Characters that every file has for the names of a residue and of an atom: PDB, and GRO has 5 for both.
CUT_NAMES = (3, 4)


@dataclass(frozen=True)
class FoundMolecule:
    """Consecutive beads of a CG topology.

    Parameters
    ----------
    kind : str
        Name of the kind; of particles that no model covers, of their residue.
    first, n_beads : int
        The beads from `first` on.
    """

    kind: str
    first: int
    n_beads: int


def find_molecules(topology, kinds, others=(), counts=None):
    """Divide the particles of a CG topology into molecules.

    Molecules are consecutive particles that have the residue and bead names of a kind, and together they are all
    particles. Neither chains nor bonds are needed, but no bond may join two molecules. Names that a file has cut are
    compared as far as they go. Where names alone allow several divisions, a longer molecule goes before a shorter one
    that ends at the same bead.

    Parameters
    ----------
    topology : openmm.app.Topology
    kinds : dict of str to openmm.app.Topology
        The CG topology of each kind, as ``Backmapper.cg_topology()`` gives it.
    others : collection of str
        Residue names of particles that are no molecule of a kind.
    counts : sequence of (str, int), optional
        Kinds, or names of `others`, with their number of molecules, in order, as in a GROMACS topology. Beads may then
        have other names, but not those of the kinds in another order.

    Returns
    -------
    list of FoundMolecule

    Raises
    ------
    TopologyMismatchError
        If particles are of no kind, or do not follow one another as those of a kind do.
    SettingsError
        If two kinds have the same beads, or `counts` names an unknown kind.
    """
    beads = _bead_names(topology)
    sizes = {name: kind.getNumAtoms() for name, kind in kinds.items()}
    if counts is not None:
        found = _counted(counts, sizes, others, len(beads))
        covered = [molecule for molecule in found if molecule.kind in kinds]
        check_order(
            [bead for m in covered for bead in beads[m.first : m.first + m.n_beads]],
            [bead for m in covered for bead in _bead_names(kinds[m.kind])],
            "the CG topology",
        )
    else:
        free = _unbonded_boundaries(topology, others)
        found = _recognised(beads, {name: _bead_names(kind) for name, kind in kinds.items()}, others, free)
    _check_bonds(topology, [molecule for molecule in found if molecule.kind in kinds])
    return found


def check_order(given, expected, what):
    """Refuse particles that have the expected names, in another order.

    Parameters
    ----------
    given, expected : sequence of (str, str)
        Names of residue and bead. Other names than those expected say nothing of the order.
    what : str
        What has the names given, for the message.

    Raises
    ------
    TopologyMismatchError
        Naming the first that is out of place.
    """
    for parts in (slice(None), slice(1, None)):
        own, other = [bead[parts] for bead in given], [bead[parts] for bead in expected]
        if own != other and sorted(own) == sorted(other):
            k = next(k for k, pair in enumerate(zip(own, other, strict=True)) if pair[0] != pair[1])
            raise TopologyMismatchError(
                f"bead {k} of {what} is {_named(given[k])}, {_named(expected[k])} expected: the beads are those of the "
                "model in another order (sorted by type?); put them molecule by molecule, in the model's order"
            )
        if own == other:
            return


def _bead_names(topology):
    return [(atom.residue.name, atom.name) for atom in topology.atoms()]


def _unbonded_boundaries(topology, others):
    """Whether a molecule may end before each bead, and after the last: no bond leads across, but among `others`."""
    crossing = np.zeros(topology.getNumAtoms() + 1, dtype=np.int64)
    for atoms in topology.bonds():
        if not all(atom.residue.name in others for atom in atoms):
            first, last = sorted(atom.index for atom in atoms)
            crossing[first + 1] += 1
            crossing[last + 1] -= 1
    return np.cumsum(crossing) == 0


def _recognised(beads, kinds, others, free):
    _check_distinct(kinds)
    # Dynamic programming: the last molecule of a valid division that ends at each bead.
    ending = {0: None}
    for first, (residue, _) in enumerate(beads):
        if first not in ending:
            continue
        fitting = [(len(own), name) for name, own in kinds.items() if _fits(beads[first : first + len(own)], own)]
        for size, name in [*fitting, (1, residue)] if residue in others else fitting:
            end = first + size
            if free[end] and (end not in ending or size > ending[end].n_beads):
                ending[end] = FoundMolecule(name, first, size)
    end, found = len(beads), []
    if end not in ending:
        raise TopologyMismatchError(_why_unknown(beads, max(ending), kinds))
    while end:
        found.append(ending[end])
        end = found[-1].first
    return found[::-1]


def _fits(beads, own):
    return len(beads) == len(own) and all(map(_is_called, beads, own))


def _is_called(bead, own):
    """Whether (residue, bead) names are those of a kind, or as much of them as a file has columns for."""
    return all(
        given == name or (len(given) >= shortest and name.startswith(given))
        for given, name, shortest in zip(bead, own, CUT_NAMES, strict=True)
    )


def _check_distinct(kinds):
    seen = {}
    for name, beads in kinds.items():
        other = seen.setdefault(tuple(beads), name)
        if other != name:
            raise SettingsError(
                f"kinds {other!r} and {name!r} have the same beads: say which comes where, as in "
                f"molecules=[({other!r}, 10), ({name!r}, 5)]"
            )


def _why_unknown(beads, first, kinds):
    """Tell a molecule that differs from its kind from one of no kind."""

    def matching(name):
        pairs = list(zip(beads[first:], kinds[name], strict=False))
        return next((k for k, (own, other) in enumerate(pairs) if not _is_called(own, other)), len(pairs))

    nearest = max(kinds, key=matching, default=None)
    same = matching(nearest) if nearest is not None else 0
    if same == 0:
        return (
            f"bead {first} of the CG topology ({_named(beads[first])}) begins no molecule of the kinds given "
            f"({', '.join(kinds) or 'none'}): give the model of its kind, or its residue name in keep or drop"
        )
    at = first + same
    if same == len(kinds[nearest]):
        return (
            f"bead {at} of the CG topology ({_named(beads[at])}) is bonded to a molecule of kind {nearest!r} that "
            f"begins at bead {first} and ends before it: use the model of the whole molecule"
        )
    given = _named(beads[at]) if at < len(beads) else "its end"
    return (
        f"bead {at} of the CG topology is {given}, {_named(kinds[nearest][same])} expected, bead {same} of a molecule "
        f"of kind {nearest!r} that begins at bead {first}: use the model of this CG mapping, or give molecules=[...] "
        "if only names differ"
    )


def _named(bead):
    return " ".join(bead)


def _counted(counts, sizes, others, n_beads):
    sizes = {**dict.fromkeys(others, 1), **sizes}
    found, first = [], 0
    for name, count in counts:
        if name not in sizes:
            near = get_close_matches(str(name), sizes, n=1)
            raise SettingsError(
                f"unknown molecule kind {name!r} given: one of {', '.join(sizes)} is expected"
                f"{f', did you mean {near[0]!r}?' if near else ''}"
            )
        if count < 0:
            raise SettingsError(f"{count} molecules of kind {name!r} given: 0 or more are expected")
        found += [FoundMolecule(name, first + k * sizes[name], sizes[name]) for k in range(count)]
        first += count * sizes[name]
    if first != n_beads:
        text = " + ".join(f"{count} {name} of {sizes[name]}" for name, count in counts)
        raise TopologyMismatchError(
            f"the CG topology has {n_beads} particles, molecules={text} have {first}: give the number of each kind, "
            "in order"
        )
    return found


def _check_bonds(topology, molecules):
    owner = np.full(topology.getNumAtoms(), -1)
    for k, molecule in enumerate(molecules):
        owner[molecule.first : molecule.first + molecule.n_beads] = k
    for i, j in topology.bonds():
        if owner[i.index] != owner[j.index]:
            raise TopologyMismatchError(
                f"beads {i.index} and {j.index} of the CG topology ({i.residue.name} {i.name}, {j.residue.name} "
                f"{j.name}) are bonded, but of two molecules: use the model of the whole molecule"
            )
