"""Files of every format that the package reads, how they are damaged, and how they are read."""

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mdtraj
import numpy as np
from conftest import DATA, TINY, untrained_file
from mutations import mutated_archive, mutated_bytes, mutated_json, mutated_lines
from proteinchains import crambin
from resultfiles import CASE, LOG, NOTE, RECORDS

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.cg.learned import load_potential
from openmm_cgvae.cg.potential import CGPotential, _checksum
from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.core.output import unfinished_folder
from openmm_cgvae.evaluation.conformers.records import check_record
from openmm_cgvae.evaluation.conformers.summary import summarised
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.bundled import PRETRAINED
from openmm_cgvae.io.journal import Journal
from openmm_cgvae.io.results import (
    BENCHMARK_CASE,
    EVALUATION,
    read_log,
    read_record,
    read_records,
)
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter
from openmm_cgvae.models.config import TrainingConfig
from openmm_cgvae.molecule.mapping import CGMapping, residue_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset, read_reference
from openmm_cgvae.proteins.chains import Chain, PackedChains
from openmm_cgvae.training import Dataset, Trainer
from openmm_cgvae.training.checkpoint import load_trained
from openmm_cgvae.training.folder import read_data

ARCHIVES = (mutated_bytes, mutated_archive)


@dataclass
class Target:
    """A format.

    Parameters
    ----------
    suffix : str
    content : bytes
        A sound file.
    mutations : sequence of callable
        Of the content and a random generator, to a damaged content.
    read : callable
        Of a path; returns nothing, raises one of our errors, or what is wrong as an ``AssertionError``.
    """

    suffix: str
    content: bytes
    mutations: tuple
    read: object


NAMES = (
    "dcd",
    "xtc",
    "plain-xtc",
    "pdb",
    "gro",
    "cif",
    "mapping",
    "potential",
    "dataset",
    "checkpoint",
    "chains",
    "model",
    "evaluation",
    "case",
    "records",
    "note",
    "log",
    "journal",
)


def make_targets(folder, names=NAMES):
    """Targets by name, their files of alanine dipeptide made in a folder."""
    folder = Path(folder)
    topology = load_topology(DATA / "alanine_dipeptide.pdb")
    positions, runs = read_reference([DATA / "alanine_dipeptide.xtc"], topology, run_frames=25)
    mapping = residue_mapping(topology)
    dataset, beads = prepare_dataset(positions, runs, mapping), mapping.project(positions[:6])
    made = {
        "mapping": lambda: _of(folder, "mapping.json", mapping.save, (mutated_json, mutated_bytes), _mapping),
        "potential": lambda: _potential(folder, dataset),
        "dataset": lambda: _of(folder, "data.npz", dataset.save, ARCHIVES, Dataset.load),
        "checkpoint": lambda: _checkpoint(folder, dataset),
        "chains": lambda: _packed(folder),
        "model": lambda: _model(folder, dataset, beads),
        "evaluation": lambda: _json((PRETRAINED / "chignolin-6.json").read_bytes(), EVALUATION),
        "case": lambda: _json(CASE, BENCHMARK_CASE),
        "records": lambda: Target(".jsonl", RECORDS, (mutated_lines, mutated_bytes), _records),
        "note": lambda: Target(".json", NOTE, (mutated_json, mutated_bytes), _note),
        "log": lambda: Target(".csv", LOG, (mutated_bytes,), read_log),
        "journal": lambda: _journal(folder),
    }
    found = {name: make() for name, make in made.items() if name in names}
    if any(name not in made for name in names):
        found |= _trajectories(folder, topology, positions, mapping, beads, Backmapper(untrained_file(dataset)))
    return {name: found[name] for name in names}


def _json(content, schema):
    read = partial(read_record, schema=schema, kind="evaluation", writer="'openmm-cgvae evaluate'")
    return Target(".json", content, (mutated_json, mutated_bytes), read)


def _records(path):
    found = read_records(path, check_record, "file of records", "'openmm-cgvae evaluate-conformers'")
    summarised(found, sorted({record["generator"] for record in found}))


def _note(path):
    path.replace(path.with_name("data.json"))
    read_data(path.parent)


def _journal(folder):
    """Lines of a journal: whatever is damaged, what is kept are parts that were there, in their order."""
    output = folder / "kept.dcd"
    parts = [{"x": np.full(4, k)} for k in range(3)]
    with suppress(KeyboardInterrupt), Journal(output, {"seed": 1}) as journal:
        for part in parts:
            journal.keep(part, {"n": 1})
        raise KeyboardInterrupt
    lines = unfinished_folder(output) / "journal.jsonl"

    def read(path):
        lines.write_bytes(path.read_bytes())
        found = Journal(output, {"seed": 1}, resume=True)
        found._close()
        for number in range(found.n_done):
            assert np.array_equal(found.part(number)[0]["x"], parts[number]["x"])

    return Target(".jsonl", lines.read_bytes(), (mutated_lines, mutated_bytes), read)


