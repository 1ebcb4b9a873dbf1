"""What cards of models share: their lines, the account of a training, and the bundling of a model with its card."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from openmm_cgvae.core.output import write_json, write_text
from openmm_cgvae.core.schema import Schema
from openmm_cgvae.io.bundled import PRETRAINED
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.io.results import read_record
from openmm_cgvae.pretrained.bundle import add_to_index

__all__ = ["bundle_with_card", "card_text", "training_text"]

WIDTH = 125


def card_text(parts: Sequence[str], as_they_are: str) -> str:
    """Join paragraphs, in lines of one width but for those that begin with one of the characters of `as_they_are`."""
    return "\n\n".join(part if part[0] in as_they_are else _filled(part) for part in parts) + "\n"


def _filled(text):
    """Text in lines of one width, lists as lists."""
    lines = text.split("\n") if text.startswith("- ") else [text]
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent="  " if line.startswith("- ") else "", break_on_hyphens=False)
        for line in lines
    )


def training_text(known: dict[str, Any], items: str, validated: str) -> str:
    """Say how a model was trained, from the metadata of its file.

    Parameters
    ----------
    known : dict
    items : str
        What was seen, "residues" or "conformers".
    validated : str
        What cross-entropies are called.
    """
    training = known["training"]
    left = ("updates", f"{items}_seen")
    settings = {key: value for key, value in training.items() if key not in left and value is not None}
    chosen = ", ".join(f"{key} {value:g}" for key, value in settings.items())
    sizes = ", ".join(f"{key} {value}" for key, value in known["model"].items())
    text = f"{training[f'{items}_seen']:,} {items} seen in {training['updates']:,} updates. "
    text += f"Network: {sizes}. Settings: {chosen}."
    if known["validation"]:
        entropies = ", ".join(f"{key} {value:.3f}" for key, value in known["validation"].items())
        text += f" {validated}: {entropies}."
    return text


def bundle_with_card(
    path: Any,
    name: str,
    evaluation: Any,
    description: str,
    card: Callable[[ModelFile, str, dict], str],
    writer: str,
    schema: Schema,
) -> None:
    """Copy a model file into the package, with its evaluation and its card, and note it in the index.

    Parameters
    ----------
    path, name
    evaluation : path
        JSON that `writer` made.
    description : str
    card : callable
        Takes model file, name and evaluation, and returns the text.
    writer : str
        What writes such evaluations, for the message.
    schema : callable
        What they are.

    Raises
    ------
    DataError
        If the evaluation cannot be read.
    """
    measured = read_record(evaluation, schema, "evaluation", writer)
    text = card(ModelFile.load(path), name, measured)
    write_json(PRETRAINED / f"{name}.json", measured)
    write_text(PRETRAINED / f"{name}.md", text)
    add_to_index(path, name, description, evaluation=f"{name}.json", card=f"{name}.md")
