"""Draw the README's picture: C-alpha beads of a protein, and samples of its atoms.

python benchmarks/picture.py docs/protein.png [protein.pdb]
"""

import sys
from pathlib import Path

import matplotlib
import mdtraj
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection

from openmm_cgvae import Backmapper

PROTEIN = Path(__file__).parents[1] / "tests" / "data" / "5k6d.pdb"
COLORS = {"C": "#4a5560", "N": "#2f6fb5", "O": "#c8453b", "S": "#c9a227"}
BEADS = "#16766f"
SAMPLES = 3


def main(output, pdb=PROTEIN):
    protein = mdtraj.load(str(pdb))
    alphas = protein.atom_slice(protein.topology.select("name CA and protein"))
    backmapper = Backmapper.load("protein-ca", alphas.topology)
    atoms = backmapper.sample(alphas.xyz, n_samples=SAMPLES, seed=1)[0]
    # Along the principal axes, the longest across.
    centred = alphas.xyz[0] - alphas.xyz[0].mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    view = lambda x: (x - alphas.xyz[0].mean(0)) @ axes.T  # noqa: E731
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), sharex=True, sharey=True)
    chain = view(alphas.xyz[0])
    _draw(left, chain, np.stack([np.arange(len(chain) - 1), np.arange(1, len(chain))], 1), [BEADS] * len(chain), 2.5, 1)
    left.scatter(*chain[:, :2].T, s=70, c=BEADS, edgecolors="white", linewidths=0.7, zorder=3)
    topology = mdtraj.Topology.from_openmm(backmapper.topology)
    heavy = np.array([atom.element.symbol != "H" for atom in topology.atoms])
    bonds = np.array([(a.index, b.index) for a, b in topology.bonds if heavy[a.index] and heavy[b.index]])
    colors = [COLORS.get(atom.element.symbol, "#888888") for atom in topology.atoms]
    for sample in atoms:
        _draw(right, view(sample), bonds, colors, 1.6, 0.75)
    for axis, text in ((left, f"{len(chain)} beads"), (right, f"{SAMPLES} samples of {len(colors)} atoms")):
        axis.set_aspect("equal")
        axis.axis("off")
        axis.set_title(text, fontsize=11)
    figure.tight_layout()
    figure.savefig(output, dpi=130)


def _draw(axis, x, bonds, colors, width, alpha):
    """Draw every bond as two halves in the colours of its atoms, those behind first and paler."""
    first, second = x[bonds[:, 0]], x[bonds[:, 1]]
    middle = 0.5 * (first + second)
    depth = np.concatenate([first, second])[:, 2]
    near = (depth - x[:, 2].min()) / np.ptp(x[:, 2])
    halves = np.concatenate([np.stack([first, middle], 1), np.stack([second, middle], 1)])[:, :, :2]
    shades = np.array([matplotlib.colors.to_rgba(colors[i], alpha) for i in bonds.T.ravel()])
    shades[:, 3] *= 0.25 + 0.75 * near
    order = np.argsort(depth)
    axis.add_collection(LineCollection(halves[order], colors=shades[order], linewidths=width, capstyle="round"))
    axis.autoscale_view()


if __name__ == "__main__":
    main(*sys.argv[1:])
