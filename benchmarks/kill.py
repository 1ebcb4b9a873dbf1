"""Kill commands at random moments, go on with them, and compare what they wrote with an undisturbed run.

    python benchmarks/kill.py backmap simulate train evaluate --trials 200 --seed 0
    python benchmarks/kill.py backmap --signal SIGTERM --trials 20

A trial runs a command in a process of its own, kills it with SIGKILL up to three times at moments drawn over the time
that it takes, and lets it end; the same files must then be there, with the same bytes, and nothing else. With a signal
that a command can answer it must end with its exit status, leave no hidden files, and say no more than that it was
interrupted. Processes are forked from this one, which has imported what they need, so that most kills meet the command
at work.
"""

import argparse
import csv
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
MOST_KILLS = 3
# For short runs to have several: steps between checkpoints of `simulate`, frames of a part of `backmap`.
CHECKPOINT_STEPS, PART, MINIMIZED_PART = 1000, 400, 25
FRAMES = 4000
# Timings, in results and in columns of a log.
TIMINGS = {"frames_per_second", "seconds", "cpu_seconds", "residues_per_second"}


@dataclass(frozen=True)
class Case:
    """A command that can be gone on with; its paths are relative to the folder that it runs in.

    Parameters
    ----------
    begin : sequence of str
        Its arguments.
    resume : sequence of str
        What else is given to go on.
    replace : sequence of str, optional
        What else is given where the file `waits_for` is not there yet.
    waits_for : str, optional
    output : str, optional
        Made in parts: where it is there and its parts are not, all is done.
    differing : sequence of str
        Files that need not be the same.
    """

    begin: tuple
    resume: tuple = ()
    replace: tuple = ()
    waits_for: str | None = None
    output: str | None = None
    differing: tuple = ()

    def is_done(self, folder):
        """Whether a process was killed when there was nothing left to do."""
        if self.output is None:
            return False
        return (folder / self.output).exists() and not (folder / f"{self.output}.unfinished").exists()

    def again(self, folder):
        """The arguments to go on with what a killed process left in a folder."""
        new = self.waits_for is not None and not (folder / self.waits_for).exists()
        return (*self.begin, *(self.replace if new else self.resume))


def small_model(path):
    """Write a model without training, which is faster than any that is good; returns it with beads of reference MD."""
    import numpy as np

    from openmm_cgvae.backmapping.backmapper import Backmapper
    from openmm_cgvae.io.modelfile import ModelFile
    from openmm_cgvae.models import CGVAE, ModelConfig
    from openmm_cgvae.models.export import script_model
    from openmm_cgvae.preparation.dataset import prepare_dataset
    from openmm_cgvae.pretrained.bundle import reference_frames

    frames, known = reference_frames("alanine-dipeptide-3"), Backmapper.load("alanine-dipeptide-3")
    dataset = prepare_dataset(frames, np.arange(len(frames)) % 4, known.mapping)
    config = ModelConfig(features=16, radial=4, encoder_layers=1, prior_layers=1, decoder_layers=3, flow_width=16,
                         flow_layers=1, flow_steps=2)  # fmt: skip
    module = script_model(CGVAE(dataset.spec, config).eval())
    metadata = {"name": "small", "bead_spread_nm": known.metadata["bead_spread_nm"], "model": asdict(config)}
    ModelFile(module, dataset.description["mapping"], None, metadata, dataset.spec.to_arrays()).save(path)
    return Backmapper.load(path), known.mapping.project(frames)


