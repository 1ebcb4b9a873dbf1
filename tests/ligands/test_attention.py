"""Aggregated Attention, by hand."""

import math

import torch

from openmm_cgvae.ligands.attention import AggregatedAttention


def test_an_atom_takes_the_latents_that_point_its_way():
    # Two latent vectors, x and 2 y, of two beads: atoms at x, at y, and at the centre.
    latents = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]).expand(3, 3, 2)
    queries = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    selected = AggregatedAttention()(queries, latents)
    # Scores are the products over sqrt(3): (1, 0), (0, 2) and (0, 0).
    p = math.exp(1 / math.sqrt(3)) / (math.exp(1 / math.sqrt(3)) + 1)
    q = math.exp(2 / math.sqrt(3)) / (math.exp(2 / math.sqrt(3)) + 1)
    expected = torch.tensor([[p, 2 * (1 - p), 0.0], [1 - q, 2 * q, 0.0], [0.5, 1.0, 0.0]])
    assert torch.allclose(selected, expected, atol=1e-6)


def test_what_is_selected_turns_with_query_and_latents():
    generator = torch.Generator().manual_seed(0)
    queries, latents = (torch.randn(*shape, generator=generator) for shape in ((7, 3), (7, 3, 5)))
    q = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    attention = AggregatedAttention()
    turned = attention(queries @ q, torch.einsum("nif,ij->njf", latents, q))
    assert torch.allclose(turned, attention(queries, latents) @ q, atol=1e-5)


def test_a_bead_takes_any_number_of_atoms():
    latents = torch.ones(1, 3, 4)
    for n in (1, 3, 40):
        assert AggregatedAttention()(torch.randn(n, 3), latents.expand(n, 3, 4)).shape == (n, 3)
