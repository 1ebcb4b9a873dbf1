"""The two lists of dependencies say the same, and imports go downward only."""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # A dependency of pytest there.

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "openmm_cgvae"
# conda-forge's names for PyPI's.
CONDA_NAMES = {
    "pytorch": "torch", "matplotlib-base": "matplotlib", "openmm-torch": "openmmtorch", "pytables": "tables",
    "py3dmol": "py3Dmol", "tblite-python": "tblite",
    "openmm-ml": "openmmml",
}  # fmt: skip
# From the bottom up: a room imports from rooms above it in this list, and from no other.
ROOMS = [
    "core", "chemistry", "molecule", "binding", "formats", "io", "geometry", "models", "proteins", "ligands",
    "training", "metrics", "ensembles", "cg", "atomistic", "backmapping", "simulation", "preparation", "evaluation",
    "pretrained", "report", "cli",
]  # fmt: skip


def requirements():
    """Requirements of pyproject.toml with its extras, name to range."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    listed = [*project["dependencies"], *(text for extra in extras for text in extra)]
    return dict(re.match(r"([\w-]+)([^ ;]*)", text).groups() for text in listed)


def conda_requirements():
    lines = re.findall(r"^  - ([a-z][\w-]*)(>=\S+)?$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    return {CONDA_NAMES.get(name, name): version for name, version in lines}


def test_environment_yml_lists_what_pyproject_toml_lists():
    conda = conda_requirements()
    python = conda.pop("python")
    assert python == ">=3.10"
    assert conda.pop("pip") == ""
    assert conda.pop("conda-forge") == ""
    assert conda == requirements()


def test_constraints_pin_every_dependency_within_its_range():
    pins = re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    ranges = requirements()
    del ranges["openmmtorch"]  # An extra with constraints of its own.
    assert {name for name, _ in pins} == set(ranges)

    def numbers(version):
        return [int(part) for part in re.findall(r"\d+", version)]

    for name, version in pins:
        assert numbers(version) >= numbers(ranges[name]), name


def test_oldest_constraints_are_the_lower_bounds():
    pins = dict(re.findall(r"^([\w-]+)==(.+)$", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE))
    ranges = requirements()
    del ranges["openmmtorch"]
    # A bound may leave out zeros at the end.
    assert {name: version.rstrip(".0") for name, version in pins.items()} == {
        name: bound.removeprefix(">=").rstrip(".0") for name, bound in ranges.items()
    }


def test_torchforce_constraints_differ_in_torch_alone():
    lines, other = (
        {line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")}
        for name in ("constraints.txt", "constraints-torchforce.txt")
    )
    assert {re.split("[=<> ]", line)[0] for line in lines ^ other} == {"torch", "openmmtorch"}
    assert any(line.startswith("openmmtorch==1.5") for line in other)


def imported_modules(path, for_types=True):
    """Absolute names of all modules that a file imports, wherever in the file; those for type hints if wanted."""
    tree = ast.parse(path.read_text())
    checks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    left_out = set() if for_types else {id(inner) for node in checks for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            # A module, if it is one.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("openmm_cgvae", *parts)).removesuffix(".__init__")


@cache
def own_imports():
    """Every module of the package, with the modules of the package that it imports, wherever in the file."""
    names = {module_name(path) for path in sources()}
    return {module_name(path): names & set(imported_modules(path)) for path in sources()}


def room(module):
    """Number of the room of a module; the package's name and version are below all, its command line above."""
    parts = module.split(".")
    if len(parts) == 1:
        return -1
    return len(ROOMS) if parts[1] == "__main__" else ROOMS.index(parts[1])


@pytest.mark.parametrize("module", own_imports())
def test_imports_go_downward(module):
    upward = [name for name in own_imports()[module] if room(name) > room(module)]
    assert not upward


def test_no_modules_import_each_other():
    graph = own_imports()
    while graph:
        free = {module for module, imports in graph.items() if not imports & set(graph)}
        assert free, f"a circle of imports among {sorted(graph)}"
        graph = {module: imports for module, imports in graph.items() if module not in free}


def test_the_house_has_rooms_of_a_size_and_each_says_what_it_is_for():
    # A folder of bytecode alone is what a rename left.
    files = [path for path in PACKAGE.glob("*/**/*") if path.is_file() and "__pycache__" not in path.parts]
    folders = {PACKAGE / path.relative_to(PACKAGE).parts[0] for path in files}
    assert {path.name for path in folders} == set(ROOMS)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}
    for folder in {path.parent for path in sources()}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), f"{folder} does not say its purpose"
    for folder in folders:
        lines = sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py"))
        assert lines <= 2600, folder


def test_the_tests_mirror_the_package():
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    for folder in folders - {Path("."), Path("examples")}:
        assert (PACKAGE / folder).is_dir(), f"tests/{folder} tests no room of the package"
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert len(set(names)) == len(names), "pytest imports test files by their name alone"


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        (
            "openmm",
            {"core", "chemistry", "molecule", "binding", "formats", "io", "cg", "atomistic", "backmapping",
             "simulation", "preparation"},
        ),
        ("mdtraj", {"molecule", "binding", "formats", "io", "metrics"}),
        ("rdkit", {"chemistry", "molecule", "ligands", "ensembles", "preparation", "evaluation"}),
        ("parmed", {"chemistry", "atomistic", "binding", "io"}),
        ("deeptime", {"metrics"}),
    ],
)  # fmt: skip
def test_heavy_packages_are_imported_where_they_belong(package, allowed):
    for path in sources():
        own = path.relative_to(PACKAGE).parts[0]
        if any(module.split(".")[0] == package for module in imported_modules(path, for_types=False)):
            assert own in allowed, f"{path} imports {package}"


def run_isolated(code, *blocked):
    """Run code in a new process in which some packages cannot be imported."""
    prelude = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True)


def test_training_needs_torch_and_numpy_only():
    blocked = ("openmm", "mdtraj", "rdkit", "parmed", "scipy", "matplotlib", "tqdm")
    modules = ("training", "training.proteins", "training.proteinexport", "models.export", "preparation.atomrecords")
    done = run_isolated("".join(f"import openmm_cgvae.{module}\n" for module in modules), *blocked)
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


def public_functions():
    """(name, function) of every public function, and of the public methods and properties of every public class."""
    import openmm_cgvae

    for name in openmm_cgvae.__all__:
        thing = getattr(openmm_cgvae, name)
        members = vars(thing).items() if inspect.isclass(thing) else [("", thing)]
        for member, value in members:
            if member.startswith("_") and member != "__init__":
                continue
            function = next((getattr(value, own) for own in ("__func__", "fget", "func") if hasattr(value, own)), value)
            if inspect.isfunction(function):
                yield f"{name}.{member}", function


def test_every_argument_and_result_of_the_public_functions_has_a_type():
    functions = dict(public_functions())
    assert len(functions) > 60
    for name, function in functions.items():
        signature = inspect.signature(function)
        # Generated, of a protocol.
        if name == "Sampler.__init__":
            continue
        bare = [key for key, value in signature.parameters.items() if value.annotation is value.empty]
        assert set(bare) <= {"self", "cls"}, f"{name} has no type of {bare}"
        assert signature.return_annotation is not signature.empty, name


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / "py.typed").is_file()
