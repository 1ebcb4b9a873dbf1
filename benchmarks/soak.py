"""A long CG run with a BackmapReporter, killed and restarted many times, against one that ran through.

    python benchmarks/soak.py --steps 10000000 --restarts 20

Beads and atoms of both must be the same, byte for byte.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

MODEL = "alanine-dipeptide-3"


def run(folder, steps, interval, checkpoint, samples):
    """The run of a user's own script: it goes on from its last checkpoint, if there is one."""
    from openmm_cgvae import Backmapper, BackmapReporter, CheckpointReporter, create_cg_simulation
    from openmm_cgvae.simulation.reporters import TrajectoryReporter

    backmapper = Backmapper.load(MODEL)
    simulation = create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=5)
    saved, atoms, beads = (folder / name for name in ("run.chk", "aa.dcd", "cg.dcd"))
    resumed = saved.exists()
    if resumed:
        simulation.loadCheckpoint(str(saved))
    with (
        BackmapReporter(
            atoms, interval, backmapper, append=resumed, overwrite=True, seed=5, nSamples=samples, correlationTime=1.0
        ) as all_atoms,
        TrajectoryReporter(beads, interval, append=resumed) as coarse,
    ):
        simulation.reporters += [all_atoms, coarse, CheckpointReporter(saved, checkpoint)]
        simulation.step(steps - simulation.currentStep)


def start(folder, *settings):
    """`run` in a forked process; returns its number."""
    folder.mkdir(exist_ok=True)
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        run(folder, *settings)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def wait(process):
    """Wait for a process that must succeed."""
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status:
        raise RuntimeError(f"the run ended with {status}")


def when_written(process, path, size):
    """Wait until a file has so many bytes, or the process that writes it has ended."""
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if path.exists() and path.stat().st_size >= size:
            return
        time.sleep(0.001)


def soak(place, steps, interval, checkpoint, restarts, samples=1, seed=0):
    """Run through once, and once with kills at random moments.

    Returns
    -------
    kills : int
        Processes that were killed at work.
    differing : list of str
        Outputs that are not the same to the byte.
    """
    settings, draw = (steps, interval, checkpoint, samples), random.Random(seed)
    whole, parts = place / "whole", place / "parts"
    wait(start(whole, *settings))
    size, kills = (whole / "cg.dcd").stat().st_size, 0
    # By what is written, not by the clock: a loaded machine may take twice as long for one run as for the other.
    for moment in sorted(draw.random() for _ in range(restarts)):
        process = start(parts, *settings)
        when_written(process, parts / "cg.dcd", moment * size)
        os.kill(process, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(process, 0)[1])
    wait(start(parts, *settings))
    return kills, [name for name in ("cg.dcd", "aa.dcd") if (whole / name).read_bytes() != (parts / name).read_bytes()]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=10**7, help="(10^7)")
    parser.add_argument("--interval", type=int, default=1000, help="steps between frames (1000)")
    parser.add_argument("--checkpoint", type=int, default=10_000, help="steps between checkpoints (10000)")
    parser.add_argument("--samples", type=int, default=1, help="structures a frame (1)")
    parser.add_argument("--restarts", type=int, default=20, help="kills (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--folder", help="kept; a temporary one if omitted")
    options = parser.parse_args(arguments)
    # Once, before processes are forked.
    import openmm_cgvae.simulation.run  # noqa: F401

    place = Path(options.folder or tempfile.mkdtemp())
    settings = (options.steps, options.interval, options.checkpoint, options.restarts, options.samples, options.seed)
    kills, differing = soak(place, *settings)
    if not options.folder:
        shutil.rmtree(place)
    print(
        f"{options.steps} steps, {kills} kills: "
        + (", ".join(differing) + " differ" if differing else "the same bytes")
    )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
