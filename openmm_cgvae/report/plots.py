"""Plots written straight to a file; matplotlib's global state (pyplot, backend, style) is never touched."""

import csv
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, MissingDependencyError, OutputError
from openmm_cgvae.core.output import complete_output

__all__ = ["plot_ramachandran", "plot_training"]

# Okabe and Ito's colours can be told apart with any colour vision; the dashes tell the lines apart in grey.
STYLES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."))
TRAINING_PANELS = {
    "Loss": {"train_loss": "training", "val_loss": "held out"},
    "Held-out parts": {"val_msd": "distance (msd)", "val_graph": "bond graph", "val_kl": "KL"},
    "Learning rate": {"learning_rate": "learning rate"},
}
DENSITY_BINS = 72


def plot_ramachandran(sets, path):
    """Draw the density of (phi, psi) of one or more sets side by side, on one logarithmic colour scale.

    Parameters
    ----------
    sets : dict of str to (array_like, array_like)
        phi and psi in radians by panel title, both of the same shape.
    path : str or pathlib.Path
        File to write; its suffix (.png, .svg, .pdf) says how.

    Raises
    ------
    DataError
        If there is no set, or a set is empty or its phi and psi differ in shape.
    OutputError
        If the file cannot be written.
    """
    measured = {name: _density(name, phi, psi) for name, (phi, psi) in sets.items()}
    if not measured:
        raise DataError("no set of torsions given: at least one name with its phi and psi expected")
    densities = np.array([density for density, _ in measured.values()])
    figure, norm = _figure(1.0 + 2.6 * len(measured), 2.9), _log_norm(densities[densities > 0])
    panels = figure.subplots(1, len(measured), sharex=True, sharey=True, squeeze=False)[0]
    edges = np.linspace(-180, 180, DENSITY_BINS + 1)
    for panel, (name, (density, count)) in zip(panels, measured.items(), strict=True):
        shown = np.ma.masked_equal(density, 0)
        # Rasterised: thousands of small paths would make an SVG slow to open.
        image = panel.pcolormesh(edges, edges, shown.T, norm=norm, cmap="viridis", rasterized=True)
        panel.set(title=f"{name}\n{count:,} samples", xlabel=r"$\phi$ (degrees)", aspect="equal")
        panel.set(xticks=range(-180, 181, 90), yticks=range(-180, 181, 90))
    panels[0].set_ylabel(r"$\psi$ (degrees)")
    figure.colorbar(image, ax=list(panels), label="density (degrees$^{-2}$)", shrink=0.9)
    _write(figure, path)


def _density(name, phi, psi):
    """Probability density per square degree, shape (bins, bins), and the number of samples."""
    phi, psi = np.asarray(phi, dtype=float), np.asarray(psi, dtype=float)
    if phi.shape != psi.shape or not phi.size:
        raise DataError(f"set {name!r} has phi of shape {phi.shape} and psi of {psi.shape}: equal and not empty needed")
    wrapped = [(np.degrees(angle.ravel()) + 180) % 360 - 180 for angle in (phi, psi)]
    density, _, _ = np.histogram2d(*wrapped, bins=DENSITY_BINS, range=[[-180, 180]] * 2, density=True)
    return density, phi.size


def _log_norm(values):
    from matplotlib.colors import LogNorm

    # A flat density would otherwise leave the scale without extent.
    return LogNorm(values.min(), max(values.max(), values.min() * 10))


def plot_training(log_csv, path):
    """Draw the course of a training run: losses, held-out parts and learning rate over epochs.

    Parameters
    ----------
    log_csv : str or pathlib.Path
        Table with a column ``epoch`` and any of ``train_loss``, ``val_loss``, ``val_msd``, ``val_graph``,
        ``val_kl``, ``learning_rate``; other columns are passed over, and values that are missing or not positive
        are left out of the logarithmic axis.
    path : str or pathlib.Path
        File to write; its suffix (.png, .svg, .pdf) says how.

    Raises
    ------
    DataError
        If the table cannot be read or holds nothing to draw.
    OutputError
        If the file cannot be written.
    """
    columns = read_columns(log_csv)
    shown = {
        title: {c: label for c, label in lines.items() if c in columns} for title, lines in TRAINING_PANELS.items()
    }
    shown = {title: lines for title, lines in shown.items() if lines}
    if "epoch" not in columns or not shown:
        raise DataError(f"{log_csv} has columns {', '.join(columns)}: epoch and a loss are needed to draw")
    figure = _figure(3.2 * len(shown), 2.7)
    for panel, (title, lines) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        for (column, label), (colour, dashes) in zip(lines.items(), STYLES, strict=False):
            values = np.where(columns[column] > 0, columns[column], np.nan)
            # A run of one epoch is a point, which a line alone would not show.
            marker = "o" if len(values) == 1 else None
            panel.plot(columns["epoch"], values, label=label, color=colour, linestyle=dashes, marker=marker)
        panel.set(title=title, xlabel="epoch", yscale="log")
        panel.grid(alpha=0.3, linewidth=0.5)
        panel.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            panel.legend(frameon=False, fontsize="small")
    _write(figure, path)


def read_columns(log_csv):
    """The needed columns of a CSV file as float arrays; an empty cell is NaN."""
    needed = {"epoch"}.union(*TRAINING_PANELS.values())
    try:
        with open(log_csv, newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"training log {log_csv} cannot be read ({error}): give the CSV file that training wrote"
        ) from error
    if not rows:
        raise DataError(f"training log {log_csv} has no epoch yet: wait for the first one to end")
    try:
        return {c: np.array([float(row[c] or "nan") for row in rows]) for c in rows[0] if c in needed}
    except ValueError as error:
        raise DataError(f"training log {log_csv} is damaged ({error}): numbers in every column expected") from error


def _figure(width, height):
    """A figure of this size in inches that belongs to nobody's global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def _write(figure, path):
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(f"folder {path.parent} does not exist: create it first")
    try:
        with complete_output(path) as temporary:
            figure.savefig(temporary, dpi=200)
    except (OSError, ValueError) as error:
        raise OutputError(f"plot {path} cannot be written ({error}): give a .png, .svg or .pdf file") from error
