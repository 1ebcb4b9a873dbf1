"""Files are written in one way: by `complete_output`, or by the writers of trajectories."""

import ast
from pathlib import Path

import pytest

import openmm_cgvae

PACKAGE = Path(openmm_cgvae.__file__).parent
METHODS = {"write_text", "write_bytes", "savefig", "tofile", "to_csv", "writeFile"}
FUNCTIONS = {"save", "savez", "savez_compressed", "savetxt", "dump"}
# Functions that write to what they are given: an open or temporary file, or one that a run appends to.
GIVEN = {
    # To memory.
    "core/scripted.py": "pickled_module",
    "io/archive.py": "_packed",
    "io/modelfile.py": "save",
    "io/tensors.py": "save_tensors",
    # Of a file that is temporary or in a temporary folder.
    "core/archive.py": "__init__ close",
    "core/output.py": "write_text",
    "pretrained/bundle.py": "_compress",
    "formats/outputfile.py": "__init__",
    "core/plainfiles.py": "unpack",
    "formats/structures.py": "_read_by_frames",
    "formats/xtc.py": "_unpacked",
    # Files that stay when a process ends, and are cut back to what is whole.
    "io/journal.py": "__enter__",
    "core/lock.py": "_taken",
    "evaluation/conformers/evaluation.py": "evaluate_conformers",
    "simulation/written.py": "restore",
}


def mode_of(call):
    """The mode of ``open(path, mode)``, ``path.open(mode)`` or ``ZipFile(path, mode)``."""
    arguments = call.args[0 if isinstance(call.func, ast.Attribute) and call.func.attr == "open" else 1 :][:1]
    arguments += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    found = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return found[0] if found else "r"


def writes(call):
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in ("open", "fdopen", "ZipFile"):
        return bool(set(mode_of(call)) & set("wax+"))
    if not isinstance(function, ast.Attribute):
        return False
    of = getattr(function.value, "attr", getattr(function.value, "id", ""))
    return name in METHODS or (name in FUNCTIONS and of in ("np", "numpy", "torch", "jit", "json", "pickle"))


def outside(tree):
    """Names of the functions in which something is written that is not below ``with complete_output(...)``."""

    def walk(node, function, inside):
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.With):
            calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
            inside = inside or any(getattr(call.func, "id", "") == "complete_output" for call in calls)
        if isinstance(node, ast.Call) and writes(node) and not inside:
            yield function
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function, inside)

    return set(walk(tree, None, False))


def test_no_module_writes_files_in_a_way_of_its_own():
    found = {
        path.relative_to(PACKAGE).as_posix(): outside(ast.parse(path.read_text())) for path in PACKAGE.rglob("*.py")
    }
    own = {name: functions - set(GIVEN.get(name, "").split()) for name, functions in found.items()}
    assert not {name: functions for name, functions in own.items() if functions}, "write by openmm_cgvae.core.output"


@pytest.mark.parametrize(("text", "found"), [
    ("open(path, 'w')", {"f"}),
    ("open(path, mode='ab')", {"f"}),
    ("path.open('w', newline='')", {"f"}),
    ("np.savez(path, a=1)", {"f"}),
    ("torch.jit.save(module, path)", {"f"}),
    ("zipfile.ZipFile(path, 'w')", {"f"}),
    ("with complete_output(path) as temporary, open(temporary, 'w') as file: file.write('')", set()),
    ("open(path, 'rb').read()", set()),
    ("file.save(path, overwrite)", set()),
])  # fmt: skip
def test_the_search_finds_what_writes(text, found):
    assert outside(ast.parse(f"def f():\n    {text}")) == found
