"""Energy per residue of proteins given by heavy atoms."""

import numpy as np
import pytest
from proteinchains import crambin

from openmm_cgvae.atomistic.proteinenergy import ProteinEnergy
from openmm_cgvae.core.errors import PositionsError


def fragment(first, last):
    """Residues of crambin: arguments of the metrics."""
    return tuple(array[first:last] for array in crambin())


@pytest.fixture(scope="module")
def energy():
    return ProteinEnergy(*fragment(16, 23), platform="Reference")


def test_minimisation_lowers_the_energy_and_a_shifted_atom_raises_it(energy):
    native = fragment(16, 23)[1]
    moved = native.copy()
    moved[3, 2] += [0.3, 0.0, 0.0]
    right, wrong = energy(native, iterations=5), energy(moved, iterations=5)
    assert right.minimized < right.initial
    # Three bonds to C change by up to 0.03 nm: 0.5 x 2.6e5 kJ/mol/nm^2 x 0.03^2 = 120 kJ/mol for one, of 7 residues.
    assert wrong.initial > right.initial + 10
    assert energy(native, iterations=5) == right


def test_disulfides_of_the_native_structure_are_bonds():
    pair = np.r_[2:5, 38:41]  # cysteines 3 and 40 are bonded
    parts = tuple(array[pair] for array in crambin())
    parts[3][3] = False  # connected, of the second part's first residue
    built = ProteinEnergy(*parts, platform="Reference")
    names = [residue.name for residue in built.topology.residues()]
    assert names.count("CYS") == 3
    bonds = [{bond[0].name, bond[1].name} for bond in built.topology.bonds()]
    assert bonds.count({"SG"}) == 1
    assert [built.variants[i] for i in (0, 4)] == ["CYX", "CYX"]
    assert len(list(built.topology.chains())) == 2


def test_an_incomplete_protein_is_refused():
    types, atoms, mask, connected = fragment(16, 23)
    mask[2, 1] = False
    with pytest.raises(PositionsError, match="1 heavy atoms missing"):
        ProteinEnergy(types, atoms, mask, connected)
