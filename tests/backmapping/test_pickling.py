"""Samplers and minimisers go to other processes, and give the same there to the bit."""

import multiprocessing
import pickle

import numpy as np
import openmm
import pytest
from openmm import app
from proteinbeads import beads
from proteinchains import all_types
from proteinmodels import trace, untrained_file

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.chemistry.aminoacids.residues import RESIDUE_NAMES
from openmm_cgvae.simulation.system import SystemBackmapper


def system_of(mapping, backmapper, copies=3):
    modeller = app.Modeller(mapping.cg_topology(), np.zeros((3, 3)) * openmm.unit.nanometer)
    for _ in range(copies - 1):
        modeller.add(mapping.cg_topology(), np.zeros((3, 3)) * openmm.unit.nanometer)
    return SystemBackmapper(modeller.topology, backmapper)


@pytest.fixture(params=["single", "double", "rebuilt", "unbounded", "system"])
def sampler(request, model_path, mapping):
    if request.param == "rebuilt":
        return Model.load(model_path, rebuild=True).bind()
    if request.param == "system":
        return system_of(mapping, Backmapper.load(model_path))
    backmapper = Backmapper.load(model_path, precision="double" if request.param == "double" else "single")
    return (backmapper.unbounded() if request.param == "unbounded" else None) or backmapper


def test_samples_after_a_round_trip_are_the_same_to_the_bit(sampler, reference, mapping):
    beads = mapping.project(reference[0][:20])
    beads = np.tile(beads, (1, sampler.n_beads // 3, 1))
    again = pickle.loads(pickle.dumps(sampler))
    samples = sampler.sample(beads, 2, seed=3, frames=np.arange(5, 25), correlation=2.0)
    np.testing.assert_array_equal(again.sample(beads, 2, seed=3, frames=np.arange(5, 25), correlation=2.0), samples)
    assert again.sample(beads).dtype == samples.dtype
    assert again.fingerprint == sampler.fingerprint
    assert again.topology.getNumAtoms() == sampler.topology.getNumAtoms()
    assert again.mapping == sampler.mapping


@pytest.mark.parametrize("options", [{}, {"consistency": "exact", "temperature": 0.7}, {"representative": True}])
def test_a_sampler_of_any_protein_goes_too(tmp_path, options):
    untrained_file().save(tmp_path / "ca.pt")
    types, trace_of = all_types(), trace(all_types())
    names = [RESIDUE_NAMES[kind] for kind in types[0]]
    record = beads(names, trace_of, np.arange(len(names)) + 1, ["A"] * len(names), np.zeros(len(names), dtype=int))
    sampler = Model.load(tmp_path / "ca.pt").bind(record, **options)
    again = pickle.loads(pickle.dumps(sampler))
    np.testing.assert_array_equal(*(s.sample(trace_of, 2, seed=1) for s in (again, sampler)))
    assert again.fingerprint == sampler.fingerprint
    assert again.bead_shift_nm == sampler.bead_shift_nm


@pytest.mark.parametrize("options", [{}, {"implicitSolvent": "OBC2"}, {"platform": "Reference", "copies": 4}])
def test_a_minimiser_gives_the_same_after_a_round_trip(mapping, reference, options):
    minimizer = Minimizer(mapping, maxIterations=5, **options)
    again = pickle.loads(pickle.dumps(minimizer))
    results = [m.minimize(reference[0][:6] + 0.005 * np.sin(np.arange(66)).reshape(22, 3)) for m in (again, minimizer)]
    for name in ("positions", "energy_before", "energy_after", "failed"):
        np.testing.assert_array_equal(*(getattr(result, name) for result in results))
    assert again.fingerprint == minimizer.fingerprint


def sampled(arguments):
    backmapper, minimizer, beads, frames = arguments
    atoms = backmapper.sample(beads, seed=3, frames=frames)[:, 0]
    return atoms, minimizer.minimize(atoms, progress=False).positions


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_pool_of_processes_gives_the_same(method, backmapper, reference, mapping):
    beads, minimizer = mapping.project(reference[0][:8]), Minimizer(mapping, maxIterations=3)
    frames = np.arange(8)
    parts = [(backmapper, minimizer, beads[k : k + 4], frames[k : k + 4]) for k in (0, 4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(sampled, parts)
    for part, result in zip(parts, found, strict=True):
        for own, other in zip(sampled(part), result, strict=True):
            np.testing.assert_array_equal(own, other)
