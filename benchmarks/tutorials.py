"""Run a page of the documentation as a reader would, and print what every block took.

    python benchmarks/tutorials.py docs/tutorial-peptide.md WORK [--quick] [--files FILE ...]

Blocks run in order in the folder WORK, with the files given copied into it. A comment before a block says how it is
shortened with --quick (``<!-- quick: old => new -->``), as the tests do, or left out (``<!-- not run: why -->``).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?:<!-- (quick|not run): (.*?) -->\n)?```(\w*)\n(.*?)```", re.DOTALL)


def blocks(page, quick=True):
    """Code blocks of a page as (language, code), those that are not run left out."""
    found = []
    for kind, note, language, code in BLOCK.findall(page.read_text()):
        if kind == "not run":
            continue
        if kind == "quick":
            old, new = note.split(" => ")
            assert old in code, f"{page.name}: the comment shortens what is not there: {old}"
            code = code.replace(old, new) if quick else code
        found.append((language or "sh", code))
    return found


def run_in_shell(code, folder, **how):
    """Run a block of commands in a folder; what `subprocess.run` returns."""
    # The shell's command is this Python's, installed or not; examples are those of the clone.
    commands = {"openmm-cgvae": f'"{sys.executable}" -m openmm_cgvae', "python": f'"{sys.executable}"'}
    functions = "\n".join(f'{name}() {{ {command} "$@"; }}' for name, command in commands.items())
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    return subprocess.run(["bash", "-euc", f"{functions}\n{code}"], cwd=folder, **how)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path, help="created if missing")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="copied into the folder")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for file in options.files:
        shutil.copy(file, options.folder)
    started = time.perf_counter()
    for language, code in blocks(options.page, options.quick):
        begun = time.perf_counter()
        print(code.rstrip(), flush=True)
        if language == "python":
            code = f"python - <<'PYTHON_BLOCK'\n{code}PYTHON_BLOCK\n"
        run_in_shell(code, options.folder, check=True)
        print(f"# {time.perf_counter() - begun:.0f} s", flush=True)
    print(f"# {(time.perf_counter() - started) / 60:.1f} minutes in all, on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
