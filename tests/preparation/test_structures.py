"""Structures as topologies and as chains of slots."""

from dataclasses import replace

import numpy as np
import pytest
from openmm import app
from proteinchains import all_types, atoms_topology, crambin

from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.preparation.structures import beads_of, chain_of, heavy_atoms
from openmm_cgvae.proteins.chains import Chain


def test_alpha_beads_of_a_broken_chain_are_chains():
    chain = Chain("1ejg", *crambin())
    connected = chain.connected.copy()
    connected[20] = False
    topology, positions = beads_of(replace(chain, connected=connected))
    assert [len(list(part.residues())) for part in topology.chains()] == [20, 26]
    assert {atom.name for atom in topology.atoms()} == {"CA"}
    assert positions == pytest.approx(chain.atoms[:, 1] / 10)


def test_martini_beads_are_named_and_placed_as_martinize2_does():
    chain = Chain("5k6d", *all_types())
    topology, positions = beads_of(chain, "martini3")
    names = [[atom.name for atom in residue.atoms()] for residue in topology.residues()]
    tryptophan = int(np.flatnonzero(chain.residue_types == AMINO_ACIDS.index("W"))[0])
    assert names[tryptophan] == ["BB", "SC1", "SC2", "SC3", "SC4", "SC5"]
    protein = bind_protein(topology, positions, "martini3")
    assert protein.n_beads == len(positions)
    # Serine's side chain is one bead: CB and OG by mass.
    serine = int(np.flatnonzero(chain.residue_types == AMINO_ACIDS.index("S"))[0])
    row = [atom.index for atom in topology.atoms() if atom.residue.index == serine][1]
    expected = (12.011 * chain.atoms[serine, 4] + 15.999 * chain.atoms[serine, 5]) / (12.011 + 15.999) / 10
    assert positions[row] == pytest.approx(expected, abs=1e-6)


def test_a_bead_is_the_centre_of_the_atoms_that_are_there():
    chain = Chain("1ejg", *crambin())
    mask = chain.mask.copy()
    mask[:, 4:] = False
    _, whole = beads_of(chain, "com")
    _, backbone = beads_of(replace(chain, mask=mask), "com")
    masses = np.array([14.007, 12.011, 12.011, 15.999])
    assert backbone == pytest.approx(np.einsum("nsx,s->nx", chain.atoms[:, :4], masses) / masses.sum() / 10)
    assert np.linalg.norm(whole - backbone, axis=1).max() > 0.1
    topology, _ = beads_of(replace(chain, mask=mask), "martini3")
    assert {atom.name for atom in topology.atoms()} == {"BB"}


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
