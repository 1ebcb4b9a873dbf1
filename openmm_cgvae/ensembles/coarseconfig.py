"""Settings of a training of CoarsenConf."""

from dataclasses import dataclass, fields

from openmm_cgvae.core.checks import check_ranges
from openmm_cgvae.ligands.coarsenconf import CoarsenConfConfig

__all__ = ["CoarsenConfTraining"]


@dataclass(frozen=True)
class CoarsenConfTraining(CoarsenConfConfig):
    """How to train a `CoarsenConf`, beside its size.

    Parameters
    ----------
    conformers : int
        Seen in all, over which the learning rate falls as a cosine.
    batch_atoms : int
        At least so many a batch, in whole molecules.
    learning_rate, weight_decay : float
    ema_decay : float
        Of the moving average of the weights.
    distance_weight : float
        Of the squared errors of distances beside those of coordinates.
    kl_weight : float
        Of the divergence of posterior and prior of a bead, in nats, beside squared errors in Angstrom^2.
    kl_updates : int
        Over which that weight rises from zero.
    context_noise : float
        Standard deviation in Angstrom of the noise on what a bead sees of those before it, which sampling does not
        build exactly either.
    seed : int
    """

    conformers: int = 200_000
    batch_atoms: int = 600
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    distance_weight: float = 0.5
    kl_weight: float = 0.005
    kl_updates: int = 1000
    context_noise: float = 0.1
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_ranges(
            self,
            positive=("conformers", "batch_atoms", "learning_rate"),
            zero=("weight_decay", "distance_weight", "kl_weight", "kl_updates", "context_noise"),
            below_one=("ema_decay",),
        )

    @property
    def size(self) -> CoarsenConfConfig:
        """Settings of the network."""
        return CoarsenConfConfig(**{field.name: getattr(self, field.name) for field in fields(CoarsenConfConfig)})
