"""Reference ensembles of many molecules: chosen, split, and sampled in parts, so that a run can be interrupted."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openmm_cgvae.chemistry.isomers import drawn_isomer
from openmm_cgvae.chemistry.reading import read_molecules
from openmm_cgvae.core.errors import DataError, MoleculeError, SettingsError
from openmm_cgvae.core.fingerprint import check_same_folder
from openmm_cgvae.core.output import complete_output, existing_folder
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.ensembles.packed import SPLITS, Ensemble, PackedEnsembles
from openmm_cgvae.io.results import SETTINGS, read_record
from openmm_cgvae.preparation.ensembles import EnsembleProtocol, reference_ensemble, seed_of
from openmm_cgvae.preparation.scaffolds import split_of, structure_key

__all__ = ["Candidate", "chosen_molecules", "pack_parts", "reoptimise_parts", "sample_ensembles"]

logger = logging.getLogger(__name__)

# Elements that MMFF94s and a drug-like data set know, and the most heavy atoms of a molecule that is sampled.
ELEMENTS = {"H", "C", "N", "O", "F", "S", "P", "Cl", "Br", "I"}
MOST_HEAVY = 60
# What names of parts begin with that GFN2-xTB minimised.
GFN2 = "gfn2-"
# Molecules a part: what an interruption loses at most.
BATCH = 10


@dataclass(frozen=True)
class Candidate:
    """A molecule to sample: its canonical SMILES, the name of its file, and its split."""

    smiles: str
    source: str
    split: str


def chosen_molecules(
    files: Sequence[str | Path],
    held_out: Sequence[str | Path] = (),
    left_out: Sequence[str | Path] = (),
    most: int | None = None,
    seed: int = 0,
) -> list[Candidate]:
    """Choose molecules that can be sampled, in an order drawn by `seed`, each structure once.

    A molecule has one part, known elements (H, C, N, O, F, S, P, Cl, Br, I), no radical, and 2 to 60 heavy atoms.

    Parameters
    ----------
    files : sequence of path
        Molecules of every split, SMILES or SDF.
    held_out : sequence of path
        Molecules of which those of the test split are taken, the others left out.
    left_out : sequence of path
        Molecules that are never taken, nor any stereoisomer of theirs, from whatever file.
    most : int, optional
        Molecules of one file, at most.
    seed : int

    Returns
    -------
    list of Candidate
    """
    known = {structure_key(r.mol) for path in left_out for r in read_molecules(path) if r.mol is not None}
    chosen = []
    # Held-out files first, whose structures no other file may give to training.
    for path, only_test in [*((path, True) for path in held_out), *((path, False) for path in files)]:
        found = []
        for smiles, mol in _shuffled(path, seed):
            if len(found) == most and not only_test:
                break
            key = structure_key(mol)
            if key not in known and _can_be_sampled(mol):
                split = split_of(mol)
                if split == "test" or not only_test:
                    found.append(Candidate(smiles, Path(path).stem, split))
            known.add(key)
        chosen += found[:most]
    # In another order than that which chose them, or large files of which few are taken would come first.
    return sorted(chosen, key=lambda c: (seed_of(seed, c.smiles, "order"), c.smiles))


def _shuffled(path, seed):
    """(canonical SMILES, molecule) of the records of a file, in an order drawn by `seed`."""
    from rdkit import Chem

    read = ((Chem.MolToSmiles(Chem.RemoveHs(r.mol)), r.mol) for r in read_molecules(path) if r.mol is not None)
    return sorted(read, key=lambda pair: (seed_of(seed, pair[0]), pair[0]))


def sample_ensembles(
    molecules: Sequence[Candidate],
    folder: str | Path,
    protocol: EnsembleProtocol | None = None,
    seed: int = 0,
    splits: Iterable[str] = SPLITS,
    progress: bool = True,
) -> None:
    """Sample the ensembles of molecules, a part of 10 at a time, each in a file of its own.

    Parts that are there are kept, so that an interrupted call goes on where it was when it is repeated; what a part
    holds depends on the molecules, the protocol and `seed` alone. Molecules that cannot be sampled are logged.

    Parameters
    ----------
    molecules : sequence of Candidate
        See `chosen_molecules`.
    folder : path
        Gets ``train-00000.npz`` and so on; created if missing.
    protocol : EnsembleProtocol, optional
    seed : int
    splits : iterable of str
        Those that are sampled in this call; other calls, at the same time too, may sample others.
    progress : bool

    Raises
    ------
    SettingsError
        If the folder holds parts of other molecules, or of other settings.
    DataError
        If there is no molecule.
    """
    protocol = protocol or EnsembleProtocol()
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise SettingsError(f"split {sorted(unknown)[0]!r} given: {', '.join(SPLITS)} are expected")
    folder = existing_folder(folder)
    _record(folder / "protocol.json", molecules, protocol, seed)
    parts = _parts([candidate for candidate in molecules if candidate.split in set(splits)])
    with progress_bar(total=sum(len(batch) for _, batch in parts), unit="molecule", shown=progress) as bar:
        for name, batch in parts:
            path = folder / f"{name}.npz"
            if path.exists():
                bar.update(len(batch))
            else:
                _sample_part(batch, path, protocol, seed, bar)


def reoptimise_parts(
    folder: str | Path, splits: Iterable[str] = ("test", "validation", "train"), progress: bool = True
) -> None:
    """Minimise the low minima of sampled parts again with GFN2-xTB, each part to a file ``gfn2-...`` of its own.

    Parts that are there are kept, so that an interrupted call goes on where it was. Molecules none of whose conformers
    converges are logged.

    Parameters
    ----------
    folder : path
        Of `sample_ensembles`.
    splits : iterable of str
        In this order.
    progress : bool

    Raises
    ------
    MissingDependencyError
        If tblite is not installed.
    """

    from openmm_cgvae.preparation.xtb import gfn2_ensemble

    paths = [path for split in splits for path in sorted(Path(folder).glob(f"{split}-*.npz"))]
    for path in progress_bar(paths, unit="part", shown=progress):
        output, found = path.with_name(f"{GFN2}{path.name}"), []
        if output.exists():
            continue
        for ensemble in PackedEnsembles.load(path):
            try:
                found.append(gfn2_ensemble(ensemble))
            except MoleculeError as error:
                logger.warning("left out: %s", error)
        if found:
            PackedEnsembles.packed(found).save(output)


def pack_parts(folder: str | Path, prefix: str = "") -> PackedEnsembles:
    """Read all parts that a folder of `sample_ensembles`, or with `GFN2` of `reoptimise_parts`, holds by now.

    Raises
    ------
    DataError
        If there is none.
    """
    paths = sorted(path for split in SPLITS for path in Path(folder).glob(f"{prefix}{split}-*.npz"))
    if not paths:
        raise DataError(f"{folder} holds no part of an ensemble yet")
    return PackedEnsembles.packed([ensemble for path in paths for ensemble in PackedEnsembles.load(path)])


def _parts(molecules):
    """(name, molecules) of every part, those of all splits in turn, so that an unfinished run has its share of each."""
    parts = []
    for split in SPLITS:
        own = [candidate for candidate in molecules if candidate.split == split]
        starts = range(0, len(own), BATCH)
        parts += [(k / len(own), f"{split}-{k // BATCH:05d}", own[k : k + BATCH]) for k in starts]
    return [(name, batch) for _, name, batch in sorted(parts, key=lambda part: part[:2])]


def _sample_part(batch, path, protocol, seed, bar):
    found = []
    for candidate in batch:
        ensemble = _sample_one(candidate, protocol, seed)
        if ensemble is not None:
            found.append(ensemble)
        bar.update()
    if found:
        PackedEnsembles.packed(found).save(path)


def _sample_one(candidate: Candidate, protocol: EnsembleProtocol, seed: int) -> Ensemble | None:
    """The ensemble of a molecule, of one isomer where stereo marks are undefined; None, and a warning, if it fails."""
    from rdkit import Chem

    mol = Chem.MolFromSmiles(candidate.smiles)
    try:
        isomer = drawn_isomer(mol, seed_of(seed, candidate.smiles))
        return reference_ensemble(isomer, candidate.source, protocol, seed)
    except MoleculeError as error:
        logger.warning("left out: %s", error)
        return None


def _can_be_sampled(mol: Any) -> bool:
    from rdkit import Chem

    atoms = list(mol.GetAtoms())
    if {atom.GetSymbol() for atom in atoms} - ELEMENTS or any(atom.GetNumRadicalElectrons() for atom in atoms):
        return False
    return 2 <= mol.GetNumHeavyAtoms() <= MOST_HEAVY and len(Chem.GetMolFrags(mol)) == 1


def _record(path, molecules, protocol, seed):
    """Write what the parts depend on, or check that it is what they were begun with."""
    if not molecules:
        raise DataError("no molecule left to sample: one at least is expected")
    digest = seed_of(seed, *(f"{c.smiles} {c.source} {c.split}" for c in molecules))
    record = {"protocol": asdict(protocol), "seed": seed, "molecules": len(molecules), "molecules_hash": digest}
    if path.exists():
        stored = read_record(path, SETTINGS, "record of settings", "'openmm-cgvae sample-conformers'")
        what = f"holds parts of other settings (see {path.name})"
        check_same_folder(record, dict.fromkeys(record) | stored, path.parent, "give another folder", what)
        return
    with complete_output(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
