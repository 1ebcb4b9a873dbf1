"""What is measured of a set of all-atom structures: each alone, their distribution, and summaries of both."""

from openmm_cgvae.metrics.contacts import intermolecular_clashes
from openmm_cgvae.metrics.distribution import (
    jensen_shannon,
    jensen_shannon_floor,
    jensen_shannon_with_floor,
    wasserstein,
)
from openmm_cgvae.metrics.diversity import diversity_ratio
from openmm_cgvae.metrics.proteins import bead_figures, protein_figures, protein_summary, protein_table
from openmm_cgvae.metrics.proteintorsions import protein_torsion_divergence
from openmm_cgvae.metrics.slow import tica_divergence
from openmm_cgvae.metrics.structure import (
    CONTACT_NM,
    bond_angles,
    bond_graph_edit_ratio,
    bond_lengths,
    cis_trans,
    clashes,
    correct_chirality,
    correct_cis_trans,
    handedness,
    match_equivalent_hydrogens,
    rmsd,
    torsion_angles,
    valid_graphs,
)
from openmm_cgvae.metrics.summary import geometry_distance, structure_summary, torsion_divergence
from openmm_cgvae.metrics.torsions import each_torsion_divergence

__all__ = [
    "CONTACT_NM",
    "bead_figures",
    "bond_angles",
    "bond_graph_edit_ratio",
    "bond_lengths",
    "cis_trans",
    "clashes",
    "correct_chirality",
    "correct_cis_trans",
    "diversity_ratio",
    "each_torsion_divergence",
    "geometry_distance",
    "handedness",
    "intermolecular_clashes",
    "jensen_shannon",
    "jensen_shannon_floor",
    "jensen_shannon_with_floor",
    "match_equivalent_hydrogens",
    "protein_figures",
    "protein_summary",
    "protein_table",
    "protein_torsion_divergence",
    "rmsd",
    "structure_summary",
    "tica_divergence",
    "torsion_angles",
    "torsion_divergence",
    "valid_graphs",
    "wasserstein",
]
