"""What every command says: help with examples, tables, JSON, logs, mistakes and exit codes."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DATA

from openmm_cgvae.cli.examples import EXAMPLES
from openmm_cgvae.cli.main import COMMANDS, main, parser
from openmm_cgvae.cli.parsing import GROUPS
from openmm_cgvae.cli.paths import check_files
from openmm_cgvae.cli.summary import Summary, print_table
from openmm_cgvae.core.progress import progress_bar, progress_bars

AA, TOP = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")
PROJECT = ["project", AA, "--top", TOP, "--stride", "50", "-o", "cg.dcd", "--model"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def outcome(*arguments):
    """Exit code of a command line, whichever way it ends."""
    try:
        return main([*map(str, arguments)])
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_examples_that_the_command_takes(command, capsys):
    assert outcome(command, "--help") == 0
    shown = capsys.readouterr().out
    for line in EXAMPLES[command].splitlines():
        assert line in shown, "examples can be copied as they are"
        words = shlex.split(line)
        assert words[:2] == ["openmm-cgvae", command]
        options = parser().parse_args(words[1:])
        check_files(command, options)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_a_group_that_says_what_it_is_about(command):
    (unnamed,) = (group for group in parser().commands[command]._action_groups if group.title == "options")
    assert not unnamed._group_actions, "name it in cli/parsing.py"


def test_the_groups_name_options_that_there_are():
    actions = [action for command in parser().commands.values() for action in command._actions]
    known = {name.lstrip("-") for action in actions for name in action.option_strings}
    assert {name for names in GROUPS.values() for name in names.split()} <= known


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_the_same_words_on_what_it_says(command):
    flags = {flag for action in parser().commands[command]._actions for flag in action.option_strings}
    assert {"--quiet", "--verbose", "--json", "--debug", "--help"} <= flags


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["info", "m.pt", "--json"], ("m.pt", "-")),
        (["info", "--json", "m.pt"], ("m.pt", "-")),
        (["info", "m.pt", "--json", "all.json"], ("m.pt", "all.json")),
        (["info", "--json", "all.json", "m.pt"], ("m.pt", "all.json")),
        (["info", "m.pt"], ("m.pt", None)),
    ],
)
def test_json_takes_the_next_word_only_if_it_is_a_json_file(given, expected):
    options = parser().parse_args(given)
    assert (options.model, options.json) == expected


def test_json_is_all_that_is_printed_or_goes_to_a_file(model_path, capsys):
    assert outcome(*PROJECT, model_path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"frames": 4, "beads": 3, "output": "cg.dcd"}
    assert outcome(*PROJECT, model_path, "--overwrite", "--json", "done.json") == 0
    assert "frames" in capsys.readouterr().out
    assert json.loads(Path("done.json").read_text())["beads"] == 3


def test_a_json_file_is_refused_before_the_work_begins(model_path, capsys):
    Path("mine.json").write_text("mine")
    for given, words in (("--json=mine.json", "--overwrite"), ("--json=mine.txt", "ending in .json")):
        assert outcome(*PROJECT, model_path, given) == 2
        assert words in capsys.readouterr().err
    assert Path("mine.json").read_text() == "mine" and not Path("cg.dcd").exists()


def test_quiet_says_nothing_and_verbose_more(model_path, capsys):
    assert outcome(*PROJECT, model_path, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert outcome("project", "nowhere.dcd", *PROJECT[2:], model_path, "--quiet", "--overwrite") == 2
    assert "nowhere.dcd does not exist" in capsys.readouterr().err
    assert outcome(*PROJECT, model_path, "--quiet", "--verbose") == 2
    assert "not allowed with" in capsys.readouterr().err


def test_quiet_leaves_out_every_progress_bar(capsys):
    for wanted in (False, True):
        with progress_bars(wanted):
            list(progress_bar(range(3), unit="frame", delay=0))
        assert ("frame/s" in capsys.readouterr().err) is wanted


def test_other_packages_are_heard_from_warnings_on():
    """As dask, which sets its loggers to tell everything."""
    code = (
        "import logging, sys; logging.getLogger('other').setLevel('INFO'); from openmm_cgvae.cli import main\n"
        "main._start_logging(main.parsed(['info', 'protein-ca', '--verbose']))\n"
        "logging.getLogger('other').info('chatter'); logging.getLogger('other').warning('trouble')\n"
        "logging.getLogger('openmm_cgvae.io').info('ours')"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert "trouble" in said and "ours" in said and "chatter" not in said


def test_bars_are_made_in_one_place():
    package = Path(sys.modules["openmm_cgvae"].__file__).parent
    made = [path.name for path in package.rglob("*.py") if re.search(r"(import|from) tqdm", path.read_text())]
    assert made == ["progress.py"]


def in_terminal(code):
    """What a Python process writes to a terminal."""
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); {code}"
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen([sys.executable, "-c", script], stdout=child, env=environment):
        os.close(child)
        said = b""
        while True:
            try:
                part = os.read(parent, 4096)
            except OSError:
                # The terminal is closed at its other end.
                break
            if not part:
                break
            said += part
    os.close(parent)
    return said.decode()


def test_tables_are_plain_when_piped_and_rich_in_a_terminal(capsys):
    rows = [("name [x]", 3), ("a longer name", 0.123456)]
    print_table(rows)
    assert capsys.readouterr().out == "name [x]       3\na longer name  0.1235\n"
    print_table([("a", 1, "x"), ("b", 22, None)], "bead", "atoms", "kind")
    assert capsys.readouterr().out == "bead  atoms  kind\na     1      x\nb     22     -\n"
    shown = in_terminal(f"from openmm_cgvae.cli.summary import print_table; print_table({rows!r})")
    assert "\x1b[1mname [x]" in shown and "0.1235" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert [line.split() for line in plain.splitlines()] == [["name", "[x]", "3"], ["a", "longer", "name", "0.1235"]]


def test_help_needs_no_rich_and_nothing_heavy():
    code = "import sys, openmm_cgvae.cli.main as main; main.parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "numpy", "torch", "argcomplete", "tqdm"} & set(loaded)


def test_names_of_rows_become_keys():
    made = Summary([("steps/s", 3), ("  median energy, kJ/mol", 1.5), ("output", Path("a.dcd"))]).to_json()
    assert json.loads(made) == {"steps_s": 3, "median_energy_kj_mol": 1.5, "output": "a.dcd"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "arguments are required: SUBCOMMAND (see openmm-cgvae --help)"),
        ("bakcmap", "bakcmap is no command, did you mean backmap? (see openmm-cgvae --help)"),
        ("info --jsno", "--jsno is no argument of info, did you mean --json? (see openmm-cgvae info --help)"),
        ("info a.pt b.pt", "b.pt is no argument of info (see"),
        ("map a.dcd", "required: --top, --method, -o/--output (see openmm-cgvae map --help)"),
        ("map a.dcd --method autograim", "autograin"),
        ("demo --steps many", "argument --steps: invalid int value: 'many' (see openmm-cgvae demo --help)"),
    ],
)
def test_words_that_are_wrong_are_one_line_that_says_where_to_look(given, words, capsys):
    assert outcome(*given.split()) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and error.startswith("openmm-cgvae: error: ")


def test_exit_codes_are_those_of_the_documentation(model_path):
    """0 and 2; test_conformers_command.py has 1, test_interrupted.py has 130 and 143."""
    text = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    assert re.findall(r"^\| (\d+) \| ", text, re.MULTILINE) == ["0", "1", "2", "130", "143"]
    assert outcome("info", model_path) == 0
    assert outcome("info", "nowhere.pt") == outcome("inof") == 2


@pytest.mark.parametrize(
    ("given", "ending"),
    [
        ("conformers CCO -o a.xyz", ".sdf"),
        ("report a.dcd --top a.pdb -o page.txt", ".html"),
        ("backmap a.dcd --model m.pt --report page -o aa.dcd", ".html"),
        ("prepare a.dcd --top a.pdb -o d.np", ".npz"),
        ("map a.dcd --top a.pdb --method residue -o m.txt", ".json"),
    ],
)
def test_a_name_that_does_not_end_as_the_file_does_is_refused(given, ending, capsys):
    assert outcome(*given.split()) == 2
    assert f"a name ending in {ending} is expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    ["sample-conformers nowhere.smi -o made", "sample-reference nowhere.pdb -o made", "demo --steps 5 -o made",
     f"benchmark {AA} --top {TOP} --mapping autograin -o made"],
)  # fmt: skip
def test_a_command_that_fails_leaves_no_folder_but_those_that_were_there(given, tmp_path, capsys):
    assert outcome(*given.split()) == 2
    assert not list(tmp_path.iterdir())
    Path("made").mkdir()
    assert outcome(*given.split()) == 2
    assert Path("made").is_dir()
