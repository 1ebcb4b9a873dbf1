"""Operations that sampling takes, counted from the sizes of the model."""

__all__ = ["decoder_operations", "gaussian_prior_operations"]


def decoder_operations(n_beads, features, layers, radial=8):
    """Floating-point operations of the decoder for one frame, an addition and a multiplication counted each.

    Counted are the matrix products and the sums over neighbours of the terms that are not known to be zero and are
    read later: with F features, N beads, T filters and C = 1 or 3 components under each,

    - message networks, per bead 2 F^2 (1 + T); update, per bead 12 F^2 to mix and 2 F^2 (2 + 3) for its network
      (2 + 1 in the last layer);
    - sums over neighbours, with K + 1 radial functions, in the cheaper of the two orders: filters first,
      N^2 F (2 (K + 1) (T + 2) + 2 columns), or columns under each radial function first, 2 N^2 (K + 1) columns F.

    Element-wise work (activations, vector products, sources) is not counted, nor is what lies beyond the cutoff left
    out.
    """
    total = 0
    for layer in range(layers):
        last = layer == layers - 1
        vectors = (0 if layer == 0 else 1 if last else 3) + (0 if layer < 2 else 2 if last else 4)
        filters, columns = 2 + vectors, 4 + 3 * vectors
        total += n_beads * features**2 * (2 * (1 + filters) + 12 + 2 * (2 + (1 if last else 3)))
        pairs = 2 * (radial + 1) * (filters + 2) + 2 * columns
        total += n_beads**2 * features * min(pairs, 2 * (radial + 1) * columns)
    return total


def gaussian_prior_operations(n_beads, features, layers=2, radial=8):
    """As `decoder_operations`, of the Gaussian prior with F latents: its convolutions and two heads."""
    convolution = 4 * n_beads * features**2 + 2 * n_beads**2 * features * (radial + 2)
    return layers * convolution + 8 * n_beads * features**2
