"""Kill commands with SIGKILL at random moments, go on with them, and compare what they wrote with an undisturbed run.

    python benchmarks/kill_runs.py simulate train evaluate --trials 50 --seed 0

Every trial runs a command in a process of its own, kills it up to three times at moments drawn over the time that it
takes, and lets it end; what it wrote must then be the same, byte for byte. Processes are forked from this one, which
has imported everything, so that most kills meet the command at work. For backmap and project see kill.py.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
MOST_KILLS = 3
# Steps between checkpoints of `simulate`, so that a short run has several.
CHECKPOINT_STEPS = 2000


@dataclass(frozen=True)
class Case:
    """A command that can be gone on with.

    Parameters
    ----------
    begin : sequence of str
        Its arguments.
    resume : callable
        Takes the folder and returns the arguments to go on with what a killed process left there.
    outputs : sequence of str
        What it writes, in the folder.
    content : callable
        What of an output is to be the same: takes its path.
    """

    begin: tuple
    resume: Callable
    outputs: tuple
    content: Callable = Path.read_bytes


def _simulate(minimize):
    begin = [
        "simulate", "--model", "alanine-dipeptide-3", "--steps", "30000", "--report-interval", "50", "-o", "aa.dcd",
        "--cg-output", "cg.dcd", "--checkpoint", "run.chk", "--seed", "3", "--correlation-time", "1",
        *(["--minimize", "--iterations", "5"] if minimize else []),
    ]  # fmt: skip

    def resume(folder):
        return [*begin, "--resume" if (folder / "run.chk").exists() else "--overwrite"]

    return Case(tuple(begin), resume, ("aa.dcd", "cg.dcd", "aa.pdb", "cg.pdb"))


REFERENCE = (str(DATA / "alanine_dipeptide.xtc"), "--top", str(DATA / "alanine_dipeptide.pdb"), "--run-frames", "25")
SMALL = ("features=16", "radial=4", "encoder_layers=1", "prior_layers=1", "decoder_layers=3", "flow_width=16",
         "flow_layers=1", "flow_steps=2", "prior_updates=20", "posterior_steps=2", "polish_updates=20")  # fmt: skip


def _train():
    settings = [word for change in SMALL for word in ("--set", change)]
    begin = ("train", *REFERENCE, "-o", "run", "--epochs", "6", *settings)
    outputs = ("run/model.pt", "run/checkpoint.pt", "run/data.npz", "run/training.csv")
    return Case(begin, lambda folder: begin, outputs, _without_seconds)


def _sample_reference():
    begin = (
        "sample-reference", str(DATA / "alanine_dipeptide.pdb"), "-o", "md", "--runs", "3", "--frames", "40",
        "--interval", "0.1", "--burst", "0.2", "0.4", "--equilibration", "0.2",
    )  # fmt: skip
    outputs = tuple(f"md/run-00{k}{end}" for k in range(3) for end in (".dcd", "-forces.npy"))
    return Case(begin, lambda folder: begin, (*outputs, "md/protocol.json"))


def _evaluate():
    how = ("--model", "alanine-dipeptide-3", "--json", "out.json", "--stride", "4", "--samples", "2")
    begin = ("evaluate", *REFERENCE, *how)
    return Case(begin, lambda folder: (*begin, "--overwrite"), ("out.json",), _without_speed)


def _without_seconds(path):
    """A log without its column of seconds; else a file's bytes."""
    if path.suffix != ".csv":
        return path.read_bytes()
    return [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]


def _without_speed(path):
    figures = json.loads(path.read_text())
    return {name: value for name, value in figures.items() if name != "frames_per_second"}


CASES = {
    "simulate": lambda: _simulate(False),
    "simulate-minimize": lambda: _simulate(True),
    "train": _train,
    "sample-reference": _sample_reference,
    "evaluate": _evaluate,
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--trials", type=int, default=50, help="of each case (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    options = parser.parse_args(arguments)
    # Once, before processes are forked.
    from openmm_cgvae.simulation import checkpoint

    checkpoint.CHECKPOINT_STEPS = CHECKPOINT_STEPS
    good = True
    for name in options.cases or CASES:
        same, kills, problems = survive(CASES[name](), options.trials, options.seed)
        print(f"{name}: {same} of {options.trials} trials, {kills} kills, wrote the same bytes", flush=True)
        for problem in problems[:5]:
            print(f"  {problem}")
        good &= same == options.trials
    return 0 if good else 1


def survive(case, trials, seed=0):
    """Run a case undisturbed, then with kills.

    Returns
    -------
    same, kills : int
        Trials that wrote what the undisturbed run did, and processes killed in all.
    problems : list of str
        What was wrong with the others.
    """
    draw, problems, kills = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        started = time.monotonic()
        end(start(whole, case.begin))
        seconds = time.monotonic() - started
        wanted = {name: case.content(whole / name) for name in case.outputs}
        for trial in range(trials):
            folder = Path(place) / f"trial-{trial}"
            try:
                kills += disturbed(case, folder, draw, seconds)
                # Compared where all is there, since a kill may come between two outputs.
                for name in case.outputs:
                    if case.content(folder / name) != wanted[name]:
                        raise AssertionError(f"{name} differs")
                if left := [path.name for path in folder.rglob(".*")]:
                    raise AssertionError(f"{', '.join(left)} left")
            except (AssertionError, OSError, RuntimeError) as error:
                problems.append(f"trial {trial}: {error}")
            else:
                shutil.rmtree(folder)
    return trials - len(problems), kills, problems


def disturbed(case, folder, draw, seconds):
    """Run a case to its end with some kills in between, and return how many processes were killed at work."""
    killed, words = 0, case.begin
    for _ in range(draw.randint(1, MOST_KILLS)):
        process = start(folder, words)
        time.sleep(draw.random() * seconds)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status):
            raise RuntimeError(f"{' '.join(words)} ended with {os.WEXITSTATUS(status)}: {_last_line(folder)}")
        words = case.resume(folder)
    end(start(folder, words), folder)
    return killed


def start(folder, words):
    """Run a command line in a forked process, in a folder of its own; returns its number."""
    folder.mkdir(exist_ok=True)
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        os.chdir(folder)
        log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from openmm_cgvae.cli.main import main as command

        status = command(list(words))
        sys.stdout.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def end(process, folder=None):
    """Wait for a process that must succeed."""
    _, status = os.waitpid(process, 0)
    if status:
        raise RuntimeError(f"ended with {os.waitstatus_to_exitcode(status)}: {_last_line(folder) if folder else ''}")


def _last_line(folder):
    lines = Path(f"{folder}.log").read_text().splitlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    sys.exit(main())
