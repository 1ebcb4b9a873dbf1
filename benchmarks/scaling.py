"""Time and memory of sampling a synthetic chain of 250 beads, and of 1,000: linear is 4."""

import json
import subprocess
import sys

import torch
from systems import CHAINS, chain, plain_model
from timing import clock, peak_of


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
    memory, times = peak_of(lambda: decoder(X, prior(X, noise))), []
    for _ in range(4):
        started = clock()
        decoder(X, prior(X, noise))
        times.append(clock() - started)
    near = int((torch.cdist(X, X) < decoder.radial.cutoff).sum()) - n_beads
    return {"seconds a frame": min(times), "peak MB above the model": memory, "neighbours": near}


def main():
    *row, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    print(json.dumps(_row(*row)))


if __name__ == "__main__":
    main()
