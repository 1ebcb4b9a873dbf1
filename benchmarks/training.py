"""A training step (encode, decode, losses, gradients) against that with edge-wise encoder and decoder."""

import copy

import torch
from edgewise import edgewise_model
from systems import MOLECULES, chain, plain_model
from timing import alternating, gemm

from openmm_cgvae.training.compiled import compile_for_training

BATCH = 32


def measure(rows=MOLECULES[:2]):
    """Steps/s with Adam at batches of 32, and the ratio to the edge-wise model, of rows (n, N, F, layers)."""
    return {f"{row}": _row(*row) for row in rows}


def _row(n_atoms, n_beads, features, layers, n=1024):
    model = plain_model(n_atoms, n_beads, features, layers).train()
    X = chain(n_beads, BATCH)
    x = X[:, model.assignment] + torch.randn(BATCH, n_atoms, 3)
    baseline = edgewise_model(model)
    with torch.no_grad():
        torch.testing.assert_close(model.encode(x, X), baseline.encode(x, X), rtol=1e-3, atol=1e-4)
    compiled = copy.deepcopy(model)
    compile_for_training(compiled)
    by_edges = _step(baseline, x, lambda X, z: X[:, model.assignment] + baseline.decoder(X, z))
    steps = {"edge": by_edges, "own": _step(model, x, model.decode), "compiled": _step(compiled, x, compiled.decode)}
    times = alternating({"gemm": gemm(n)} | steps, rounds=2)
    return {
        "GEMM GFLOP/s": 2e-9 * n**3 / times["gemm"],
        "frames/s": BATCH / times["own"],
        "x edge-wise": times["edge"] / times["own"],
        "x edge-wise, compiled": times["edge"] / times["compiled"],
    }


def _step(model, x, decode):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step():
        X = model.project(x.double()).float()
        mean, log_variance = model.encode(x, X)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        optimizer.zero_grad()
        (decode(X, z) - x).square().mean().backward()
        optimizer.step()

    return step
