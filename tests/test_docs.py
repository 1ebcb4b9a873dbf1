"""Every code block of the README and of the documentation runs, page by page, with the installed command."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import mdtraj
import pytest
from conftest import DATA, benchmark

from openmm_cgvae.cli.main import main

ROOT = Path(__file__).parents[1]
TUTORIALS = benchmark("tutorials")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a page takes longer than this for is not for a reader who tries it.
PATIENCE = 600
# The part of the crystal's protein that pages are given: enough for every figure, and seconds for atomistic MD.
RESIDUES = 20


def pages_with_blocks():
    return [page for page in PAGES if TUTORIALS.blocks(page)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files that the pages speak of."""
    folder = tmp_path_factory.mktemp("files")
    crystal = mdtraj.load_pdb(DATA / "5k6d.pdb")
    crystal.atom_slice(crystal.topology.select(f"resid < {RESIDUES}")).save_pdb(folder / "protein.pdb")
    shutil.copy(DATA / "alanine_dipeptide.pdb", folder / "peptide.pdb")
    shutil.copy(DATA / "3i40_martini3.pdb", folder / "martini.pdb")
    protein = mdtraj.load_pdb(folder / "protein.pdb")
    beads = protein.atom_slice(protein.topology.select("name CA and protein"))
    beads.save_pdb(folder / "my_ca.pdb")
    three = mdtraj.join([beads, beads, beads])
    for name in ("my_ca", "lammps", "calvados"):
        three.save_dcd(folder / f"{name}.dcd")
    beads.save_pdb(folder / "calvados.pdb")
    for atom in beads.topology.atoms:
        atom.name = "B"
    beads.save_pdb(folder / "renamed.pdb")
    return folder


def run_commands(code, folder):
    """Run a block of commands, ours in this process, which has imported what they need; the shell expands words."""
    for line in filter(str.strip, code.replace("\\\n", " ").splitlines()):
        words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
        if words[0] != "openmm-cgvae" or any(set(word) <= set("|&;<>") for word in words):
            shell(line, folder)
            continue
        words = shell(f"printf '%s\\0' {line}", folder).split("\0")[:-1]
        assert main(words[1:]) == 0, line


def shell(code, folder):
    """Standard output of commands in a folder."""
    result = TUTORIALS.run_in_shell(code, folder, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, f"{code}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with_blocks(), ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_as_it_is_printed(page, files, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    session = {"__name__": "page"}
    for language, code in TUTORIALS.blocks(page):
        if language == "python":
            exec(compile(code, page.name, "exec"), session)
        else:
            run_commands(code, folder)


def test_pages_link_to_files_and_headings_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+\.(?:md|png|svg|json))", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    docs = ROOT / "docs"
    assert {str(path.relative_to(docs)) for path in docs.rglob("*.md")} == listed


def test_the_reference_lists_every_public_name():
    import openmm_cgvae

    described = {
        line.split(".")[-1] for line in re.findall(r"^::: (\S+)", (ROOT / "docs" / "api.md").read_text(), re.M)
    }
    missing = set(openmm_cgvae.__all__) - described - {"__version__", "CGVAEError"}
    assert not missing


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocstrings", reason="mkdocs is not installed")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "site" / "start.html").stat().st_size > 5000
