"""Which beads are a molecule of which kind, and what is said when they are of none."""

import pytest
from openmm import app

from openmm_cgvae.core.errors import SettingsError, TopologyMismatchError
from openmm_cgvae.simulation.molecules import find_molecules


def cg(*residues, bonds=()):
    """A CG topology in one chain: ("ALA", "BB SC1") is a residue of two beads."""
    topology = app.Topology()
    chain = topology.addChain()
    atoms = []
    for name, beads in residues:
        residue = topology.addResidue(name, chain)
        atoms += [topology.addAtom(bead, None, residue) for bead in beads.split()]
    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


DIMER = ("GLY", "BB"), ("LYS", "BB SC1")
TRIMER = (*DIMER, ("GLY", "BB"))
KINDS = {"dimer": cg(*DIMER), "trimer": cg(*TRIMER)}
ION, WATER = ("CL", "CL"), ("W", "W")


def found(topology, **options):
    molecules = find_molecules(topology, KINDS, **options)
    return [(m.kind, m.first, m.n_beads) for m in molecules]


def test_kinds_are_recognised_by_name_without_bonds_or_chains():
    box = cg(*DIMER, ION, *TRIMER, *DIMER, WATER)
    expected = [("dimer", 0, 3), ("CL", 3, 1), ("trimer", 4, 4), ("dimer", 8, 3), ("W", 11, 1)]
    assert found(box, others={"CL", "W"}) == expected


def test_a_kind_that_begins_like_another_is_told_by_what_follows():
    assert [m[0] for m in found(cg(*TRIMER, *DIMER))] == ["trimer", "dimer"]
    # The first four beads are those of a trimer, but the last two then are nothing.
    assert [m[0] for m in found(cg(*DIMER, *DIMER))] == ["dimer", "dimer"]
    # Two dimers and a glycine would do as well.
    assert [m[0] for m in found(cg(*DIMER, *TRIMER), others={"GLY"})] == ["dimer", "trimer"]


def test_numbers_of_molecules_override_names():
    renamed = cg(*[("MOL", "B")] * 7, ("ION", "I"))
    expected = [("trimer", 0, 4), ("dimer", 4, 3), ("CL", 7, 1)]
    assert found(renamed, others={"CL"}, counts=[("trimer", 1), ("dimer", 1), ("CL", 1)]) == expected


def test_particles_of_no_kind_are_refused():
    with pytest.raises(TopologyMismatchError, match=r"bead 3 .*\(CL CL\) begins no molecule .* \(dimer, trimer\)"):
        found(cg(*DIMER, ION))


def test_beads_that_do_not_match_their_kind_are_named():
    with pytest.raises(TopologyMismatchError, match=r"bead 2 .* is LYS SC2, LYS SC1 expected, bead 2"):
        found(cg(("GLY", "BB"), ("LYS", "BB SC2")))
    with pytest.raises(TopologyMismatchError, match="bead 5 of the CG topology is its end, LYS SC1 expected"):
        find_molecules(cg(*DIMER, ("GLY", "BB"), ("LYS", "BB")), {"dimer": KINDS["dimer"]})


def test_a_bond_between_two_molecules_is_refused():
    bonded = cg(*DIMER, *DIMER, bonds=[(0, 1), (2, 3)])
    with pytest.raises(TopologyMismatchError, match=r"bead 3 .* \(GLY BB\) is bonded to a molecule of kind 'dimer'"):
        find_molecules(bonded, {"dimer": KINDS["dimer"]})
    with pytest.raises(TopologyMismatchError, match=r"beads 2 and 3 .* are bonded, but of two molecules"):
        found(bonded, counts=[("dimer", 2)])
    # Within what passes through, any bond may be.
    assert len(found(cg(ION, ION, *DIMER, bonds=[(0, 1)]), others={"CL"})) == 3


def test_an_unknown_kind_gets_the_nearest_name():
    with pytest.raises(SettingsError, match=r"unknown molecule kind 'trimmer' given: .* did you mean 'trimer'"):
        found(cg(*TRIMER), counts=[("trimmer", 1)])


def test_numbers_that_do_not_add_up_are_refused():
    with pytest.raises(TopologyMismatchError, match=r"has 4 particles, molecules=2 dimer of 3 have 6"):
        found(cg(*TRIMER), counts=[("dimer", 2)])
    with pytest.raises(SettingsError, match="-1 molecules of kind 'dimer'"):
        found(cg(*TRIMER), counts=[("dimer", -1)])


def test_kinds_of_the_same_beads_need_numbers():
    twins = {"left": cg(*DIMER), "right": cg(*DIMER)}
    box = cg(*DIMER, *DIMER)
    with pytest.raises(SettingsError, match="kinds 'left' and 'right' have the same beads"):
        find_molecules(box, twins)
    assert [m.kind for m in find_molecules(box, twins, counts=[("left", 1), ("right", 1)])] == ["left", "right"]


def test_beads_of_known_names_in_another_order_are_refused_also_where_numbers_are_given():
    by_type = cg(("GLY", "BB"), ("GLY", "BB"), ("LYS", "BB SC1"), ("LYS", "BB SC1"))
    with pytest.raises(TopologyMismatchError, match=r"bead 1 of the CG topology is GLY BB, LYS BB expected.* by type"):
        found(by_type, counts=[("dimer", 2)])
    # By the names of beads alone too.
    with pytest.raises(TopologyMismatchError, match="another order"):
        found(cg(("MOL", "SC1 BB BB")), counts=[("dimer", 1)])