def _of(folder, name, save, mutations, read):
    save(folder / name)
    return Target(Path(name).suffix, (folder / name).read_bytes(), mutations, read)


def _trajectories(folder, topology, positions, mapping, beads, backmapper):
    found = {}
    cg = mdtraj.Topology.from_openmm(mapping.cg_topology())
    box = np.full((6, 3), 4.0), np.full((6, 3), 90.0)
    for name, suffix, atoms in (
        ("dcd", ".dcd", False), ("xtc", ".xtc", True), ("plain-xtc", ".xtc", False), ("pdb", ".pdb", False),
        ("gro", ".gro", False), ("cif", ".cif", False),
    ):  # fmt: skip
        path, top, x = folder / f"{name}{suffix}", topology if atoms else cg, positions[:6] if atoms else beads
        if suffix == ".gro":
            mdtraj.Trajectory(x, top, np.arange(6.0), *box).save(str(path))
        else:
            with TrajectoryWriter(path, top) as writer:
                writer.write(x, np.arange(6.0), *box)
        read = _read_only(top) if atoms else _backmapped(top, backmapper)
        found[name] = Target(suffix, path.read_bytes(), (mutated_bytes,), read)
    return found


def _read_only(topology):
    def read(path):
        for salvage in (True, False):
            for chunk in TrajectoryReader(path, topology, salvage=salvage):
                assert chunk.positions.shape[1:] == (topology.n_atoms, 3)

    return read


def _backmapped(topology, backmapper):
    """Read, and write all atoms: whole, or not at all."""

    def read(path):
        output = path.with_name("aa.dcd")
        for beside in (output, output.with_suffix(".pdb")):
            beside.unlink(missing_ok=True)
        try:
            backmap_trajectory(path, backmapper, output, seed=1, progress=False)
        except CGVAEError:
            assert not output.exists(), "a partial output under its final name"
            raise
        frames = sum(len(chunk.frames) for chunk in TrajectoryReader(path, topology))
        assert sum(len(chunk.frames) for chunk in TrajectoryReader(output, backmapper.topology)) == frames

    return read


def _checkpoint(folder, dataset):
    trainer = Trainer(dataset, folder / "training", TINY, TrainingConfig(epochs=0))
    trainer.run(progress=False)
    return Target(".pt", trainer.checkpoint_path.read_bytes(), ARCHIVES, load_trained)


def _packed(folder):
    types, atoms, mask, connected = crambin()
    chains = PackedChains.packed([Chain("crambin", types, atoms, mask, connected)], [1.0], ["train"], [0], [True])
    return _of(folder, "chains.npz", lambda path: chains.save(path, True), ARCHIVES, _chains)


def _model(folder, dataset, beads):
    def read(path):
        assert np.isfinite(Model.load(path, rebuild=True).bind().sample(beads, seed=1)).all()

    return _of(folder, "model.pt", untrained_file(dataset).save, ARCHIVES, read)


def _chains(path):
    for chain in PackedChains.load(path):
        assert len(chain.atoms) == len(chain.mask) == len(chain.residue_types)


def _mapping(path):
    mapping = CGMapping.load(path)
    assert mapping.cg_topology().getNumAtoms() == mapping.n_beads
    assert mapping.topology.getNumAtoms() == mapping.n_atoms
    assert np.isfinite(mapping.masses).all()


def _potential(folder, dataset):
    def resealed(content, rng):
        value = json.loads(mutated_json(content, rng))
        if isinstance(value, dict):
            value.pop("sha256", None)
            value["sha256"] = _checksum(value)
        return json.dumps(value).encode()

    def read(path):
        potential = load_potential(path)
        assert np.isfinite(potential.energy(potential.starts_nm)).all()

    tables = CGPotential.from_dict(dataset.description["potential"])
    mutations = mutated_json, resealed, mutated_bytes
    return _of(folder, "potential.json", lambda path: tables.save(path, True), mutations, read)


def damaged(target, seed):
    """A damaged content of a target; same seed, same damage."""
    rng = np.random.default_rng(seed)
    return target.mutations[rng.integers(len(target.mutations))](target.content, rng)


def outcome(target, path):
    """Read a file: "read", "refused", or what should not be."""
    try:
        target.read(path)
    except CGVAEError as error:
        return "refused" if "\n" not in str(error) else f"an error of several lines: {error}"
    except Exception as error:
        import traceback

        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
    return "read"
