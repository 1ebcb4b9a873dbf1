"""Models of any protein with random weights, whose tables of local geometry are of two crystals."""

from functools import cache

import numpy as np
import torch
from proteinchains import all_types, crambin

from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.proteins.builder import Builder
from openmm_cgvae.proteins.heavy import heavy_graph
from openmm_cgvae.proteins.model import ProteinModel
from openmm_cgvae.proteins.rebuild import SETTINGS
from openmm_cgvae.proteins.relaxation import measured_bounds
from openmm_cgvae.proteins.torsionnet import TorsionNetwork

SMALL = dict(zip(SETTINGS, (16, 1, 1, 8, 12, "ca"), strict=True))


def chain_tensors(chain, dtype=torch.float32):
    """Atoms in Angstrom, mask, types and connected of a chain of `proteinchains`, as `Builder.measure` takes them."""
    types, atoms, mask, connected = chain
    return (
        torch.as_tensor(atoms, dtype=dtype),
        torch.as_tensor(mask),
        torch.as_tensor(types),
        torch.as_tensor(connected),
    )


@cache
def builder():
    """A calibrated `Builder`."""
    parts = [chain_tensors(chain) for chain in (all_types(), crambin())]
    made = Builder()
    made.calibrate(*(torch.cat(column) for column in zip(*parts, strict=True)))
    return made


@cache
def bounds_tables():
    """What `HeavyBounds` takes."""

    def structure(chain):
        types, atoms, mask, connected = chain
        graph = heavy_graph(types, connected)
        return graph, atoms[graph.residue, graph.slot], mask[graph.residue, graph.slot]

    return measured_bounds([structure(all_types()), structure(crambin())])


@cache
def untrained_model(seed=0):
    """A `ProteinModel` with random weights, of no protein yet."""
    torch.manual_seed(seed)
    return ProteinModel(TorsionNetwork(builder(), **SMALL), bounds_tables()).eval()


@cache
def untrained_file():
    """A `ModelFile` of it."""
    metadata = {"kind": "protein", "name": "untrained-ca", "mapping": "ca", "beads": "one bead a residue at C-alpha",
                "consistency": "exact", "model": SMALL}  # fmt: skip
    return ModelFile(torch.jit.script(untrained_model()), {}, metadata=metadata)


def trace(chain):
    """C-alphas (n, 3) of a chain in nm."""
    return np.asarray(chain[1][:, 1]) / 10
