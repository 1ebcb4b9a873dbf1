"""The factored convolutions against the paper's formulas, written plainly edge by edge."""

import math

import pytest
import torch

from openmm_cgvae.geometry.vectors import pair_vectors, signed_volumes
from openmm_cgvae.models import ModelConfig
from openmm_cgvae.models.decoder import Message, Update, bead_graph
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis, neighbour_sum

CONFIG = ModelConfig(features=5, radial=4, bead_cutoff_angstrom=8.0)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def message_edge_by_edge(message, X, H, Hbar, V, Vbar):
    """Eq. (5) for one frame: X (N, 3), H, Hbar (N, F), V, Vbar (N, F, 3)."""
    n, radial = len(X), RadialBasis(CONFIG.radial, CONFIG.bead_cutoff_angstrom)
    dH, dHbar, dV, dVbar = (torch.zeros_like(a) for a in (H, Hbar, V, Vbar))
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            # With the small term that keeps gradients finite.
            d = ((X[j] - X[i]).square().sum() + 1e-8).sqrt()
            rbf = radial(d)
            phi = message.node(H[j]).reshape(9, -1)
            w1, w2, w3, w4, w5, w6, w7, w8, w9 = ((rbf @ message.filter[:, t]) * phi[t] for t in range(9))
            unit = (X[j] - X[i]) / d
            dH[i] += w1 * H[j]
            dHbar[i] += rbf[-1] * (V[j] * Vbar[j]).sum(-1)
            for f in range(H.shape[1]):
                dV[i, f] += w2[f] * torch.linalg.cross(V[i, f], Vbar[j, f]) + w3[f] * Hbar[i, f] * Vbar[j, f]
                dV[i, f] += w4[f] * unit + w5[f] * V[j, f]
                dVbar[i, f] += w6[f] * torch.linalg.cross(V[i, f], V[j, f])
                dVbar[i, f] += w7[f] * torch.linalg.cross(Vbar[i, f], Vbar[j, f])
                dVbar[i, f] += w8[f] * Vbar[j, f] + w9[f] * Hbar[i, f] * V[j, f]
    return dH, dHbar, dV, dVbar


def random_features(n, layer):
    """H, Hbar, V, Vbar as they may be at a layer: vectors appear after the first, pseudovectors after the second."""
    F = CONFIG.features
    V, Vbar = random(1, n, F, 3, seed=4) * (layer > 0), random(1, n, F, 3, seed=5) * (layer > 1)
    return random(1, n, F, seed=2), random(1, n, F, seed=3), V, Vbar


@pytest.mark.parametrize("layer", [0, 1, 2], ids=["first", "second", "middle"])
@pytest.mark.parametrize(("n", "dense"), [(3, True), (12, True), (12, False)], ids=["few", "many", "list"])
def test_factored_message_is_equation_5(n, dense, layer):
    torch.manual_seed(0)
    message = Message(CONFIG, layer).double()
    X = 3.0 * random(1, n, 3, seed=1)
    H, Hbar, V, Vbar = random_features(n, layer)
    radial = RadialBasis(CONFIG.radial, CONFIG.bead_cutoff_angstrom, dense_points=n if dense else 0)
    graph = bead_graph(*radial.graph(X, X.dtype))
    with torch.no_grad():
        expected = message_edge_by_edge(message, X[0], H[0], Hbar[0], V[0], Vbar[0])
        own_H, own_Hbar, own_V, own_Vbar = message(H, Hbar, V.transpose(2, 3), Vbar.transpose(2, 3), graph)
    own = own_H, own_Hbar, own_V.transpose(2, 3), own_Vbar.transpose(2, 3)
    for after, before, increment in zip(own, (H, Hbar, V, Vbar), expected, strict=True):
        torch.testing.assert_close(after, before + increment, rtol=0, atol=1e-10)


def test_decoder_skips_only_what_nobody_reads():
    """The decoder against full messages and updates at every layer, the last one too."""
    torch.manual_seed(0)
    X, H = 3.0 * random(1, 5, 3, seed=1), random(1, 5, CONFIG.features, seed=2)
    graph = bead_graph(*RadialBasis(CONFIG.radial, CONFIG.bead_cutoff_angstrom).graph(X, X.dtype))
    Hbar, V = torch.ones_like(H), torch.zeros(1, 5, 3, CONFIG.features, dtype=X.dtype)
    Vbar = V.clone()
    skipping = (H, Hbar, V, Vbar)
    full = (H, Hbar, V, Vbar)
    with torch.no_grad():
        for layer in range(CONFIG.decoder_layers):
            message, update = Message(CONFIG, layer).double(), Update(CONFIG, layer).double()
            skipping = step(message, update, skipping, graph)
            message.has_vectors = message.has_pseudovectors = True
            message.last = update.last = False
            full = step(message, update, full, graph)
    assert V.shape == full[2].shape and full[2].abs().max() > 0.1
    torch.testing.assert_close(skipping[2], full[2], rtol=0, atol=1e-13)


