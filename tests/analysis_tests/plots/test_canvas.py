"""The canvas: scales and ticks by their numbers, and every mark as the SVG that it draws."""

import math
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from unstuck.analysis.plots.canvas import (
    COLOURS,
    LEFT,
    LIGHT,
    STYLE,
    Canvas,
    Scale,
    choose_colour,
    choose_dash,
    define_colours,
    format_tick,
    make_linear_scale,
    round_step,
)

SVG = "{http://www.w3.org/2000/svg}"


def drawn(draw: Callable[[Canvas], None]) -> ElementTree.Element:
    """The one element that a call draws."""
    canvas = Canvas()
    draw(canvas)
    (element,) = list(ElementTree.fromstring(canvas.svg("n", "t", "a")))[2:]
    return element


def test_a_line_breaks_where_a_point_is_not_finite() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 4.0), (math.inf, 5.0), (5.0, 6.26)]
    path = drawn(lambda canvas: canvas.line(points, "c0", 2, "7 3", 0.5))
    assert path.get("d") == "M0.0 1.0 L1.0 2.0 M3.0 4.0 M5.0 6.3"
    assert (path.get("stroke"), path.get("stroke-width"), path.get("fill")) == ("var(--c0)", "2", "none")
    assert (path.get("stroke-dasharray"), path.get("opacity")) == ("7 3", "0.50")
    plain = drawn(lambda canvas: canvas.line([(0, 0), (1, 1)], "c0"))
    assert (plain.get("stroke-dasharray"), plain.get("opacity")) == (None, None)


def test_a_line_without_a_finite_point_is_not_drawn() -> None:
    canvas = Canvas()
    canvas.line([(0, math.nan)], "c0")
    canvas.line([], "c0")
    assert canvas.parts == []


def test_areas_bars_and_dots() -> None:
    area = drawn(lambda canvas: canvas.area([(0, 0), (1, 2.55)], "c1", 0.25))
    assert (area.get("points"), area.get("fill"), area.get("opacity")) == ("0.0,0.0 1.0,2.5", "var(--c1)", "0.25")
    bar = drawn(lambda canvas: canvas.rectangle(1, 2, 3, 4, "c2", 0.75))
    assert [bar.get(name) for name in ("x", "y", "width", "height")] == ["1.0", "2.0", "3.0", "4.0"]
    assert drawn(lambda canvas: canvas.rectangle(1, 2, -3, 4, "c2")).get("width") == "0.0"
    dot = drawn(lambda canvas: canvas.dot(1, 2, "c3", 2.5, tip="a < b"))
    assert (dot.get("cx"), dot.get("cy"), dot.get("r")) == ("1.0", "2.0", "2.5")
    assert dot[0].text == "a < b"
    assert len(drawn(lambda canvas: canvas.dot(1, 2, "c3"))) == 0


def test_texts_are_anchored_and_turned() -> None:
    text = drawn(lambda canvas: canvas.text(1, 2, "F1 & more", "end", "soft", turned=True))
    assert (text.text, text.get("text-anchor"), text.get("fill")) == ("F1 & more", "end", "var(--soft)")
    assert text.get("transform") == "rotate(-90 1.0 2.0)"
    assert drawn(lambda canvas: canvas.text(1, 2, "a")).get("transform") is None


def test_names_and_titles_cannot_leave_their_places() -> None:
    source = Canvas().svg('a"b', "t < u", "d & e", style=True)
    root = ElementTree.fromstring(Canvas().svg("ab", "t < u", "d & e", style=True))
    assert [child.text for child in root] == ["t < u", "d & e", STYLE]
    assert "<title" in source
    assert "t < u" not in source
    assert root.get("viewBox") == "0 0 560 300"


def test_axes_have_ticks_where_the_scales_put_them() -> None:
    canvas = Canvas()
    x, y = Scale(0, 10, 100, 200), Scale(0, 1, 250, 50)
    canvas.axes(x, y, "iteration", "F1")
    texts = {
        element.text: (float(element.get("x", "")), float(element.get("y", "")))
        for element in ElementTree.fromstring(canvas.svg("n", "t", "a")).iter(f"{SVG}text")
    }
    assert texts["0.5"] == (94, 154)  # on the y axis, half way up
    assert texts["10"] == (200, 267)
    assert texts["iteration"] == (150, 286)
    assert texts["F1"] == (14, 150)


