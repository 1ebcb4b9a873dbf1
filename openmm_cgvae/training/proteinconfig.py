"""Settings of a training of a model for any protein."""

from dataclasses import dataclass, fields

from openmm_cgvae.core.checks import check_ranges, check_types
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.models.config import config_from_dict
from openmm_cgvae.proteins.beadweights import MAPPINGS

__all__ = ["ProteinConfig", "protein_settings"]

# What is changed of the settings where a trained model is given to start from.
OF_START = {"learning_rate": 3e-4, "residues": 2_000_000}


@dataclass(frozen=True)
class ProteinConfig:
    """How to train a `TorsionNetwork`.

    Parameters
    ----------
    width, layers, known_layers, neighbours, bins : int
        See `TorsionNetwork`.
    residues : int
        Seen in all, over which the learning rate falls as a cosine.
    batch_residues : int
        At least so many a batch, in whole chains.
    learning_rate : float
    weight_decay : float
    ema_decay : float
        Of the moving average of the weights.
    backbone_fraction : float
        Part of the chains whose peptide units are asked for; the others' side chains are, on a known backbone.
    torsion_noise_degree : float
        Standard deviation of the noise on known torsions, of half of the chains: in sampling they are not exact.
    bead_noise_angstrom, noisy_fraction : float
        Largest standard deviation of the noise on beads, of a part of the chains.
    ca_noise_angstrom : float
        Standard deviation of the noise on C-alphas where beads are not C-alphas.
    md_fraction : float, optional
        Part of the residues seen that are frames of molecular dynamics; if omitted, these are drawn as crystals are,
        evenly over clusters.
    mapping : {"ca", "com", "martini"}
        Of the beads.
    calibration_chains : int
        Chains that the tables of local coordinates are taken from.
    seed : int
    """

    width: int = 128
    layers: int = 4
    known_layers: int = 4
    neighbours: int = 24
    bins: int = 48
    residues: int = 20_000_000
    batch_residues: int = 800
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    backbone_fraction: float = 0.35
    torsion_noise_degree: float = 8.0
    bead_noise_angstrom: float = 0.15
    noisy_fraction: float = 0.15
    ca_noise_angstrom: float = 0.2
    calibration_chains: int = 1000
    md_fraction: float | None = None
    mapping: str = "ca"
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_ranges(
            self,
            positive=("width", "layers", "known_layers", "neighbours", "bins", "residues", "batch_residues",
                      "calibration_chains", "learning_rate"),
            zero=("weight_decay", "torsion_noise_degree", "bead_noise_angstrom", "ca_noise_angstrom"),
            part=("backbone_fraction", "noisy_fraction", "md_fraction"),
            below_one=("ema_decay",),
        )  # fmt: skip
        if self.mapping not in MAPPINGS:
            raise SettingsError(f"mapping={self.mapping!r} given: one of {', '.join(MAPPINGS)} is expected")


def protein_settings(changes, mapping=None, start=None):
    """Make the settings of those given by name.

    Parameters
    ----------
    changes : dict
    mapping : str, optional
    start : dict, optional
        Metadata of a model: its size is taken, and its mapping unless one is given.

    Returns
    -------
    ProteinConfig

    Raises
    ------
    SettingsError
        If a name is unknown, or a value out of range.
    """
    settings = {}
    if start is not None:
        known = {field.name for field in fields(ProteinConfig)}
        size = {k: v for k, v in start["model"].items() if k in known}
        settings = OF_START | size | {"mapping": mapping or start["mapping"]}
    elif mapping is not None:
        settings = {"mapping": mapping}
    return config_from_dict(ProteinConfig, settings | changes)
