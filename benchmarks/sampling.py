"""Sampling: against the edge-wise form with the same weights, and against the machine's GEMM rate."""

import torch
from edgewise import edgewise_model
from operations import decoder_operations, gaussian_prior_operations
from systems import MOLECULES, chain, plain_model
from timing import alternating, gemm, matrix_products

from openmm_cgvae.core.parallel import on_torch_threads

BATCH = 256
# A chunk is decoded by one thread.
CHUNKS = (2, 8, 32, 128)
# Edges of a chunk of the baseline: where it is fastest.
BASELINE_EDGES = 1500


def measure(rows=MOLECULES):
    """Frames/s, and ratios, of every row (n, N, F, layers); `x edge-wise` is how many times faster than that form."""
    return {f"{row}": _row(*row) for row in rows}


@torch.inference_mode()
def _row(n_atoms, n_beads, features, layers, n=1024):
    model = plain_model(n_atoms, n_beads, features, layers)
    baseline = edgewise_model(model)
    fast = torch.jit.freeze(torch.jit.script(model))
    X, noise = chain(n_beads, BATCH), torch.randn(BATCH, n_beads, features)
    expected = baseline(X[:2], noise[:2])
    assert (fast(X[:2], noise[:2]) - expected).abs().max() < 1e-4 * expected.abs().max()

    def run(module, frames, chunk, workers=1):
        parts = list(zip(X[:frames].split(chunk), noise[:frames].split(chunk), strict=True))
        return lambda: list(on_torch_threads(torch.inference_mode()(lambda part: module(*part)), parts, workers))

    threads = torch.get_num_threads()
    edge_chunk = max(1, BASELINE_EDGES // (n_beads * (n_beads - 1)))
    edge_frames = min(BATCH, 8 * edge_chunk)
    whole = {chunk: run(fast, BATCH, chunk, threads) for chunk in CHUNKS}
    times = alternating(
        {"gemm": gemm(n), "edge": run(baseline, edge_frames, edge_chunk),
         "edge, by thread": run(baseline, edge_frames, edge_chunk, threads),
         "edge 1": run(baseline, 1, 1), "1": run(fast, 1, 1)} | whole, rounds=3)  # fmt: skip
    edge = min(times["edge"], times["edge, by thread"])
    rate = {chunk: BATCH / times[chunk] for chunk in CHUNKS}
    best = max(rate, key=rate.get)
    operations = decoder_operations(n_beads, features, layers) + gaussian_prior_operations(n_beads, features)
    return {
        "GEMM GFLOP/s": 2e-9 * n**3 / times["gemm"],
        "frames/s by chunk": {str(chunk): round(value, 1) for chunk, value in rate.items()},
        "fraction of the GEMM-limited rate": rate[best] * operations / (2 * n**3 / times["gemm"]),
        "share of matrix products in the time": matrix_products(run(fast, best, best))[1],
        "x edge-wise": rate[best] * edge / edge_frames,
        "x edge-wise, batch 1": times["edge 1"] / times["1"],
    }
