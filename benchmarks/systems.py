"""The molecules of the suite: index arrays of the right sizes, and beads along a chain that avoids itself."""

import numpy as np
import torch

from openmm_cgvae.models import CGVAE, ModelConfig
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["CHAINS", "MOLECULES", "chain", "plain_model"]

# (n atoms, N beads, F features, decoder layers)
MOLECULES = [(22, 3, 64, 5), (175, 6, 128, 9), (175, 6, 600, 9), (175, 30, 128, 9)]
CHAINS = [(3_000, 250, 128, 9), (12_000, 1_000, 128, 9)]
BOND = 3.8  # Angstrom, between the beads of a chain
# Of a step along z, in units of its random part: stretched, 250 and 1,000 beads have 11.8 and 11.9 neighbours within
# 12 Angstrom each; coils of them differ by half and more.
DRIFT = 0.5


def spec_of(n_atoms, n_beads):
    """A `MoleculeSpec` of a linear molecule cut into beads of equal size."""
    atoms, beads = np.arange(n_atoms), np.arange(n_beads)
    assignment = atoms * n_beads // n_atoms
    projection = np.zeros((n_beads, n_atoms))
    projection[assignment, atoms] = 1 / np.bincount(assignment)[assignment]
    bonds = np.stack([atoms[:-1], atoms[1:]], axis=1)
    three_on = (beads[:, None] + [1, 2, 3]) % n_beads
    return MoleculeSpec(
        atom_types=atoms % 5,
        assignment=assignment,
        channels=atoms - np.searchsorted(assignment, assignment),
        projection=projection,
        atom_frames=(atoms[:, None] + [1, 2, 3]) % n_atoms,
        bead_frames=three_on if n_beads > 3 else np.zeros((0, 3), int),
        bead_axes=three_on[:, :2],
        graph_pairs=bonds,
        equivalent_hydrogens=np.zeros((0, 3), int),
        near_pairs=bonds,
        near_hops=np.ones(len(bonds), int),
        rigid_pairs=np.zeros((0, 2), int),
        contact_kinds=np.zeros(n_atoms, int),
        handedness=np.zeros(0),
        alike_pairs=np.zeros((0, 5), int),
    )


def plain_model(n_atoms, n_beads, features, layers):
    """The paper's model of that size, with random weights."""
    torch.manual_seed(0)
    config = ModelConfig(
        features=features, decoder_layers=layers, prior="gaussian", latent=None, projection_sweeps=0
    )  # fmt: skip
    model = CGVAE(spec_of(n_atoms, n_beads), config).eval()
    with torch.no_grad():
        # Untrained weights of many layers overflow; these keep features near 1.
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return model


def chain(n_beads, frames, seed=0):
    """Beads (frames, N, 3) in Angstrom of random stretched chains whose beads keep a bond length apart.

    Neighbours within a cutoff are as many in long chains as in short ones, so that linear cost is seen as such.
    """
    rng = np.random.default_rng(seed)
    return torch.as_tensor(np.stack([_walk(n_beads, rng) for _ in range(frames)]), dtype=torch.float32)


def _walk(n_beads, rng):
    beads = np.zeros((n_beads, 3))
    for i in range(1, n_beads):
        steps = rng.normal((0, 0, DRIFT), size=(16, 3))
        ends = beads[i - 1] + BOND * steps / np.linalg.norm(steps, axis=1, keepdims=True)
        room = ((ends[:, None] - beads[None, : max(1, i - 1)]) ** 2).sum(-1).min(1)
        # The first end with room, or the one with most.
        beads[i] = ends[int(np.argmax(np.minimum(room, BOND**2)))]
    return beads - beads.mean(0)
