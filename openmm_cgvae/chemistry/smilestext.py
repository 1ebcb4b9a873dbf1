"""What is wrong with a SMILES, and where in the text."""

import re

__all__ = ["smiles_problem"]

# An atom, a ring closure, or a sign; anything else has no place in a SMILES.
TOKEN = re.compile(
    r"(?P<atom>\[[^\[\]]*\]|Br|Cl|[BCNOPSFI]|[bcnops]|\*)|(?P<ring>%\(\d+\)|%\d\d|\d)|(?P<bond>[-=#$:/\\~]|->|<-)"
    r"|(?P<open>\()|(?P<close>\))|(?P<dot>\.)"
)
# What may follow: after an atom, a ring closure and a branch anything.
AFTER = {"bond": ("atom", "ring"), "open": ("atom", "bond", "dot"), "dot": ("atom",)}


def smiles_problem(text):
    """Describe the first thing wrong with a SMILES that RDKit refuses.

    Parameters
    ----------
    text : str

    Returns
    -------
    position : int or None
        Number of the character, from 1; None where no single place is wrong.
    why : str
    """
    position, why, atoms = _syntax(text)
    if why:
        return position, why
    return _chemistry(text, atoms)


def _syntax(text):
    """(position, why, start of every atom); `why` is empty if the text is well formed."""
    atoms, branches, rings, place, last = [], [], {}, 0, ""
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            why = "a bracket that is not closed" if text[place] == "[" else f"{text[place]!r} is no part of a SMILES"
            return place + 1, why, atoms
        kind = match.lastgroup
        if kind == "atom":
            atoms.append(place)
        elif not atoms:
            return place + 1, f"{match[0]!r} stands before any atom", atoms
        elif kind not in AFTER.get(last, (kind,)):
            return place + 1, f"{match[0]!r} follows no atom", atoms
        elif kind == "ring":
            rings.pop(match[0], None) if match[0] in rings else rings.setdefault(match[0], place)
        elif kind == "open":
            branches.append(place)
        elif kind == "close":
            if not branches:
                return place + 1, "')' closes nothing", atoms
            branches.pop()
        place, last = match.end(), kind
    if branches:
        return branches[-1] + 1, "'(' is not closed", atoms
    if rings:
        name, start = next(iter(rings.items()))
        return start + 1, f"ring closure {name} is not closed", atoms
    if last in ("bond", "dot"):
        return len(text), f"{text[-1]!r} leads to no atom", atoms
    return None, "" if atoms else "it has no atom", atoms


def _chemistry(text, atoms):
    """(position, why) of an atom that cannot be, of a SMILES that is well formed."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, sanitize=False)
        if mol is None:
            return _unknown_atom(text, atoms)
        problems = Chem.DetectChemistryProblems(mol)
    if not problems:
        return None, "RDKit makes no molecule of it"
    problem = problems[0]
    numbers = [problem.GetAtomIdx()] if hasattr(problem, "GetAtomIdx") else list(problem.GetAtomIndices())
    position = atoms[numbers[0]] + 1 if len(atoms) == mol.GetNumAtoms() and numbers else None
    return position, " ".join(problem.Message().split())


def _unknown_atom(text, atoms):
    """The first atom in brackets that is none."""
    from rdkit import Chem

    for start in atoms:
        atom = TOKEN.match(text, start)[0]
        if Chem.MolFromSmiles(atom, sanitize=False) is None:
            return start + 1, f"{atom} is no atom"
    return None, "RDKit cannot read it"
