"""Names of residues and beads in a user's files, by those that a model has for them."""

from openmm_cgvae.core.errors import SettingsError

__all__ = ["ORDER", "parse_renaming", "renamed"]

# In place of rules: particles are the expected ones in their order, whatever they are called.
ORDER = "order"


def parse_renaming(text):
    """Read rules as ``BB=CA,ALA:SC1=CB,SOL=HOH``; a dict, `ORDER`, or None of None.

    Raises
    ------
    SettingsError
        If it is no list of rules.
    """
    if text is None or text == ORDER:
        return text
    pairs = [[side.strip() for side in rule.split("=")] for rule in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise SettingsError(f"--rename {text} given: OLD=NEW,RESIDUE:OLD=NEW, or {ORDER}, is expected")
    return dict(pairs)


def renamed(topology, rules, strict=True):
    """A topology with other names.

    Parameters
    ----------
    topology : mdtraj.Topology
    rules : dict of str to str
        By the name of a bead, of a bead in a residue (``ALA:BB``), or of a residue.
    strict : bool
        Whether every rule has to name something.

    Returns
    -------
    mdtraj.Topology
        A copy.

    Raises
    ------
    SettingsError
        If a rule names nothing there.
    """
    new, used = topology.copy(), set()
    for residue in new.residues:
        for atom in residue.atoms:
            for key in (f"{residue.name}:{atom.name}", atom.name):
                if key in rules:
                    used.add(key)
                    atom.name = rules[key]
                    break
        if residue.name in rules:
            used.add(residue.name)
            residue.name = rules[residue.name]
    unused = [key for key in rules if key not in used]
    if unused and strict:
        names = sorted({f"{atom.residue.name}:{atom.name}" for atom in topology.atoms})
        there = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise SettingsError(f"rename of {', '.join(unused)} given, but particles are called {there}")
    return new
