"""Files of a release say what the package says: version, dependencies, commands."""

import re
from pathlib import Path

import pytest
from test_packaging import CONDA_NAMES, tomllib

import openmm_cgvae

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("CITATION.cff", r"^version: (\S+)$"),
        ("CHANGELOG.md", r"^## (\S+)"),
        ("recipe/meta.yaml", r'set version = "(\S+)"'),
    ],
)
def test_the_version_is_the_same_everywhere(name, pattern):
    found = re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)
    assert found and found[1] == openmm_cgvae.__version__


def test_the_conda_recipe_needs_what_pyproject_toml_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run = re.search(r"^  run:\n((?:    - .*\n)+)", (ROOT / "recipe" / "meta.yaml").read_text(), re.MULTILINE)[1]
    listed = dict(re.findall(r"- (\S+) >=(\S+)", run))
    assert listed.pop("python") == project["requires-python"].removeprefix(">=")
    names = {CONDA_NAMES.get(name, name): version for name, version in listed.items()}
    assert names == dict(text.split(">=") for text in project["dependencies"])


def test_recipe_and_workflow_keep_to_pyproject_toml():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe, workflow = ((ROOT / name).read_text() for name in ("recipe/meta.yaml", ".github/workflows/tests.yml"))
    assert [name for name in project["license-files"] if f"    - {name}\n" not in recipe] == []
    command, target = next(iter(project["scripts"].items()))
    assert f"- {command} = {target}\n" in recipe
    oldest = project["requires-python"].removeprefix(">=")
    assert re.search(r"python: \[(.*)\]", workflow)[1].split(", ")[0] == f'"{oldest}"'
    assert f"OLDEST_PYTHON=python{oldest}" in workflow
    extras = re.findall(r'pip install .*"\.\[([\w,]+)\]"', workflow)
    assert extras and {name for text in extras for name in text.split(",")} <= set(project["optional-dependencies"])
    files = re.findall(r"--constraint (?:/wheel/)?(\S+)", workflow + (ROOT / "Dockerfile").read_text())
    assert len(files) == 3 and all((ROOT / name).is_file() for name in files)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", ".github/workflows/tests.yml"])
def test_make_targets_that_are_named_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)", _code(ROOT / name), re.MULTILINE))
    assert named and named <= targets


def _code(path):
    """Commands of a file: its code blocks and spans, or the steps of a workflow."""
    text = path.read_text()
    if path.suffix == ".yml":
        return "\n".join(re.findall(r"run: (.*)", text))
    return "\n".join(block or span for block, span in re.findall(r"```\n(.*?)```|`([^`\n]+)`", text, re.DOTALL))
