"""The protein that all-atom MD is of, with the states that its atoms show."""

import numpy as np
import pytest
from openmm import app
from proteinbeads import beads
from proteinmodels import untrained_file

from openmm_cgvae import Model
from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.preparation.atomprotein import bound_to_atoms


@pytest.fixture(scope="module")
def model():
    return Model(untrained_file())


def atoms_of(model, termini):
    """Topology and one frame of a peptide with unusual states."""
    record = beads(["GLY", "HIS", "ASP", "GLU", "LYS", "HIS", "HIS"])
    states = {1: "HIP", 2: "ASH", 3: "GLH", 4: "LYN", 5: "HID"}
    sampler = model.bind(record, termini=termini, protonation=states)
    return sampler.topology, sampler.sample(record.positions, seed=0)[0, 0]


def turned_over(topology, positions):
    """The same molecule with the atoms of every residue in the opposite order."""
    other, order, made = app.Topology(), [], {}
    for chain in topology.chains():
        part = other.addChain(chain.id)
        for residue in chain.residues():
            place = other.addResidue(residue.name, part, residue.id)
            for atom in reversed(list(residue.atoms())):
                made[atom.index] = other.addAtom(atom.name, atom.element, place)
                order.append(atom.index)
    for one, two in topology.bonds():
        other.addBond(made[one.index], made[two.index])
    return other, positions[order]


@pytest.mark.parametrize("termini", ["charged", ("capped", "neutral")])
def test_states_ends_and_order_are_those_of_the_atoms(termini, model):
    topology, positions = atoms_of(model, termini)
    sampler, order = bound_to_atoms(model, *turned_over(topology, positions))
    assert [atom.name for atom in sampler.topology.atoms()] == [atom.name for atom in topology.atoms()]
    np.testing.assert_array_equal(turned_over(topology, positions)[1][order], positions)
    assert sampler.protein.variants[1:6] == ("HIP", "ASH", "GLH", "LYN", "HID")


def test_atoms_without_hydrogens_are_refused(model):
    topology, positions = atoms_of(model, "charged")
    heavy = app.Modeller(topology, positions)
    heavy.delete([atom for atom in topology.atoms() if atom.element.symbol == "H"])
    with pytest.raises(TopologyMismatchError, match="with hydrogens, and of their caps are expected"):
        bound_to_atoms(model, heavy.topology, np.array(heavy.positions._value))
