"""Every command that loads a model runs the code in its file if it is told to trust it, and never otherwise."""

import argparse
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import OverwritesWhenLoaded, with_module

from openmm_cgvae.cli.main import main, parser
from openmm_cgvae.io.bundled import resolve_model

DATA = Path(__file__).parents[1] / "data"
PDB = str(DATA / "alanine_dipeptide.pdb")
ATOMS = (str(DATA / "alanine_dipeptide.xtc"), "--top", PDB)
# With the name of a model's file last; each fails after that is loaded, or ends soon.
COMMANDS = {
    "backmap": (PDB, "-o", "out.dcd", "--model"),
    "continue": (PDB, "-o", "out.dcd", "--steps", "1", "--model"),
    "evaluate": (*ATOMS, "--no-minimize", "--samples", "1", "--stride", "200", "--model"),
    "project": (*ATOMS, "-o", "out.dcd", "--model"),
    "simulate": ("--steps", "1", "--report-interval", "1", "-o", "out.dcd", "--model"),
    "report": (*ATOMS, "-o", "out.html", "--stride", "50", "--model"),
    "conformers": ("CCO", "-o", "out.sdf", "--model"),
    "cg-forcefield": (*ATOMS, "--iterations", "0", "-o", "out.pt", "--model"),
    "evaluate-conformers": ("none.npz", "-o", "out", "--generators"),
}


def test_commands_that_load_models_are_those_tested_here():
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert {name for name, of in commands.choices.items() if "--trust" in of._option_string_actions} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_code_in_a_model_file_runs_only_if_it_is_trusted(command, model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim.sh"
    victim.write_text("echo precious\n")
    honest = resolve_model("ligands") if "conformers" in command else model_path
    path = with_module(honest, tmp_path / "evil.pt", OverwritesWhenLoaded(victim))
    words = [command, *COMMANDS[command], str(path)]
    main(words)
    assert victim.read_text() == "echo precious\n"
    # What such a module returns is no structure.
    with suppress(ValueError):
        main([*words, "--trust", *(["--overwrite"] if command not in ("evaluate", "evaluate-conformers") else [])])
    assert victim.read_text().startswith("AAAAAAAA")
