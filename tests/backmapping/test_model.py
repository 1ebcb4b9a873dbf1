"""A model file outlives TorchScript, is read in every format version, and is bound to the molecules it serves."""

import numpy as np
import pytest
import torch
from conftest import DATA, untrained_file
from openmm import app

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import KINDS, Model
from openmm_cgvae.core.errors import ModelFileError, TopologyMismatchError
from openmm_cgvae.evaluation.exporting import model_file
from openmm_cgvae.io.bundled import read_index
from openmm_cgvae.io.modelfile import FORMAT_VERSION, ModelFile
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.training.baselines import BASELINES, BaselineConfig, fit_baseline

# A file of each older format version, with samples of the package that wrote it.
OLDER = ["model-version-1", "baseline-version-1"]


def largest_difference(one, other, frames, seed=4):
    """Of samples and reconstructions, in nm."""
    beads = one.mapping.project(frames)
    differences = [
        one.sample(beads, 2, seed) - other.sample(beads, 2, seed), one.reconstruct(frames) - other.reconstruct(frames)
    ]  # fmt: skip
    return max(np.abs(values).max() for values in differences)


@pytest.mark.parametrize("name", OLDER)
@pytest.mark.parametrize("rebuild", [False, True], ids=["TorchScript", "rebuilt"])
def test_files_of_older_versions_give_the_structures_they_gave(name, rebuild, tmp_path):
    path = DATA / f"{name}.pt"
    assert ModelFile.load(path).molecule is None
    if rebuild:
        # Once read, it is written in today's version.
        Model.load(path).file.save(tmp_path / "again.pt")
        path = tmp_path / "again.pt"
    backmapper = Model.load(path, rebuild, trust=not rebuild).bind()
    assert backmapper.metadata["format_version"] == FORMAT_VERSION
    with np.load(DATA / f"{name}-samples.npz") as known:
        np.testing.assert_allclose(backmapper.sample(known["beads"], 2, seed=3), known["samples"], rtol=0, atol=1e-6)
        rebuilt = backmapper.reconstruct(known["atoms"])
        np.testing.assert_allclose(rebuilt, known["reconstructed"], rtol=0, atol=1e-6)


# Those of any protein or any small molecule are compared in tests of their own.
OF_ONE_MOLECULE = [name for name, entry in read_index().items() if "reference" in entry]


@pytest.mark.parametrize("name", OF_ONE_MOLECULE)
def test_a_rebuilt_bundled_model_samples_what_its_torchscript_does(name, monkeypatch):
    scripted = Backmapper.load(name)
    monkeypatch.setattr(torch.jit, "load", None)
    rebuilt = Model.load(name, rebuild=True).bind()
    frames = scripted.cg_potential().starts_nm[:3]
    atoms = scripted.sample(frames, seed=1)[:, 0]
    assert largest_difference(scripted, rebuilt, atoms) <= 1e-6


@pytest.mark.parametrize("kind", BASELINES)
def test_a_rebuilt_baseline_samples_what_its_torchscript_does(kind, dataset, tmp_path):
    frames = np.arange(150)
    config = BaselineConfig(epochs=1)
    module = fit_baseline(kind, dataset, frames, config)
    parts = (frames, frames[:0], frames[:0])
    model_file(module, dataset, parts, baseline={"kind": kind}).save(tmp_path / "model.pt")
    scripted, rebuilt = (Model.load(tmp_path / "model.pt", rebuild).bind() for rebuild in (False, True))
    assert largest_difference(scripted, rebuilt, dataset.positions[150:155]) <= 1e-6


def test_a_rebuilt_model_can_be_scripted_and_saved_again(model_path, dataset, tmp_path):
    file = Model.load(model_path, rebuild=True).file
    file.module = torch.jit.script(file.module)
    file.save(tmp_path / "again.pt")
    frames = dataset.positions[:4]
    assert largest_difference(Backmapper.load(model_path), Backmapper.load(tmp_path / "again.pt"), frames) <= 1e-6


def test_a_file_without_settings_cannot_be_rebuilt(dataset, tmp_path):
    file = untrained_file(dataset)
    del file.metadata["model"]
    file.save(tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="cannot be rebuilt: 'model' is missing"):
        Model.load(tmp_path / "model.pt", rebuild=True)


def test_weights_are_not_stored_twice(model_path, dataset):
    tensors = untrained_file(dataset).state.values()
    assert model_path.stat().st_size < 1.5 * sum(value.numel() * value.element_size() for value in tensors) + 400_000


# ------------------------------------------------------------------------------------------------- binding


def test_a_model_of_one_molecule_is_bound_to_its_own_beads(model_path, backmapper, dataset):
    for topology in (None, backmapper.cg_topology(), as_mdtraj_topology(backmapper.cg_topology())):
        bound = Model.load(model_path).bind(topology, precision="double")
        assert isinstance(bound, Backmapper)
        assert bound.precision == "double"
    beads = backmapper.mapping.project(dataset.positions[:2])
    other = Backmapper.load(model_path, backmapper.cg_topology()).sample(beads, seed=1)
    np.testing.assert_array_equal(other, backmapper.sample(beads, seed=1))


def renamed(topology, bead, name):
    list(topology.atoms())[bead].name = name
    return topology


def test_other_beads_are_refused(model_path, backmapper, five_beads):
    model = Model.load(model_path)
    with pytest.raises(TopologyMismatchError, match="5 particles given, the model is of one molecule of 3 beads"):
        model.bind(five_beads.cg_topology())
    with pytest.raises(TopologyMismatchError, match="22 atoms given, the all-atom molecule itself"):
        model.bind(backmapper.topology)
    with pytest.raises(TopologyMismatchError, match=r"bead 1 of the topology given is ALA X, ALA .* is expected"):
        model.bind(renamed(backmapper.cg_topology(), 1, "X"))


def test_a_model_says_which_molecules_it_serves(model_path):
    assert Model.load(model_path).serves == "ACE-ALA-NME, 22 atoms on 3 beads"


def test_another_kind_of_model_plugs_in_with_one_entry(dataset, tmp_path, monkeypatch):
    file = untrained_file(dataset)
    file.metadata["kind"] = "any"
    file.save(tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="kind 'any' given, this package knows cgvae"):
        Model.load(tmp_path / "model.pt").bind()
    monkeypatch.setitem(KINDS, "any", f"{__name__}:AnyChain")
    topology = app.Topology()
    assert Backmapper.load(tmp_path / "model.pt", topology, chunk_size=3) == (topology, 3)
    assert Model.load(tmp_path / "model.pt", rebuild=True).file.module == "rebuilt"
    assert Model.load(tmp_path / "model.pt").serves == "any chain"


class AnyChain:
    """A kind that serves every topology, with a stand-in for a sampler."""

    of_any_molecule = True

    @staticmethod
    def rebuild(file):
        return "rebuilt"

    @staticmethod
    def bind(file, topology=None, **options):
        return topology, options["chunk_size"]

    @staticmethod
    def serves(file):
        return "any chain"
