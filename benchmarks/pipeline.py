"""The bundled models part by part: flow, decoder, refinement, bounds, and the whole by chunk size.

Counted are the operations of `matrix_products`. The plain decoder is what the whole is measured by.
"""

import torch
from timing import alternating, gemm, matrix_products

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.core.parallel import on_torch_threads
from openmm_cgvae.io.bundled import pretrained_names
from openmm_cgvae.pretrained.bundle import reference_frames

BATCH = 512
# Structures that a thread has the model sample in a call.
CHUNKS = (16, 64, 256)
# Frames sampled one at a time.
SINGLE = 16


def measure():
    """`measure_model` of every bundled model."""
    return {name: measure_model(name) for name in pretrained_names()}


@torch.inference_mode()
def measure_model(name, n=1024):
    """Milliseconds a frame by part (as many at once as the model takes) and by chunk, and ratios."""
    backmapper = Backmapper.load(name)
    module, reference = backmapper._module, reference_frames(name)
    frames = reference[:: max(1, len(reference) // BATCH)]
    # Those of chignolin are fewer.
    beads = torch.as_tensor(backmapper.mapping.project(frames), dtype=torch.float32)
    beads = beads.repeat(-(-BATCH // len(beads)), 1, 1)[:BATCH]
    noise = torch.randn(len(beads), beads.shape[1], module.latent, generator=torch.Generator().manual_seed(0))
    at_once = len(module.parts(beads)[0])
    parts = {
        part: _chunked(*call, BATCH // torch.get_num_threads() if part == "bounds" else at_once)
        for part, call in _parts(module, beads, noise).items()
    }
    whole = {f"chunk {size}": _chunked(module, (beads, noise), size) for size in CHUNKS}
    others = {
        "chunk 256, operators shared": _chunked(module, (beads, noise), 256, workers=1),
        "one frame": _chunked(module, (beads[:SINGLE], noise[:SINGLE]), 1, workers=1),
    }
    times = alternating({"gemm": gemm(n)} | parts | whole | others, rounds=2)
    operations = matrix_products(lambda: module(beads, noise))[0] / len(beads)
    times["one frame"] *= len(beads) / SINGLE
    best = min(times[name] for name in whole) / len(beads)
    return {
        "decoded at once": at_once,
        "ms a frame": {part: 1e3 * times[part] / len(beads) for part in (parts | whole | others)},
        "million operations a frame": 1e-6 * operations,
        "fraction of the GEMM-limited rate": operations / best * times["gemm"] / (2 * n**3),
        "x plain decoder": best * len(beads) / times["decoder"],
    }


def _parts(module, beads, noise):
    """Functions and arguments of the parts of an `ExportedModel`, by name."""
    model, X = module.model, 10 * (beads - beads.mean(1, keepdim=True))
    z = model.prior(X, noise)
    dx = model.displace(X, z)
    return {
        "flow": (model.prior, (X, noise)),
        "decoder": (model.decoder.vectors, (X, z)),
        "decoder and refinement": (model.displace, (X, z)),
        "bounds": (model.bound, (X, dx)),
    }


def _chunked(function, arguments, size, workers=None):
    """A call for so many rows at a time, on all of torch's threads if no other number is given."""
    calls = list(zip(*(a.split(size) for a in arguments), strict=True))
    call = torch.inference_mode()(lambda part: function(*part))
    return lambda: list(on_torch_threads(call, calls, workers or torch.get_num_threads()))
