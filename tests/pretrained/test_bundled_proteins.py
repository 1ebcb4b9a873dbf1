"""The bundled models of any protein build two crystals from their beads, without a fault that a user would reject."""

import numpy as np
import pytest
import torch
from openmm import NonbondedForce, app, unit
from proteinchains import all_types, crambin

from openmm_cgvae import Backmapper, Model
from openmm_cgvae.io.bundled import PRETRAINED, pretrained_names
from openmm_cgvae.metrics.proteins import protein_figures
from openmm_cgvae.preparation.structures import beads_of, heavy_atoms
from openmm_cgvae.proteins.chains import Chain

# Model to the beads it is of, and the largest RMSD of heavy atoms in Angstrom: about 1.3 times what test chains show.
PROTEINS = {"protein-ca": ("ca", 1.6), "protein-com": ("com", 1.6), "protein-martini": ("martini3", 0.8)}
BUNDLED = [name for name in PROTEINS if name in pretrained_names()]
CHAINS = {"crambin": crambin, "5k6d": all_types}


def value(figure):
    return figure[0] / max(figure[1], 1)


@pytest.fixture(params=BUNDLED, scope="module")
def name(request):
    return request.param


@pytest.fixture(params=CHAINS, scope="module")
def chain(request):
    return Chain(request.param, *CHAINS[request.param]())


@pytest.fixture(scope="module")
def bound(name, chain):
    """A sampler of exact beads, and the beads."""
    topology, beads = beads_of(chain, PROTEINS[name][0])
    return Backmapper.load(name, topology, positions=beads, consistency="exact"), beads


def test_structures_have_no_fault_that_a_user_would_reject(name, chain, bound):
    sampler, beads = bound
    samples = sampler.sample(beads, n_samples=2, seed=5)[0]
    np.testing.assert_allclose(sampler.protein.project(samples), np.stack([beads] * 2), rtol=0, atol=2e-6)
    atoms, mask = heavy_atoms(samples, sampler.topology)
    for sample in atoms:
        figures = protein_figures(chain.residue_types, sample, chain.atoms, chain.mask, chain.connected, mask)
        assert value(figures["rmsd_all"]) < PROTEINS[name][1]
        assert value(figures["bonds"]) > 0.998
        assert figures["contacts_2.0"][0] <= 1
        for fault in ("d_residues", "wrong_side_chain_centres", "wrong_cis", "clashing_residues", "pierced_rings"):
            assert figures[fault][0] == 0, fault
        # Beads tell most of them apart from cysteines that are merely near.
        assert figures["disulfides"][0] >= 2


def test_a_force_field_takes_the_structures_as_they_are(bound):
    sampler, _ = bound
    system = app.ForceField("amber14-all.xml").createSystem(sampler.topology)
    assert system.getNumParticles() == sampler.n_atoms
    nonbonded = next(force for force in system.getForces() if isinstance(force, NonbondedForce))
    charges = [nonbonded.getParticleParameters(i)[0] / unit.elementary_charge for i in range(sampler.n_atoms)]
    assert sum(charges) == pytest.approx(round(sum(charges)), abs=1e-3)


def test_rebuilt_from_weights_it_samples_what_its_torchscript_does(name, chain, bound, monkeypatch):
    scripted, beads = bound
    topology, _ = beads_of(chain, PROTEINS[name][0])
    monkeypatch.setattr(torch.jit, "load", None)
    rebuilt = Model.load(name, rebuild=True).bind(topology, positions=beads, consistency="exact")
    np.testing.assert_allclose(rebuilt.sample(beads, seed=1), scripted.sample(beads, seed=1), rtol=0, atol=1e-6)


def test_a_bundled_model_has_its_evaluation_and_card_beside_it_and_is_small(name):
    assert (PRETRAINED / f"{name}.pt").stat().st_size < 15e6
    assert (PRETRAINED / f"{name}.json").is_file()
    assert (PRETRAINED / f"{name}.md").read_text().startswith(f"# {name}")
