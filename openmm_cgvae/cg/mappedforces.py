"""Forces on beads from forces on atoms, by a rule that fits the mapping.

For beads X = M x, the mean of F_I = sum_i B_Ii f_i over all frames of the same X is minus the gradient of the beads'
potential of mean force if B M^T = 1, and if atoms that a constraint joins have equal coefficients, so that the forces
of constraints, which OpenMM does not report, cancel. Bonds to hydrogen are taken to be constrained, which is harmless
where they are not (Ciccotti, Kapral, Vanden-Eijnden, ChemPhysChem 2005, 6, 1809;
Noid et al., J. Chem. Phys. 2008, 128, 244114). Noid's rule, the sum over a bead's atoms, is one such B; all others have
the same mean. `force_map` takes the one whose F vary least (Kraemer et al., J. Phys. Chem. Lett. 2023, 14, 3970): the
same mean force with the least noise.
"""

import numpy as np

from openmm_cgvae.core.errors import DataError, MappingError
from openmm_cgvae.core.periodic import molecule_labels
from openmm_cgvae.core.progress import progress_bar

__all__ = ["evaluate_forces", "force_map", "force_noise"]

# Ridge parameter, relative to the mean square force.
RIDGE = 1e-8
MAP_TOLERANCE = 1e-6
NOISE_FRAMES = 20_000


def evaluate_forces(context, positions_nm, progress=False):
    """Forces of a Context on all particles, without those of constraints.

    Parameters
    ----------
    context : openmm.Context
        Its positions are changed.
    positions_nm : numpy.ndarray, shape (frames, n, 3)
    progress : bool

    Returns
    -------
    numpy.ndarray, shape (frames, n, 3)
        kJ/mol/nm, float32.

    Raises
    ------
    DataError
        If a force is not finite.
    """
    forces = np.empty(positions_nm.shape, dtype=np.float32)
    for k, frame in enumerate(progress_bar(positions_nm, "forces", unit="frame", shown=progress)):
        context.setPositions(np.asarray(frame, dtype=float))
        forces[k] = context.getState(forces=True).getForces(asNumpy=True)._value
        if not np.isfinite(forces[k]).all():
            raise DataError(f"forces of frame {k} are NaN or infinite: leave such frames out")
    return forces


def force_map(mapping, forces):
    """Return the force map B of F = B f with the smallest noise, one row per bead.

    Parameters
    ----------
    mapping : CGMapping
    forces : numpy.ndarray, shape (frames, n, 3)
        Of the reference, to find out what varies together.

    Returns
    -------
    numpy.ndarray, shape (N, n)
        B M^T = 1 holds to 1e-6.

    Raises
    ------
    MappingError
        If there is no such B: bonds to hydrogen hold beads together.
    """
    bonds = [(a, b) for a, b in mapping.topology.bonds() if "H" in (a.element.symbol, b.element.symbol)]
    labels = molecule_labels(mapping.n_atoms, [(a.index, b.index) for a, b in bonds])
    groups = np.eye(labels.max() + 1)[labels]
    summed = np.einsum("ig,fix->gfx", groups, forces).reshape(groups.shape[1], -1)
    moments = summed @ summed.T
    moments = moments / np.trace(moments) + RIDGE * np.eye(len(moments))
    weights = mapping.matrix @ groups
    # Lagrange: least b moments b^T under weights b^T = 1, one column a bead.
    n_beads, size = weights.shape
    system = np.block([[moments, weights.T], [weights, np.zeros((n_beads, n_beads))]])
    wanted = np.concatenate([np.zeros((size, n_beads)), np.eye(n_beads)])
    found = np.linalg.lstsq(system, wanted)[0][:size].T @ groups.T
    if abs(found @ mapping.matrix.T - np.eye(n_beads)).max() > MAP_TOLERANCE:
        raise MappingError(
            "bonds to hydrogen, which are constrained, hold beads of this mapping together, so that no forces on them "
            "follow: put hydrogens on the beads of their heavy atoms"
        )
    return found


def force_noise(beads_nm, forces, seed=0):
    """Upper bound of the mean square force, per component, that no potential of the beads can explain.

    This is half the mean square difference between the forces of every frame and those of the frame nearest in all bead
    distances, superposed on it. The bound is tight where frames are dense, that is for few beads.

    Parameters
    ----------
    beads_nm, forces : numpy.ndarray, shape (frames, N, 3)
    seed : int
        Of the choice of 20,000 frames, where there are more.

    Returns
    -------
    float
        (kJ/mol/nm)^2.
    """
    from scipy.spatial import cKDTree

    chosen = np.random.default_rng(seed).permutation(len(beads_nm))[:NOISE_FRAMES]
    X, F = beads_nm[chosen] - beads_nm[chosen].mean(1, keepdims=True), forces[chosen]
    i, j = np.triu_indices(X.shape[1], 1)
    distances = np.linalg.norm(X[:, i] - X[:, j], axis=-1)
    nearest = cKDTree(distances / distances.std(0)).query(distances / distances.std(0), k=2)[1][:, 1]
    # Kabsch: the proper rotation of the neighbour's beads onto the frame's.
    u, _, v = np.linalg.svd(np.einsum("fix,fiy->fxy", X[nearest], X))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return float(0.5 * np.square(F[nearest] @ (u @ v) - F).mean())
