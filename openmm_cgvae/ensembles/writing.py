"""Conformers of many molecules into one SDF file; a broken record does not stop the others."""

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from openmm_cgvae.chemistry.reading import read_molecules
from openmm_cgvae.chemistry.usable import usable_molecules
from openmm_cgvae.core.errors import MoleculeError, one_line
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.ensembles.generate import ENERGY, ConformerModel

__all__ = ["Sampled", "sampled_records"]


@dataclass
class Sampled:
    """What was written.

    Parameters
    ----------
    molecules, conformers : int
    problems : list of tuple of str
        Place and reason of each molecule that was left out.
    notes : list of tuple of str
        Place, and what was done that was not asked for.
    """

    molecules: int = 0
    conformers: int = 0
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)


def sampled_records(
    model: ConformerModel,
    source: str,
    path: str | Path,
    n: int,
    seed: int,
    stereo: str = "sample",
    allow_unknown: bool = False,
    charge: int = 0,
    **settings: Any,
) -> Sampled:
    """Sample the molecules of a SMILES or of a file, and write their conformers to an SDF file.

    Parameters
    ----------
    model : ConformerModel
    source : str
        A SMILES or a file, see `read_molecules`.
    path : path
        SDF.
    n, seed : int
        See `conformers`.
    stereo, allow_unknown
        See `usable_molecules`.
    charge : int
        See `read_molecules`.
    **settings
        ``optimize``, ``prune``, ``temperature`` of `conformers`.

    Returns
    -------
    Sampled

    Raises
    ------
    MoleculeError
        If no molecule could be sampled, or the file cannot be read.
    """
    from rdkit import Chem

    done, writer = Sampled(), None
    with complete_output(path) as temporary:
        for record in progress_bar(list(read_molecules(source, charge)), unit="molecule", leave=False):
            try:
                if record.mol is None:
                    raise MoleculeError(record.problem)
                molecules, notes = usable_molecules(record.mol, allow_unknown=allow_unknown, stereo=stereo, seed=seed)
                made = [model.of_usable(mol, n, seed, **settings) for mol in molecules]
            except MoleculeError as error:
                done.problems.append((record.place, one_line(error)))
                continue
            writer = writer or Chem.SDWriter(str(temporary))
            done.notes += [(record.place, note) for note in (*record.notes, *notes)]
            for mol in made:
                mol.SetProp("_Name", record.name)
                for conformer in mol.GetConformers():
                    energy = conformer.GetDoubleProp(ENERGY)
                    if isfinite(energy):
                        mol.SetProp(ENERGY, f"{energy:.3f}")
                    else:
                        mol.ClearProp(ENERGY)
                    writer.write(mol, confId=conformer.GetId())
                done.molecules += 1
                done.conformers += mol.GetNumConformers()
        if writer is None:
            place, problem = done.problems[0] if done.problems else (source, "it holds no record")
            raise MoleculeError(f"no molecule of {len(done.problems)} could be sampled; {place}: {problem}")
        writer.close()
    return done
