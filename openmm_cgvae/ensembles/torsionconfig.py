"""Settings of a training of a torsion network of any small molecule."""

from dataclasses import dataclass

from openmm_cgvae.core.checks import check_ranges, check_types

__all__ = ["NETWORK_SETTINGS", "TorsionConfig"]

# Settings of `LigandNetwork` that a model file keeps.
NETWORK_SETTINGS = ("width", "odd", "hidden", "layers", "known_layers", "waves", "bins")


@dataclass(frozen=True)
class TorsionConfig:
    """How to train a `LigandNetwork`.

    Parameters
    ----------
    width, odd, hidden, layers, known_layers, waves, bins : int
        See `LigandNetwork`.
    conformers : int
        Seen in all, over which the learning rate falls as a cosine.
    batch_molecules, columns : int
        Molecules of an update, and conformers of each.
    learning_rate : float
    weight_decay : float
    dropout : float
        Part of the features of nodes that is left out in training.
    ema_decay : float
        Of the moving average of the weights.
    temperature : float
        K: conformers are drawn with Boltzmann weights of this temperature, above that of the references, so that rarer
        ones are learned too.
    torsion_noise_degree : float
        Standard deviation of the noise on known torsions, of half of the conformers: in sampling they are not exact.
    offset_noise_degree : float
        Standard deviation of the noise on angles of the approximate conformer.
    seed : int
    """

    width: int = 64
    odd: int = 24
    hidden: int = 48
    layers: int = 5
    known_layers: int = 2
    waves: int = 12
    bins: int = 72
    conformers: int = 1_800_000
    batch_molecules: int = 24
    columns: int = 8
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    dropout: float = 0.1
    ema_decay: float = 0.998
    temperature: float = 600.0
    torsion_noise_degree: float = 8.0
    offset_noise_degree: float = 3.0
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_ranges(
            self,
            positive=(*NETWORK_SETTINGS, "conformers", "batch_molecules", "columns", "learning_rate", "temperature"),
            zero=("weight_decay", "torsion_noise_degree", "offset_noise_degree"),
            below_one=("dropout", "ema_decay"),
        )

    @property
    def network(self) -> dict[str, int]:
        """Arguments of `LigandNetwork`."""
        return {name: getattr(self, name) for name in NETWORK_SETTINGS}
