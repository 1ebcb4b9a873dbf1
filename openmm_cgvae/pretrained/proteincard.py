"""Cards of models of any protein: data, limits, figures, and a command that bundles a model with its card.

``python -m openmm_cgvae.pretrained.proteincard FILE NAME EVALUATION.json DESCRIPTION``, where the evaluation is what
``benchmarks/proteins.py`` writes.
"""

import re
import sys

from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.io.results import PROTEIN_EVALUATION
from openmm_cgvae.metrics.proteins import LONG, protein_table
from openmm_cgvae.pretrained.card import bundle_with_card, card_text, training_text

__all__ = ["bundle_protein", "model_card"]

LIMITS = (
    "The 20 amino acids in their protonation states, caps and disulfide bonds; nothing else (ligands, modified "
    "residues, nucleic acids, lipids) is built, nor seen by what is built.",
    "Chains of 3 residues or more. Training chains are single chains of crystals: side chains at interfaces and in "
    "membranes are built as any others, disordered and unfolded regions from what folded ones show.",
    "Crystals are cold and have one conformation an atom: samples of one frame differ as crystals of like surroundings "
    "do, which is not the thermal ensemble of a force field.",
    "Hydrogens, terminal oxygens and caps are placed by geometry, rotatable ones at random in their wells; nothing of "
    "it is learned.",
    "Beads that no peptide can hold (neighbouring C-alphas far from 0.38 or 0.29 nm) stay where they are at the cost "
    "of bonds with consistency `exact`, and move a little with `sound`.",
)


def model_card(file, name, evaluation=None):
    """Write the card of a model of any protein.

    Parameters
    ----------
    file : ModelFile
    name : str
    evaluation : dict, optional
        ``rows`` of `protein_summary` by name, and ``chains``.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ModelFileError
        If it is a model of one molecule.
    """
    known = file.metadata
    if file.kind != "protein":
        raise ModelFileError(f"{name} is a model of kind {file.kind!r}: one of any protein is expected")
    parts = [
        f"# {name}",
        f"All atoms of any protein, on {known['beads']} (mapping `{known['mapping']}`, consistency "
        f"`{known['consistency']}` unless asked otherwise). `openmm-cgvae info {name} --json` prints all that the "
        "file says.",
        "## Data",
        *_data(known["data"]),
        "## Training",
        _training(known),
        "## Limits",
        "\n".join(f"- {text}" for text in LIMITS),
    ]
    if evaluation:
        parts += ["## Figures", *_figures(evaluation)]
    parts += ["## Structures trained on", " ".join(_structures(known["data"]))]
    return card_text(parts, "#|")


def bundle_protein(path, name, evaluation, description):
    """Copy a model file into the package, with its evaluation and its card, and note it in the index.

    Parameters
    ----------
    path : path
    name : str
    evaluation : path
        JSON of ``benchmarks/proteins.py``.
    description : str
    """
    bundle_with_card(path, name, evaluation, description, model_card, "benchmarks/proteins.py", PROTEIN_EVALUATION)


def _data(data):
    train, validation, test = data["chains_train_validation_test"]
    frames = data.get("md_frames", 0)
    apart = "no cluster" if data.get("held_out_by", "cluster") == "cluster" else "no run"
    yield (
        f"{train:,} chains to train on ({data['residues']:,} residues, {data['clusters']:,} clusters at 40 % sequence "
        f"identity), {validation} for validation, {test} held out for test; {apart} is in two of them. SHA-256 of the "
        f"packed chains: `{data['sha256']}`."
    )
    if frames < train:
        yield (
            f"{train - frames:,} of the chains to train on are of crystal structures of the Protein Data Bank, whose "
            "coordinates are in the public domain (CC0 1.0): heavy atoms of the first model, the alternate with the "
            "highest occupancy, selenomethionine as methionine."
        )
    if frames:
        yield f"{frames:,} are frames of molecular dynamics, of the runs named below."
    if "start" in data:
        start = data["start"]
        yield (
            f"Begun with the weights of `{start['model']}`, trained on {start['residues']:,} residues of other data "
            f"(`{start['sha256']}`), whose tables of local geometry it keeps."
        )


def _training(known):
    text = training_text(known, "residues", "Cross-entropies of validation chains at the end")
    return f"{text} Written by openmm_cgvae {known['package_version']}."


def _figures(evaluation):
    rows = evaluation["rows"]
    yield (
        f"{len(evaluation['chains'])} test chains, built from their beads by `benchmarks/proteins.py` and compared "
        "with the crystal; not minimised."
    )
    yield protein_table(rows)
    if any(row.get("long") for row in rows.values()):
        yield f"Chains above {LONG} residues:"
        yield protein_table(rows, long=True)


def _structures(data):
    """Names of what was trained on, chains of PDB entries by entry alone."""
    names = (*data["trained_on"].split(), *data.get("start", {}).get("trained_on", "").split())
    return sorted({re.sub(r"^(\w{4})_[\w-]+$", r"\1", name) for name in names})


if __name__ == "__main__":
    bundle_protein(*sys.argv[1:5])
