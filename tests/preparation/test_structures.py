"""Structures as topologies and as chains of slots."""

from dataclasses import replace

import numpy as np
import pytest
from openmm import app
from proteinchains import all_types, atoms_topology, crambin

from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.preparation.structures import bead_topology, chain_of, heavy_atoms
from openmm_cgvae.training.chains import Chain


def test_beads_of_a_broken_chain_are_chains():
    chain = Chain("1ejg", *crambin())
    connected = chain.connected.copy()
    connected[20] = False
    parts = list(bead_topology(replace(chain, connected=connected)).chains())
    assert [len(list(part.residues())) for part in parts] == [20, 26]


def test_a_structure_becomes_a_chain_again_without_hydrogens_and_water():
    chain = Chain("5k6d", *all_types())
    topology, rows = atoms_topology(chain)
    positions = chain.atoms[tuple(rows)] / 10
    water = topology.addResidue("HOH", topology.addChain())
    topology.addAtom("O", app.element.oxygen, water)
    found = chain_of(topology, np.vstack([positions, [[9, 9, 9]]]), "again")
    assert (found.residue_types == chain.residue_types).all()
    assert (found.mask == chain.mask).all()
    assert found.atoms == pytest.approx(chain.atoms, abs=1e-4)
    assert found.connected.tolist() == [False] + [True] * 77


def test_names_of_protonation_states_are_understood():
    topology = app.Topology()
    for name, atom in (("HIE", "NE2"), ("CYX", "SG"), ("ACE", "C"), ("HIS", "ND1")):
        topology.addAtom(atom, app.element.carbon, topology.addResidue(name, topology.addChain()))
    _, mask = heavy_atoms(np.zeros((4, 3)), topology)
    assert np.argwhere(mask).tolist() == [[0, 9], [1, 5], [2, 6]]


def test_a_residue_without_alpha_carbon_is_named():
    topology = app.Topology()
    topology.addAtom("N", app.element.nitrogen, topology.addResidue("ALA", topology.addChain(), "7"))
    with pytest.raises(TopologyMismatchError, match="ALA"):
        chain_of(topology, np.zeros((1, 3)))
    empty = app.Topology()
    empty.addAtom("O", app.element.oxygen, empty.addResidue("HOH", empty.addChain()))
    with pytest.raises(TopologyMismatchError, match="no amino acid"):
        chain_of(empty, np.zeros((1, 3)))
