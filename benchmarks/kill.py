"""Commands that are killed at random moments and resumed: do they end with the bytes of a run that was not?

python benchmarks/kill.py backmap 50: the case, and how often. A case is a function in `CASES`; every command runs in a
child of this process, which has imported the package, and is killed with SIGKILL up to three times.
python benchmarks/kill.py backmap 20 SIGTERM: a process of its own is sent this signal at a random moment once its files
are there, and must end with its exit status, nothing but that it was interrupted in its messages, and no hidden files.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cli.main import main
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.models import CGVAE, ModelConfig
from openmm_cgvae.models.export import script_model
from openmm_cgvae.preparation.dataset import prepare_dataset
from openmm_cgvae.pretrained.bundle import reference_frames

# Five parts of a journal.
FRAMES = 20_000
KILLS = 3
SMALL = ModelConfig(features=16, radial=4, encoder_layers=1, prior_layers=1, decoder_layers=3, flow_width=16,
                    flow_layers=1, flow_steps=2)  # fmt: skip


def small_model(path):
    """Write a model without training, which is faster than any that is good, and return it."""
    frames, known = reference_frames("alanine-dipeptide-3"), Backmapper.load("alanine-dipeptide-3")
    dataset = prepare_dataset(frames, np.arange(len(frames)) % 4, known.mapping)
    module = script_model(CGVAE(dataset.spec, SMALL).eval())
    metadata = {"name": "small", "bead_spread_nm": known.metadata["bead_spread_nm"], "model": asdict(SMALL)}
    ModelFile(module, dataset.description["mapping"], None, metadata, dataset.spec.to_arrays()).save(path)
    return Backmapper.load(path), known.mapping.project(frames)


def backmap(folder, *more):
    """Backmapping of a trajectory of which frames are bad: all arguments but the output."""
    cg, model = folder / "cg.xtc", folder / "model.pt"
    if not cg.exists():
        backmapper, beads = small_model(model)
        beads = np.resize(beads, (FRAMES, *beads.shape[1:]))
        beads[FRAMES // 3 : FRAMES // 3 + 3] = 1e4 * np.arange(9).reshape(3, 3)
        with TrajectoryWriter(cg, backmapper.cg_topology()) as writer:
            writer.write(beads, 2.0 * np.arange(FRAMES))
    return ["backmap", cg, "--model", model, "--seed", 5, "--on-bad-frame", "skip", *more]


def project(folder):
    """Projection of what is backmapped."""
    aa = folder / "atoms.dcd"
    if not aa.exists():
        main([str(argument) for argument in (*backmap(folder), "-o", aa)])
    return ["project", *[aa] * 10, "--top", aa.with_suffix(".pdb"), "--model", folder / "model.pt"]


# Arguments but for the output, by the folder of inputs; and the suffix of the output.
CASES = {
    "backmap": (backmap, ".dcd"),
    "backmap-xtc": (lambda folder: backmap(folder, "--samples", 2, "--correlation-time", 8), ".xtc"),
    "backmap-minimized": (lambda folder: backmap(folder, "--minimize", "--iterations", 2, "--stride", 16), ".dcd"),
    "project": (project, ".xtc"),
}


def run(arguments, seconds=None):
    """Run a command in a child, killed after some seconds: its exit status, None if it was killed."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os._exit(main([str(argument) for argument in arguments]))
    ends = None if seconds is None else time.monotonic() + seconds
    while ends is None or time.monotonic() < ends:
        found, status = os.waitpid(child, 0 if ends is None else os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def trial(arguments, output, duration, generator):
    """Kill and resume until it ends: how often it was killed."""
    for kills in range(KILLS):
        status = run([*arguments, "-o", output, "--resume"], generator.uniform(0, duration))
        if status is not None:
            assert status == 0, f"exit status {status} after {kills} kills"
            return kills
        if output.exists() and not unfinished(output):
            # Killed when all was done.
            return kills + 1
    status = run([*arguments, "-o", output, "--resume"])
    assert status == 0, f"exit status {status} after {KILLS} kills"
    return KILLS


def unfinished(output):
    return output.with_name(f"{output.name}.unfinished").exists()


def measure(name, trials, seed=0):
    """Kill a case so often: how many trials ended with the same bytes and nothing else in the folder."""
    generator, (case, suffix) = random.Random(seed), CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        inputs, place = Path(folder) / "in", Path(folder) / "out"
        inputs.mkdir()
        arguments = case(inputs)
        whole = Path(folder) / f"whole{suffix}"
        started = time.monotonic()
        assert run([*arguments, "-o", whole]) == 0
        duration, good, killed = time.monotonic() - started, 0, 0
        for number in range(trials):
            place.mkdir()
            output = place / f"out{suffix}"
            killed += trial(arguments, output, duration, generator)
            same = output.read_bytes() == whole.read_bytes()
            alone = {path.name for path in place.iterdir()} == {output.name, "out.pdb"}
            good += same and alone
            print(f"{good} of {number + 1}", end="\r", flush=True)
            if not (same and alone):
                print(f"{name}: {'other bytes' if not same else sorted(path.name for path in place.iterdir())}")
            for path in place.iterdir():
                path.unlink()
            place.rmdir()
        return {"trials": trials, "the same": good, "kills": killed, "seconds": round(duration, 2)}


def interrupt(name, trials, number, seed=0):
    """Send a signal to a case so often: how many trials ended as they should and went on to the same bytes."""
    generator, (case, suffix) = random.Random(seed), CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        inputs, place = Path(folder) / "in", Path(folder) / "out"
        inputs.mkdir()
        arguments, whole = case(inputs), Path(folder) / f"whole{suffix}"
        started = time.monotonic()
        assert run([*arguments, "-o", whole]) == 0
        duration, found = time.monotonic() - started, Counter()
        for _ in range(trials):
            place.mkdir()
            output = place / f"out{suffix}"
            outcome = _interrupted([*arguments, "-o", output], place, number, generator.uniform(0, duration))
            if outcome == "interrupted":
                assert run([*arguments, "-o", output, "--resume"]) == 0
                outcome = "went on to the same" if output.read_bytes() == whole.read_bytes() else "other bytes"
            found[outcome] += 1
            print(dict(found), end="\r", flush=True)
            shutil.rmtree(place)
        return dict(found)


def _interrupted(arguments, place, number, seconds):
    """Start a command and send it a signal: "interrupted" if it ended as it should, "was done", or what was wrong."""
    command = [sys.executable, "-m", "openmm_cgvae", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not any(place.iterdir()) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(number)
    messages = process.communicate()[1]
    hidden = [path.name for path in place.iterdir() if path.name.startswith(".")]
    if process.returncode == 0 and not hidden:
        return "was done"
    said = [line for line in messages.replace("\r", "\n").split("\n") if line.strip() and "frame/s" not in line]
    good = said[-1:] == ["openmm-cgvae: interrupted"] and all("openmm-cgvae" in line for line in said)
    if process.returncode == 128 + number and good and not hidden:
        return "interrupted"
    return f"status {process.returncode}, hidden {hidden}, {messages[-300:]!r}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    trials = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    for name in [sys.argv[1]] if len(sys.argv) > 1 else CASES:
        if len(sys.argv) > 3:
            print(name, sys.argv[3], interrupt(name, trials, signal.Signals[sys.argv[3]]), flush=True)
        else:
            print(name, measure(name, trials), flush=True)
