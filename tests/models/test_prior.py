from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY

from openmm_cgvae.models.cgvae import PRIORS
from openmm_cgvae.models.prior import GaussianPrior

GAUSSIAN = replace(TINY, prior="gaussian")


def beads_of(data, count=6):
    X = torch.as_tensor(data.spec.projection) @ torch.as_tensor(data.positions[:count], dtype=torch.float64)
    return 10 * (X - X.mean(1, keepdim=True)).float()


@pytest.fixture(params=["dataset", "five_bead_dataset"], ids=["3-beads", "5-beads"])
def data(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=PRIORS)
def prior(request, data):
    torch.manual_seed(0)
    return PRIORS[request.param](data.spec, TINY).eval()


def test_scripted_prior_samples_as_the_plain_one(prior, data):
    X = beads_of(data)
    noise = torch.randn(6, data.spec.n_beads, TINY.latent)
    with torch.inference_mode():
        plain, scripted = prior(X, noise), torch.jit.script(prior)(X, noise)
    assert plain.shape == noise.shape
    assert plain.dtype == torch.float32
    torch.testing.assert_close(scripted, plain, rtol=1e-5, atol=1e-6)


def test_frames_do_not_influence_each_other(prior, data):
    X = beads_of(data)
    noise = torch.randn(6, data.spec.n_beads, TINY.latent)
    with torch.inference_mode():
        together = prior(X, noise)
        alone = torch.cat([prior(X[k : k + 1], noise[k : k + 1]) for k in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_gradients_stay_finite_where_beads_coincide(prior, data):
    X = beads_of(data)
    X[:, 1] = X[:, 0]
    X.requires_grad_()
    prior(X, torch.randn(6, data.spec.n_beads, TINY.latent)).sum().backward()
    assert torch.isfinite(X.grad).all()


def test_gaussian_prior_is_its_mean_plus_noise_times_its_spread(dataset):
    torch.manual_seed(0)
    prior = GaussianPrior(dataset.spec, GAUSSIAN)
    X = beads_of(dataset)
    noise = torch.randn(6, 3, TINY.latent)
    with torch.no_grad():
        mean, log_variance = prior.parameters_of(X)
        torch.testing.assert_close(prior(X, torch.zeros_like(noise)), mean)
        torch.testing.assert_close((prior(X, noise) - mean) / noise, torch.exp(log_variance / 2), rtol=1e-4, atol=1e-5)


def test_gaussian_prior_counts_the_atoms_of_each_kind(dataset):
    prior = GaussianPrior(dataset.spec, GAUSSIAN)
    np.testing.assert_array_equal(prior.composition.sum(1), np.bincount(dataset.spec.assignment))
    np.testing.assert_array_equal(prior.composition.sum(0), np.bincount(dataset.spec.atom_types))
