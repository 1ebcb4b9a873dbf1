"""Plots as inline SVG, without colours of their own: the page's style sheet gives them, by day, night and on paper."""

from dataclasses import dataclass
from html import escape

import numpy as np

__all__ = ["Line", "density", "heat_map", "line_chart", "round_ticks", "scale_legend"]

WIDTH, HEIGHT = 320, 190
# Left, right, top, bottom of the plotted area.
MARGINS = (44, 10, 8, 36)
# Density classes of a map, from rare to common, each so many times the next.
LEVELS, STEP = 7, 10 ** (3 / 7)
# Edges of the classes of a difference, of the largest density.
DIFFERENCES = (0.02, 0.06, 0.15, 0.35)


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Parameters
    ----------
    name : str
        For the legend; empty for none.
    kind : str
        Class in the style sheet: ``ref``, ``gen``, ``other``, ``more``.
    x, y : numpy.ndarray, shape (p,)
        Gaps where not finite.
    """

    name: str
    kind: str
    x: np.ndarray
    y: np.ndarray


def line_chart(lines, label, x_label, y_label="", x_range=None, x_ticks=None, band=None, log=False):
    """Draw lines over one axis.

    Parameters
    ----------
    lines : sequence of Line
    label : str
        What a reader who cannot see it is told.
    x_label, y_label : str
    x_range : (float, float), optional
        Those of the lines if omitted.
    x_ticks : sequence of float, optional
    band : (array, array, array), optional
        x, lower and upper edge of what is shaded.
    log : bool
        Logarithmic ordinate.

    Returns
    -------
    str
        An ``svg`` element.
    """
    x_range = x_range or _extent([line.x for line in lines])
    shown = [line.y for line in lines] + ([band[2]] if band else [])
    y_range = _log_extent(shown) if log else (0.0, max(1e-12, _extent(shown)[1] * 1.04))
    x, y = _scale(x_range, MARGINS[0], WIDTH - MARGINS[1]), _scale(y_range, HEIGHT - MARGINS[3], MARGINS[2], log)
    parts = [_frame(x, y, x_range, y_range, x_ticks, x_label, y_label, log)]
    if band:
        there = np.concatenate([band[0], band[0][::-1]]), np.concatenate([band[1], band[2][::-1]])
        parts.append(f'<path class="band" d="{_path(x(there[0]), y(there[1]))}Z"/>')
    for line in lines:
        if np.isfinite(line.y).sum() == 1:
            k = int(np.flatnonzero(np.isfinite(line.y))[0])
            parts.append(f'<circle class="dot {line.kind}" cx="{x(line.x[k]):.1f}" cy="{y(line.y[k]):.1f}" r="3"/>')
        parts.append(f'<path class="line {line.kind}" d="{_path(x(line.x), y(line.y))}"/>')
    return _svg(parts, label, WIDTH, HEIGHT)


def density(values, edges):
    """Histogram of values between the edges whose area is 1; zeros of none."""
    counts = np.histogram(values, edges)[0]
    return counts / (max(1, counts.sum()) * np.diff(edges))


def heat_map(values, label, x_label, y_label, extent, ticks, difference_of=None):
    """Draw a two-dimensional density, or a difference of densities, as classes.

    Parameters
    ----------
    values : numpy.ndarray, shape (bins, bins)
        First axis along x.
    label, x_label, y_label : str
    extent : (float, float, float, float)
        Low and high edge of x, and of y.
    ticks : (sequence of float, sequence of float)
    difference_of : float, optional
        `values` are differences, to be seen against this density.

    Returns
    -------
    str
        An ``svg`` element, with square cells of one path a class.
    """
    size, left, bottom = 190, MARGINS[0], MARGINS[3]
    classes = _differences(values, difference_of) if difference_of else _densities(values)
    bins = len(values)
    side = (size - 2 * MARGINS[2]) / bins
    cells = [_cells(classes == level, bins) for level in np.unique(classes[classes != 0])]
    names = [f"n{-k}" if k < 0 else f"p{k}" for k in np.unique(classes[classes != 0])]
    if not difference_of:
        names = [name.replace("p", "q") for name in names]
    width, height = left + bins * side + MARGINS[1], MARGINS[2] + bins * side + bottom
    x, y = _scale(extent[:2], left, left + bins * side), _scale(extent[2:], MARGINS[2] + bins * side, MARGINS[2])
    inner = "".join(f'<path class="{name}" d="{path}"/>' for name, path in zip(names, cells, strict=True))
    parts = [
        f'<g transform="translate({left} {MARGINS[2]}) scale({side:.4f})">{inner}</g>',
        f'<rect class="box" x="{left}" y="{MARGINS[2]}" width="{bins * side:.1f}" height="{bins * side:.1f}"/>',
        *(_tick_x(x(t), height - bottom, t) for t in ticks[0]),
        *(_tick_y(left, y(t), t) for t in ticks[1]),
        _axis_names(x_label, y_label, left + bins * side / 2, height, MARGINS[2] + bins * side / 2),
    ]
    return _svg(parts, label, width, height)


def scale_legend(difference=False):
    """A row of swatches that says what the classes of a map are."""
    if difference:
        names = [f"n{k}" for k in range(len(DIFFERENCES), 0, -1)] + [f"p{k}" for k in range(1, len(DIFFERENCES) + 1)]
        ends = "fewer than in the reference", "more"
    else:
        names, ends = [f"q{k}" for k in range(1, LEVELS + 1)], ("rare (1/1,000 of the peak)", "common")
    swatches = "".join(f'<i class="{name}"></i>' for name in names)
    return f'<p class="scale"><span>{ends[0]}</span><span class="swatches">{swatches}</span><span>{ends[1]}</span></p>'


def _densities(values):
    """Class of every cell, 0 of empty ones, shape of `values`."""
    top = values.max()
    if not top > 0:
        return np.zeros(values.shape, dtype=int)
    with np.errstate(divide="ignore"):
        level = LEVELS + np.floor(np.log(values / top * (1 - 1e-9)) / np.log(STEP)).astype(float) + 1
    return np.where(values > 0, np.clip(level, 1, LEVELS), 0).astype(int)


def _differences(values, top):
    return np.sign(values).astype(int) * np.searchsorted(DIFFERENCES, np.abs(values) / top, side="right")


def _cells(there, bins):
    """Path of unit squares, those side by side joined, y upward."""
    runs = []
    for row in range(bins):
        filled = np.flatnonzero(np.diff(np.concatenate([[0], there[:, row], [0]]).astype(int)))
        runs += [f"M{a} {bins - 1 - row}h{b - a}v1h{a - b}z" for a, b in filled.reshape(-1, 2)]
    return "".join(runs)


def _scale(limits, start, end, log=False):
    low, high = np.log10(limits) if log else limits
    factor = (end - start) / ((high - low) or 1.0)
    return lambda value: start + ((np.log10(value) if log else value) - low) * factor


def _extent(arrays):
    values = np.concatenate([np.ravel(array) for array in arrays])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _log_extent(arrays):
    low, high = _extent([np.where(array > 0, array, np.nan) for array in arrays])
    low, high = max(low, 1e-300), max(high, 1e-300)
    return (low / 1.2, high * 1.2)


def _path(x, y):
    """Straight pieces through the points; a gap where one is not finite."""
    parts, pen = [], "M"
    for a, b in zip(np.atleast_1d(x), np.atleast_1d(y), strict=True):
        if not (np.isfinite(a) and np.isfinite(b)):
            pen = "M"
            continue
        parts.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    return "".join(parts)


def _frame(x, y, x_range, y_range, x_ticks, x_label, y_label, log):
    """Axes, ticks and names."""
    bottom = HEIGHT - MARGINS[3]
    x_ticks = round_ticks(*x_range) if x_ticks is None else [t for t in x_ticks if x_range[0] <= t <= x_range[1]]
    y_ticks = _log_ticks(*y_range) if log else round_ticks(*y_range, most=4)
    parts = [f'<path class="axis" d="M{MARGINS[0]} {bottom}H{WIDTH - MARGINS[1]}"/>']
    parts += [_tick_x(x(t), bottom, t) for t in x_ticks]
    for t in y_ticks:
        parts.append(f'<path class="grid" d="M{MARGINS[0]} {y(t):.1f}H{WIDTH - MARGINS[1]}"/>')
        parts.append(_tick_y(MARGINS[0], y(t), t))
    middle = (MARGINS[0] + WIDTH - MARGINS[1]) / 2
    return "".join([*parts, _axis_names(x_label, y_label, middle, HEIGHT, (MARGINS[2] + bottom) / 2)])


def _axis_names(x_label, y_label, middle, height, centre):
    names = (
        f'<text class="axis-name" x="{middle:.1f}" y="{height - 6:.1f}" text-anchor="middle">{escape(x_label)}</text>'
    )
    if y_label:
        turned = f'transform="translate(11 {centre:.1f}) rotate(-90)"'
        names += f'<text class="axis-name" {turned} text-anchor="middle">{escape(y_label)}</text>'
    return names


def _tick_x(x, bottom, value):
    text = f'<text class="tick" x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="middle">{_number(value)}</text>'
    return f'<path class="axis" d="M{x:.1f} {bottom:.1f}v4"/>{text}'


def _tick_y(left, y, value):
    return f'<text class="tick" x="{left - 6:.1f}" y="{y + 3.5:.1f}" text-anchor="end">{_number(value)}</text>'


def _number(value):
    # Rounding makes a minus zero of what is next to nothing.
    return f"{value + 0.0 if abs(value) > 1e-12 else 0:.4g}".replace("-", "\u2212").replace("e\u2212", "e-")


def round_ticks(low, high, most=5):
    """At most so many round numbers between two."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    unit = 10.0 ** np.floor(np.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [round(float(t), 12) for t in np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step]


def _log_ticks(low, high):
    powers = 10.0 ** np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    return [float(t) for t in powers[:: max(1, len(powers) // 4)]] or [low * 1.2]


def _svg(parts, label, width, height):
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg class="chart" {box} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
