"""Time and memory of sampling a synthetic chain of 250 beads, and of 1,000, and of bounds on it: linear is 4."""

import json
import subprocess
import sys

import torch
from systems import CHAINS, chain, plain_model, spec_of
from timing import clock, peak_of

from openmm_cgvae.geometry.bounds import BoundsProjection

CLOSEST = 2.0  # Angstrom, between any two atoms


def measure(rows=CHAINS):
    """Decoder and prior of each row (n, N, F, layers), each in a process of its own, and the ratio of the last two."""
    figures = {f"{row}": _in_process(row) for row in rows}
    small, large = list(figures.values())[-2:]
    figures["ratio"] = {name: large[name] / small[name] for name in small}
    return figures


def _in_process(row):
    command = [sys.executable, __file__, *map(str, row), str(torch.get_num_threads())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@torch.inference_mode()
def _row(n_atoms, n_beads, features, layers):
    model = plain_model(n_atoms, n_beads, features, layers)
    prior, decoder = torch.jit.script(model.prior), torch.jit.script(model.decoder)
    X, noise = chain(n_beads, 1), torch.randn(1, n_beads, features)
    bounds, x = _bounds(n_atoms, n_beads, X)
    near = int((torch.cdist(X, X) < decoder.radial.cutoff).sum()) - n_beads
    # The smaller peak first: it is the process's highest that is measured.
    of_bounds = _measured("bounds ", lambda: bounds(x))
    return {**_measured("", lambda: decoder(X, prior(X, noise))), **of_bounds, "neighbours": near}


def _bounds(n_atoms, n_beads, X):
    """One round of sweeps that keep atoms apart, and atoms about their beads that are not."""
    spec = spec_of(n_atoms, n_beads)
    bounds = BoundsProjection(spec, 1)
    bounds.contacts.fill_(CLOSEST)
    return torch.jit.script(bounds), X[:, torch.as_tensor(spec.assignment)] + 2 * torch.randn(1, n_atoms, 3)


def _measured(name, function):
    memory, times = peak_of(function), []
    for _ in range(4):
        started = clock()
        function()
        times.append(clock() - started)
    return {f"{name}seconds a frame": min(times), f"{name}peak MB above the model": memory}


def main():
    *row, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    print(json.dumps(_row(*row)))


if __name__ == "__main__":
    main()
