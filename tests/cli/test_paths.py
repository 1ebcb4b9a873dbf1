"""No output of any command takes the place of an input or of another output, whatever names and links are given."""

import argparse
import itertools
import os
from pathlib import Path

import pytest

from openmm_cgvae.cli.main import COMMANDS, check_numbers, main, parser
from openmm_cgvae.cli.paths import FILES, POSITIONAL, check_files
from openmm_cgvae.core.errors import OutputError, SettingsError

# Arguments that take words which are no names of files.
WORDS = {
    "atom_types", "baseline", "box", "breaks", "caps", "compile", "consistency", "device", "disulfides", "drop",
    "frames", "histidine", "implicit_solvent", "keep", "mapping", "measure", "method", "models", "molecules", "name",
    "on_bad_frame", "optimize", "platform", "preset", "protonation", "rename", "set", "splits", "stereo", "termini",
    "sequence", "times", "title", "unknown", "water_model", "weights",
    "ensemble", "rank_by", "scheduler", "split",
}  # fmt: skip
# Given with dashes by some commands and without by others, or a word without dashes.
PLACED_OR_NAMED = ("model", "molecules", "sequence")


def commands():
    return parser().commands


def arguments(command):
    """Arguments of a command that take text."""
    for action in commands()[command]._actions:
        if action.type is None and action.nargs != 0 and not isinstance(action, argparse._HelpAction):
            yield action


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_a_number_a_word_or_a_file_that_is_known_as_input_or_output(command):
    files = FILES[command]
    known = {*files.inputs, *files.outputs, *files.inside, "json"}
    names = {action.dest for action in arguments(command)}
    assert names <= known | WORDS, f"{names - known - WORDS}: say in cli/paths.py what it is"
    assert known <= names
    for action in arguments(command):
        assert (action.dest in POSITIONAL) == (not action.option_strings) or action.dest in (
            "model",
            "molecules",
            "sequence",
        )


def parsed(command, **given):
    """Options of a command with only required arguments, those given, and every other path left out."""
    words = []
    for action in commands()[command]._actions:
        value = given.get(action.dest)
        if value is None and not action.required:
            continue
        values = value if isinstance(value, list) else [value if value is not None else f"a-{action.dest}"]
        if value is None and action.choices:
            values = [next(iter(action.choices))]
        if value is None and action.type in (int, float):
            values = ["7"]
        # With "=", since a number may begin with a dash.
        together = action.option_strings and len(values) == 1
        words += [f"{action.option_strings[0]}={values[0]}"] if together else [*action.option_strings[:1], *values]
    return parser().parse_args([command, *words])


def cases():
    for command, files in FILES.items():
        outputs = (*files.outputs, "json")
        for output in outputs:
            # A folder is no file.
            for name in sorted({*files.inputs} - {"folder", "training"}):
                yield command, output, name
        for first, second in itertools.combinations(outputs, 2):
            yield command, first, second


@pytest.mark.parametrize("link", [None, "symbolic", "hard", "folder"])
@pytest.mark.parametrize(("command", "output", "other"), list(cases()))
def test_an_output_that_is_another_file_of_the_command_is_refused(tmp_path, monkeypatch, command, output, other, link):
    monkeypatch.chdir(tmp_path)
    Path("precious.dcd").write_text("precious")
    name = "precious.dcd"
    if link == "symbolic":
        name = "link.dcd"
        Path(name).symlink_to("precious.dcd")
    elif link == "hard":
        name = "link.dcd"
        os.link("precious.dcd", name)
    elif link == "folder":
        (tmp_path / "here").symlink_to(tmp_path)
        name = "here/precious.dcd"
    options = parsed(command, **{output: name, other: "precious.dcd"})
    with pytest.raises(OutputError, match=r"is an input of the same command|are the same file"):
        check_files(command, options)


@pytest.mark.parametrize(
    "given",
    [
        "simulate --model m.pt --steps 9 --report-interval 3 -o aa.dcd --checkpoint aa.pdb",
        "simulate --model m.pt --steps 9 --report-interval 3 -o aa.dcd --cg-output cg.dcd --checkpoint cg.pdb",
        "simulate --model m.pt --steps 9 --report-interval 3 -o aa.dcd --cg-output aa.xtc",
        "simulate --model m.pt --steps 9 --report-interval 3 -o aa.dcd --checkpoint aa-last-state.xml",
        "continue cg.dcd --model m.pt --steps 9 -o cg.xtc --top cg.pdb",
        "backmap cg.dcd --top aa.pdb --model m.pt -o aa.dcd",
        "backmap a.dcd b.dcd --top aa.pdb --model m.pt -o b.dcd",
        "project aa.dcd --top aa.pdb --model m.pt -o aa.xtc",
        "export run -o run/checkpoint.pt",
        "export run -o run/data.npz",
        "export run --data run/model.pt",
        "cg-forcefield md.dcd --top a.pdb --mapping beads.json -o beads.json",
        "learn-forcefield md.dcd --top a.pdb -o md-forces.npy",
        "train md.dcd --top a.pdb --start run/model.pt -o run",
        "train run/checkpoint.pt -o run",
        "sample-reference md/run-003.dcd -o md",
        "evaluate a.dcd b.dcd --top a.pdb --model m.pt --json=b.dcd",
        "prepare proteins.txt -o listed/chain.npz",
        "cg-forcefield md.dcd --top a.pdb --model alanine-dipeptide-3 -o BUNDLED",
    ],
)
@pytest.mark.parametrize("more", ["", "--overwrite"])
def test_what_lies_beside_or_inside_is_known_too(tmp_path, monkeypatch, capsys, given, more):
    from openmm_cgvae.io.bundled import bundled_file

    monkeypatch.chdir(tmp_path)
    Path("proteins.txt").write_text("a.pdb listed/chain.npz # a run\n")
    words = given.replace("BUNDLED", str(bundled_file("alanine-dipeptide-3"))).split()
    if words[0] in ("train", "sample-reference"):
        more = ""
    before = sorted(tmp_path.iterdir())
    assert main([*words, *more.split()]) == 2
    assert " same " in (message := capsys.readouterr().err) and len(message.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "given",
    [
        "train run/data.npz -o run",
        "train run/chains.npz -o run",
        "simulate --model aa.pt --steps 9 --report-interval 3 -o aa.dcd --cg-output cg.dcd --checkpoint aa.chk",
        "export run",
        "map aa.dcd --top aa.pdb --method residue -o aa.json",
        "backmap cg.dcd --top cg.pdb --model protein-ca -o aa.pdb",
    ],
)
def test_files_that_differ_are_taken(given):
    check_files(given.split()[0], parser().parse_args(given.split()))


@pytest.mark.parametrize("command", COMMANDS)
def test_numbers_that_are_none_are_refused_in_every_argument(command):
    numbers = [action for action in commands()[command]._actions if action.type is float]
    for action in numbers:
        for value in ("nan", "inf", "-inf"):
            if action.dest == "minutes" and value == "inf":
                continue
            if value == "-inf" and action.nargs:
                # Which argparse takes for an argument.
                continue
            count = action.nargs if isinstance(action.nargs, int) else 1
            options = parsed(command, **{action.dest: [value] * count})
            with pytest.raises(SettingsError, match=f"{value} given: a finite number is expected"):
                check_numbers(options)
