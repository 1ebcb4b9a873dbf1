"""Hyper-parameters of the model, and the paper's settings as named presets."""

from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches

from openmm_cgvae.core.checks import check_ranges, check_types
from openmm_cgvae.core.errors import SettingsError

__all__ = [
    "PRESETS",
    "ModelConfig",
    "TrainingConfig",
    "check_settings",
    "config_from_dict",
    "config_to_dict",
    "preset",
]

PRIOR_NAMES = ("gaussian", "flow", "local-flow")
ACTIVATIONS = ("swish", "relu", "tanh", "gelu", "elu")


@dataclass(frozen=True)
class ModelConfig:
    """Hyper-parameters of `CGVAE` (Table 4 of the paper; lengths in Angstrom).

    Parameters
    ----------
    features : int
        Node embedding dimension F; at least the atom count of the largest bead.
    radial : int
        Number of radial basis functions K.
    encoder_layers, prior_layers, decoder_layers : int
        Convolution depths.
    atom_cutoff_angstrom, bead_cutoff_angstrom : float
        d_cut and D_cut.
    latent : int or None
        Latent channels a bead; None for F, as in the paper. With fewer than 3 (n / N - 1), the coordinates that
        the beads leave free, vibrations are left out.
    prior : {"gaussian", "flow", "local-flow"}
        The paper's diagonal Gaussian, or a conditional flow-matching prior: one network over all beads, for a handful
        of them, or message passing between near beads.
    flow_width, flow_layers, flow_steps : int
        Size of the flow's velocity network, and the number of steps in which it is followed.
    flow_dropout : float
        Dropout probability of the velocity network's hidden features, against overfitting to few runs.
    flow_cutoff_angstrom : float
        Distance within which the local flow passes messages.
    refinement_layers, refinement_width : int
        Depth and features of the message passing on the bond graph after channel selection; 0 layers for none, as in
        the paper.
    refinement_vectors : int
        Mixtures of its bead's vectors that an atom gets there.
    refinement_contacts : int
        Number of refinement layers, counted from the last, that are preceded by messages between atoms near in space.
    projection_sweeps : int
        Largest number of sweeps that bring local geometry inside the bounds of the training frames; 0 for none.
    handed : bool
        Break reflection symmetry (pseudoscalars start at 1), so that a mirrored CG frame still gives an L-amino
        acid. False gives the O(3)-equivariant decoder.
    activation : {"swish", "relu", "tanh", "gelu", "elu"}
        Of encoder, prior and decoder networks; the flow's is swish.
    """

    features: int = 64
    radial: int = 8
    encoder_layers: int = 2
    prior_layers: int = 2
    decoder_layers: int = 5
    atom_cutoff_angstrom: float = 8.5
    bead_cutoff_angstrom: float = 12.0
    latent: int | None = 16
    prior: str = "flow"
    flow_width: int = 192
    flow_layers: int = 4
    flow_steps: int = 8
    flow_dropout: float = 0.0
    flow_cutoff_angstrom: float = 12.0
    refinement_layers: int = 0
    refinement_width: int = 64
    refinement_vectors: int = 8
    refinement_contacts: int = 0
    projection_sweeps: int = 120
    handed: bool = True
    activation: str = "swish"

    def __post_init__(self):
        check_types(self)
        check_ranges(
            self,
            positive=("features", "radial", "encoder_layers", "prior_layers", "decoder_layers", "flow_width",
                      "flow_layers", "flow_steps", "refinement_width", "refinement_vectors", "atom_cutoff_angstrom",
                      "bead_cutoff_angstrom", "flow_cutoff_angstrom"),
            zero=("refinement_layers", "refinement_contacts", "projection_sweeps"),
            below_one=("flow_dropout",),
        )  # fmt: skip
        if self.refinement_contacts > self.refinement_layers:
            raise SettingsError(
                f"refinement_contacts={self.refinement_contacts} given: at most refinement_layers, "
                f"{self.refinement_layers}, is expected"
            )
        if self.handed and self.decoder_layers < 3:
            # Edges give vectors, these give pseudovectors, and only these give vectors that break the symmetry.
            raise SettingsError(f"decoder_layers={self.decoder_layers} given: handedness takes at least 3")
        if self.prior not in PRIOR_NAMES:
            raise SettingsError(f"prior={self.prior!r} given: one of {', '.join(PRIOR_NAMES)} is expected")
        if self.activation not in ACTIVATIONS:
            raise SettingsError(f"activation={self.activation!r} given: one of {', '.join(ACTIVATIONS)} is expected")
        if self.latent is not None and self.latent < 1:
            raise SettingsError(f"latent={self.latent} given: a positive number, or None for the width, is expected")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train (Table 4, section 4.4 and appendix F.2 of the paper).

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Of Adam.
    gamma, beta : float
        Weights of the graph loss and of the KL divergence.
    patience, factor, min_learning_rate : int, float, float
        Of the plateau schedule, on the validation loss.
    anneal : float
        Fraction of the epochs, at the end, over which the learning rate falls linearly to zero; 0 for none.
    gradient_clip : float
        Largest norm of the gradient.
    ema_decay : float
        Decay of the moving average of the weights, which is what is validated and exported, less in the first updates
        (`moving_average`); 0 for none.
    prior_updates : int
        Updates of a flow prior alone after the last epoch, see `fit_prior`; 0 for none.
    posterior_steps : int
        Optimisation steps on every frame's latents before these updates, see `sharpened`; 0 for none.
    smoothing : float
        Weight in these updates of a penalty on how strongly samples change with the beads (about 0.07, in 2,000
        updates). It reduces rounding errors at the cost of samples between the conformations.
    polish_updates : int
        Updates of decoder and refinement alone after that, see `polish_decoder`; 0 for none.
    geometry : float
        Weight, in these updates, of the local geometry of structures decoded from samples of the prior.
    permute_hydrogens : bool
        Let the loss choose the best relabelling of each XH3 group's hydrogens.
    validation_fraction, test_fraction : float
        Fraction of the independent runs (of blocks, if there is one run) held out.
    seed : int
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    gamma: float = 20.0
    beta: float = 0.00001
    patience: int = 6
    factor: float = 0.5
    min_learning_rate: float = 2e-5
    anneal: float = 0.3
    gradient_clip: float = 1.0
    ema_decay: float = 0.995
    prior_updates: int = 0
    posterior_steps: int = 30
    smoothing: float = 0.0
    polish_updates: int = 0
    geometry: float = 5.0
    permute_hydrogens: bool = True
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_ranges(
            self,
            positive=("batch_size", "learning_rate", "factor", "gradient_clip"),
            zero=("epochs", "gamma", "beta", "patience", "min_learning_rate", "prior_updates", "posterior_steps",
                  "smoothing", "polish_updates", "geometry"),
            part=("anneal",),
            below_one=("ema_decay",),
        )  # fmt: skip
        if not 0 < self.validation_fraction < 1 or not 0 <= self.test_fraction < 1:
            raise SettingsError("validation_fraction and test_fraction must lie between 0 and 1")


