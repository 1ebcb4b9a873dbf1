"""What the bundled models keep on all held-out frames: symmetry by precision, and what minimisation leaves."""

import numpy as np

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.io.bundled import pretrained_names
from openmm_cgvae.metrics import valid_graphs
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.pretrained.bundle import reference_frames


def measure():
    """On all bundled held-out frames: rotation errors by precision, and what minimisation leaves."""
    figures = {}
    for name in pretrained_names():
        reference = reference_frames(name).astype(np.float64)
        backmapper = Backmapper.load(name)
        mapping, graph = backmapper.mapping, MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
        beads = mapping.project(reference)
        sampled = backmapper.sample(beads, seed=0)[:, 0]
        minimizer = Minimizer(mapping, handedness=backmapper.handedness)
        done, ideal = (minimizer.minimize(x, beads, progress=False) for x in (sampled, reference))
        figures |= {
            f"{name} rotation_nm single": rotation_error(backmapper, beads),
            f"{name} rotation_nm float32 beads": rotation_error(backmapper, beads, np.float32),
            f"{name} rotation_nm double": rotation_error(Backmapper.load(name, precision="double"), beads),
            f"{name} minimized valid": float(valid_graphs(done.positions, graph).mean()),
            f"{name} minimized failed": int(done.failed.sum()),
            f"{name} minimized max |Mx-X|": float(np.abs(mapping.project(done.positions) - beads).max()),
            f"{name} minimized energy/atom": float(np.median(done.energy_after)) / graph.n_atoms,
            f"{name} minimized MD energy/atom": float(np.median(ideal.energy_after)) / graph.n_atoms,
        }
    return figures


def rotation_error(backmapper, beads, dtype=np.float64):
    """[median, 99.9 %, largest] over frames of the largest error in nm after one rotation and translation."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    beads = beads - beads.mean(1, keepdims=True)
    atoms, moved = (
        backmapper.sample(x.astype(dtype), seed=2)[:, 0].astype(np.float64) for x in (beads, beads @ turn.T + 1.0)
    )
    errors = np.abs(atoms @ turn.T + 1.0 - moved).max(axis=(1, 2))
    return [float(f"{x:.2g}") for x in np.quantile(errors, (0.5, 0.999, 1.0))]
