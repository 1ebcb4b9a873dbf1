"""Types of what public functions take, for hints."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["Beads", "Number", "PathLike", "Positions", "SomeTopology", "SomeTrajectory"]

PathLike: TypeAlias = str | os.PathLike[str]
# A float or an OpenMM Quantity, which has no type of its own.
Number: TypeAlias = Any
# A Quantity, or anything that numpy makes an array of; bare numbers in nm.
Positions: TypeAlias = Any
# An mdtraj.Topology or an openmm.app.Topology.
SomeTopology: TypeAlias = Any
# A path, a list of paths that are read as one, or an mdtraj.Trajectory.
SomeTrajectory: TypeAlias = Any
# Atom indices of every bead.
Beads: TypeAlias = Sequence[Any]