def _backmap(folder, *more, suffix=".dcd"):
    """Backmapping of a trajectory of which three frames are bad."""
    import numpy as np

    from openmm_cgvae.io.trajectory_files import TrajectoryWriter

    cg, model = folder / "cg.xtc", folder / "model.pt"
    if not cg.exists():
        backmapper, beads = small_model(model)
        beads = np.resize(beads, (FRAMES, *beads.shape[1:]))
        beads[FRAMES // 3 : FRAMES // 3 + 3] = 1e4 * np.arange(9).reshape(3, 3)
        with TrajectoryWriter(cg, backmapper.cg_topology()) as writer:
            writer.write(beads, 2.0 * np.arange(FRAMES))
    how = ("--seed", "5", "--on-bad-frame", "skip", *more, "-o", f"out{suffix}")
    return Case(("backmap", str(cg), "--model", str(model), *how), ("--resume",), output=f"out{suffix}")


def _project(folder):
    """Projection of what is backmapped, several times over."""
    atoms = folder / "whole" / "out.dcd"
    if not atoms.exists():
        end(start(folder / "whole", _backmap(folder).begin))
    model = str(folder / "model.pt")
    begin = ("project", *[str(atoms)] * 10, "--top", str(atoms.with_suffix(".pdb")), "--model", model)
    return Case((*begin, "-o", "out.xtc"), ("--resume",), output="out.xtc")


def _simulate(*more):
    begin = (
        "simulate", "--model", "alanine-dipeptide-3", "--steps", "10000", "--report-interval", "50", "-o", "aa.dcd",
        "--cg-output", "cg.dcd", "--checkpoint", "run.chk", "--seed", "3", "--correlation-time", "1", *more,
    )  # fmt: skip
    return Case(begin, ("--resume",), ("--overwrite",), waits_for="run.chk", differing=("run.chk",))


REFERENCE = (str(DATA / "alanine_dipeptide.xtc"), "--top", str(DATA / "alanine_dipeptide.pdb"), "--run-frames", "25")
SMALL = ("features=16", "radial=4", "encoder_layers=1", "prior_layers=1", "decoder_layers=3", "flow_width=16",
         "flow_layers=1", "flow_steps=2", "prior_updates=10", "posterior_steps=2", "polish_updates=10")  # fmt: skip


def _train(folder):
    settings = [word for change in SMALL for word in ("--set", change)]
    return Case(("train", *REFERENCE, "-o", "run", "--epochs", "3", "--no-report", *settings))


def _sample_reference(folder):
    return Case((
        "sample-reference", str(DATA / "alanine_dipeptide.pdb"), "-o", "md", "--runs", "3", "--frames", "40",
        "--interval", "0.1", "--burst", "0.2", "0.4", "--equilibration", "0.2",
    ))  # fmt: skip


def _evaluate(folder):
    model = folder / "model.pt"
    if not model.exists():
        small_model(model)
    begin = ("evaluate", *REFERENCE, "--model", str(model), "--json", "out.json", "--samples", "4", "--stride", "8")
    return Case(begin, ("--resume",), output="out.json")


def _evaluate_proteins(folder):
    chains = [str(DATA / "5k6d.pdb")] * 4
    begin = ("evaluate", *chains, "--model", "protein-ca", "--samples", "2", "--representative", "--json", "out.json")
    return Case(begin, ("--resume",), output="out.json")


# By the folder of their inputs, which they make.
CASES = {
    "backmap": _backmap,
    "backmap-xtc": lambda folder: _backmap(folder, "--samples", "2", "--correlation-time", "8", suffix=".xtc"),
    "backmap-minimized": lambda folder: _backmap(folder, "--minimize", "--iterations", "2", "--stride", "16"),
    "project": _project,
    "simulate": lambda folder: _simulate(),
    "simulate-minimize": lambda folder: _simulate("--minimize", "--iterations", "5"),
    "train": _train,
    "sample-reference": _sample_reference,
    "evaluate": _evaluate,
    "evaluate-proteins": _evaluate_proteins,
}


def shorten():
    """Let short runs have several checkpoints and parts, and a training no picture, which takes half of its time."""
    from openmm_cgvae.backmapping import trajectory
    from openmm_cgvae.cli import train
    from openmm_cgvae.simulation import checkpoint

    checkpoint.CHECKPOINT_STEPS = CHECKPOINT_STEPS
    trajectory.FRAMES_A_PART, trajectory.MINIMIZED_A_PART = PART, MINIMIZED_PART
    train._plot = lambda folder: None


def prepared(case, place):
    """Run a case undisturbed.

    Returns
    -------
    wanted : dict of str to object
        What each of its files holds.
    seconds : float
    """
    # The first tells what is to be imported, which takes the longest.
    end(start(place / "first", case.begin), place / "first")
    for name in (place / "first.modules").read_text().split():
        with suppress(Exception):
            importlib.import_module(name)
    started = time.monotonic()
    end(start(place / "whole", case.begin), place / "whole")
    return contents(place / "whole", case), time.monotonic() - started


def contents(folder, case):
    """What is to be the same of every file in a folder."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: None if name in case.differing else _content(path) for name, path in files.items()}


def _content(path):
    """A file's bytes, without timings where there are."""
    if path.suffix == ".csv":
        with path.open() as file:
            return _untimed(list(csv.DictReader(file)))
    if path.suffix in (".json", ".jsonl"):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        return json.dumps([_untimed(json.loads(line)) for line in lines])
    return path.read_bytes()


def _untimed(value):
    if isinstance(value, list):
        return [_untimed(part) for part in value]
    if isinstance(value, dict):
        return {name: _untimed(part) for name, part in value.items() if name not in TIMINGS}
    return value


def check(folder, case, wanted):
    """Raise an AssertionError that says what is not as it is after an undisturbed run."""
    found = contents(folder, case)
    if set(found) != set(wanted):
        raise AssertionError(f"{', '.join(sorted(set(found) ^ set(wanted)))} left or missing")
    if differing := [name for name in wanted if found[name] != wanted[name]]:
        raise AssertionError(f"{', '.join(differing)} differ")


def survive(name, trials, seed=0, tell=lambda line: None, most=None):
    """Run a case undisturbed, then with kills, in so many trials or until `most` processes were killed.

    Returns
    -------
    same, trials, kills : int
        Trials that wrote what the undisturbed run did, all of them, and processes killed in these.
    problems : list of str
        What was wrong with the others.
    """
    draw, problems, kills, last = random.Random(seed), [], 0, 0.0
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        (place / "in").mkdir()
        case = CASES[name](place / "in")
        wanted, seconds = prepared(case, place)
        for trial in range(trials):
            folder = place / f"trial-{trial}"
            try:
                kills += disturbed(case, folder, draw, seconds)
                check(folder, case, wanted)
            except (AssertionError, OSError, RuntimeError) as error:
                problems.append(f"trial {trial}: {error}")
            else:
                shutil.rmtree(folder)
            if time.monotonic() > last + 60:
                last = time.monotonic()
                tell(f"{name}: {trial + 1 - len(problems)} of {trial + 1} so far, {kills} kills, {seconds:.1f} s a run")
            if most is not None and kills >= most:
                break
    return trial + 1 - len(problems), trial + 1, kills, problems


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
        if case.is_done(folder):
            return killed
        words = case.again(folder)
    end(start(folder, words), folder)
    return killed


def interrupt(name, trials, number, seed=0):
    """Send a signal once a trial, and go on: how many trials ended in which way."""
    draw, outcomes = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        (place / "in").mkdir()
        case = CASES[name](place / "in")
        wanted, seconds = prepared(case, place)
        for trial in range(trials):
            folder = place / f"trial-{trial}"
            outcome = _interrupted(case, folder, number, draw.random() * seconds)
            if outcome == "interrupted":
                try:
                    end(start(folder, case.again(folder)), folder)
                    check(folder, case, wanted)
                    outcome = "went on to the same"
                except (AssertionError, RuntimeError) as error:
                    outcome = f"interrupted, then {error}"
            outcomes[outcome] += 1
    return outcomes


def _interrupted(case, folder, number, seconds):
    """Start a command and send it a signal: "interrupted" if it ended as it should, "was done", or what was wrong."""
    process, began = start(folder, case.begin), time.monotonic()
    # Before this it has not set up what answers signals.
    while not any(folder.iterdir()) and time.monotonic() < began + 60:
        time.sleep(0.005)
    time.sleep(seconds)
    os.kill(process, number)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status == 0:
        return "was done"
    hidden = [path.name for path in folder.rglob(".*")]
    said = Path(f"{folder}.log").read_text().replace("\r", "\n").split("\n")
    last = next(line for line in reversed(said) if line.strip())
    faulty = [line for line in said if "Traceback" in line or "terminate called" in line]
    if status == 128 + number and last == "openmm-cgvae: interrupted" and not faulty and not hidden:
        return "interrupted"
    return f"status {status}, hidden {hidden}, {last!r}"


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
        Path(f"{folder}.modules").write_text("\n".join(sys.modules))
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


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--trials", type=int, default=50, help="of each case (50)")
    parser.add_argument("--kills", type=int, help="stop a case after so many, before all trials")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--signal", metavar="NAME", help="SIGTERM or SIGINT, once a trial, in place of kills")
    options = parser.parse_args(arguments)
    tell = partial(print, flush=True)
    shorten()
    good = True
    for name in options.cases or CASES:
        if options.signal:
            outcomes = interrupt(name, options.trials, signal.Signals[options.signal], options.seed)
            print(f"{name}, {options.signal}: {dict(outcomes)}", flush=True)
            good &= set(outcomes) <= {"was done", "went on to the same"}
            continue
        same, trials, kills, problems = survive(name, options.trials, options.seed, tell, options.kills)
        print(f"{name}: {same} of {trials} trials, {kills} kills, wrote the same bytes", flush=True)
        for problem in problems[:5]:
            print(f"  {problem}", flush=True)
        good &= same == trials
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
