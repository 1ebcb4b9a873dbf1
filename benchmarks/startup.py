"""What a user waits for before anything happens."""

import subprocess
import sys
import time

FIRST_FRAME = (
    "from openmm_cgvae import Backmapper; import numpy as np; b = Backmapper.load('alanine-dipeptide-3');"
    "b.sample(np.array([[0, 0, 0], [0.35, 0, 0], [0.5, 0.3, 0]]), seed=1)"
)
COMMANDS = {
    "python alone": ["-c", "pass"],
    "import": ["-c", "import openmm_cgvae"],
    "help": ["-m", "openmm_cgvae", "--help"],
    "first frame": ["-c", FIRST_FRAME],
}


def measure(rounds=5):
    """Seconds from a cold shell, best of a few: import, help, and the first backmapped frame."""
    times = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    return {name: min(values) for name, values in times.items()}
