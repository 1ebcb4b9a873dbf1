"""Large molecules are measured by neighbours as small ones are by all pairs."""

import tracemalloc

import numpy as np
import pytest

from openmm_cgvae.metrics import structure
from openmm_cgvae.metrics.structure import bond_graph_edit_ratio, clashes, handedness
from openmm_cgvae.metrics.summary import structure_summary
from openmm_cgvae.molecule.graph import BOND_FACTOR, MolecularGraph
from openmm_cgvae.molecule.neighbourpairs import changed_bonds, pairs_closer


@pytest.fixture(params=[0.0, 0.02, 0.06])
def frames(request, reference):
    noise = np.random.default_rng(3).normal(scale=request.param, size=(40, 22, 3))
    return (reference[0][:40] + noise).astype(np.float32)


@pytest.mark.parametrize("heavy", [False, True])
def test_changed_bonds_are_those_of_all_pairs(frames, graph, heavy):
    atoms = graph.heavy if heavy else np.arange(22)
    bonds = np.isin(graph.bonds, atoms).all(1).sum()
    dense = np.round(bond_graph_edit_ratio(frames, graph, atoms) * bonds).astype(int)
    np.testing.assert_array_equal(changed_bonds(frames, graph, [atoms], BOND_FACTOR)[0], dense)


def test_clashes_are_those_of_all_pairs(frames, graph, monkeypatch):
    for contact in (0.12, 0.2, 0.3):
        dense = clashes(frames, graph, contact)
        np.testing.assert_array_equal(pairs_closer(frames, graph, graph.heavy, contact, 3) > 0, dense)
    dense = bond_graph_edit_ratio(frames, graph)
    monkeypatch.setattr(structure, "LARGE", 1)
    np.testing.assert_allclose(bond_graph_edit_ratio(frames, graph), dense)
    np.testing.assert_array_equal(clashes(frames, graph, 0.3), dense_clashes(frames, graph))


def dense_clashes(frames, graph):
    i, j = np.triu_indices(len(graph.heavy), 1)
    i, j = graph.heavy[i], graph.heavy[j]
    apart = graph.bond_distances[i, j] > 3
    distances = np.linalg.norm(frames[:, i[apart]] - frames[:, j[apart]], axis=-1)
    return (distances < 0.3).any(1)


def test_no_table_of_all_pairs_is_made_of_a_large_molecule(graph, reference):
    copies, n = 255, 255 * 22
    numbers, residue_index = np.tile(graph.atomic_numbers, copies), np.arange(copies).repeat(22)
    bonds = (graph.bonds + 22 * np.arange(copies)[:, None, None]).reshape(-1, 2)
    large = MolecularGraph(numbers, bonds, list(graph.names) * copies, list(graph.residues) * copies, residue_index)
    frame = (reference[0][0] + 2.0 * np.arange(copies)[:, None, None] * [1, 0, 0]).reshape(1, n, 3)
    tracemalloc.start()
    summary = structure_summary(frame, large, handedness(frame, large))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (summary["valid_ratio_all"], summary["chirality_ratio"], summary["clash_ratio"]) == (1, 1, 0)
    # A byte a pair would be 31 MB, and numbers of bonds 250 MB.
    assert peak < n * n