def step(message, update, features, graph):
    H, Hbar, V, Vbar = message(*features, graph)
    H, V = update(H, V)
    return H, Hbar, V, Vbar


@pytest.mark.parametrize("m", [2, 5, 6, 40])
def test_neighbour_sum_is_its_formula_in_either_order(m):
    rbf, weight, source = random(3, m, 7, 5), random(5, 2, 4, seed=1), random(3, 7, 2, 3, 4, seed=2)
    expected = torch.einsum("bijk,ktf,bjtcf->bitcf", rbf, weight, source)
    torch.testing.assert_close(neighbour_sum(rbf, weight, source), expected, rtol=0, atol=1e-12)


def test_bead_convolution_is_equation_4():
    torch.manual_seed(0)
    layer = BeadConvolution(4, 3).double()
    h, rbf = random(1, 6, 4), random(1, 6, 6, 4, seed=1)
    with torch.no_grad():
        gathered = [sum((rbf[0, i, j] @ layer.filter) * h[0, j] for j in range(6)) for i in range(6)]
        expected = h[0] + layer.update(h[0] * torch.stack(gathered))
        torch.testing.assert_close(layer(h, rbf)[0], expected, rtol=0, atol=1e-12)


def test_update_is_equation_8():
    torch.manual_seed(0)
    F = CONFIG.features
    update = Update(CONFIG, layer=0).double()
    H, V = random(F), random(F, 3, seed=1)
    with torch.no_grad():
        alpha, beta = (part @ V for part in update.mix.weight.chunk(2))
        a, b, c = update.node(torch.cat([H, (beta.square().sum(-1) + 1e-8).sqrt()])).chunk(3)
        own_H, own_V = update(H[None, None], V.T[None, None])
    torch.testing.assert_close(own_H[0, 0], H + a + b * (alpha * beta).sum(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(own_V[0, 0].T, V + c[:, None] * alpha, rtol=0, atol=1e-12)


def test_radial_basis_by_hand():
    radial = RadialBasis(n_radial=2, cutoff=6.0)
    # Half-way, the cosine cutoff is 1/2; sin(pi/2) = 1 and sin(pi) = 0.
    half = radial(torch.tensor(3.0, dtype=torch.float64))
    torch.testing.assert_close(half, torch.tensor([1 / 6, 0.0, 0.5], dtype=torch.float64), atol=1e-7, rtol=0)
    # At a sixth: envelope (1 + cos 30)/2, sin 30 = 1/2, sin 60 = sqrt(3)/2.
    envelope = (1 + math.sqrt(3) / 2) / 2
    expected = torch.tensor([0.5 * envelope, math.sqrt(3) / 2 * envelope, envelope], dtype=torch.float64)
    torch.testing.assert_close(radial(torch.tensor(1.0, dtype=torch.float64)), expected, atol=1e-6, rtol=0)


def test_radial_basis_vanishes_at_and_beyond_the_cutoff():
    radial = RadialBasis(n_radial=8, cutoff=6.0)
    assert (radial(torch.tensor([6.0, 6.1, 7.3, 100.0])) == 0).all()
    assert radial(torch.tensor([5.999])).abs().max() < 1e-6


def test_no_point_is_its_own_neighbour():
    rbf = RadialBasis(3, 6.0).pairs(pair_vectors(random(1, 4, 3))[0])
    diagonal = torch.eye(4, dtype=torch.bool)
    assert (rbf[0][diagonal] == 0).all()
    assert (rbf[0][~diagonal].abs().amax(-1) > 0).all()


def test_pair_vectors_by_hand():
    points = torch.tensor([[[0.0, 0, 0], [0, 3, 4]]], dtype=torch.float64)
    distance, unit = pair_vectors(points)
    assert distance[0, 0, 1].item() == pytest.approx(5.0, abs=1e-8)
    torch.testing.assert_close(unit[0, 0, 1], torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64), atol=1e-8, rtol=0)
    torch.testing.assert_close(unit[0, 1, 0], -unit[0, 0, 1])
    assert (unit[0].diagonal() == 0).all()


def test_signed_volume_is_the_height_over_the_plane():
    corner = torch.tensor([[[1.0, 1, 1]]], dtype=torch.float64)
    a, b, c = (corner + torch.tensor(v, dtype=torch.float64) for v in ([5.0, 7, 2], [3.0, 0, 0], [0.0, 4, 0]))
    assert signed_volumes(corner, a, b, c).item() == pytest.approx(2.0)
    assert signed_volumes(corner, a, c, b).item() == pytest.approx(-2.0)


def test_gradients_stay_finite_where_points_coincide():
    X = random(1, 4, 3)
    X[0, 1] = X[0, 0]
    X.requires_grad_()
    distance, unit = pair_vectors(X)
    volume = signed_volumes(X[:, :1], X[:, 1:2], X[:, 2:3], X[:, :1])
    (RadialBasis(4, 8.0).pairs(distance).sum() + unit.sum() + volume.sum()).backward()
    assert torch.isfinite(X.grad).all()
