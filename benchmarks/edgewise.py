"""The paper's messages edge by edge, as they are written there: the baseline of the suite, with the model's weights."""

import copy

import torch
from torch import nn

from openmm_cgvae.geometry.vectors import pair_vectors

__all__ = ["edgewise_model"]


class EdgewiseDecoder(nn.Module):
    """A `Decoder` whose messages are tensors of one row an edge, (edges, 9 F) and (edges, 3, F)."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, X, z):
        """As `Decoder.forward`."""
        return self.decoder.select(self.vectors(X, z))

    def vectors(self, X, z):
        """As `Decoder.vectors`."""
        own = self.decoder
        frames, n = X.shape[:2]
        centre, neighbour = (~torch.eye(n, dtype=torch.bool)).nonzero().unbind(1)
        offset = n * torch.arange(frames)[:, None]
        i, j = (offset + centre).flatten(), (offset + neighbour).flatten()
        distance, unit = (a[:, centre, neighbour].flatten(0, 1) for a in pair_vectors(X))
        rbf = own.radial(distance)
        H = (own.enter(z) + own.bead_embedding).flatten(0, 1)
        Hbar, V = torch.full_like(H, own.handed), H.new_zeros(len(H), 3, H.shape[1])
        Vbar = torch.zeros_like(V)
        for message, update in zip(own.messages, own.updates, strict=True):
            dH, dHbar, dV, dVbar = edgewise_message(message, i, j, rbf, unit, H, Hbar, V, Vbar)
            H, V = (a[0] for a in update((H + dH)[None], (V + dV)[None]))
            Hbar, Vbar = Hbar + dHbar, Vbar + dVbar
        return V.unflatten(0, (frames, n))

    def select(self, V):
        """As `Decoder.select`."""
        return self.decoder.select(V)


def edgewise_message(message, i, j, rbf, unit, H, Hbar, V, Vbar):
    """Increments of H, Hbar (m, F) and V, Vbar (m, 3, F) from edges i <- j with rbf (e, K + 1) and unit (e, 3)."""
    phi = message.node(H)[j]
    filters = (rbf @ message.filter.flatten(1)) * phi
    w1, w2, w3, w4, w5, w6, w7, w8, w9 = filters.unflatten(1, (9, 1, -1)).unbind(1)
    edge_V, edge_Vbar, centre_Hbar = V[j], Vbar[j], Hbar[i].unsqueeze(1)

    def crossed(a, b):
        return torch.linalg.cross(a, b, dim=1)

    def gathered(edges):
        return edges.new_zeros(len(H), *edges.shape[1:]).index_add(0, i, edges)

    dH = gathered(w1[:, 0] * H[j])
    dHbar = gathered(rbf[:, -1:] * (edge_V * edge_Vbar).sum(1))
    dV = gathered(w2 * crossed(V[i], edge_Vbar) + w3 * centre_Hbar * edge_Vbar + w4 * unit.unsqueeze(2) + w5 * edge_V)
    dVbar = gathered(
        w6 * crossed(V[i], edge_V) + w7 * crossed(Vbar[i], edge_Vbar) + w8 * edge_Vbar + w9 * centre_Hbar * edge_V
    )
    return dH, dHbar, dV, dVbar


class RadiusGraph(nn.Module):
    """A `RadialBasis` whose graph has one row for every pair within the cutoff."""

    def __init__(self, radial):
        super().__init__()
        self.radial = radial

    def forward(self, distance):
        """As `RadialBasis.forward`."""
        return self.radial(distance)

    def graph(self, points, dtype):
        """Radial functions (e, K + 1) and rows (2, e) of ``points.flatten(0, 1)`` of the edges i <- j."""
        n = points.shape[1]
        near = (torch.cdist(points, points) < self.radial.cutoff) & ~torch.eye(n, dtype=torch.bool)
        frame, i, j = near.nonzero().unbind(1)
        edges, flat = frame * n + torch.stack([i, j]), points.flatten(0, 1)
        distance = (flat[edges[1]] - flat[edges[0]]).square().sum(1).add(1e-8).sqrt()
        return self.radial(distance.to(dtype)), None, edges


class EdgewiseConvolution(nn.Module):
    """A `BeadConvolution` with one filter (F,) an edge of a `RadiusGraph`."""

    def __init__(self, convolution):
        super().__init__()
        self.convolution = convolution

    def forward(self, h, rbf, edges):
        """As `BeadConvolution.forward`."""
        flat, (i, j) = h.flatten(0, 1), edges
        messages = (rbf @ self.convolution.filter) * flat[j]
        gathered = torch.zeros_like(flat).index_add(0, i, messages)
        return h + self.convolution.update(h * gathered.view_as(h))


def edgewise_model(model):
    """A copy of a `CGVAE` that encodes and decodes edge by edge."""
    plain = copy.deepcopy(model)
    plain.decoder = EdgewiseDecoder(plain.decoder)
    encoder = plain.encoder
    encoder.atom_radial, encoder.bead_radial = RadiusGraph(encoder.atom_radial), RadiusGraph(encoder.bead_radial)
    for layer in encoder.layers:
        layer.atoms, layer.beads = EdgewiseConvolution(layer.atoms), EdgewiseConvolution(layer.beads)
    return plain
