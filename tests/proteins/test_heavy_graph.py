"""Pairs, hops and shapes of the heavy atoms of proteins."""

from collections import deque

import numpy as np
import torch
from proteinchains import all_types, crambin

from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.preparation.structures import beads_of
from openmm_cgvae.proteins.chains import Chain
from openmm_cgvae.proteins.heavy import heavy_graph
from openmm_cgvae.proteins.relaxation import HeavyBounds


def types_of(letters):
    return np.array([AMINO_ACIDS.index(letter) for letter in letters])


def as_dict(graph):
    return {tuple(pair): hop for pair, hop in zip(graph.pairs.tolist(), graph.hops.tolist(), strict=True)}


def test_glycine_alanine_as_counted_by_hand():
    """Atoms N CA C O are 0 to 3, and 4 to 7 with CB 8."""
    graph = heavy_graph(types_of("GA"), np.array([False, True]))
    bonds = [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5), (5, 6), (6, 7), (5, 8)]
    angles = [(0, 2), (1, 3), (1, 4), (3, 4), (2, 5), (4, 6), (4, 8), (6, 8), (5, 7)]
    torsions = [(0, 3), (0, 4), (1, 5), (3, 5), (2, 6), (2, 8), (4, 7), (7, 8)]
    farther = [(0, 5), (1, 6), (1, 8), (2, 7), (3, 6), (3, 8)]
    by_hops = (bonds, angles, torsions, farther)
    assert as_dict(graph) == {pair: hop for hop, pairs in enumerate(by_hops, 1) for pair in pairs}
    assert len(graph.pairs) == 31
    around = {centre: set(others) for centre, *others in graph.shapes.tolist()}
    assert around == {2: {1, 3, 4}, 5: {4, 6, 8}}
    assert graph.residue.tolist() == [0] * 4 + [1] * 5
    assert graph.elements.tolist() == [1, 0, 0, 2, 1, 0, 0, 2, 0]


def test_no_pair_crosses_a_break():
    graph = heavy_graph(types_of("GA"), np.array([False, False]))
    assert np.ptp(graph.residue[graph.pairs], 1).max() == 0
    assert len(graph.pairs) == 6 + 10


def test_first_residue_is_not_bonded_to_the_last():
    """Rows are rolled inside; a chain is no ring."""
    graph = heavy_graph(types_of("AGA"), np.array([False, True, True]))
    assert not {(0, 11)} & set(as_dict(graph))
    assert np.ptp(graph.residue[graph.pairs], 1).max() == 1


def test_codes_are_the_same_in_every_protein():
    whole = heavy_graph(types_of("WPGAS"), np.array([False, True, True, True, True]))
    part = heavy_graph(types_of("GAS"), np.array([False, True, True]))
    shift = int((whole.residue < 2).sum())
    codes = dict(zip(map(tuple, whole.pairs.tolist()), whole.pair_codes.tolist(), strict=True))
    for (i, j), code in zip(part.pairs.tolist(), part.pair_codes.tolist(), strict=True):
        assert codes[i + shift, j + shift] == code
    shapes = dict(zip(map(tuple, whole.shapes.tolist()), whole.shape_codes.tolist(), strict=True))
    for shape, code in zip(part.shapes, part.shape_codes.tolist(), strict=True):
        assert shapes[tuple((shape + shift).tolist())] == code


def by_walking(protein):
    """Heavy pairs of a `Protein` up to 3 bonds apart, and 4 in a residue and the one before, from its bonds."""
    order = np.lexsort((protein.heavy_slot, protein.heavy_residue))
    place = {int(atom): k for k, atom in enumerate(protein.heavy_atoms[order])}
    near = {k: [] for k in place.values()}
    for i, j in protein.bonds.tolist():
        if i in place and j in place:
            near[place[i]].append(place[j])
            near[place[j]].append(place[i])
    pairs = {}
    for start in near:
        reached, edge = {start: 0}, deque([start])
        while edge:
            i = edge.popleft()
            if reached[i] == 4:
                continue
            for j in near[i]:
                if j not in reached:
                    reached[j] = reached[i] + 1
                    edge.append(j)
        pairs |= {(start, stop): hop for stop, hop in reached.items() if start < stop}
    residue = protein.heavy_residue[order]
    return {(i, j): hop for (i, j), hop in pairs.items() if hop < 4 or abs(residue[i] - residue[j]) <= 1}


def bound(chain, **options):
    return bind_protein(*beads_of(Chain("", *chain)), **options)


def test_graph_of_a_protein_is_that_of_its_bonds():
    for chain in (all_types(), crambin()):
        protein = bound(chain, disulfides=None)
        graph = heavy_graph(protein.residue_types, protein.connected)
        assert as_dict(graph) == by_walking(protein)


def test_pairs_of_disulfides_are_those_of_their_bonds():
    protein = bound(crambin())
    assert len(protein.disulfides) == 3
    graph = heavy_graph(protein.residue_types, protein.connected, protein.disulfides)
    assert as_dict(graph) == by_walking(protein)


def test_what_crystals_did_not_show_is_bounded_by_nothing():
    """Not by the bounds of another pair or shape."""
    graph = heavy_graph(types_of("WPC"), np.array([False, True, True]))
    pairs, shapes = (np.unique(codes)[1::2].copy() for codes in (graph.pair_codes, graph.shape_codes))
    tables = {name: torch.ones(len(pairs)) for name in ("lower", "upper")}
    tables |= {name: torch.ones(len(shapes)) for name in ("shape_lower", "shape_upper")}
    tables |= {"pair_codes": torch.as_tensor(pairs), "shape_codes": torch.as_tensor(shapes)}
    bounds = HeavyBounds(10, tables | {"contacts": torch.zeros(2, 4, 4)})
    atoms = np.arange(len(graph.residue))
    bounds.bind_protein(graph, (graph.residue, atoms, np.ones(len(atoms))), graph.residue)
    for codes, rows, known, found, types in (
        (pairs, graph.pairs, graph.pair_codes, bounds.pairs, bounds.bound_types),
        (shapes, graph.shapes, graph.shape_codes, bounds.shapes, bounds.shape_types),
    ):
        there = np.isin(known, codes)
        assert 0 < there.sum() < len(there)
        assert found.tolist() == rows[there].tolist()
        assert (codes[types] == known[there]).all()
