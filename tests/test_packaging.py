"""The two lists of dependencies say the same, and imports go downward only."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "openmm_cgvae"
# conda-forge's names for PyPI's.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "openmm-torch": "openmmtorch"}
LAYERS = [
    {"errors", "__init__"},
    {"units", "output", "noise", "parallel", "periodic"},
    {"chemistry", "mapping", "molecule"},
    {"models"},
    {"training", "modelfile"},
    {"metrics"},
    {"backmapper"},
    {"dcd", "xtc", "pdb"},
    {"trajectory_files"},
    {"pipeline", "trajectory", "app", "preparation"},
    {"evaluation"},
    {"exporting"},
    {"report"},
    {"demo", "benchmark"},
    {"cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def setup_requirements():
    """Requirements of setup.py with its extras, name to range, read as text: running it would install."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    call = next(n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "setup")
    keywords = {k.arg: k.value for k in call.keywords}
    listed = ast.literal_eval(keywords["install_requires"])
    for extra in ast.literal_eval(keywords["extras_require"]).values():
        listed += extra
    return dict(re.match(r"([\w-]+)(.*)", text).groups() for text in listed)


def conda_requirements():
    lines = re.findall(r"^  - ([a-z][\w-]*)(>=\S+)?$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    return {CONDA_NAMES.get(name, name): version for name, version in lines}


def test_environment_yml_lists_what_setup_py_lists():
    conda = conda_requirements()
    python = conda.pop("python")
    assert python == ">=3.10"
    assert conda.pop("pip") == ""
    assert conda.pop("conda-forge") == ""
    assert conda == setup_requirements()


def test_constraints_pin_every_dependency_within_its_range():
    pins = re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    ranges = setup_requirements()
    del ranges["openmmtorch"]  # An extra with constraints of its own.
    assert {name for name, _ in pins} == set(ranges)

    def numbers(version):
        return [int(part) for part in re.findall(r"\d+", version)]

    for name, version in pins:
        assert numbers(version) >= numbers(ranges[name]), name


def test_torchforce_constraints_differ_in_torch_alone():
    lines, other = (
        {line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")}
        for name in ("constraints.txt", "constraints-torchforce.txt")
    )
    assert {re.split("[=<> ]", line)[0] for line in lines ^ other} == {"torch", "openmmtorch"}
    assert any(line.startswith("openmmtorch==1.5") for line in other)


def imported_modules(path):
    """Absolute names of all modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def sources():
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "pretrained":
        return
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] != "openmm_cgvae" or len(parts) == 1:
            continue
        # The potential travels in datasets and model files; building it needs no OpenMM.
        if parts[1:] == ["app", "potential"]:
            continue
        assert parts[1] in LEVEL, f"{parts[1]} has no layer"
        assert LEVEL[parts[1]] <= LEVEL[own], f"{own} imports {module}"


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("openmm", {"app", "mapping", "molecule", "units", "pdb"}),
        ("mdtraj", {"trajectory_files", "xtc", "mapping", "metrics", "molecule"}),
        ("rdkit", {"chemistry", "molecule"}),
        ("parmed", {"app", "molecule"}),
        ("deeptime", {"metrics"}),
    ],
)
def test_heavy_packages_are_imported_where_they_belong(package, allowed):
    for path in sources():
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if any(module.split(".")[0] == package for module in imported_modules(path)):
            assert own in allowed, f"{path} imports {package}"


def run_isolated(code, *blocked):
    """Run code in a new process in which some packages cannot be imported."""
    prelude = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True)


def test_training_needs_torch_and_numpy_only():
    blocked = ("openmm", "mdtraj", "rdkit", "parmed", "scipy", "matplotlib", "tqdm")
    done = run_isolated("import openmm_cgvae.training, openmm_cgvae.models.export", *blocked)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_nothing_heavy():
    code = "import openmm_cgvae, openmm_cgvae.cli.main as main\nmain.parser()"
    done = run_isolated(code, "torch", "openmm", "mdtraj", "rdkit", "parmed", "scipy", "matplotlib", "numpy")
    assert done.returncode == 0, done.stderr


def test_public_names_resolve():
    import openmm_cgvae

    for name in openmm_cgvae.__all__:
        assert getattr(openmm_cgvae, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Backmaper'"):
        openmm_cgvae.Backmaper  # noqa: B018