_PAPER = {
    "model": ModelConfig(features=600, encoder_layers=4, prior_layers=4, bead_cutoff_angstrom=9.5, latent=None,
                         prior="gaussian", projection_sweeps=0),
    "training": TrainingConfig(epochs=500, batch_size=32, learning_rate=8e-5, gamma=25.0, beta=0.05, ema_decay=0.0,
                               permute_hydrogens=False, patience=15, factor=0.3, min_learning_rate=0.0,
                               anneal=0.0),
}  # fmt: skip

_PEPTIDE = {
    "model": ModelConfig(features=96, bead_cutoff_angstrom=25.0, prior="local-flow", flow_width=96, flow_layers=3,
                         flow_dropout=0.2, refinement_layers=4, refinement_contacts=2, projection_sweeps=480),
    "training": TrainingConfig(batch_size=32, beta=0.0005, prior_updates=1500, posterior_steps=0, polish_updates=800),
}  # fmt: skip

PRESETS = {
    "small": (ModelConfig(), TrainingConfig()),
    "peptide": (_PEPTIDE["model"], _PEPTIDE["training"]),
    # For a training of minutes: what a step costs is halved, and there are twice as many of them.
    "quick": (replace(_PEPTIDE["model"], features=64, encoder_layers=1, refinement_layers=2, refinement_contacts=1),
              replace(_PEPTIDE["training"], batch_size=16, polish_updates=400)),
    "gaussian": (ModelConfig(prior="gaussian", latent=None), TrainingConfig(gamma=25.0, beta=0.05)),
    "paper-alanine-dipeptide": (_PAPER["model"], _PAPER["training"]),
    "paper-chignolin": (
        replace(_PAPER["model"], radial=10, encoder_layers=2, prior_layers=2, decoder_layers=9,
                atom_cutoff_angstrom=12.0, bead_cutoff_angstrom=25.0),
        replace(_PAPER["training"], epochs=100, batch_size=2, learning_rate=1e-4, gamma=50.0),
    ),
}  # fmt: skip


def preset(name, changes=None):
    """Return the (`ModelConfig`, `TrainingConfig`) of that name, with settings of either changed by name.

    Raises
    ------
    SettingsError
        With the nearest valid name.
    """
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise SettingsError(f"preset {name!r} given: one of {', '.join(PRESETS)} is expected{hint}")
    names = [[field.name for field in fields(config)] for config in PRESETS[name]]
    check_settings(changes or {}, names[0] + names[1])
    return tuple(
        replace(config, **{name: value for name, value in (changes or {}).items() if name in own})
        for config, own in zip(PRESETS[name], names, strict=True)
    )


def check_settings(given, known):
    """Refuse names that are no setting, with the nearest valid one.

    Raises
    ------
    SettingsError
    """
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f": one of {', '.join(known)} is expected"
            raise SettingsError(f"unknown setting {name!r}{hint}")


def config_from_dict(cls, values):
    """Build a configuration from plain values, refusing unknown names."""
    check_settings(values, [field.name for field in fields(cls)])
    return cls(**values)


def config_to_dict(config):
    """Plain values of a configuration."""
    return asdict(config)
