"""Small real data, and small models on it."""

import gc
import importlib.util
import io
import logging
import os
import resource
import runpy
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from longtests import pytest_addoption, pytest_collection_modifyitems, pytest_configure  # noqa: F401

from openmm_cgvae.backmapping.backmapper import Backmapper, bead_spread
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.models import CGVAE, ModelConfig
from openmm_cgvae.models.export import script_model
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.mapping import custom_mapping, residue_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset, read_reference

# A forked process inherits Contexts of OpenMM that other tests left, but not their threads: it must not collect them.
os.register_at_fork(after_in_child=gc.freeze)


ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
FIVE_BEADS = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11, 12, 13], [14, 15, 16, 17], [18, 19, 20, 21]]
TINY = ModelConfig(features=16, radial=4, encoder_layers=1, prior_layers=1, decoder_layers=3, flow_width=16,
                   flow_layers=1, flow_steps=2)  # fmt: skip


def benchmark(name):
    """A module of the folder `benchmarks`, which is no package."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(name, *arguments):
    """What a script of the folder `examples` prints, run in this process, which has imported what it needs."""
    script, printed = ROOT / "examples" / name / "run.py", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        patch.setattr(sys, "path", [*sys.path])
        runpy.run_path(str(script), run_name="__main__")
    return printed.getvalue()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _log_level():
    """Each test begins with the package's log level unset, which the command line sets."""
    yield
    logging.getLogger("openmm_cgvae").setLevel(logging.NOTSET)


@pytest.fixture
def full_disk():
    """No file may grow beyond 100 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="session")
def topology():
    """mdtraj topology of alanine dipeptide."""
    return load_topology(DATA / "alanine_dipeptide.pdb")


@pytest.fixture(scope="session")
def graph(topology):
    return MolecularGraph.from_topology(topology)


@pytest.fixture(scope="session")
def reference(topology):
    """Real MD: positions (200, 22, 3) in nm and runs (200,), 8 runs of 25 frames."""
    return read_reference([DATA / "alanine_dipeptide.xtc"], topology, run_frames=25)


@pytest.fixture(scope="session")
def mapping(topology):
    """Three beads, by residue."""
    return residue_mapping(topology)


@pytest.fixture(scope="session")
def five_beads(topology):
    return custom_mapping(topology, FIVE_BEADS)


@pytest.fixture(scope="session")
def dataset(reference, mapping):
    return prepare_dataset(*reference, mapping)


@pytest.fixture(scope="session")
def five_bead_dataset(reference, five_beads):
    return prepare_dataset(*reference, five_beads)


def untrained_model(dataset, config=TINY, seed=0):
    """A `CGVAE` with random weights."""
    torch.manual_seed(seed)
    return CGVAE(dataset.spec, config).eval()


def untrained_file(dataset, config=TINY):
    """A `ModelFile` with random weights, which all properties but accuracy can be tested on."""
    module = script_model(untrained_model(dataset, config))
    beads = dataset.spec.projection @ dataset.positions
    metadata = {
        "name": "untrained",
        "bead_spread_nm": float(np.mean(bead_spread(beads))),
        "handedness": dataset.spec.handedness.tolist(),
        "model": asdict(config),
    }
    arrays = dataset.spec.to_arrays()
    return ModelFile(module, dataset.description["mapping"], dataset.description["potential"], metadata, arrays)


@pytest.fixture(scope="session")
def model_path(dataset, tmp_path_factory):
    """A small untrained model file of three beads."""
    path = tmp_path_factory.mktemp("model") / "untrained.pt"
    untrained_file(dataset).save(path)
    return path


@pytest.fixture(scope="session")
def backmapper(model_path):
    return Backmapper.load(model_path)


@pytest.fixture
def set_torch_threads():
    """``torch.set_num_threads`` for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def rotation(seed=0):
    """A random proper rotation matrix (3, 3)."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))
