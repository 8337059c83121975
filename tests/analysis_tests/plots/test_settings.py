"""What settings do, drawn: bars with their intervals, trials across settings, one setting against another."""

from xml.etree import ElementTree

import pytest
from unstuck.analysis.plots.canvas import Canvas
from unstuck.analysis.plots.settings import Axis, Bar, plot_bars, plot_parallel, plot_scatter

SVG = "{http://www.w3.org/2000/svg}"


def root(canvas: Canvas) -> ElementTree.Element:
    source = canvas.svg("n", "t", "a")
    assert "nan" not in source
    return ElementTree.fromstring(source)


def texts(canvas: Canvas) -> list[str]:
    return [element.text or "" for element in root(canvas).iter(f"{SVG}text")]


def floats(element: ElementTree.Element, *names: str) -> tuple[float, ...]:
    return tuple(float(element.get(name, "")) for name in names)


def test_bars_are_as_long_as_their_values_and_whiskers_as_their_intervals() -> None:
    """Names of 5 letters leave 57; the rest of 560, but for 14, is 1.05 times the largest end, 1.0."""
    canvas = plot_bars([("gamma", [Bar(0.5, 0.25, 1.0)])], ["PED-ANOVA"], "share")
    (bar,) = root(canvas).iter(f"{SVG}rect")
    x, width = floats(bar, "x", "width")
    per_unit = (560 - 14 - 57) / 1.05
    assert x == 57
    assert width == pytest.approx(0.5 * per_unit, abs=0.1)
    whiskers = [
        element.get("d", "") for element in root(canvas).iter(f"{SVG}path") if element.get("stroke") == "var(--ink)"
    ]
    ends = [float(part.split(" ")[0]) for part in whiskers[0].replace("M", "L").split("L")[1:]]
    assert ends == pytest.approx([57 + 0.25 * per_unit, 57 + per_unit], abs=0.1)
    assert "gamma" in texts(canvas)
    assert "PED-ANOVA" not in texts(canvas)  # one kind of bar needs no legend


def test_groups_of_bars_grow_the_figure_and_are_named() -> None:
    one = plot_bars([("lr", [Bar(0.5, 0.4, 0.6), Bar(0.1, 0.0, 0.2, 1)])], ["PED-ANOVA", "fANOVA"], "share")
    two = plot_bars(
        [(name, [Bar(0.5, 0.4, 0.6), Bar(0.1, 0.0, 0.2, 1)]) for name in ("lr", "gamma")], ["a", "b"], "share"
    )
    assert two.height - one.height == 2 * 13 + 12
    fills = [element.get("fill") for element in root(one).iter(f"{SVG}rect")]
    assert fills == ["var(--c0)", "var(--c1)"]
    assert {"PED-ANOVA", "fANOVA"} <= set(texts(one))


def test_bars_of_nothing_have_an_axis_all_the_same() -> None:
    (bar,) = root(plot_bars([("lr", [Bar(0.0, 0.0, 0.0)])], ["a"], "share")).iter(f"{SVG}rect")
    assert floats(bar, "width") == (0.0,)


@pytest.mark.parametrize(
    ("axis", "value", "label"),
    [
        (Axis("lr", [1e-4, 1e-2], log=True), 1e-4, "1e-4"),
        (Axis("gamma", [0.9, 0.99]), 0.98765, "0.988"),
        (Axis("kind", [0, 1], names=("none", "batch")), 1, "batch"),
        (Axis("kind", [0, 1], names=("none", "batch")), 0.2, "none"),
    ],
)
def test_an_axis_says_its_values(axis: Axis, value: float, label: str) -> None:
    assert axis.label(value) == label


def test_an_axis_spans_its_values_and_one_of_a_single_value_has_a_middle() -> None:
    assert (Axis("a", [2, 4, 3]).scale(0, 1).low, Axis("a", [2, 4, 3]).scale(0, 1).high) == (2, 4)
    assert Axis("a", [2, 2]).scale(0, 1)(2) == 0.5
    assert Axis("a", [1e-3, 1e-1], log=True).scale(0, 1)(1e-2) == pytest.approx(0.5)
    assert Axis("a", [1e-3], log=True).scale(0, 1).high == pytest.approx(1e-2)


def test_trials_are_lines_the_better_the_more_solid_and_the_best_on_top() -> None:
    axes = [Axis("lr", [1e-4, 1e-2, 1e-3], log=True), Axis("F1", [0.1, 0.9, 0.5])]
    canvas = plot_parallel(axes, [0.1, 0.9, 0.5], [1], ["a", "b", "c"])
    lines = [e for e in root(canvas).iter(f"{SVG}path") if e.get("stroke") in ("var(--c5)", "var(--c1)")]
    assert [line.get("stroke") for line in lines] == ["var(--c5)", "var(--c5)", "var(--c1)"]
    first, second = (float(line.get("opacity", "1")) for line in lines[:2])
    assert first < second < 1
    assert lines[2].get("opacity") is None
    assert lines[2].get("d") == "M54.0 30.0 L520.0 30.0"  # the largest lr, the highest F1
    assert lines[0].get("d") == "M54.0 266.0 L520.0 266.0"
    assert [title.text for title in root(canvas).iter(f"{SVG}title")][1:] == ["b"]


def test_ends_of_the_axes_are_labelled() -> None:
    axes = [Axis("kind", [0, 1], names=("batch", "none")), Axis("gamma", [0.9, 0.99]), Axis("F1", [0.25, 0.75])]
    found = texts(plot_parallel(axes, [0.25, 0.75], [], ["a", "b"]))
    assert found == ["none", "batch", "kind", "0.99", "0.9", "gamma", "0.75", "0.25", "F1"]


def test_dots_are_larger_the_better_and_the_best_are_of_another_colour() -> None:
    across, up = Axis("lr", [1e-4, 1e-2, 1e-3], log=True), Axis("gamma", [0.9, 0.99, 0.95])
    dots = list(root(plot_scatter(across, up, [0.1, 0.9, 0.5], [1], ["a", "b", "c"])).iter(f"{SVG}circle"))
    assert [floats(dot, "r") for dot in dots] == [(3.0,), (5.5,), (8.0,)]
    assert [dot.get("fill") for dot in dots] == ["var(--c0)", "var(--c0)", "var(--c1)"]
    assert floats(dots[2], "cx", "cy") == (546, 20)
    assert floats(dots[0], "cx", "cy") == (74, 256)


def test_trials_that_all_scored_the_same_are_all_as_large() -> None:
    dots = root(plot_scatter(Axis("a", [1, 2]), Axis("b", [1, 2]), [0.5, 0.5], [], ["a", "b"])).iter(f"{SVG}circle")
    assert [floats(dot, "r") for dot in dots] == [(8.0,), (8.0,)]
