"""Which files every command reads and writes: no output takes the place of an input or of another output."""

import shlex
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.output import check_apart

__all__ = ["FILES", "POSITIONAL", "Files", "check_files", "named_files", "no_empty_folders"]

# Arguments without dashes.
POSITIONAL = ("structures", "trajectory", "trajectories", "folder", "pdb", "molecules", "ensembles")


@dataclass(frozen=True)
class Files:
    """The files of a command, by the names of its arguments.

    Parameters
    ----------
    inputs, outputs : sequence of str
        Arguments that name files; of inputs also folders, or bundled models, or words where they are no file.
    beside : sequence of str
        Of the outputs those that are trajectories, beside which a structure is written.
    runs : sequence of str
        Of the outputs those of a simulation, beside which its last state is written if it becomes unstable.
    inside : dict of str to sequence of str
        Folders that are written to, and what in them.
    endings : dict of str to str
        What the names of outputs end in, those of ``--report`` and ``--json`` apart.
    more : callable, optional
        Takes the options and returns inputs and outputs that no argument names, two dicts of what they are to path.
    """

    inputs: tuple = ()
    outputs: tuple = ("output",)
    beside: tuple = ()
    runs: tuple = ()
    inside: dict = field(default_factory=dict)
    endings: dict = field(default_factory=dict)
    more: Callable = lambda options: ({}, {})


def _exported(options):
    """Of ``export``: what is read of the folder, and the model file in it if no other is asked for."""
    folder = Path(options.folder)
    names = ("checkpoint.pt", "training.csv", "geometry.pt", "data.json", *(() if options.data else ("data.npz",)))
    model = {} if options.output else {"model file": folder / "model.pt"}
    return {f"{name} of the training": folder / name for name in names}, model


def _forces(options):
    """Of ``learn-forcefield``: forces that are kept beside trajectories."""
    paths = [Path(path) for path in options.trajectories]
    return {f"forces of {path}": path.with_name(f"{path.stem}-forces.npy") for path in paths}, {}


def _sampled(options):
    """Of ``sample-reference``: its runs."""
    runs = [Path(options.output) / f"run-{k:03d}" for k in range(options.runs)]
    return {}, {f"{run.name}{end}": f"{run}{end}" for run in runs for end in (".dcd", "-forces.npy")}


REFERENCE = ("trajectories", "top", "mapping")
TRAINING = ("checkpoint.pt", "training.csv", "training.png", "model.pt", "data.json", "geometry.pt", "report.html")
KEPT = ("data.npz", "chains.npz", "chains.json")
DEMO = ("cg.dcd", "cg.pdb", "aa.dcd", "aa.pdb", "minimized.dcd", "ramachandran.png", "summary.json", "report.html")

FILES = {
    "demo": Files(("model",), (), inside={"output": DEMO}),
    "project": Files(("trajectory", "top", "model"), beside=("output",)),
    "backmap": Files(("trajectory", "top", "model", "prmtop", "molecule"), ("output", "report"), ("output",)),
    "simulate": Files(
        ("model", "potential", "prmtop"), ("output", "cg_output", "checkpoint"), ("output", "cg_output"), ("output",)
    ),
    "continue": Files(
        ("trajectory", "model", "top", "forcefield", "molecule"), ("output", "checkpoint"), ("output",), ("output",)
    ),
    "conformers": Files(("molecules", "model"), endings={"output": ".sdf"}),
    "info": Files(("model",), ()),
    "evaluate": Files(("trajectories", "top", "model"), ("report",)),
    "report": Files(("structures", "reference", "top", "model", "evaluation", "training"), endings={"output": ".html"}),
    "evaluate-conformers": Files(
        ("ensembles", "crystal", "generators"), (), inside={"output": ("records.jsonl", "results.json")}
    ),
    "benchmark": Files(REFERENCE, (), inside={"output": ("results.json", "results.md")}),
    "peptide": Files(),
    "sample-reference": Files(("pdb", "forcefield"), (), inside={"output": ("protocol.json",)}, more=_sampled),
    "sample-conformers": Files(
        ("molecules", "held_out", "leave_out"), (),
        inside={"output": ("ensembles.npz", "gfn2.npz")},
    ),
    "map": Files(("trajectory", "top"), endings={"output": ".json"}),
    "prepare": Files(REFERENCE, endings={"output": ".npz"}),
    "cg-forcefield": Files((*REFERENCE, "model"), ("output", "checkpoint")),
    "learn-forcefield": Files(
        (*REFERENCE, "potential", "forcefield"), ("output", "checkpoint"), more=_forces
    ),
    "train": Files((*REFERENCE, "start"), (), inside={"output": (*TRAINING, *KEPT)}),
    "export": Files(("folder", "data"), more=_exported),
}  # fmt: skip


def check_files(command, options):
    """Refuse outputs of a command that are its inputs, or each other, before anything is done (`OutputError`).

    ``--overwrite`` does not change it: that is for files of earlier commands.

    Parameters
    ----------
    command : str
    options : argparse.Namespace
        As the command's arguments were parsed.
    """
    files = FILES[command]
    inputs, outputs = files.more(options)
    for name in files.inputs:
        inputs |= _inputs(_label(name), getattr(options, name, None))
    # ``--json`` is of every command; without a file it prints.
    for name in (*files.outputs, "json"):
        path = getattr(options, name, None)
        if path is None or (name, path) == ("json", "-"):
            continue
        outputs[_label(name)] = path
        if name in files.beside and Path(path).suffix.lower() != ".pdb":
            outputs[f"the structure beside {path}"] = Path(path).with_suffix(".pdb")
        if name in files.runs:
            outputs["last state of an unstable run"] = Path(path).with_name(f"{Path(path).stem}-last-state.xml")
    for name, names in files.inside.items():
        folder = Path(getattr(options, name))
        # Data that are given packed are not packed again.
        given = {Path(path).name for path in inputs.values() if Path(path).parent.resolve() == folder.resolve()}
        outputs |= {f"{each} of {folder}": folder / each for each in names if each not in KEPT or each not in given}
    check_apart(outputs, inputs)
    for name, ending in {"report": ".html", "json": ".json", **files.endings}.items():
        path = getattr(options, name, None)
        if path not in (None, "-") and not path.lower().endswith(ending):
            raise OutputError(f"{_label(name)} {path} given: a name ending in {ending} is expected")


@contextmanager
def no_empty_folders(options):
    """Remove the folders of outputs that a command has made, and that are empty at its end, as after an error."""
    folders = [Path(getattr(options, name)) for name in FILES[options.command].inside]
    made = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            for path in (*sorted(folder.rglob("*"), reverse=True), folder):
                # A folder that holds something stays.
                with suppress(OSError):
                    path.rmdir()


def named_files(given):
    """Paths of what an argument names, a word or several or None; with what lists of files name."""
    return list(_inputs("", given).values())


def _label(name):
    return name if name in POSITIONAL else "--" + name.replace("_", "-")


def _inputs(label, given):
    """What an argument names, a dict of label to path; with what a list of files names."""
    from openmm_cgvae.io.bundled import PRETRAINED, read_index

    found, bundled = {}, read_index()
    for text in [given] if isinstance(given, str) else given or ():
        path = PRETRAINED / bundled[text]["file"] if text in bundled else Path(text)
        found[label if isinstance(given, str) else f"{label} {text}"] = path
        if path.suffix == ".txt":
            found |= {f"{name} of {text}": path.parent / name for name in _listed(path)}
    return found


def _listed(path):
    """Names in a list of structures and trajectories; none of what is no such list, which the command refuses."""
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            yield from shlex.split(line, comments=True)