def test_a_legend_grows_the_figure_by_the_rows_that_it_needs() -> None:
    canvas = Canvas()
    canvas.legend([("one", "c0", ""), ("two", "c1", "7 3")])
    assert canvas.height == 314
    wide = Canvas()
    wide.legend([("a" * 30, "c0", "") for _ in range(3)], y=310)
    assert wide.height == 310 + 2 * 20 + 14  # each takes 250, and 486 are left of 560
    starts = [element.get("x") for element in ElementTree.fromstring(wide.svg("n", "t", "a")).iter(f"{SVG}text")]
    assert starts == [f"{LEFT + 28:.1f}"] * 3


@pytest.mark.parametrize(
    ("scale", "most", "ticks"),
    [
        (Scale(0, 10, 0, 1), 6, [0, 2, 4, 6, 8, 10]),
        (Scale(0, 1, 0, 1), 5, [0.0, 0.5, 1.0]),
        (Scale(-0.3, 0.35, 0, 1), 6, [-0.2, 0.0, 0.2]),
        (Scale(3, 3, 0, 1), 5, [3]),
        (Scale(1e-6, 1e0, 0, 1, log=True), 4, [1e-6, 1e-4, 1e-2, 1e0]),
        (Scale(2e-3, 9e-3, 0, 1, log=True), 6, [2e-3, 9e-3]),  # no power of ten within
        (Scale(2e-3, 2e-2, 0, 1, log=True), 6, [2e-3, 2e-2]),  # one alone would be no axis
    ],
)
def test_ticks(scale: Scale, most: int, ticks: list[float]) -> None:
    assert scale.ticks(most) == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[0.2, 0.9], [5.0], [0.0], [-3.0, -1.0], [1e-9, 2e-9], [-1e6, 1e6]])
def test_a_linear_scale_holds_all_values_with_room(values: list[float]) -> None:
    scale = make_linear_scale(values, 100, 200)
    assert scale.low < min(values)
    assert scale.high > max(values)
    assert 100 < scale(min(values)) <= scale(max(values)) < 200


def test_an_end_that_is_asked_for_is_kept_sharp() -> None:
    scale = make_linear_scale([0.2, 0.9], 100, 200, include=(0.0, 1.0))
    assert (scale.low, scale.high) == (0.0, 1.0)
    assert make_linear_scale([0.2, 1.5], 100, 200, include=(0.0, 1.0)).high == pytest.approx(
        1.56
    )  # 0.04 of 1.5 beyond it
    assert make_linear_scale([5.0], 0, 1).low == pytest.approx(4.75)
    assert (make_linear_scale([0.0], 0, 1).low, make_linear_scale([0.0], 0, 1).high) == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.30000000000000004, "0.3"),
        (0.001, "0.001"),
        (0.00099, "1e-3"),
        (99_999.0, "99,999"),
        (100_000.0, "1e5"),
        (-2e-5, "-2e-5"),
        (3e12, "3e+12"),
        (-1500.0, "-1,500"),
    ],
)
def test_tick_labels(value: float, text: str) -> None:
    assert format_tick(value) == text


@pytest.mark.parametrize(
    ("least", "step"), [(0.2, 0.2), (0.21, 0.5), (51.0, 100.0), (1e-7, 1e-7), (-1.0, 1.0), (math.inf, 1.0)]
)
def test_steps_between_ticks_are_round(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


def test_colours_and_dashes_go_round() -> None:
    assert [choose_colour(index) for index in (0, COLOURS - 1, COLOURS)] == ["c0", "c5", "c0"]
    assert choose_dash(0) == choose_dash(COLOURS) == ""
    assert define_colours({"ink": "#000", "soft": "#111"}) == "--ink: #000; --soft: #111;"


def test_a_figure_for_a_paper_needs_no_style_sheet() -> None:
    canvas = Canvas()
    canvas.text(1, 2, "var(--c0)", colour="soft")
    canvas.line([(0, 0), (1, 1)], "c0")
    root = ElementTree.fromstring(canvas.paper_svg("n", "t", "a"))
    _, _, text, path = root
    assert (root.get("width"), root.get("font-size")) == ("560", "13")
    assert (text.get("fill"), path.get("stroke")) == (LIGHT["soft"], LIGHT["c0"])
    assert text.text == "var(--c0)"  # what a run is called stays as it is
