"""Read 10,000 damaged files, a part of them in a process of its own: each must be read, or refused in one line.

``python benchmarks/fuzz.py [FORMAT ...] [--cases N] [--seed S] [--output fuzz.json]``, or ``make fuzz``. What was found
is kept in the output after every part, and the same command goes on from there. A case is named by format and seed, and
``--one model:17`` reads it again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
# Cases a process, and seconds that one may take.
PART, SECONDS = 500, 120


def shares(cases):
    """Cases of every format; models take longest."""
    weights = {"dcd": 12, "xtc": 16, "plain-xtc": 6, "pdb": 10, "gro": 8, "cif": 6, "mapping": 10, "potential": 8,
               "dataset": 8, "checkpoint": 6, "chains": 4, "model": 6, "evaluation": 4, "case": 4, "records": 4,
               "note": 2, "log": 2, "journal": 4}  # fmt: skip
    total, counts = sum(weights.values()), {}
    for name, weight in weights.items():
        counts[name] = cases * weight // total
    counts["xtc"] += cases - sum(counts.values())
    return counts


def work(name, seeds):
    """Read cases, in this process; say of each what came of it, after saying which it is."""
    import warnings

    import torch
    from fuzztargets import damaged, make_targets, outcome

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        target = make_targets(folder, (name,))[name]
        path = Path(folder) / f"case{target.suffix}"
        for seed in seeds:
            path.write_bytes(damaged(target, seed))
            print("begin", seed, flush=True)
            print("end", json.dumps(outcome(target, path)), flush=True)


def run_part(name, seeds):
    """Outcomes of cases by seed, from a process of its own; one that ends it is an outcome, too."""
    found = {}
    while left := [seed for seed in seeds if seed not in found]:
        command = [sys.executable, __file__, "--work", name, *map(str, left)]
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
            ended = _watched(process, said)
            said.seek(0)
            current = None
            for line in said:
                word, _, rest = line.strip().partition(" ")
                if word == "begin":
                    current = int(rest)
                elif word == "end" and current is not None:
                    found[current], current = json.loads(rest), None
        if current is not None:
            found[current] = ended
        elif process.returncode:
            raise SystemExit(f"the fuzzer itself failed ({ended}): {' '.join(command[:4])}")
    return found


def _watched(process, said):
    """Wait for a process that writes to `said`; ended when it says nothing for too long."""
    size = -1
    while True:
        try:
            process.wait(SECONDS)
            return f"the process ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            now = Path(f"/proc/self/fd/{said.fileno()}").stat().st_size
            # Before the first case files are made, which takes a while.
            if now == size and now:
                process.kill()
                process.wait()
                return f"no end within {SECONDS} s"
            size = now


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="of these only; all if omitted")
    parser.add_argument("--cases", type=int, default=10_000, help="of all formats (10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first case of every format")
    parser.add_argument("--output", type=Path, default=Path("fuzz.json"))
    parser.add_argument("--one", metavar="FORMAT:SEED", help="read one case, and say what came of it")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.work[0], map(int, options.work[1:]))
    if options.one:
        name, seed = options.one.split(":")
        return print(run_part(name, [int(seed)]))
    done = json.loads(options.output.read_text()) if options.output.exists() else {}
    counts = {name: n for name, n in shares(options.cases).items() if name in (options.formats or [name])}
    for first in range(0, max(counts.values()), PART):
        for name, count in counts.items():
            seeds = [options.seed + k for k in range(first, min(first + PART, count))]
            missing = [seed for seed in seeds if str(seed) not in done.get(name, {})]
            if missing:
                done.setdefault(name, {}).update({str(k): v for k, v in run_part(name, missing).items()})
                options.output.write_text(json.dumps(done, indent=0) + "\n")
                print(f"{name} {len(done[name])} of {count}", flush=True)
    bad = report(done)
    raise SystemExit(1 if bad else 0)


def report(done):
    """Print what came of all cases; returns the number of those that are neither read nor refused."""
    good = Counter()
    bad = []
    for name, outcomes in done.items():
        for seed, said in outcomes.items():
            if said in ("read", "refused"):
                good[said] += 1
            else:
                bad.append(f"{name}:{seed}  {said}")
    print(f"{good.total()} of {good.total() + len(bad)} cases: {good['read']} read, {good['refused']} refused")
    print("\n".join(bad[:50]))
    return len(bad)


if __name__ == "__main__":
    main()
