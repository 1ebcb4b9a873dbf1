"""Stereoisomers of a molecule whose marks are not all set, those that can be built."""

from openmm_cgvae.core.errors import MoleculeError

__all__ = ["ATTEMPTS", "drawn_isomer", "enumerated_isomers", "is_only_isomer", "undefined_marks"]

# Attempts of ETKDGv3 at a conformer; molecules that need more are strained beyond sense.
ATTEMPTS = 50
# Of a molecule with more undefined marks, as many isomers are enumerated.
MOST_ISOMERS = 64
# Undefined marks up to which all isomers are built to see whether there is but one.
MOST_TRIED = 4
# Heavy atoms above which isomers are not built to see whether they exist, which would take minutes.
LARGE = 100


def undefined_marks(mol):
    """Count the stereocentres and double bonds that could have a mark and have none."""
    from rdkit import Chem

    return sum(
        str(info.specified) != "Specified"
        for info in Chem.FindPotentialStereo(mol)
        if str(info.type) == "Atom_Tetrahedral"
        or (str(info.type) == "Bond_Double" and not _is_cumulated(mol.GetBondWithIdx(info.centeredOn)))
    )


def _is_cumulated(bond):
    """Whether one end of a double bond has another, so that it has no two sides of its own."""
    ends = (bond.GetBeginAtom(), bond.GetEndAtom())
    return any(sum(str(own.GetBondType()) == "DOUBLE" for own in end.GetBonds()) > 1 for end in ends)


def is_only_isomer(mol, isomer):
    """Whether an isomer drawn of a molecule whose marks are undefined is all there is, as of most cages."""
    from rdkit import Chem

    mirrored = Chem.Mol(isomer)
    for atom in mirrored.GetAtoms():
        atom.InvertChirality()
    same, own, other = (_name(part) for part in (mol, isomer, mirrored))
    few = undefined_marks(mol) <= MOST_TRIED and mol.GetNumHeavyAtoms() <= LARGE
    return own == same or (own == other and few and len(enumerated_isomers(mol)) == 1)


def _name(mol):
    from rdkit import Chem

    # What has marks in one way of writing it alone has none.
    return Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol)))


def drawn_isomer(mol, seed=0):
    """Return a stereoisomer of a molecule, drawn by `seed` among those that can be built; itself if all marks are set.

    ETKDGv3 builds it once, with hydrogens, and its undefined marks are what came of that: of cages, few combinations
    exist.

    Raises
    ------
    MoleculeError
        If it cannot be built.
    """
    from rdkit import Chem

    if not undefined_marks(mol):
        return mol
    if mol.GetNumHeavyAtoms() > LARGE:
        return _enumerated(mol, 1, seed)[0]
    built = _built(mol, seed)
    if built is None:
        raise MoleculeError(f"{Chem.MolToSmiles(mol)}: ETKDGv3 builds no conformer of it, whatever its stereo marks")
    Chem.AssignStereochemistryFrom3D(built)
    # The marks are kept, conformers are those that were given.
    given = Chem.AddHs(mol, addCoords=mol.GetNumConformers() > 0)
    built.RemoveAllConformers()
    for conformer in given.GetConformers():
        built.AddConformer(conformer, assignId=True)
    return built


def enumerated_isomers(mol):
    """Return the stereoisomers of a molecule that can be built, 64 at most; itself if all marks are set.

    Raises
    ------
    MoleculeError
        If there is none.
    """
    from rdkit import Chem

    if not undefined_marks(mol):
        return [mol]
    isomers = _enumerated(mol, MOST_ISOMERS, 0)
    if mol.GetNumHeavyAtoms() <= LARGE:
        isomers = [isomer for isomer in isomers if _built(isomer, 0) is not None]
    if not isomers:
        raise MoleculeError(f"{Chem.MolToSmiles(Chem.RemoveHs(mol))}: no stereoisomer of it can be built")
    return isomers


def _enumerated(mol, most, seed):
    from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

    options = StereoEnumerationOptions(onlyUnassigned=True, maxIsomers=most, rand=seed, unique=True)
    return list(EnumerateStereoisomers(mol, options=options))


def _built(mol, seed):
    """A copy with hydrogens and one ETKDGv3 conformer, None if it cannot be built."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    built = Chem.AddHs(mol)
    built.RemoveAllConformers()
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed, parameters.maxIterations = int(seed) % (1 << 31), ATTEMPTS
    with rdBase.BlockLogs():
        return built if rdDistGeom.EmbedMolecule(built, parameters) == 0 else None
