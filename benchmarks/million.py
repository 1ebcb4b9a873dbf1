"""A million CG frames of three beads to an all-atom DCD file: memory and frames/s beside those of 100,000.

``python benchmarks/million.py FRAMES`` does one such file, which is deleted afterwards (264 MB for a million frames).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from files import MODEL, repeated_beads, write_beads
from timing import clock, peak_memory_mb

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory

PART = 1000


def measure(frames=(100_000, 1_000_000)):
    """Peak memory and frames/s of a process for each number of frames, and the ratios of the last to the first."""
    figures = {f"{n} frames": _in_process(n) for n in frames}
    first, *_, last = figures.values()
    return figures | {"ratio": {name: last[name] / first[name] for name in first}}


def _in_process(frames):
    command = [sys.executable, __file__, str(frames)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    frames = int(sys.argv[1])
    backmapper = Backmapper.load(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        cg, aa = Path(folder) / "cg.dcd", Path(folder) / "aa.dcd"
        write_beads(backmapper, repeated_beads(backmapper, PART), cg, frames // PART)
        started = clock()
        backmap_trajectory(cg, backmapper, aa, seed=1, progress=False)
        rate = frames / (clock() - started)
    print(json.dumps({"peak MB": peak_memory_mb(), "frames/s": rate}))


if __name__ == "__main__":
    main()
