"""Local geometry of residues, which a model for any protein takes from its training crystals."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.errors import SettingsError, TrainingError, one_line
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.proteins.builder import Builder
from openmm_cgvae.proteins.chains import Chain, PackedChains
from openmm_cgvae.proteins.heavy import heavy_graph
from openmm_cgvae.proteins.relaxation import bound_tables, measured_bounds
from openmm_cgvae.proteins.sidechains import AMINO_ACIDS

__all__ = ["ProteinGeometry", "disulfides_of", "network_weights"]

logger = logging.getLogger(__name__)

# Chains that bounds are measured on, and whose resolution in Angstrom they and the builder's tables take if there are
# enough.
BOUND_CHAINS = 700
GOOD_RESOLUTION = 1.8
CYSTEINE, SG = AMINO_ACIDS.index("C"), 5
# Longest bond between sulphurs, in Angstrom.
DISULFIDE = 2.5
NETWORK, BUILDER = "sampler.network.", "builder."


@dataclass(frozen=True)
class ProteinGeometry:
    """Tables of the `Builder`, and bounds of `HeavyBounds`.

    Parameters
    ----------
    builder : dict of str to Tensor
        State of a calibrated `Builder`.
    bounds : dict of str to Tensor
        `measured_bounds`.
    """

    builder: dict
    bounds: dict

    @classmethod
    def measured(cls, chains: PackedChains, n_calibration: int = 1000, n_bounds: int = BOUND_CHAINS):
        """Measure training chains: one a cluster, at good resolution if there are enough, disulfides as bonds.

        Raises
        ------
        TrainingError
            If an amino acid is in none of them.
        """
        best = _best(chains, max(n_calibration, n_bounds))
        builder = Builder()
        first = best[:n_calibration]
        fields = [
            np.concatenate([getattr(c, name) for c in first])
            for name in ("atoms", "mask", "residue_types", "connected")
        ]
        missing = [AMINO_ACIDS[k] for k in np.flatnonzero(np.bincount(fields[2], minlength=len(AMINO_ACIDS)) == 0)]
        if missing:
            raise TrainingError(
                f"no {', '.join(missing)} in the training chains: give more, or start from a model (--start), whose "
                "tables of residues are then kept"
            )
        builder.calibrate(*(torch.as_tensor(field) for field in fields))
        if (builder.span == 0).any():
            logger.warning("too few cis peptide bonds in the training chains: such bonds will not be placed well")
        return cls(builder.state_dict(), measured_bounds(_structures(best[:n_bounds])))

    @classmethod
    def of_model(cls, state: dict) -> "ProteinGeometry":
        """That of a model file's state."""
        network = network_weights(state)
        # TorchScript's dict also holds what ours computes anew.
        builder = {name: network[BUILDER + name] for name in Builder().state_dict()}
        return cls(builder, bound_tables(state))

    def save(self, path: str | Path):
        """Write the tables."""
        with complete_output(path) as temporary:
            save_tensors(temporary, {"builder": self.builder, "bounds": self.bounds})

    @classmethod
    def load(cls, path: str | Path) -> "ProteinGeometry":
        """Read what `save` wrote (`TrainingError` if it is damaged)."""
        try:
            return cls(**load_tensors(path, "table of geometry", "a training", TrainingError))
        except Exception as error:
            raise TrainingError(f"{path} cannot be read ({one_line(error)}): remove it") from error


def network_weights(state: dict) -> dict:
    """Weights of the `TorsionNetwork` in a model file's state.

    Raises
    ------
    SettingsError
        If it is not a model of any protein.
    """
    weights = {k.removeprefix(NETWORK): v for k, v in state.items() if k.startswith(NETWORK)}
    if not weights:
        raise SettingsError("the model to start from is not one of any protein, as openmm-cgvae info lists them")
    return weights


def disulfides_of(chain: Chain) -> np.ndarray:
    """Pairs of residues whose sulphurs are bonded in a structure, (d, 2)."""
    rows = np.flatnonzero((chain.residue_types == CYSTEINE) & chain.mask[:, SG])
    sulphurs = chain.atoms[rows, SG]
    apart = np.linalg.norm(sulphurs[:, None] - sulphurs, axis=-1)
    i, j = np.nonzero(np.triu(apart < DISULFIDE, 1))
    return np.stack([rows[i], rows[j]], axis=1)


def _best(chains, count):
    """Chains of the best resolution, one a cluster, or more where clusters are few."""
    chosen = chains.subset("train", representative=True)
    if not len(chosen):
        chosen = chains.subset("train")
    rows = np.flatnonzero(chosen.resolutions <= GOOD_RESOLUTION)
    if len(rows) < count:
        rows = np.argsort(np.nan_to_num(chosen.resolutions, nan=np.inf), kind="stable")
    return [chosen[int(k)] for k in rows[:count]]


def _structures(chains):
    for chain in chains:
        graph = heavy_graph(chain.residue_types, chain.connected, disulfides_of(chain))
        yield graph, chain.atoms[graph.residue, graph.slot], chain.mask[graph.residue, graph.slot]
