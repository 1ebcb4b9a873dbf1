"""Atoms from torsions and torsions from atoms."""

import math

import numpy as np
import pytest
import torch
from conftest import rotation
from proteinchains import all_types, crambin
from proteinmodels import bounds_tables, builder, chain_tensors

from openmm_cgvae.chemistry.aminoacids import residues
from openmm_cgvae.proteins.heavy import heavy_graph
from openmm_cgvae.proteins.sidechains import AMINO_ACIDS, ATOM_NAMES


@pytest.fixture(scope="module")
def double():
    """A `Builder` in double precision, a trace, types and connected of two chains with all amino acids."""
    import copy

    parts = [chain_tensors(chain, torch.float64) for chain in (all_types(), crambin())]
    atoms, _, types, connected = (torch.cat(column) for column in zip(*parts, strict=True))
    return copy.deepcopy(builder()).double(), atoms[:, 1], types, connected


def random_torsions(types, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(len(types), 6, generator=draw, dtype=torch.float64) - 1) * math.pi


def test_amino_acids_and_slots_are_those_of_the_residue_library():
    assert "".join(residues.AMINO_ACIDS) == AMINO_ACIDS
    assert tuple(ATOM_NAMES[letter] for letter in AMINO_ACIDS) == residues.HEAVY_ATOMS


def test_bonds_are_right_for_any_torsions(double):
    own, ca, types, connected = double
    graph = heavy_graph(types.numpy(), connected.numpy())
    bonds = graph.pairs[graph.hops == 1]
    codes = graph.pair_codes[graph.hops == 1]
    names = [(ATOM_NAMES[AMINO_ACIDS[types[graph.residue[a]]]][graph.slot[a]]) for a in range(len(graph.residue))]
    # The ring of proline closes for its own torsions only.
    ring = np.array([{names[i], names[j]} == {"CG", "CD"} and AMINO_ACIDS[types[graph.residue[i]]] == "P"
                     for i, j in bonds])  # fmt: skip
    assert ring.sum() == (types == AMINO_ACIDS.index("P")).sum()
    tables = bounds_tables()
    place = np.searchsorted(tables["pair_codes"].numpy(), codes)
    middle = 0.5 * (tables["lower"] + tables["upper"]).numpy()[place]
    for seed in range(3):
        atoms = own(ca, types, connected, random_torsions(types, seed)).numpy()[graph.residue, graph.slot]
        length = np.linalg.norm(atoms[bonds[:, 0]] - atoms[bonds[:, 1]], axis=1)
        assert np.abs(length / middle - 1)[~ring].max() < 0.06


def test_stereocentres_are_right_for_any_torsions(double):
    own, ca, types, connected = double
    crystal = torch.cat([chain_tensors(chain, torch.float64)[0] for chain in (all_types(), crambin())])

    def volumes(atoms, letter, centre, around):
        names = ATOM_NAMES[letter]
        rows = atoms[types == AMINO_ACIDS.index(letter)]
        middle, a, b, c = (rows[:, names.index(name)] for name in (centre, *around))
        return torch.linalg.det(torch.stack([a - middle, b - middle, c - middle], 1))

    for seed in range(3):
        atoms = own(ca, types, connected, random_torsions(types, seed))
        for letter in AMINO_ACIDS.replace("G", ""):
            assert (volumes(atoms, letter, "CA", ("N", "C", "CB")) > 0.1).all(), letter
        for letter, around in (("I", ("CA", "CG1", "CG2")), ("T", ("CA", "OG1", "CG2"))):
            sign = volumes(crystal, letter, "CB", around).sign()
            assert (volumes(atoms, letter, "CB", around) * sign > 1.0).all(), letter


def test_torsions_are_measured_as_built(double):
    own, ca, types, connected = double
    torsions = random_torsions(types)
    atoms = own(ca, types, connected, torsions)
    there = torch.tensor([[k < len(ATOM_NAMES[AMINO_ACIDS[t]]) for k in range(14)] for t in types])
    measured, known = own.measure(atoms, there, types, connected)
    turn = torch.where(torch.nn.functional.pad(own.symmetric_chi[types], [2, 0]), math.pi, 2 * math.pi)
    wrong = torch.remainder(measured - torsions + turn / 2, turn) - turn / 2
    assert wrong[known].abs().max() < 1e-6
    chi = own.has_chi[types]
    torch.testing.assert_close(known[:, 2:], chi)
    assert known[:, 0].all()
    ends = torch.nonzero(known[:, 1])[:, 0].tolist()
    starts = torch.nonzero(~connected)[:, 0].tolist()
    assert ends == sorted({*starts, *(k - 1 for k in starts[1:]), len(types) - 1})


def test_crystals_are_built_again_from_their_torsions(double):
    own, ca, types, connected = double
    parts = [chain_tensors(chain, torch.float64) for chain in (all_types(), crambin())]
    atoms, mask = (torch.cat([part[k] for part in parts]) for k in (0, 1))
    torsions, known = own.measure(atoms, mask, types, connected)
    assert known.float().mean() > 0.4
    off = (own(ca, types, connected, torsions) - atoms).square().sum(-1).sqrt()
    assert off[:, :4][mask[:, :4]].square().mean().sqrt() < 0.15
    assert off[mask].square().mean().sqrt() < 0.3


def test_builder_turns_and_moves_with_its_beads(double):
    own, ca, types, connected = double
    torsions = random_torsions(types)
    turn, shift = torch.as_tensor(rotation()), torch.tensor([3.0, -40.0, 7.0])
    moved = own(ca @ turn.T + shift, types, connected, torsions)
    torch.testing.assert_close(moved, own(ca, types, connected, torsions) @ turn.T + shift, atol=1e-9, rtol=0)
