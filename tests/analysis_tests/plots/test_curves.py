"""Curves: what is drawn of a line, where, and what is left out."""

from xml.etree import ElementTree

import pytest
from unstuck.analysis.plots.canvas import Canvas
from unstuck.analysis.plots.curves import MOST_POINTS, Level, Line, Mark, plot_curves, plot_stacked_shares, thin_points

SVG = "{http://www.w3.org/2000/svg}"


def root(canvas: Canvas) -> ElementTree.Element:
    return ElementTree.fromstring(canvas.svg("n", "t", "a"))


def paths(canvas: Canvas, colour: str) -> list[str]:
    """Lines of a colour, without those of the legend."""
    found = root(canvas).iter(f"{SVG}path")
    return [element.get("d", "") for element in found if element.get("stroke") == f"var(--{colour})"]


def texts(canvas: Canvas) -> list[str]:
    return [element.text or "" for element in root(canvas).iter(f"{SVG}text")]


def test_a_line_runs_from_its_first_point_to_its_last() -> None:
    """From 74 to 546 across; upwards 256 is the bottom and 14 the top, with 0.04 of the span left free."""
    canvas = plot_curves([Line("f1", [(0, 0.0), (10, 1.0)])], "F1", limits=(0.0, 1.0))
    assert paths(canvas, "c0") == ["M74.0 256.0 L546.0 14.0"]
    roomy = plot_curves([Line("f1", [(0, 0.0), (10, 1.0)])], "F1")
    assert paths(roomy, "c0") == ["M74.0 247.0 L546.0 23.0"]


def test_the_axis_begins_at_0_though_the_curve_does_not() -> None:
    (path,) = paths(plot_curves([Line("f1", [(5, 0.0), (10, 1.0)])], "F1", limits=(0.0, 1.0)), "c0")
    assert path.startswith("M310.0 ")


def test_short_lines_have_dots_that_say_their_values() -> None:
    def tips(count: int) -> list[str | None]:
        canvas = plot_curves([Line("f1", [(step, step / 100) for step in range(1, count + 1)])], "F1", unit="update")
        return [element.text for element in root(canvas).iter(f"{SVG}title")][1:]

    assert tips(2) == ["f1 0.01 at update 1", "f1 0.02 at update 2"]
    assert len(tips(24)) == 24
    assert tips(25) == []


def test_a_band_is_an_area_around_its_line() -> None:
    band = [(0, 0.0, 0.5), (10, 0.5, 1.0)]
    canvas = plot_curves([Line("f1", [(0, 0.25), (10, 0.75)], band)], "F1")
    (area,) = root(canvas).iter(f"{SVG}polygon")
    points = [tuple(map(float, point.split(","))) for point in area.get("points", "").split()]
    assert [x for x, _ in points] == [74, 546, 546, 74]
    assert points[0][1] < points[3][1]  # the upper edge first; y grows downwards
    assert min(y for _, y in points) >= 14


def test_one_of_many_is_faint_has_no_name_and_lies_below() -> None:
    many = [Line("", [(0, 0.1), (1, 0.2)], (), None)] * 3
    canvas = plot_curves([Line("best", [(0, 0.1), (1, 0.9)]), *many], "F1")
    assert len(paths(canvas, "c5")) == 3
    opacities = [element.get("opacity") for element in root(canvas).iter(f"{SVG}path")]
    assert opacities[-4:] == ["0.35", "0.35", "0.35", None]
    assert "best" not in texts(canvas)  # a single name needs no legend


def test_several_lines_are_named_in_a_legend_that_has_room() -> None:
    two = plot_curves([Line("one", [(0, 0.1)]), Line("two", [(0, 0.2)], (), 1)], "F1")
    assert {"one", "two"} <= set(texts(two))
    assert two.height > plot_curves([Line("one", [(0, 0.1)])], "F1").height


def test_levels_are_within_the_axis_and_marks_stand_at_their_iteration() -> None:
    canvas = plot_curves([Line("f1", [(0, 0.5), (10, 0.6)])], "F1", [Level("flag all", 0.1), Mark("rung 1", 5)])
    level, mark = [path for path in paths(canvas, "soft") if path.startswith(("M74.0", "M310.0"))][1:]
    assert level.startswith("M74.0 24")  # near the bottom, and above it
    assert mark == "M310.0 256.0 L310.0 14.0"


def test_a_logarithmic_axis_is_one_by_ratios() -> None:
    """From 0.8e-4 to 1.25e-2; the middle one of three powers lies half way between the others."""
    canvas = plot_curves([Line("kl", [(1, 1e-4), (2, 1e-3), (3, 1e-2), (4, 0.0), (5, -1.0)])], "KL", log=True)
    (path,) = paths(canvas, "c0")
    y = [float(point.split(" ")[1]) for point in path.replace("M", "L").split("L")[1:]]
    assert len(y) == 3
    assert y[1] == pytest.approx((y[0] + y[2]) / 2, abs=0.1)


@pytest.mark.parametrize("count", [1, MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS])
def test_thinning_keeps_the_ends_and_no_more_than_can_be_seen(count: int) -> None:
    kept = thin_points(range(count))
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert len(kept) <= MOST_POINTS + 1
    assert len(set(kept)) >= min(count, MOST_POINTS) // 2


def test_shares_lie_one_upon_the_other() -> None:
    canvas = plot_stacked_shares([10, 20], [("allow", [0.25, 0.75]), ("block", [0.75, 0.25])], "share")
    below, above = [element.get("points") for element in root(canvas).iter(f"{SVG}polygon")]
    assert below == "74.0,195.5 546.0,74.5 546.0,256.0 74.0,256.0"
    assert above == "74.0,14.0 546.0,14.0 546.0,74.5 74.0,195.5"
    assert {"allow 75 %", "block 25 %"} <= set(texts(canvas))
    assert "allow" not in texts(canvas)  # named within, so no legend


def test_a_thin_share_is_named_in_the_legend_alone() -> None:
    found = texts(plot_stacked_shares([1, 2], [("allow", [0.94, 0.94]), ("block", [0.06, 0.06])], "share"))
    assert "allow 94 %" in found
    assert "block 6 %" not in found
    assert "block" in found


def test_long_shares_are_thinned_alike() -> None:
    steps = list(range(1, 2001))
    canvas = plot_stacked_shares(steps, [("a", [0.4] * 2000), ("b", [0.6] * 2000)], "share")
    areas = [element.get("points", "").split() for element in root(canvas).iter(f"{SVG}polygon")]
    assert len(areas[0]) == len(areas[1]) <= 2 * (MOST_POINTS + 1)
