"""What the metadata of a model file may say."""

from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.schema import (
    anything,
    either,
    entries,
    flag,
    listing,
    nothing,
    number,
    one_of,
    record,
    text,
    whole,
)

__all__ = ["DATA", "check_metadata"]

# Largest sizes of networks, so that a damaged number does not ask for all memory or for years.
WIDTH, LAYERS, SWEEPS, STEPS = whole(0, 1 << 14), whole(0, 1000), whole(0, 100_000), whole(1, 100_000)
PARTS = listing(whole(0), 3)
LENGTH = number(above=0, high=1e4)

MODEL = record({
    "features": WIDTH, "radial": WIDTH, "encoder_layers": LAYERS, "prior_layers": LAYERS, "decoder_layers": LAYERS,
    "atom_cutoff_angstrom": LENGTH, "bead_cutoff_angstrom": LENGTH, "latent": either(nothing, WIDTH), "prior": text(40),
    "flow_width": WIDTH, "flow_layers": LAYERS, "flow_steps": STEPS, "flow_dropout": number(0, 1),
    "flow_cutoff_angstrom": LENGTH, "refinement_layers": LAYERS, "refinement_width": WIDTH, "refinement_vectors": WIDTH,
    "refinement_contacts": LAYERS, "projection_sweeps": SWEEPS, "handed": flag, "activation": text(40),
    "width": WIDTH, "layers": LAYERS, "known_layers": LAYERS, "neighbours": whole(1, 10_000), "bins": WIDTH,
    "mapping": text(40),
})  # fmt: skip
DATA = record({
    "sha256": text(64), "frames": whole(0), "runs": whole(0), "frames_train_validation_test": PARTS,
    "chains_train_validation_test": PARTS, "residues": whole(0), "clusters": whole(0), "md_frames": whole(0),
    "held_out_by": text(), "start": record({"model": text()}, ("model",)),
})  # fmt: skip
ERROR = record(
    {
        "reference": number(0), "tabulated": number(0), "learned": number(0), "runs": whole(0), "noise": number(),
        "standard_error": either(nothing, number(0)),
    },
    ("reference", "tabulated", "learned", "runs", "noise", "standard_error"),
)  # fmt: skip

METADATA = record(
    {
        "format": text(100), "format_version": whole(1), "package_version": text(100), "kind": text(100),
        "units": entries(text(100)), "name": text(1000), "n_atoms": whole(1), "n_beads": whole(1),
        "handedness": either(nothing, listing(one_of(1, -1, 1.0, -1.0))), "temperature_k": either(nothing, number(0)),
        "bead_spread_nm": number(0), "mapping": text(100), "beads": text(1000), "consistency": one_of("exact", "sound"),
        "model": MODEL, "data": DATA, "training": record({"epochs_done": whole(0), "residues_seen": whole(0)}),
        "baseline": record({"kind": text(100)}, ("kind",)), "held_out": entries(anything),
        "validation": entries(number()), "force_error": entries(ERROR),
    },
    ("format", "format_version"),
)  # fmt: skip


def check_metadata(metadata):
    """Refuse metadata with an entry of another type, or out of its range (`ModelFileError`)."""
    try:
        METADATA(metadata, "metadata")
    except ValueError as error:
        raise ModelFileError(f"its {error}: the file is damaged, or of a foreign make") from error
