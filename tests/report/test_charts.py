import re
import xml.etree.ElementTree as ElementTree

import numpy as np

from openmm_cgvae.report.charts import Line, heat_map, line_chart, round_ticks

SQUARE = (0, 10, 0, 10), ((0, 10), (0, 10))


def parsed(svg):
    return ElementTree.fromstring(svg)


def paths(svg, kind):
    return [path.get("d") for path in parsed(svg).iter("path") if kind in path.get("class").split()]


def points(path):
    return np.array([[float(x) for x in pair.split()] for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", path)])


def test_a_line_rises_where_its_values_do_and_breaks_where_one_is_missing():
    line = Line("a", "gen", np.arange(5.0), np.array([0.0, 1.0, np.nan, 1.0, 2.0]))
    (path,) = paths(line_chart([line], "two pieces", "x"), "gen")
    drawn = points(path)
    assert path.count("M") == 2 and len(drawn) == 4
    assert (np.diff(drawn[:, 0]) > 0).all()
    # Upward on the screen is less.
    assert drawn[1, 1] < drawn[0, 1] and drawn[3, 1] < drawn[2, 1]
    assert drawn[1, 1] == drawn[2, 1]


def test_a_logarithmic_axis_puts_equal_ratios_at_equal_steps():
    line = Line("a", "gen", np.arange(3.0), np.array([1.0, 10.0, 100.0]))
    drawn = points(paths(line_chart([line], "powers", "x", log=True), "gen")[0])
    steps = np.diff(drawn[:, 1])
    assert steps[0] == np.float64(steps[1]) or abs(steps[0] - steps[1]) < 0.15


def test_every_plot_has_a_text_in_its_place_and_no_colour_of_its_own():
    line = Line("a & b", "gen", np.arange(3.0), np.ones(3))
    band = np.arange(3.0), np.zeros(3), np.ones(3)
    for svg in (
        line_chart([line], "x < y", "nm & ps", band=band),
        heat_map(np.eye(4), "a map", "x", "y", *SQUARE),
    ):
        root = parsed(svg)
        assert root.get("role") == "img" and root.get("aria-label")
        assert not re.search(r'(fill|stroke|style)="', svg)


def cells(path):
    """Unit squares (x, y from the bottom) that a path of a map fills."""
    found = set()
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1", path):
        found |= {(int(x) + k, 3 - int(y)) for k in range(int(width))}
    return found


def test_a_map_puts_each_cell_in_the_class_of_its_density():
    values = np.zeros((4, 4))
    values[0, 0], values[1, 0], values[3, 2] = 1.0, 0.95, 0.002
    svg = heat_map(values, "a map", "x", "y", *SQUARE)
    assert cells(paths(svg, "q7")[0]) == {(0, 0), (1, 0)}
    # Steps of 10**(3/7) = 2.683 below the peak: 1/500 is in the first of seven classes that span 1,000.
    assert cells(paths(svg, "q1")[0]) == {(3, 2)}
    assert len(paths(svg, "q4")) == 0


def test_a_difference_tells_more_from_less():
    values = np.zeros((4, 4))
    values[0, 0], values[2, 2], values[1, 1] = 0.5, -0.05, 0.01
    svg = heat_map(values, "a map", "x", "y", *SQUARE, difference_of=1.0)
    assert cells(paths(svg, "p4")[0]) == {(0, 0)}
    assert cells(paths(svg, "n1")[0]) == {(2, 2)}
    assert not paths(svg, "p1"), "1 % of the highest density is nothing"


def test_ticks_are_round_and_inside():
    assert round_ticks(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert round_ticks(-0.03, 0.03, 4) == [-0.02, 0.0, 0.02]
    assert round_ticks(5, 5) == [5]


def test_what_is_next_to_nothing_is_no_minus_zero():
    line = Line("a", "gen", np.array([-1e-17, 1.0]), np.array([0.0, 1.0]))
    assert "\u22120<" not in line_chart([line], "zero", "x")
