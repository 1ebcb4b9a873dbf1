"""Topologies of other libraries (ParmEd, MDAnalysis, files that OpenMM has read) as mdtraj's."""

from openmm_cgvae.core.errors import TopologyMismatchError, one_line

__all__ = ["foreign_topology"]


def foreign_topology(given):
    """Return the mdtraj ``Topology`` of what another library calls one, or of what holds one.

    Parameters
    ----------
    given : object
        ``openmm.app.Topology``, or with one: ``PDBFile``, ``Modeller``, ``Simulation``, a pair of topology and
        positions; ``parmed.Structure``; ``MDAnalysis.Universe`` or ``AtomGroup``; ``mdtraj.Trajectory``.

    Raises
    ------
    TopologyMismatchError
        If it is none of these.
    """
    import mdtraj

    if isinstance(given, mdtraj.Topology):
        return given
    if hasattr(given, "getNumAtoms") and hasattr(given, "getNumBonds"):
        return mdtraj.Topology.from_openmm(given)
    if isinstance(given, tuple | list) and len(given) == 2:
        return foreign_topology(given[0])
    if hasattr(given, "universe"):
        return _of_mdanalysis(given.atoms)
    # ParmEd makes OpenMM's of its own.
    found = getattr(given, "topology", None)
    if found is None or found is given:
        raise TopologyMismatchError(
            f"a {type(given).__name__} given as topology: one of mdtraj, OpenMM, ParmEd or MDAnalysis is expected"
        )
    return foreign_topology(found)


def _of_mdanalysis(atoms):
    """Atoms in their order in the group, in chains by segment, with the elements and bonds that the file told."""
    import mdtraj

    topology, chain, residue, last = mdtraj.Topology(), None, None, (None, None)
    symbols = attribute(atoms, "elements", [""] * len(atoms))
    chains = attribute(atoms, "chainIDs", attribute(atoms, "segids", [""] * len(atoms)))
    rows = zip(atoms.names, atoms.resnames, atoms.resids, atoms.resindices, atoms.segindices, chains, symbols,
               strict=True)  # fmt: skip
    try:
        for name, residue_name, number, own, segment, label, symbol in rows:
            if segment != last[0]:
                chain = topology.add_chain(str(label) or None)
            if (segment, own) != last:
                residue = topology.add_residue(str(residue_name), chain, resSeq=int(number))
            topology.add_atom(str(name), _element(str(symbol)), residue)
            last = segment, own
    except (TypeError, ValueError) as error:
        raise TopologyMismatchError(f"the MDAnalysis topology cannot be read: {one_line(error)}") from error
    index, added = {int(i): k for k, i in enumerate(atoms.indices)}, list(topology.atoms)
    bonds = attribute(atoms, "bonds", None)
    for i, j in [] if bonds is None else bonds.indices.tolist():
        if i in index and j in index:
            topology.add_bond(added[index[i]], added[index[j]])
    if bonds is None:
        topology.create_standard_bonds()
    return topology


def _element(symbol):
    from mdtraj.core.element import Element, virtual

    try:
        return Element.getBySymbol(symbol.capitalize())
    except KeyError:
        return virtual


def attribute(atoms, name, default):
    """An attribute that MDAnalysis has only if the file had it; its error is not always an AttributeError."""
    try:
        return getattr(atoms, name)
    except Exception:
        return default
