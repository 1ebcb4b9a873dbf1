"""Structures in a notebook, by py3Dmol or nglview, whichever is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmm_cgvae.core.errors import MissingDependencyError, PositionsError
from openmm_cgvae.core.units import value_in_md_units
from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.io.trajectory_files import TrajectoryWriter

if TYPE_CHECKING:
    from openmm_cgvae.core.types import Positions

__all__ = ["view"]

# Frames that a notebook is given, and beyond which residues a protein is shown as a cartoon.
MOST_FRAMES, CARTOON = 100, 12


def view(
    molecule: Any, positions: Positions, beads: Positions | None = None, width: int = 640, height: int = 420
) -> Any:
    """Show structures in a notebook; several frames are played.

    Parameters
    ----------
    molecule : Sampler, openmm.app.Topology or mdtraj.Topology
        What the positions are of.
    positions : Quantity or array_like, shape (n, 3), (frames, n, 3) or (frames, samples, n, 3)
        nm, as ``backmapper.sample`` gives them; evenly spaced ones of many.
    beads : Quantity or array_like, shape (N, 3) or (frames, N, 3), optional
        nm; those of the first structure are shown as spheres (py3Dmol only).
    width, height : int
        Pixels (py3Dmol only).

    Returns
    -------
    py3Dmol.view or nglview.NGLWidget
        Shown by the notebook if it is the last thing in a cell.

    Raises
    ------
    MissingDependencyError
        If neither py3Dmol nor nglview is installed.
    PositionsError
        If the positions are not of the molecule.
    """
    topology = getattr(molecule, "topology", molecule)
    n_atoms = topology.getNumAtoms() if hasattr(topology, "getNumAtoms") else topology.n_atoms
    frames = np.asarray(value_in_md_units(positions), dtype=float)
    if frames.ndim < 2 or frames.shape[-2:] != (n_atoms, 3):
        raise PositionsError(f"positions of shape {frames.shape} given, (..., {n_atoms}, 3) expected for this molecule")
    frames = frames.reshape(-1, n_atoms, 3)
    frames = frames[thinned(len(frames), MOST_FRAMES)]
    try:
        import py3Dmol
    except ImportError:
        return _nglview(topology, frames)
    scene = py3Dmol.view(width=width, height=height)
    scene.addModelsAsFrames(_pdb(topology, frames), "pdb")
    residues = topology.getNumResidues() if hasattr(topology, "getNumResidues") else topology.n_residues
    scene.setStyle(
        {"cartoon": {}, "line": {}} if residues > CARTOON else {"stick": {"radius": 0.13}, "sphere": {"scale": 0.2}}
    )
    if beads is not None:
        for x, y, z in 10 * np.asarray(value_in_md_units(beads), dtype=float).reshape(-1, *np.shape(beads)[-2:])[0]:
            centre = {"x": float(x), "y": float(y), "z": float(z)}
            scene.addSphere({"center": centre, "radius": 0.7, "color": "#7a6fd0", "opacity": 0.5})
    scene.zoomTo()
    if len(frames) > 1:
        scene.animate({"loop": "forward", "interval": 100})
    return scene


def _nglview(topology, frames):
    try:
        import nglview
    except ImportError as error:
        raise MissingDependencyError("view needs py3Dmol or nglview: pip install py3Dmol") from error
    # Whole models of one structure each.
    return nglview.show_text(_pdb(topology, frames), ext="pdb")


def _pdb(topology, frames):
    """Frames as the models of a PDB file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structures.pdb"
        with TrajectoryWriter(path, topology) as writer:
            writer.write(frames, None)
        return path.read_text()
