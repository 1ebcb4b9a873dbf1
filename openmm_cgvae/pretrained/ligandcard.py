"""Cards of models of small molecules: data, limits, figures, and a command that bundles a model with its card.

``python -m openmm_cgvae.pretrained.ligandcard FILE NAME results.json DESCRIPTION``, where the results are what
``openmm-cgvae evaluate-conformers`` writes.
"""

import sys
from pathlib import Path

from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.evaluation.conformers.records import RESULTS
from openmm_cgvae.evaluation.conformers.summary import summary_table
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.pretrained.card import bundle_with_card, card_text, training_text

__all__ = ["bundle_ligand", "ligand_card"]

LIMITS = (
    "Molecules of {elements}, in the protonation state and tautomer that are given; other elements, radicals and "
    "metals are refused unless allowed. 300 heavy atoms at most.",
    "Rings, bond lengths and angles, amine inversions and turns about triple bonds come from a few ETKDGv3 conformers, "
    "relaxed briefly with MMFF94s: ring conformations are as diverse as these. What is learned are torsions.",
    "References are minima of MMFF94s in vacuum, where molecules fold onto themselves more than in water or a crystal.",
    "Samples are not minimised. Torsions are drawn from the product of the network's density and MMFF94s energies "
    "between the parts that turn (non-bonded and torsion terms), settle at the best angle within 22 degrees, and are "
    "kept by Boltzmann weights of the energy; where MMFF94s has no parameters, by UFF contacts alone.",
    "Stereo marks and bonds are kept by construction; contacts are not excluded, but made rare.",
)


def ligand_card(file: ModelFile, name: str, results: dict | None = None) -> str:
    """Write the card of a model of small molecules.

    Parameters
    ----------
    file : ModelFile
    name : str
    results : dict, optional
        Of `evaluate_conformers`.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ModelFileError
        If it is a model of another kind.
    """
    if file.kind != "ligand":
        raise ModelFileError(f"{name} is a model of kind {file.kind!r}: one of small molecules is expected")
    known = file.metadata
    limits = (text.format(elements=", ".join(known["elements"])) for text in LIMITS)
    parts = [
        f"# {name}",
        f"Conformers of any small molecule (`openmm-cgvae conformers`), and all atoms at the "
        f"{known['beads']} of one in "
        f"a coarse-grained run. `openmm-cgvae info {name} --json` prints all that the file says.",
        "## Data",
        _data(known["data"]),
        "## Training",
        _training(known),
        "## Limits",
        "\n".join(f"- {text}" for text in limits),
    ]
    if results:
        parts += ["## Figures", _figures(results), f"```\n{summary_table(results).rstrip()}\n```"]
    return card_text(parts, "#`")


def bundle_ligand(path: str | Path, name: str, results: str | Path, description: str) -> None:
    """Copy a model file into the package, with its evaluation and its card, and note it in the index.

    Parameters
    ----------
    path : path
    name : str
    results : path
        ``results.json`` of ``evaluate-conformers``.
    description : str
    """
    bundle_with_card(path, name, results, description, ligand_card, "evaluate-conformers", RESULTS)


def _data(data):
    train, validation, test = (data["molecules"][split] for split in ("train", "validation", "test"))
    return (
        f"{train:,} molecules to train on with {data['conformers']:,} conformers ({', '.join(data['methods'])}), "
        f"{validation:,} for validation, {test:,} held out for test; no Bemis-Murcko scaffold is in two of them. "
        f"Sources: {', '.join(data['sources'])}; how conformers are made: `openmm-cgvae "
        f"sample-conformers`. SHA-256 of the "
        f"ensembles: `{data['sha256']}`."
    )


def _training(known):
    return training_text(known, "conformers", "Cross-entropies of validation molecules at the end, nats a torsion")


def _figures(results):
    settings = results["settings"]
    return (
        f"Molecules of the {settings['split']} split, 2 K conformers for K references, RMSD of heavy atoms superposed, "
        f"by the best of equivalent labels; {settings['crystal_samples']} conformers for each "
        f"crystal ligand. Generators "
        "are given the molecule without a conformer; `+mmff` is minimised afterwards, the others are as they come."
    )


if __name__ == "__main__":
    bundle_ligand(*sys.argv[1:5])
