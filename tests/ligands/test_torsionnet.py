"""The density of torsions: its symmetries, and what it may and may not depend on."""

import numpy as np
import pytest
import torch
from ligandmodels import DRUG, embedded, graph_of, positions_of, random_network
from rdkit import Chem

from openmm_cgvae.ligands.graph import joined_graphs


@pytest.fixture(scope="module")
def drug():
    return embedded(DRUG)


def scores_of(network, graph, torsions, known):
    with torch.no_grad():
        return network.scores(graph, network.surroundings(graph), torsions, known)


def half(torsions, seed=0):
    return torch.rand(torsions.shape, generator=torch.Generator().manual_seed(seed)) < 0.5


def test_the_mirrored_conformer_has_the_mirrored_density(drug):
    network = random_network()
    arrays, graph, torsions = graph_of(drug)
    assert len(arrays.centres) == 1
    known = half(torsions)
    scores = scores_of(network, graph, torsions, known)
    _, mirrored, _ = graph_of(drug, positions_of(drug) * [1, 1, -1])
    found = scores_of(network, mirrored, -torsions, known)
    # Bin k is at the angle k, so that of -k is -k modulo the number of bins.
    expected = scores.flip(-1).roll(1, -1)
    assert torch.allclose(found, expected, atol=1e-4 * float(scores.abs().max()))
    assert not torch.allclose(found, scores, atol=1e-2 * float(scores.abs().max()))


def test_the_density_does_not_depend_on_the_order_of_atoms(drug):
    network = random_network()
    arrays, graph, torsions = graph_of(drug)
    order = np.random.default_rng(0).permutation(drug.GetNumAtoms()).tolist()
    other, its_graph, _ = graph_of(Chem.RenumberAtoms(drug, order))
    back = np.argsort(order)
    bonds = {frozenset(back[list(pair)].tolist()): k for k, pair in enumerate(arrays.token_bonds)}
    rows = [bonds[frozenset(pair)] for pair in other.token_bonds.tolist()]
    known = half(torsions)
    # A token's torsion may be that of another of its quads, where atoms are equivalent.
    expected = scores_of(network, graph, torsions, known)[rows]
    shift = torch.as_tensor(other.angles(positions_of(Chem.RenumberAtoms(drug, order)))[other.first]) - torsions[rows]
    found = scores_of(network, its_graph, torsions[rows] + shift.float(), known[rows])
    same = shift.abs().amax(1) < 1e-4
    assert same.sum() >= 4
    assert torch.allclose(found[same], expected[same], atol=1e-4 * float(expected.abs().max()))


def test_torsions_that_are_not_known_tell_nothing_and_known_ones_do(drug):
    network = random_network()
    _, graph, torsions = graph_of(drug)
    known = half(torsions)
    scores = scores_of(network, graph, torsions, known)
    assert torch.equal(scores_of(network, graph, torch.where(known, torsions, torsions + 1), known), scores)
    assert not torch.allclose(scores_of(network, graph, torsions + known * 1.0, known), scores, atol=1e-3)


def test_ends_that_are_equivalent_make_the_density_periodic():
    network = random_network()
    arrays, graph, torsions = graph_of(embedded("CCc1ccccc1", 1))
    assert arrays.n_tokens == 1
    scores = scores_of(network, graph, torsions, torch.zeros_like(torsions).bool())
    # The ring's two sides differ by 180 degrees in a plane, but for a few degrees of the approximate conformer.
    apart = (scores - scores.roll(18, -1)).abs().max() / scores.std()
    assert apart < 0.35


def test_molecules_of_a_batch_do_not_see_one_another(drug):
    network = random_network()
    _, graph, torsions = graph_of(drug)
    _, other, its_torsions = graph_of(embedded("OCC(N)C(=O)O"))
    both = joined_graphs([other, graph])
    known = half(torch.cat([its_torsions, torsions]))
    scores = scores_of(network, both, torch.cat([its_torsions, torsions]), known)
    alone = scores_of(network, graph, torsions, known[len(its_torsions) :])
    assert torch.allclose(scores[len(its_torsions) :], alone, atol=1e-4 * float(alone.abs().max()))


@pytest.mark.parametrize(
    ("smiles", "tokens"),
    [
        ("C", 0),  # No bond turns.
        ("c1ccccc1", 0),
        ("CC", 0),  # Methyls change labels only.
        ("CCO", 1),  # The hydroxyl.
        ("CC(C)(C)c1ccccc1", 0),  # Three alike ends.
        ("FC(F)(F)c1ccccc1", 0),
        ("CC(=O)NC", 1),  # The amide.
        ("c1ccccc1-c1ccccc1", 1),
        ("CC#CC", 0),  # Linear.
        ("OCCO", 3),
    ],
)
def test_bonds_that_turn(smiles, tokens):
    assert graph_of(embedded(smiles, 1))[0].n_tokens == tokens
