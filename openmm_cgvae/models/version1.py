"""Model files of format version 1, which keep the molecule in the buffers of the module only."""

import numpy as np

from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["complete_weights", "spec_of_version_1"]

# Parameters added since, which have no effect at their initial values.
LATER = ("encoder.place_filter", "encoder.place_mean", "encoder.place_scale", "prior.latent_reach")


def complete_weights(model, weights):
    """Complete the state dict of an earlier model, and set the model to sample as it did.

    Parameters
    ----------
    model : CGVAE or Baseline
        Of today's code, with initial weights.
    weights : dict of str to Tensor

    Returns
    -------
    dict of str to Tensor
        For ``model.load_state_dict``.

    Raises
    ------
    KeyError
        If something else is missing.
    """
    own = model.state_dict()
    if "prior.latent_reach" in own and "prior.latent_reach" not in weights:
        model.prior.heun = True
    return {name: weights[name] if name in weights or name not in LATER else own[name] for name in own}


def spec_of_version_1(weights, bonds):
    """Read the molecule from the buffers of a module.

    Parameters
    ----------
    weights : dict of str to Tensor
        State dict of a `CGVAE` or a baseline, index buffers included, as TorchScript gives it.
    bonds : sequence of (int, int)
        Of the molecule.

    Returns
    -------
    MoleculeSpec
        Without what training alone takes (pairs of the graph loss, equivalent hydrogens, handedness); and of a
        baseline, without what it does not use.
    """
    known = {name: value.cpu().numpy() for name, value in weights.items()}
    assignment = known["assignment"]
    n, none = len(assignment), np.zeros((0, 2), dtype=np.int64)
    near = known.get("bounds.near_codes", np.zeros(0, dtype=np.int64))
    near = np.stack([near // n, near % n], axis=1)
    hops = _hops(near, bonds)
    corners, ordered = (known.get(f"alike_pairs.{name}", none[:, 0]) for name in ("corners", "ordered"))
    return MoleculeSpec(
        atom_types=known.get("encoder.atom_types", np.arange(n)),
        assignment=assignment,
        channels=_channels(known, assignment),
        projection=known["projection"],
        atom_frames=known.get("encoder.atom_frames", np.zeros((n, 3), dtype=np.int64)),
        bead_frames=known.get("prior.volumes.frames", np.zeros((0, 3), dtype=np.int64)),
        bead_axes=known.get("encoder.bead_axes", none),
        graph_pairs=np.sort(np.array(bonds, dtype=np.int64).reshape(-1, 2), axis=1),
        equivalent_hydrogens=np.zeros((0, 3), dtype=np.int64),
        near_pairs=near,
        near_hops=hops,
        rigid_pairs=known.get("bounds.pairs", none)[(hops < 3).sum() :],
        contact_kinds=known.get("bounds.kinds", np.zeros(n, dtype=np.int64)),
        handedness=np.zeros(0),
        alike_pairs=np.concatenate([corners.reshape(3, -1), ordered.reshape(2, -1)]).T,
    )


def _hops(near, bonds):
    """Bonds between the atoms of each pair up to 3 bonds apart."""
    neighbours = {}
    for i, j in bonds:
        neighbours.setdefault(int(i), set()).add(int(j))
        neighbours.setdefault(int(j), set()).add(int(i))
    hops = [1 if j in neighbours[i] else 2 if neighbours[i] & neighbours[j] else 3 for i, j in near.tolist()]
    return np.array(hops, dtype=np.int64)


def _channels(known, assignment):
    """Place of every atom in its bead."""
    if "decoder.channel" in known:
        return known["decoder.channel"] - assignment * known["decoder.bead_embedding"].shape[1]
    if "slot" in known:
        return known["slot"] - assignment * (known["fixed_noise"].shape[1] // 3)
    return np.zeros_like(assignment)
