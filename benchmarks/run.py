"""Measure speed on this machine, and the bundled models: ``make bench``, or ``python benchmarks/run.py [NAME ...]``.

Every figure comes with the machine's own float32 GEMM rate, and what matters is a ratio within one run: absolute times
drift. Each part is a module beside this one with a function ``measure()``. Results go to
``benchmarks/results/<date>.json``.
"""

import argparse
import datetime
import importlib
import json
import time
from pathlib import Path

import torch
from timing import gemm_rate

PARTS = (
    "sampling",
    "pipeline",
    "training",
    "scaling",
    "minimisation",
    "files",
    "million",
    "memory",
    "reporter",
    "startup",
    "fidelity",
)
RESULTS = Path(__file__).parent / "results"


def run(parts):
    """Figures of each part, and the GEMM rate in GFLOP/s before it."""
    results = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    for part in parts:
        started = time.perf_counter()
        results[part] = {"GEMM GFLOP/s": 1e-9 * gemm_rate()} | importlib.import_module(part).measure()
        results[part]["minutes"] = (time.perf_counter() - started) / 60
        show(part, results[part])
    return results


def show(name, values):
    """Print figures, nested by indentation."""
    print(name)
    for key, value in values.items():
        if isinstance(value, dict):
            show(f"  {key}", value)
        else:
            print(f"    {key:<48}{format(value, '.4g') if isinstance(value, float) else value}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=f"of {', '.join(PARTS)}; all if omitted")
    parser.add_argument("--threads", type=int, help="of torch; on one, CPU time is measured, else wall time")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: parts are {', '.join(PARTS)}")
    if given.threads:
        torch.set_num_threads(given.threads)
    results = run(given.parts or PARTS)
    path = RESULTS / f"{datetime.date.today().isoformat()}.json"
    # A part that is measured again replaces its own figures only.
    earlier = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(earlier | results, indent=1) + "\n")
    print(f"written to {path.name}")


if __name__ == "__main__":
    main()
