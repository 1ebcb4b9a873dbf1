"""Training curves."""

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.report.charts import Line, line_chart
from openmm_cgvae.report.page import Section, figure, table
from openmm_cgvae.report.plots import read_columns

__all__ = ["training_section"]

KINDS = ("gen", "other", "more")
# Panels by the first column of a log: title, and names of lines by column.
PANELS = {
    "epoch": {
        "Loss": {"train_loss": "training", "val_loss": "held out"},
        "Held-out parts": {"val_msd": "distance (msd)", "val_graph": "bond graph", "val_kl": "KL"},
        "Learning rate": {"learning_rate": "learning rate"},
    },
    "update": {
        "Loss": {"train_loss": "training"},
        "Held-out cross-entropies": {"backbone": "backbone", "chi1": "chi1", "chi2": "chi2"},
        "Learning rate": {"learning_rate": "learning rate"},
    },
}


def training_section(log):
    """Return the section of the training curves of a log, ``training.csv`` of a training folder."""
    if log is None:
        return Section("training", "Training", missing=("Training curves are left out: no training folder was given.",))
    try:
        columns = read_columns(log)
    except DataError as error:
        return Section("training", "Training", missing=(f"Training curves are left out: {error}.",))
    step = next((name for name in PANELS if name in columns), None)
    if step is None:
        return Section(
            "training", "Training", missing=(f"Training curves are left out: {log} has no column of epochs.",)
        )
    panels = [_panel(title, lines, columns, step) for title, lines in PANELS[step].items()]
    names = [name for lines in PANELS[step].values() for name in lines if name in columns]
    last = [(name, f"{columns[name][0]:.4g}", f"{columns[name][-1]:.4g}") for name in names]
    rows = len(columns[step])
    caption = (
        f"Over {rows:,} {step}{'s' if step == 'epoch' else ' rows of the log'}, on logarithmic axes. {_trend(columns)}"
    )
    data = table(("", "first", "last"), last)
    content = f'<div class="panels">{"".join(panels)}</div>'
    return Section("training", "Training", figure("training", "Training", content, caption, data))


def _panel(title, lines, columns, step):
    shown = [(columns[column], label) for column, label in lines.items() if column in columns]
    drawn, key = [], ""
    for kind, (values, label) in zip(KINDS, shown, strict=False):
        drawn.append(Line(label, kind, columns[step], np.where(values > 0, values, np.nan)))
        key += f'<li><i class="{kind}"></i>{label}</li>'
    if not drawn:
        return ""
    ends = ", ".join(f"{line.name} {line.y[0]:.3g} to {line.y[-1]:.3g}" for line in drawn)
    chart = line_chart(drawn, f"{title} over {step}s: {ends}", step, "", log=True)
    return f'<div class="panel"><h4>{title}</h4><ul class="key">{key}</ul>{chart}</div>'


def _trend(columns):
    """A sentence on whether the loss was still falling."""
    values = columns.get("train_loss")
    if values is None or len(values) < 8:
        return ""
    quarter = len(values) // 4
    before, last = np.nanmean(values[-2 * quarter : -quarter]), np.nanmean(values[-quarter:])
    falling = last < before - 0.01 * abs(before)
    return "The training loss was still falling at the end." if falling else "The training loss had levelled off."
