"""Which molecules are trained on and which are held out: by scaffold, so that no test molecule has a relative."""

import hashlib

__all__ = ["TEST_PERCENT", "VALIDATION_PERCENT", "scaffold", "split_of", "structure_key"]

TEST_PERCENT = 10
VALIDATION_PERCENT = 5


def scaffold(mol):
    """Bemis-Murcko scaffold as a SMILES without stereo marks; of a molecule without rings, the molecule itself."""
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    bare = Chem.RemoveHs(mol)
    core = MurckoScaffold.GetScaffoldForMol(bare)
    return Chem.MolToSmiles(core if core.GetNumAtoms() else bare, isomericSmiles=False)


def split_of(mol):
    """Assign a molecule to "train", "validation" or "test" by a hash of its scaffold: 85, 5 and 10 of a hundred."""
    number = int.from_bytes(hashlib.sha256(scaffold(mol).encode()).digest()[:8], "big") % 100
    if number < TEST_PERCENT:
        return "test"
    return "validation" if number < TEST_PERCENT + VALIDATION_PERCENT else "train"


def structure_key(mol):
    """First block of the InChIKey: the same for all stereoisomers and most tautomers and protonation states."""
    from rdkit import Chem

    return Chem.MolToInchiKey(mol).split("-")[0]
