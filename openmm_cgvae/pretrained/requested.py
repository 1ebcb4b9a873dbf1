"""The `Subject` of a report by what a user gives: a model, structures that were made before, reference data, files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.backmapping.projection import projection
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.evaluation.subject import of_longest, of_model, of_structures
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.bundled import bundled_file, pretrained_names
from openmm_cgvae.io.results import EVALUATION, read_record
from openmm_cgvae.io.thinning import read_structures
from openmm_cgvae.io.trajectory_files import topology_beside
from openmm_cgvae.preparation.crystalchains import chains_of_paths
from openmm_cgvae.preparation.dataset import read_reference
from openmm_cgvae.pretrained.bundle import reference_frames

__all__ = ["Request"]

# Frames that are measured and drawn of a trajectory, at most.
FRAMES = 5000
# Residues of a protein that is reported on, at least.
SHORTEST = 3


@dataclass
class Request:
    """What a report shall be of; `subject` makes it.

    Parameters
    ----------
    structures : sequence of path
        All-atom trajectory made before, of a model or of anything else.
    model : str or path, optional
        Name or file. Alone, its bundled reference is used.
    trust : bool
        As of ``Model.load``.
    top : path, optional
        All-atom topology of structures and reference.
    reference : sequence of path
        MD of the same atoms, a run each; of a model of any protein one PDB or mmCIF file.
    run_frames : int, optional
    stride : int
    salvage : bool
        As of `read_reference`.
    samples : int, optional
        Structures a frame: to sample (4, of a protein 8), or given (1).
    seed : int
    evaluation : path, optional
        Figures of ``evaluate``, which are then not measured again.
    training : path, optional
        Folder of a training, or its log.
    title : str, optional
    """

    structures: tuple = ()
    model: str | None = None
    trust: bool = False
    top: str | None = None
    reference: tuple = ()
    run_frames: int | None = None
    stride: int = 1
    salvage: bool = False
    samples: int | None = None
    seed: int = 0
    evaluation: str | None = None
    training: str | None = None
    title: str | None = None

    def subject(self, *sources):
        """Sample or read what was asked for; `sources` are (name, value) rows for the page.

        Raises
        ------
        SettingsError, DataError
            If too little is given, or a file is something else.
        """
        if not self.structures and self.model is None:
            raise SettingsError("neither structures nor --model given: give one, or both")
        model = None if self.model is None else Model.load(self.model, trust=self.trust)
        more = {"training_log": _log(self.training), "sources": [*self._sources(), *sources]}
        if self.evaluation:
            more["figures"] = _figures(self.evaluation)
        if self.structures:
            return self._of_structures(model, more)
        if not model.of_any_molecule:
            return self._of_model(model, more)
        if model.file.kind != "protein":
            raise SettingsError(f"{self.model} given, of {model.serves}: give structures that it made")
        return self._of_protein(model, more)

    def _sources(self):
        if self.model:
            yield "model", self.model
        for name in ("structures", "reference"):
            if getattr(self, name):
                yield name, ", ".join(getattr(self, name))
        if self.evaluation:
            yield "figures", self.evaluation

    def _of_structures(self, model, more):
        topology = load_topology(self.top or _topology(self.structures[0]))
        positions, numbers = read_structures(
            self.structures, topology, FRAMES, self._samples(1), self.stride, self.salvage
        )
        reference, runs = self._reference(topology)
        mapping, known = _mapping(model, topology)
        more |= {} if mapping is None else {"mapping": mapping}
        more |= {} if model is None else {"metadata": model.metadata}
        return of_structures(
            topology.to_openmm(), positions, known, reference=reference, runs=runs, numbers=numbers,
            title=self.title or Path(self.structures[0]).name, **more,
        )  # fmt: skip

    def _of_protein(self, model, more):
        if len(self.reference) != 1:
            raise SettingsError(
                f"{len(self.reference)} references given: for a model of any protein, one structure is expected "
                "(--reference protein.pdb)"
            )
        chains = chains_of_paths(self.reference, SHORTEST)
        return of_longest(model, chains, self.title or self.model, self._samples(8), self.seed, **more)

    def _of_model(self, model, more):
        backmapper = model.bind()
        if self.reference:
            topology = backmapper.topology if self.top is None else load_topology(self.top)
            backmapper.mapping.check_topology(topology)
            reference, runs = self._reference(topology)
        else:
            reference, runs = self._bundled(more)
        title = self.title or str(model.metadata.get("name", self.model))
        return of_model(backmapper, reference, runs, title, n_samples=self._samples(4), seed=self.seed, **more)

    def _bundled(self, more):
        """The MD that is bundled with a model, and its runs; their figures are known."""
        if self.model not in pretrained_names():
            raise SettingsError(f"--reference is missing: give MD to compare {self.model} with, or structures it made")
        reference, evaluated = reference_frames(self.model), bundled_file(self.model).with_suffix(".json")
        figures = _figures(evaluated)
        if "figures" not in more:
            more["figures"] = figures
            said = f"{evaluated.name}, of {figures['frames']:,} frames, {figures['samples']} samples each"
            more["sources"].append(("figures", said))
        return reference, np.arange(len(reference)) * figures["runs"] // len(reference)

    def _reference(self, topology):
        if not self.reference:
            return None, None
        return read_reference(self.reference, topology, self.stride, self.run_frames, self.salvage)

    def _samples(self, usual):
        return usual if self.samples is None else self.samples


def _mapping(model, topology):
    """The mapping of a model on the atoms of a topology, and what knows more of it."""
    if model is None:
        return None, None
    if model.of_any_molecule:
        try:
            return projection(model, topology), None
        except SettingsError:
            # Martini's beads, which the page then is without.
            return None, None
    backmapper = model.bind()
    backmapper.mapping.check_topology(topology)
    return backmapper.mapping, backmapper


def _topology(path):
    """The topology of structures, by the PDB file that backmap writes beside them."""
    beside = topology_beside(path)
    if beside is None:
        return path
    if not beside.is_file():
        raise SettingsError(f"--top is missing: give the all-atom topology (PDB) of {path}")
    return beside


def _log(folder):
    if folder is None:
        return None
    path = Path(folder)
    return path / "training.csv" if path.is_dir() else path


def _figures(path):
    return read_record(path, EVALUATION, "evaluation of a model of one molecule", "'openmm-cgvae evaluate --json'")
