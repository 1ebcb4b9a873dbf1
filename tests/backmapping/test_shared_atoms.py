"""Beads that share atoms, and kinds that leave particles out: the mapping is the one that structures keep."""

from pathlib import Path

import numpy as np
import pytest
from openmm import app

from openmm_cgvae import Minimizer, Model, SystemBackmapper
from openmm_cgvae.binding.beads import read_beads

MARTINI = Path(__file__).parents[1] / "data" / "3i40_martini3.pdb"


@pytest.fixture(scope="module")
def martini():
    return Model.load("protein-martini").bind(MARTINI, consistency="exact")


@pytest.fixture(scope="module")
def positions():
    return read_beads(MARTINI).positions


def test_the_mapping_of_martini_is_that_of_the_structures(martini, positions):
    atoms = martini.sample(positions, seed=1)[:, 0]
    assert martini.mapping.shared is not None
    np.testing.assert_allclose(martini.mapping.project(atoms)[0], positions[martini.bead_rows], atol=2e-5)
    assert np.bincount(martini.mapping.elements[1]).max() == 2


@pytest.mark.slow
def test_minimised_structures_keep_beads_that_share_atoms(martini, positions):
    atoms = martini.sample(positions, seed=1)[:, 0]
    result = Minimizer(martini.mapping, maxIterations=20, handedness=martini.handedness).minimize(atoms, progress=False)
    off = np.linalg.norm(martini.mapping.project(result.positions)[0] - positions[martini.bead_rows], axis=-1)
    assert off.max() < 0.01
    assert result.energy_after[0] < result.energy_before[0]


def test_molecules_with_particles_that_are_left_out_make_a_system(positions):
    """Two copies of a chain, each with a virtual site behind it, and an ion that is kept."""
    single = app.Topology()
    chain = single.addChain("A")
    rows = [row for row, name in enumerate(read_beads(MARTINI).names) if name == "BB"][:12]
    names = [read_beads(MARTINI).residue_names[row] for row in rows]
    for k, name in enumerate([*names, "VS"]):
        single.addAtom("CA" if name != "VS" else "V", None, single.addResidue(name, chain, str(k + 1)))
    trace = np.array([[0.15 * k, 0.23 * np.cos(1.745 * k), 0.23 * np.sin(1.745 * k)] for k in range(12)])
    one = np.concatenate([trace, [[5.0, 5.0, 5.0]]])
    kind = Model.load("protein-ca").bind(single, positions=one, unknown="drop", consistency="exact")
    assert (kind.n_beads, kind.mapping.n_beads) == (13, 12)
    system = app.Topology()
    for copy in range(2):
        chain = system.addChain("AB"[copy])
        for residue in single.residues():
            place = system.addResidue(residue.name, chain, residue.id)
            for atom in residue.atoms():
                system.addAtom(atom.name, None, place)
    system.addAtom("CL", None, system.addResidue("CL", system.addChain("C"), "1"))
    whole = SystemBackmapper(system, {"peptide": kind}, keep=["CL"])
    beads = np.concatenate([one, one + 3.0, [[9.0, 9.0, 9.0]]])
    atoms = whole.sample(beads, seed=1)[:, 0]
    assert whole.n_beads == 27
    assert whole.mapping.n_beads == 25
    expected = np.concatenate([trace, trace + 3.0, [[9.0, 9.0, 9.0]]])
    np.testing.assert_allclose(whole.mapping.project(atoms)[0], expected, atol=2e-5)
    assert sum(1 for _ in whole.cg_topology().bonds()) == 22
    assert [a.element.symbol for a in whole.topology.atoms()][-1] == "Cl"
