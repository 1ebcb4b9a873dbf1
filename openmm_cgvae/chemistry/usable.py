"""What can be made of a molecule that was read: its parts, its stereoisomers, and what no model knows."""

import logging
from typing import Any

from openmm_cgvae.chemistry.axes import open_axes
from openmm_cgvae.chemistry.isomers import drawn_isomer, enumerated_isomers, is_only_isomer, undefined_marks
from openmm_cgvae.core.errors import MoleculeError, SettingsError

__all__ = ["MOST_HEAVY_ATOMS", "ORGANIC", "STEREO_CHOICES", "usable_molecules"]

logger = logging.getLogger(__name__)

# Elements of drug-like molecules, which models of conformers are trained on.
ORGANIC = frozenset({"H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I"})
MOST_HEAVY_ATOMS = 300
STEREO_CHOICES = ("sample", "enumerate")
# Types of bonds of which no force field, and no model, knows what they are.
UNCLEAR = ("UNSPECIFIED", "ZERO", "OTHER", "HYDROGEN", "IONIC")


def usable_molecules(
    mol: Any,
    elements: frozenset[str] = ORGANIC,
    allow_unknown: bool = False,
    stereo: str = "sample",
    seed: int = 0,
) -> tuple[list[Any], list[str]]:
    """Make of a molecule that was read those that conformers can be asked for.

    Salts and mixtures are taken apart, single atoms and repeated parts left out; undefined stereocentres and double
    bonds are set.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    elements : frozenset of str
        Symbols that the model knows.
    allow_unknown : bool
        Let other elements, and radicals, pass; what comes of it is not known.
    stereo : {"sample", "enumerate"}
        One isomer drawn by `seed`, or all of them (64 at most), where marks are undefined.
    seed : int

    Returns
    -------
    molecules : list of rdkit.Chem.Mol
        With hydrogens, explicit, and no undefined mark.
    notes : list of str
        What was done that was not asked for, a line each.

    Raises
    ------
    MoleculeError
        If a part has an element that is not known, unpaired electrons, or more than 300 heavy atoms, or none is left.
    """
    from rdkit import Chem

    if stereo not in STEREO_CHOICES:
        raise SettingsError(f"stereo {stereo!r} given: one of {', '.join(STEREO_CHOICES)} is expected")
    parts, notes = _parts(mol)
    if any(str(group.GetGroupType()) != "STEREO_ABSOLUTE" for group in mol.GetStereoGroups()):
        notes.append("stereo groups (and, or) are not taken into account: the one isomer is done that is drawn")
    found = []
    for part in parts:
        _check(part, elements, allow_unknown)
        isomers, note = _isomers(part, stereo, seed)
        notes += [*note, *filter(None, [open_axes(part)])]
        found += [Chem.AddHs(isomer, addCoords=isomer.GetNumConformers() > 0) for isomer in isomers]
    return found, notes


def _parts(mol):
    """The different molecules of a mixture that have more than one atom."""
    from rdkit import Chem

    pieces = Chem.GetMolFrags(mol, asMols=True)
    names = [Chem.MolToSmiles(Chem.RemoveHs(piece)) for piece in pieces]
    kept = {name: piece for name, piece in zip(names, pieces, strict=True) if _has_conformers(piece)}
    if not kept:
        raise MoleculeError(
            f"{'.'.join(names)} is of single atoms or of hydrogen alone, which have no conformers: give a molecule"
        )
    if len(pieces) == 1:
        return list(pieces), []
    note = f"{'.'.join(names)} is a mixture: {', '.join(kept)} done each on its own"
    alone = sorted(set(names) - set(kept))
    return list(kept.values()), [note + (f"; {', '.join(alone)}, single atoms, left out" if alone else "")]


def _has_conformers(mol):
    """Whether there is a heavy atom, and another atom: water has, helium and H2 do not."""
    hydrogens = sum(atom.GetTotalNumHs(includeNeighbors=True) for atom in mol.GetAtoms())
    return mol.GetNumHeavyAtoms() > (0 if hydrogens else 1)


def _check(mol, elements, allow_unknown):
    from rdkit import Chem

    name = Chem.MolToSmiles(Chem.RemoveHs(mol))
    name = name if len(name) < 80 else name[:77] + "..."
    symbols = {atom.GetSymbol() for atom in mol.GetAtoms()}
    if "*" in symbols:
        raise MoleculeError(f"{name} has an atom without an element (*): give a whole molecule")
    unclear = [bond for bond in mol.GetBonds() if bond.HasQuery() or str(bond.GetBondType()) in UNCLEAR]
    if unclear:
        ends = " and ".join(
            f"{a.GetIdx()} ({a.GetSymbol()})" for a in (unclear[0].GetBeginAtom(), unclear[0].GetEndAtom())
        )
        raise MoleculeError(
            f"{name}: the bond of atoms {ends} has no order: single, double, triple or aromatic is expected"
        )
    if mol.GetNumHeavyAtoms() > MOST_HEAVY_ATOMS:
        raise MoleculeError(f"{name} has {mol.GetNumHeavyAtoms()} heavy atoms: {MOST_HEAVY_ATOMS} at most are expected")
    if allow_unknown:
        return
    unknown = sorted(symbols - elements)
    if unknown:
        raise MoleculeError(
            f"{name} has {', '.join(unknown)}, which no molecule of the training has ({', '.join(sorted(elements))} "
            "have): allow_unknown (--allow-unknown) tries"
        )
    radicals = [atom for atom in mol.GetAtoms() if atom.GetNumRadicalElectrons()]
    if radicals:
        raise MoleculeError(
            f"{name}: atom {radicals[0].GetIdx()} ({radicals[0].GetSymbol()}) has an unpaired electron, which no "
            "molecule of the training has: add the missing hydrogen, or allow_unknown (--allow-unknown) tries"
        )


def _isomers(mol, stereo, seed):
    """Stereoisomers of a molecule without undefined marks, and what to say of it."""
    from rdkit import Chem

    count = undefined_marks(mol)
    if not count:
        return [mol], []
    isomers = [drawn_isomer(mol, seed)] if stereo == "sample" else enumerated_isomers(mol)
    if len(isomers) == 1 and (stereo == "enumerate" or is_only_isomer(mol, isomers[0])):
        return isomers, []
    names = ", ".join(Chem.MolToSmiles(Chem.RemoveHs(isomer)) for isomer in isomers[:4])
    what = f"{count} undefined stereo mark{'s' if count > 1 else ''}"
    done = "one isomer drawn" if stereo == "sample" else f"{len(isomers)} isomers enumerated"
    return isomers, [f"{Chem.MolToSmiles(Chem.RemoveHs(mol))} has {what}: {done} ({names})"]
