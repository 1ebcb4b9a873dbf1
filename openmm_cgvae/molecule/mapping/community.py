"""Beads as communities of the bond graph (Girvan & Newman, PNAS 99, 7821, 2002)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openmm_cgvae.core.errors import MappingError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.molecule.mapping.builders import check_request, custom_mapping
from openmm_cgvae.molecule.topology import as_mdtraj_topology

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from openmm_cgvae.core.types import SomeTopology
    from openmm_cgvae.molecule.mapping.cgmapping import CGMapping

__all__ = ["community_mapping"]


def community_mapping(
    topology: SomeTopology, n_beads: int, weights: str | ArrayLike = "geometric", progress: bool = False
) -> CGMapping:
    """Divide a molecule into `n_beads` communities by removing the bonds on most shortest paths.

    Nothing is random: of bonds on equally many paths, that of the lowest atom indices goes first.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology
        With bonds.
    n_beads : int
        From the number of molecules to the number of atoms.
    weights : {"geometric", "mass"} or array_like, shape (n,)
    progress : bool
        Show a progress bar; a bead takes a time in proportion to atoms times bonds.

    Returns
    -------
    CGMapping
        Connected beads, in the order of their first atoms.

    Raises
    ------
    MappingError
        If the topology has no bonds, or `n_beads` is out of range.
    """
    import networkx

    topology = as_mdtraj_topology(topology)
    graph = networkx.Graph()
    graph.add_nodes_from(range(topology.n_atoms))
    graph.add_edges_from(sorted(sorted((a.index, b.index)) for a, b in topology.bonds))
    parts = list(networkx.connected_components(graph))
    if topology.n_atoms > 1 and not graph.size():
        raise MappingError("the topology has no bonds: give a PDB file with CONECT records")
    check_request(n_beads, len(parts), topology.n_atoms, f"atoms in {len(parts)} separate parts")
    splits = networkx.community.girvan_newman(graph, most_valuable_edge=_busiest_bond)
    # Each step of the algorithm makes one part more.
    for _ in progress_bar(range(n_beads - len(parts)), unit="bead", leave=False, shown=progress):
        parts = next(splits)
    return custom_mapping(topology, sorted(sorted(part) for part in parts), weights)


def _busiest_bond(graph):
    import networkx

    betweenness = networkx.edge_betweenness_centrality(graph)
    # Rounded, so that rounding errors do not decide between equivalent bonds.
    return min(betweenness, key=lambda bond: (-round(betweenness[bond], 9), sorted(bond)))
