"""The evaluation of a model by what a user gives: a model and MD, or a model of any protein and structures."""

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.fingerprint import file_fingerprint
from openmm_cgvae.core.representation import shown_value
from openmm_cgvae.evaluation.evaluate import evaluate, figure_rows
from openmm_cgvae.evaluation.proteins import evaluate_proteins, model_builder
from openmm_cgvae.evaluation.subject import of_evaluation, of_longest
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.bundled import resolve_model
from openmm_cgvae.metrics.proteins import protein_rows
from openmm_cgvae.preparation.atomprotein import bound_to_atoms
from openmm_cgvae.preparation.crystalchains import chains_of_paths
from openmm_cgvae.preparation.dataset import read_reference
from openmm_cgvae.proteins.beadweights import MAPPINGS

__all__ = ["Measurement"]

# Residues of a protein chain that is evaluated, at least.
SHORTEST = 5


@dataclass
class Measurement:
    """What shall be evaluated on what; `measure` does it.

    Parameters
    ----------
    model : str or path
        Name or file.
    trajectories : sequence of path
        MD, a run each; or structures and packed chains, for a model of any protein.
    top : path, optional
        All-atom topology of MD.
    trust : bool
        As of ``Model.load``.
    samples, seed : int
    stride : int
    run_frames : int, optional
    salvage : bool
        As of `read_reference`.
    no_minimize : bool
    representative : bool
        Of proteins the likeliest structure too.
    """

    model: str
    trajectories: list
    top: str | None = None
    trust: bool = False
    samples: int = 8
    seed: int = 0
    stride: int = 1
    run_frames: int | None = None
    salvage: bool = False
    no_minimize: bool = False
    representative: bool = False

    def settings(self):
        """All that the figures depend on, files by their content."""
        return asdict(self) | {
            "model": file_fingerprint(resolve_model(self.model)),
            "trajectories": [file_fingerprint(path) for path in self.trajectories],
            "top": self.top and file_fingerprint(self.top),
        }

    def measure(self, steps, client=None):
        """Evaluate; `steps` and `client` as of `evaluate`.

        Returns
        -------
        figures : dict
        head, rows : sequence
            Headings and rows of a table of them.
        subject : callable
            Makes the `Subject` of a page, of ``sources``.
        """
        model = Model.load(self.model, trust=self.trust)
        of_crystals = model.of_any_molecule and self.top is None
        found, *shown = self._of_proteins(model, steps, client) if of_crystals else self._of_md(model, steps, client)
        return {"model": self.model, "reference": self.trajectories, **found}, *shown

    def _of_proteins(self, model, steps, client):
        chains, mapping = chains_of_paths(self.trajectories, SHORTEST), MAPPINGS[model.metadata["mapping"]]
        wanted = {"sample": {"samples": self.samples}}
        if self.representative:
            wanted["representative"] = {"representative": True}
        found = {
            name: evaluate_proteins(chains, model_builder(model.bind, mapping, seed=self.seed, **how), steps, client)
            for name, how in wanted.items()
        }
        head, *rows = protein_rows(found)
        subject = partial(of_longest, model, chains, self.model, self.samples, self.seed)
        return {"rows": found, "chains": [chain.name for chain in chains]}, head, rows, subject

    def _of_md(self, model, steps, client):
        if self.top is None:
            raise SettingsError("--top is missing: give the all-atom topology (PDB) of the trajectories")
        topology = load_topology(self.top)
        backmapper = None if model.of_any_molecule else model.bind()
        if backmapper is not None:
            backmapper.mapping.check_topology(topology)
        reference, runs = read_reference(self.trajectories, topology, self.stride, self.run_frames, self.salvage)
        if backmapper is None:
            backmapper, order = bound_to_atoms(model, topology.to_openmm(), reference[0])
            reference = reference[:, order]
        runs = runs if len(np.unique(runs)) > 1 else None
        found = evaluate(
            backmapper, reference, runs, self.samples, self.seed, not self.no_minimize, client=client, steps=steps
        )
        # Each with its floor, or with what MD itself scores, in brackets.
        rows = [
            (name, shown_value(value) + ("" if other is None else f" ({kind} {shown_value(other)})"))
            for name, value, other, kind in figure_rows(found)
        ]
        return found, (), rows, partial(of_evaluation, found, str(model.metadata.get("name", self.model)))
