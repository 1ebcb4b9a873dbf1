"""Coarse-grained mappings, and topologies that travel as JSON."""

from openmm_cgvae.molecule.mapping.autograin import autograin_mapping
from openmm_cgvae.molecule.mapping.backbone import backbone_mapping
from openmm_cgvae.molecule.mapping.builders import alpha_carbon_mapping, custom_mapping, residue_mapping
from openmm_cgvae.molecule.mapping.cgmapping import CGMapping
from openmm_cgvae.molecule.mapping.community import community_mapping
from openmm_cgvae.molecule.topology import topology_from_dict, topology_to_dict

__all__ = [
    "CGMapping",
    "alpha_carbon_mapping",
    "autograin_mapping",
    "backbone_mapping",
    "community_mapping",
    "custom_mapping",
    "residue_mapping",
    "topology_from_dict",
    "topology_to_dict",
]
