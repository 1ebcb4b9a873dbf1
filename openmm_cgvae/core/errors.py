"""Exception types of this package.

Each one also is the built-in exception a caller would expect, so that ``except ValueError`` keeps working.
"""

__all__ = [
    "CGVAEError",
    "ClusterError",
    "DataError",
    "MappingError",
    "MinimizationError",
    "MissingDependencyError",
    "ModelFileError",
    "MoleculeError",
    "OutputError",
    "PositionsError",
    "SettingsError",
    "SimulationError",
    "TopologyMismatchError",
    "TrainingError",
    "one_line",
]


class CGVAEError(Exception):
    """Base of all errors raised on purpose; its text is one line that a user can act on."""


class MappingError(CGVAEError, ValueError):
    """A coarse-grained mapping that cannot be: overlapping, empty or weightless beads, indices out of range."""


class TopologyMismatchError(CGVAEError, ValueError):
    """A topology of another molecule than the mapping or the model was made for."""


class PositionsError(CGVAEError, ValueError):
    """Positions of the wrong shape or unit, or not finite.

    Parameters
    ----------
    text : str
        With ``{frame}`` where the frame's number belongs.
    frame : int, optional
        Number of the first frame that is wrong.
    """

    def __init__(self, text, frame=None):
        super().__init__(text if frame is None else text.replace("{frame}", str(frame)))
        self.text, self.frame = text, frame


class SettingsError(CGVAEError, ValueError):
    """A setting out of its range, or an unknown name."""


class DataError(CGVAEError, ValueError):
    """A trajectory or dataset that is missing, empty, truncated or unreadable."""


class ModelFileError(CGVAEError, ValueError):
    """A model file that is missing, unreadable, foreign or from a newer version."""


class MoleculeError(CGVAEError, ValueError):
    """A small molecule that cannot be read, or that a model or force field does not know."""


class OutputError(CGVAEError, OSError):
    """An output that cannot be written: its folder is missing, or it exists and may not be replaced."""


class TrainingError(CGVAEError, RuntimeError):
    """A training run that cannot go on, for example because its loss is no longer finite."""


class MinimizationError(CGVAEError, RuntimeError):
    """A force field that does not fit the molecule, or an energy that cannot be evaluated."""


class SimulationError(CGVAEError, RuntimeError):
    """A coarse-grained simulation that cannot be set up or has become unstable."""


class ClusterError(CGVAEError, RuntimeError):
    """A cluster that does not answer, or loses its workers."""


class MissingDependencyError(CGVAEError, ImportError):
    """An optional package is needed and not installed."""


def one_line(error):
    """Another package's error on one short line."""
    return " ".join(str(error).split())[:200]
