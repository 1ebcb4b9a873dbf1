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
# A topology of mdtraj, OpenMM, ParmEd or MDAnalysis, or what holds one.
SomeTopology: TypeAlias = Any
# A path, a list of paths that are read as one, or an object of mdtraj, MDAnalysis, ParmEd or OpenMM with positions.
SomeTrajectory: TypeAlias = Any
# Atom indices of every bead.
Beads: TypeAlias = Sequence[Any]
