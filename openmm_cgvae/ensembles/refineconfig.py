"""Settings of a training of a refinement of conformers of any small molecule."""

from dataclasses import dataclass

from openmm_cgvae.core.checks import check_ranges, check_types

__all__ = ["REFINE_SETTINGS", "RefineConfig"]

# Settings of `RefineNetwork` that a model file keeps.
REFINE_SETTINGS = ("width", "hidden", "layers", "steps")


@dataclass(frozen=True)
class RefineConfig:
    """How to train a `RefineNetwork`.

    Parameters
    ----------
    width, hidden, layers, steps : int
        See `RefineNetwork`.
    samples : int
        Seen in all, over which the learning rate falls as a cosine.
    batch_molecules, columns : int
        Molecules of an update, and samples of each.
    learning_rate : float
    weight_decay : float
    ema_decay : float
        Of the moving average of the weights.
    window : float
        kJ/mol above the lowest minimum of a molecule beyond which samples are left out.
    every_step : float
        Weight of the RMSD after every step, beside that at the end.
    distances : float
        Weight of the errors of local distances at the end.
    seed : int
    """

    width: int = 48
    hidden: int = 32
    layers: int = 2
    steps: int = 5
    samples: int = 150_000
    batch_molecules: int = 8
    columns: int = 6
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.995
    window: float = 60.0
    every_step: float = 0.3
    distances: float = 1.0
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_ranges(
            self,
            positive=(*REFINE_SETTINGS, "samples", "batch_molecules", "columns", "learning_rate", "window"),
            zero=("weight_decay", "every_step", "distances"),
            below_one=("ema_decay",),
        )

    @property
    def network(self) -> dict[str, int]:
        """Arguments of `RefineNetwork`."""
        return {name: getattr(self, name) for name in REFINE_SETTINGS}
