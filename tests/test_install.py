"""What is built is what git tracks, and it works where the checkout is not."""

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# `make test`, `make unit` and .ci/run set it: they install the wheel.
INSTALLED = "OPENMM_CGVAE_INSTALLED" in os.environ


def python(*arguments, cwd, **environment):
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=own)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def tracked():
    """Files that git tracks below the checkout, relative to it."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    names = {Path(name) for name in done.stdout.split("\0") if name}
    return {name for name in names if (ROOT / name).is_file()}


def of_package(names):
    return {Path(name) for name in names if Path(name).parts[0] == "openmm_cgvae" and Path(name).suffix != ".pyc"}


@pytest.fixture(scope="module")
def sdist(tracked, tmp_path_factory):
    """Built from the tracked files alone, without what the checkout holds beside them."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    python("-c", f"from setuptools import build_meta; build_meta.build_sdist({str(target)!r})", cwd=source)
    (path,) = target.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def site(sdist, tmp_path_factory):
    """A folder into which the wheel that is built from the sdist is installed."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", folder]
    python("-m", "pip", "install", "--quiet", *options, sdist, cwd=folder)
    return folder


def test_the_sdist_holds_every_tracked_file_of_the_package(sdist, tracked):
    with tarfile.open(sdist) as archive:
        names = [Path(*Path(member.name).parts[1:]) for member in archive if member.isfile()]
    assert of_package(name for name in names if name.parts) == of_package(tracked)


def test_the_wheel_holds_every_tracked_file_of_the_package(site, tracked):
    found = {path.relative_to(site) for path in (site / "openmm_cgvae").rglob("*") if path.is_file()}
    assert of_package(found) == of_package(tracked)


def test_every_module_of_an_installed_sdist_is_found_and_a_bundled_model_loads(site, tmp_path):
    code = """
import importlib, pkgutil, openmm_cgvae
print(openmm_cgvae.__file__)
for module in pkgutil.walk_packages(openmm_cgvae.__path__, "openmm_cgvae."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert openmm_cgvae.Backmapper.load("alanine-dipeptide-3").n_atoms == 22
"""
    assert python("-c", code, cwd=tmp_path, PYTHONPATH=str(site)).strip() == str(site / "openmm_cgvae" / "__init__.py")


@pytest.mark.skipif(not INSTALLED, reason="the wheel is installed by make test, make unit and .ci/run")
class TestInstalled:
    def test_the_package_under_test_is_not_that_of_the_checkout(self):
        import openmm_cgvae

        found = [openmm_cgvae.__file__, python("-c", "print(__import__('openmm_cgvae').__file__)", cwd=Path.cwd())]
        for path in map(Path, map(str.strip, found)):
            assert "site-packages" in path.parts
            assert path.parent != ROOT / "openmm_cgvae"
        assert str(ROOT) not in [str(Path(path).resolve()) for path in sys.path]

    def test_the_package_under_test_has_the_tracked_files(self, tracked):
        assert of_package(files("openmm_cgvae")) == of_package(tracked)
