import sys

import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, MissingDependencyError
from openmm_cgvae.metrics.slow import slow_pairs, tica_divergence
from openmm_cgvae.molecule.graph import MolecularGraph

# Four carbons in a row: one distance, between the ends.
CHAIN = MolecularGraph(
    np.full(4, 6), np.array([[0, 1], [1, 2], [2, 3]]), tuple("ABCD"), ("LIG",) * 4, np.zeros(4, dtype=int)
)


def chains(torsions):
    """Chains of right angles, 0.1 nm a bond, shape (frames, 4, 3)."""
    x = np.zeros((len(torsions), 4, 3))
    x[:, 0], x[:, 2] = (0, 0.1, 0), (0.1, 0, 0)
    x[:, 3] = x[:, 2] + 0.1 * np.stack([np.zeros(len(torsions)), np.cos(torsions), np.sin(torsions)], axis=-1)
    return x


def switching(rng, frames=400, dwell=40):
    """Cis or trans for 40 frames at a time, both as often, with some noise."""
    states = np.repeat(rng.permutation(frames // dwell) % 2, dwell)
    return states * np.pi + rng.normal(0, 0.1, frames)


@pytest.fixture(scope="module")
def two_states():
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(4), 400)
    return chains(np.concatenate([switching(rng) for _ in range(4)])), runs


def test_the_reference_itself_is_all_but_equal(two_states):
    reference, runs = two_states
    divergence, floor = tica_divergence(reference, reference, CHAIN, runs)
    assert divergence < 0.01 and floor < 0.01


def test_half_of_two_states_has_the_divergence_worked_out_by_hand(two_states):
    reference, runs = two_states
    trans = reference[np.linalg.norm(reference[:, 3] - reference[:, 0], axis=-1) > 0.15]
    # p = (1/2, 1/2), q = (1, 0), m = (3/4, 1/4).
    expected = (np.log((1 / 2) / (3 / 4)) / 2 + np.log((1 / 2) / (1 / 4)) / 2) / 2 + np.log(1 / (3 / 4)) / 2
    assert tica_divergence(trans, reference, CHAIN, runs)[0] == pytest.approx(expected, abs=0.03)


def test_what_lies_outside_the_reference_is_not_wrapped_into_it(two_states):
    reference, runs = two_states
    assert tica_divergence(2 * reference, reference, CHAIN, runs)[0] > 0.3
    assert tica_divergence(50 * reference, reference, CHAIN, runs)[0] == pytest.approx(np.log(2), abs=0.05)


def test_a_rigid_molecule_has_no_slow_motion(two_states):
    rigid = np.repeat(two_states[0][:1], 50, axis=0)
    assert tica_divergence(rigid, rigid, CHAIN, np.arange(50) // 10) is None


def test_real_md_scores_its_floor_and_one_run_does_not(graph, reference):
    positions, runs = reference
    divergence, floor = tica_divergence(positions, positions, graph, runs)
    assert divergence < floor
    assert tica_divergence(np.repeat(positions[:1], 100, axis=0), positions, graph, runs)[0] > floor
    assert tica_divergence(positions, positions, graph, runs) == (divergence, floor)


def test_pairs_are_of_backbone_atoms_and_their_heavy_neighbours(graph):
    pairs = slow_pairs(graph)
    assert {graph.names[i] for i in pairs.ravel()} <= {"CH3", "C", "O", "N", "CA", "CB"}
    assert (graph.bond_distances[tuple(pairs.T)] >= 3).all()
    assert len(pairs) == 25


def test_long_chains_are_thinned_to_alpha_carbons():
    names, residues = ("N", "CA", "C"), 40
    bonds = np.stack([np.arange(3 * residues - 1), np.arange(1, 3 * residues)], axis=1)
    peptide = MolecularGraph(
        np.tile([7, 6, 6], residues),
        bonds,
        names * residues,
        ("GLY",) * 3 * residues,
        np.repeat(np.arange(residues), 3),
    )
    pairs = slow_pairs(peptide)
    assert {peptide.names[i] for i in pairs.ravel()} == {"CA"}
    assert 80 < len(pairs) <= 100
    assert pairs.min() == 1 and pairs.max() == 3 * residues - 2


def test_errors_name_what_to_do(two_states, monkeypatch):
    reference, runs = two_states
    with pytest.raises(DataError, match="shorter lag"):
        tica_divergence(reference, reference, CHAIN, runs, lag=400)
    monkeypatch.setitem(sys.modules, "deeptime.decomposition", None)
    with pytest.raises(MissingDependencyError, match="pip install deeptime"):
        tica_divergence(reference, reference, CHAIN, runs)
