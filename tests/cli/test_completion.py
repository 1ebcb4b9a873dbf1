"""Completion in a real bash: what is proposed for a word that is begun."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("argcomplete", reason="argcomplete is not installed")


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A bash in which a command of this Python completes as the documentation says."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "openmm-cgvae"
    command.write_text(
        f"#!{sys.executable}\n# PYTHON_ARGCOMPLETE_OK\nimport sys\n"
        "from openmm_cgvae.cli.main import main\nsys.exit(main())\n"
    )
    command.chmod(0o755)
    (folder / "cg.dcd").touch()
    registered = [sys.executable, "-m", "argcomplete.scripts.register_python_argcomplete", "openmm-cgvae"]
    script = subprocess.run(registered, capture_output=True, text=True, check=True).stdout

    def proposed(line):
        words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
        code = f"""{script}
COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_TYPE=9
COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
_python_argcomplete openmm-cgvae
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        path = os.pathsep.join([str(folder), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(
            ["bash", "--norc", "-c", code], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return [word.strip() for word in done.stdout.splitlines()]

    return proposed


def test_commands_are_proposed(shell):
    assert {"backmap", "benchmark"} <= set(shell("openmm-cgvae b")) and "train" not in shell("openmm-cgvae b")


def test_options_are_proposed(shell):
    assert set(shell("openmm-cgvae backmap --sa")) == {"--salvage", "--samples"}


def test_models_and_files_are_proposed(shell):
    assert {"protein-ca", "protein-com"} <= set(shell("openmm-cgvae backmap cg.dcd --model protein-c"))
    assert shell("openmm-cgvae info alanine-dipeptide-") == ["alanine-dipeptide-3", "alanine-dipeptide-5"]
    assert "cg.dcd" in shell("openmm-cgvae backmap c")


def test_choices_are_proposed(shell):
    assert shell("openmm-cgvae backmap cg.dcd --ensemble b") == ["best"]
