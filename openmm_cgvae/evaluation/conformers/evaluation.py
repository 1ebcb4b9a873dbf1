"""Generators of conformers against reference ensembles and crystal ligands, molecule by molecule, resumable."""

import hashlib
import itertools
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgvae.chemistry.reading import read_molecules
from openmm_cgvae.chemistry.rotatable import rotatable_bonds
from openmm_cgvae.chemistry.usable import usable_molecules
from openmm_cgvae.core.errors import CGVAEError, DataError, MoleculeError, SettingsError, one_line
from openmm_cgvae.core.fingerprint import check_same_folder
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import existing_folder, write_json, write_text
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.ensembles.packed import PackedEnsembles, with_conformers
from openmm_cgvae.evaluation.conformers.accuracy import conformer_positions, crystal_accuracy, ensemble_accuracy
from openmm_cgvae.evaluation.conformers.energies import energy_errors
from openmm_cgvae.evaluation.conformers.generators import BASELINES, Generator, named_generator
from openmm_cgvae.evaluation.conformers.records import check_record
from openmm_cgvae.evaluation.conformers.summary import summarised
from openmm_cgvae.evaluation.conformers.validity import ConformerChecks
from openmm_cgvae.io.results import SETTINGS, read_record, read_records

__all__ = ["ConformerSettings", "crystal_molecules", "evaluate_conformers", "measured"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConformerSettings:
    """What is measured.

    Parameters
    ----------
    generators : sequence of str
        See `named_generator`.
    split : str
        Of the ensembles.
    molecules, crystals : int, optional
        Most molecules of either, in an order drawn by `seed`; all if omitted.
    crystal_samples : int
        Conformers generated for a crystal ligand.
    energies : int
        Most conformers of a molecule that are relaxed to compare energies; 0 for none.
    seed : int
    """

    generators: tuple[str, ...] = BASELINES
    split: str = "test"
    molecules: int | None = None
    crystals: int | None = None
    crystal_samples: int = 20
    energies: int = 0
    seed: int = 0

    def __post_init__(self):
        if not self.generators:
            raise SettingsError("no generator given: one at least is expected")
        for name, least in (("molecules", 0), ("crystals", 0), ("crystal_samples", 1), ("energies", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SettingsError(f"{name}={value} given: {least} or more is expected")


def evaluate_conformers(
    ensembles: PackedEnsembles,
    folder: str | Path,
    settings: ConformerSettings | None = None,
    crystal: str | Path | None = None,
    generators: dict[str, Generator] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure every generator on the same molecules, with 2 K conformers for K references.

    A figure once measured is a line of ``records.jsonl`` in the folder, and ``results.json`` is what they come to by
    then, also after an interruption; the call goes on when it is repeated. Molecules are taken in turn, each with all
    generators. A molecule for which a generator fails counts, with a coverage of 0.

    Parameters
    ----------
    ensembles : PackedEnsembles
    folder : path
        Created if missing.
    settings : ConformerSettings, optional
    crystal : path, optional
        SDF file of crystal conformers, heavy atoms with bond orders.
    generators : dict of str to callable, optional
        Of the names in the settings that `named_generator` does not know.
    progress : bool

    Returns
    -------
    dict
        See `summarised`.

    Raises
    ------
    SettingsError
        If the folder holds records of other settings or data.
    DataError
        If there is no molecule to measure.
    OutputError
        If another process is at work in the folder.
    """
    settings, folder = settings or ConformerSettings(), existing_folder(folder)
    ready = {name: (generators or {}).get(name) or named_generator(name) for name in settings.generators}
    chosen = list(ensembles.subset(settings.split))
    chosen.sort(key=lambda e: _digest(settings.seed, e.smiles))
    cases = [("ensemble", e.smiles, e) for e in chosen[: settings.molecules]]
    if crystal is not None:
        found = crystal_molecules(crystal, settings.seed)
        cases += [("crystal", name, mol) for name, mol in itertools.islice(found, settings.crystals)]
    if not cases:
        raise DataError(f"no molecule of the split {settings.split!r} and no crystal given: one at least is expected")
    # One process at a time: two would measure the same, and mix their lines.
    with locked(folder):
        _record(folder / "settings.json", settings, ensembles, crystal)
        path = folder / "records.jsonl"
        done = {(r["kind"], r["name"], r["generator"]) for r in _records(path)}
        left = [(*case, name) for case in cases for name in ready if (*case[:2], name) not in done]
        total = len(cases) * len(ready)
        try:
            with path.open("a") as file, progress_bar(total=total, initial=total - len(left), shown=progress) as bar:
                for kind, name, given, generator in left:
                    bar.set_description(generator)
                    found = measured(kind, given, ready[generator], settings)
                    file.write(json.dumps({"kind": kind, "name": name, "generator": generator, **found}) + "\n")
                    file.flush()
                    bar.update()
        finally:
            # What there is, also of an interrupted run.
            results = summarised(_records(path), settings.generators)
            results["settings"] = asdict(settings)
            write_json(folder / "results.json", results)
        return results


def measured(kind: str, given: Any, generate: Generator, settings: ConformerSettings) -> dict[str, Any]:
    """Figures of one generator on one molecule: an `Ensemble`, or a crystal conformer as a molecule."""
    mol = given.mol() if kind == "ensemble" else given
    bare = with_conformers(mol, np.empty((0, mol.GetNumAtoms(), 3)))
    requested = 2 * len(given.positions) if kind == "ensemble" else settings.crystal_samples
    started, used, problem = time.perf_counter(), time.process_time(), ""
    try:
        positions = _generated(generate, bare, requested, _seed(settings.seed, kind, bare))
    except (CGVAEError, ValueError, RuntimeError) as error:
        positions, problem = np.empty((0, mol.GetNumAtoms(), 3)), one_line(error)
        logger.warning("a generator fails: %s", problem)
    found = {
        "heavy_atoms": mol.GetNumHeavyAtoms(),
        "rotatable_bonds": len(rotatable_bonds(mol)),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - used,
        "problem": problem,
    }
    if kind == "crystal":
        return found | {
            "generated": len(positions),
            "nearest": crystal_accuracy(mol, conformer_positions(mol)[0], positions),
        }
    checks = ConformerChecks(bare)(positions)
    found |= {"source": given.source} | ensemble_accuracy(bare, given.positions, positions, requested)
    found |= {f"valid_{name}": int(good.sum()) for name, good in checks.items()}
    if settings.energies:
        found |= energy_errors(bare, given, positions[: settings.energies])
    return found


def crystal_molecules(path: str | Path, seed: int = 0) -> Iterator[tuple[str, Any]]:
    """Read crystal conformers: (name, molecule with hydrogens and its conformer), in an order drawn by `seed`.

    Stereo marks are those of the structure. Left out are broken records and mixtures, elements that models do not know,
    and molecules without a rotatable bond, which tell nothing of conformers.
    """
    from rdkit import Chem

    for record in sorted(read_molecules(path), key=lambda record: _digest(seed, record.name)):
        if record.mol is None or len(Chem.GetMolFrags(record.mol)) > 1 or not len(rotatable_bonds(record.mol)):
            continue
        mol = Chem.Mol(record.mol)
        Chem.AssignStereochemistryFrom3D(mol)
        try:
            found, _ = usable_molecules(mol)
        except MoleculeError:
            continue
        if found[0].GetNumConformers() == 1:
            yield record.name, found[0]


def _generated(generate, mol, count, seed):
    made = generate(mol, count, seed)
    if [a.GetAtomicNum() for a in made.GetAtoms()] != [a.GetAtomicNum() for a in mol.GetAtoms()]:
        raise ValueError("the generator returns other atoms, or another order")
    positions = conformer_positions(made)[:count]
    if not np.isfinite(positions).all():
        raise ValueError("the generator returns positions that are not finite")
    return positions


def _digest(*parts):
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _seed(seed, kind, mol):
    from rdkit import Chem

    return int(_digest(seed, kind, Chem.MolToSmiles(mol))[:7], 16)


def _records(path):
    """Records that are complete: the last line of an interrupted run may not be, and is removed."""
    if not path.exists():
        return []
    found = read_records(path, check_record, "file of records", "'openmm-cgvae evaluate-conformers'")
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        write_text(path, content[: content.rfind(b"\n") + 1].decode())
    return found


def _record(path, settings, ensembles, crystal):
    """Write what the records depend on, or check that it is what they were begun with; generators may be added."""
    known = {**asdict(settings), "ensembles": ensembles.sha256}
    del known["generators"], known["molecules"], known["crystals"]
    if path.exists():
        stored = read_record(path, SETTINGS, "record of settings", "'openmm-cgvae evaluate-conformers'")
        what = f"holds records of other settings or data (see {path.name})"
        check_same_folder(known, dict.fromkeys(known) | stored, path.parent, "give another folder", what)
        return
    write_json(path, known)
