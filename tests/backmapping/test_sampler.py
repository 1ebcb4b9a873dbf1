"""Every sampler keeps the one contract, and what is downstream asks nothing else."""

import inspect

import numpy as np
import pytest
from boxes import cg_box
from conftest import untrained_file
from openmm import app
from proteinchains import all_types
from proteinmodels import untrained_file as untrained_protein

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.backmapping.protein import ProteinBackmapper
from openmm_cgvae.backmapping.sampler import Sampler
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.system import create_cg_simulation
from openmm_cgvae.evaluation.exporting import model_file
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.preparation.structures import beads_of
from openmm_cgvae.proteins.chains import Chain
from openmm_cgvae.simulation.atomistic import to_atomistic_simulation
from openmm_cgvae.simulation.reporter import BackmapReporter
from openmm_cgvae.simulation.system import SystemBackmapper
from openmm_cgvae.training.baselines import BaselineConfig, fit_baseline

# The names of the contract, and what it promises of each kind of sampler.
NAMES = ("n_beads", "n_atoms", "mapping", "topology", "cg_topology", "handedness", "sample")


def molecule(dataset):
    return Backmapper(untrained_file(dataset))


def double_precision(dataset):
    return Backmapper(untrained_file(dataset), precision="double")


def baseline(dataset):
    frames = np.arange(150)
    module = fit_baseline("geometric", dataset, frames, BaselineConfig(epochs=1))
    return Backmapper(model_file(module, dataset, (frames, frames[:0], frames[:0]), name="geometric"))


def box(dataset):
    kinds = {"three": molecule(dataset)}
    return SystemBackmapper(cg_box(kinds, ["three", "CL", "three"]), kinds, keep=["CL"])


def any_protein(dataset):
    return Model(untrained_protein()).bind(beads_of(chain())[0])


def chain():
    """The first residues of a crystal."""
    return Chain("", *(part[:12] for part in all_types()))


SAMPLERS = [molecule, double_precision, baseline, box, any_protein]


@pytest.fixture(params=SAMPLERS, ids=lambda make: make.__name__)
def sampler(request, dataset):
    return request.param(dataset)


@pytest.fixture
def beads(sampler, dataset):
    """Real beads, copies well apart: (4, N, 3) in nm."""
    if isinstance(sampler, ProteinBackmapper):
        return beads_of(chain())[1] + np.random.default_rng(0).normal(scale=0.01, size=(4, 1, 3))
    mapping = CGMapping.from_dict(dataset.description["mapping"])
    molecules = mapping.project(dataset.positions[:4].astype(np.float64))
    if sampler.n_beads == 3:
        return molecules
    ion = molecules.mean(1, keepdims=True) + 2.0
    return np.concatenate([molecules, ion, molecules + 4.0], axis=1)


def test_the_seven_names_are_there(sampler):
    assert isinstance(sampler, Sampler)
    assert {name for name in dir(Sampler) if not name.startswith("_")} == set(NAMES)
    own, asked = (list(inspect.signature(of.sample).parameters)[-6:] for of in (type(sampler), Sampler))
    assert own == asked


def test_counts_mapping_and_topologies_agree(sampler):
    assert isinstance(sampler.mapping, CGMapping)
    assert (sampler.mapping.n_beads, sampler.mapping.n_atoms) == (sampler.n_beads, sampler.n_atoms)
    for topology, count in ((sampler.topology, sampler.n_atoms), (sampler.cg_topology(), sampler.n_beads)):
        assert isinstance(topology, app.Topology)
        assert topology.getNumAtoms() == count
    sampler.mapping.check_topology(sampler.topology)
    sampler.topology.setPeriodicBoxVectors(np.eye(3))
    assert sampler.topology.getPeriodicBoxVectors() is None, "a caller may change what it gets"
    assert sampler.handedness is None or set(np.ravel(sampler.handedness)) <= {-1, 1}


def test_samples_have_the_shape_and_project_back(sampler, beads):
    atoms = sampler.sample(beads, 3, seed=5)
    assert atoms.shape == (4, 3, sampler.n_atoms, 3)
    for k in range(3):
        np.testing.assert_allclose(sampler.mapping.project(atoms[:, k]), beads, atol=2e-6)
    assert sampler.sample(beads[0], seed=5).shape == (1, 1, sampler.n_atoms, 3)


def test_a_frame_has_the_same_structures_however_frames_are_split(sampler, beads):
    whole = sampler.sample(beads, 2, seed=5, frames=[7, 8, 9, 10], correlation=2.0)
    parts = [sampler.sample(beads[part], 2, 5, np.arange(7, 11)[part], 2.0) for part in (slice(0, 1), slice(1, 4))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert np.abs(sampler.sample(beads, 2, seed=6) - whole).max() > 1e-4 or sampler.n_beads == 1


def test_molecules_split_over_a_box_are_made_whole(sampler, beads):
    vectors = np.diag([9.0, 9.0, 9.0])
    split = beads.copy()
    # One bead of each molecule, on the other side.
    split[:, 1] += [9.0, 0.0, -9.0]
    np.testing.assert_allclose(sampler.sample(split, seed=5, box=vectors), sampler.sample(beads, seed=5), atol=1e-5)


# What a sampler may have beside: its hash, how many structures are worth sampling at once, and how far it moved beads.
OPTIONAL = {"chunk_size", "fingerprint", "take_moved"}


class OnlyTheContract:
    """A sampler of which nothing can be asked but the contract."""

    def __init__(self, sampler):
        self._sampler = sampler

    def __getattr__(self, name):
        if name in OPTIONAL:
            raise AttributeError(name)
        if name not in NAMES:
            raise AssertionError(f"{name} is asked of a sampler, and is not in the contract")
        return getattr(self._sampler, name)


def test_what_is_downstream_asks_nothing_else(dataset, mapping, reference, tmp_path):
    sampler = OnlyTheContract(molecule(dataset))
    beads = mapping.project(reference[0][:3])
    with TrajectoryWriter(tmp_path / "cg.dcd", sampler.cg_topology()) as writer:
        writer.write(beads, np.arange(3.0))
    minimizer = Minimizer(sampler.mapping, handedness=sampler.handedness)
    backmap_trajectory(tmp_path / "cg.dcd", sampler, tmp_path / "aa.dcd", 2, 1, minimizer=minimizer, progress=False)
    assert sum(len(chunk.frames) for chunk in TrajectoryReader(tmp_path / "aa.dcd", sampler.topology)) == 6
    simulation = create_cg_simulation(mapping, CGPotential.from_dict(dataset.description["potential"]), seed=7)
    with BackmapReporter(tmp_path / "run.xtc", 5, sampler, seed=1) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(20)
    assert reporter.n_frames == 4
    system = SystemBackmapper(cg_box({"three": sampler}, ["three", "three"]), {"three": sampler})
    assert system.sample(np.concatenate([beads, beads + 3.0], axis=1), seed=2).shape == (3, 1, 44, 3)


def test_the_hand_off_to_atoms_asks_nothing_else():
    sampler = OnlyTheContract(Backmapper.load("alanine-dipeptide-3"))
    beads = Backmapper.load("alanine-dipeptide-3").cg_potential().starts_nm[0]
    simulation = to_atomistic_simulation(beads, sampler, equilibration=0.0, platform="Reference", seed=3)
    assert simulation.topology.getNumAtoms() == sampler.n_atoms
