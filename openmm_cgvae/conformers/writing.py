"""Conformers of many molecules into one SDF file; a broken record does not stop the others."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openmm_cgvae.conformers.generate import ENERGY, ConformerModel
from openmm_cgvae.core.errors import MoleculeError, one_line
from openmm_cgvae.core.output import complete_output

__all__ = ["Sampled", "sampled_records"]

FILES = (".sdf", ".sd", ".mol", ".mol2", ".pdb", ".smi", ".smiles", ".txt")


@dataclass
class Sampled:
    """What was written.

    Parameters
    ----------
    molecules, conformers : int
    problems : list of tuple of str
        Place and reason of each molecule that was left out.
    """

    molecules: int = 0
    conformers: int = 0
    problems: list = field(default_factory=list)


def sampled_records(model: ConformerModel, source: str, path: str | Path, n: int, seed: int, **settings: Any) -> Sampled:
    """Sample the molecules of a SMILES or of a file, and write their conformers to an SDF file.

    Parts of a salt or a mixture are molecules of their own.

    Parameters
    ----------
    model : ConformerModel
    source : str
        A SMILES or a file.
    path : path
        SDF.
    n, seed : int
        See `conformers`.
    **settings
        ``optimize``, ``prune``, ``temperature``, ``allow_unknown`` of `conformers`.

    Returns
    -------
    Sampled

    Raises
    ------
    MoleculeError
        If no molecule could be sampled, or the file cannot be read.
    """
    from rdkit import Chem
    from tqdm.auto import tqdm

    done, writer = Sampled(), None
    with complete_output(path) as temporary:
        for place, name, mol, problem in tqdm(_records(source), unit="molecule", disable=None):
            try:
                if problem:
                    raise MoleculeError(problem)
                made = model.conformers(mol, n, seed, **settings)
            except MoleculeError as error:
                done.problems.append((place, one_line(error)))
                continue
            writer = writer or Chem.SDWriter(str(temporary))
            made.SetProp("_Name", name)
            for conformer in made.GetConformers():
                made.SetProp(ENERGY, f"{conformer.GetDoubleProp(ENERGY):.3f}")
                writer.write(made, confId=conformer.GetId())
            done.molecules += 1
            done.conformers += made.GetNumConformers()
        if writer is None:
            place, problem = done.problems[0] if done.problems else (source, "it holds no record")
            raise MoleculeError(f"no molecule of {len(done.problems)} could be sampled; {place}: {problem}")
        writer.close()
    return done


def _records(source):
    """(place, name, molecule, problem) of every molecule, parts of a mixture apart."""
    from rdkit import Chem

    from openmm_cgvae.chemistry.reading import MoleculeRecord, parsed_smiles, read_molecules

    if Path(source).suffix.lower() in FILES or Path(source).is_file():
        records = read_molecules(source)
    else:
        records = [MoleculeRecord(source, source, parsed_smiles(source))]
    for record in records:
        if record.mol is None:
            yield record.place, record.name, None, record.problem
            continue
        parts = Chem.GetMolFrags(record.mol, asMols=True)
        for number, part in enumerate(parts, 1):
            suffix = f" part {number}" if len(parts) > 1 else ""
            yield record.place + suffix, record.name + suffix, part, ""
