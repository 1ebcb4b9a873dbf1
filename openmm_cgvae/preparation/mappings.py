"""Mappings as commands name them: by a method that chooses the beads, or by a file."""

from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import existing_folder
from openmm_cgvae.io.trajectory_files import TrajectoryReader, read_frames
from openmm_cgvae.molecule.mapping import (
    CGMapping,
    alpha_carbon_mapping,
    autograin_mapping,
    backbone_mapping,
    community_mapping,
    residue_mapping,
)

__all__ = ["BY_NUMBER", "BY_RESIDUE", "bead_rows", "build_mapping", "load_mapping", "named_mapping", "read_evenly"]

# Methods that take a number of beads, and those that do not.
BY_NUMBER, BY_RESIDUE = ("autograin", "backbone", "community"), ("residue", "alpha-carbon")
# Frames that the beads are chosen by, at most.
MAX_FRAMES = 1000
# Of the paper (appendix F.2).
AUTOGRAIN_EPOCHS = 1500


def load_mapping(name, topology, weights="geometric"):
    """Make the `CGMapping` by residues of an all-atom topology, or read one of its atoms from a file."""
    if name in BY_RESIDUE:
        return residue_mapping(topology, weights) if name == "residue" else alpha_carbon_mapping(topology)
    mapping = CGMapping.load(name)
    mapping.check_topology(topology)
    return mapping


def read_evenly(path, topology, salvage=False):
    """Read at most 1000 frames at an even stride, shape (frames, n, 3), nm."""
    stride = -(-(TrajectoryReader(path, topology, salvage=salvage).n_frames or 1) // MAX_FRAMES)
    positions = read_frames(path, topology, stride, salvage)
    # A NetCDF file tells its number of frames only now.
    return positions[:: -(-len(positions) // MAX_FRAMES)]


def check_method(method, n_beads, weights="geometric"):
    """Raise `SettingsError` where a method, a number of beads and weights do not go together."""
    if method in BY_RESIDUE and n_beads is not None:
        raise SettingsError(f"--beads is not for --method {method}: the residues give the number, omit it")
    if method in BY_NUMBER and n_beads is None:
        raise SettingsError(f"--beads is missing: give the number of beads for --method {method}")
    if method == "alpha-carbon" and weights != "geometric":
        raise SettingsError("--weights is not for --method alpha-carbon: only the alpha carbons have weight, omit it")


def build_mapping(method, topology, positions, n_beads=None, seed=0, weights="geometric", epochs=AUTOGRAIN_EPOCHS):
    """Choose the beads of a molecule.

    Parameters
    ----------
    method : str
        Of `BY_NUMBER` or `BY_RESIDUE`.
    topology : mdtraj.Topology
        All atoms.
    positions : numpy.ndarray, shape (frames, n, 3)
        nm.
    n_beads : int, optional
        Of the methods of `BY_NUMBER`.
    seed, epochs : int
        Of ``autograin``; the seed also of ``backbone``.
    weights : {"geometric", "mass"}

    Returns
    -------
    CGMapping

    Raises
    ------
    SettingsError, MappingError, DataError
        As the methods say.
    """
    check_method(method, n_beads, weights)
    if method == "autograin":
        return autograin_mapping(topology, positions, n_beads, seed, epochs, weights, progress=True)
    if method == "backbone":
        return backbone_mapping(topology, positions, n_beads, seed, weights)
    if method == "community":
        return community_mapping(topology, n_beads, weights, progress=True)
    return load_mapping(method, topology, weights)


def named_mapping(text, topology, positions, folder, seed=0):
    """Return name and `CGMapping` of a file, or of ``METHOD:N``, which is kept as ``mappings/METHOD-N.json``.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    if Path(text).is_file():
        return Path(text).stem, load_mapping(text, topology)
    method, _, beads = text.partition(":")
    if method not in BY_NUMBER + BY_RESIDUE or (beads and not beads.isdigit()):
        raise SettingsError(
            f"--mapping {text} given: METHOD or METHOD:N with a method of {', '.join(BY_NUMBER + BY_RESIDUE)}, or an "
            "existing mapping file is expected"
        )
    if method in BY_NUMBER and not beads:
        raise SettingsError(f"--mapping {text} given: the number of beads is missing, as in {text}:5")
    name = text.replace(":", "-")
    path = existing_folder(Path(folder) / "mappings") / f"{name}.json"
    if not path.exists():
        stride = -(-len(positions) // MAX_FRAMES)
        build_mapping(method, topology, positions[::stride], int(beads) if beads else None, seed).save(path)
    return name, load_mapping(path, topology)


def bead_rows(mapping, topology, positions):
    """Rows of a table: name, atoms, radius in nm over positions (frames, n, 3), and atoms by residue, of every bead."""
    offsets = positions - mapping.lift(mapping.project(positions))
    squares = (offsets.astype(float) ** 2).sum(-1).mean(0)
    for name, bead in zip(mapping.names, mapping.beads, strict=True):
        residues = [str(topology.atom(i).residue) for i in bead]
        parts = ", ".join(f"{residue} {residues.count(residue)}" for residue in dict.fromkeys(residues))
        yield name, len(bead), f"{np.sqrt(squares[list(bead)].mean()):.3f}", parts
