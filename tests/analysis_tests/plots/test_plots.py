"""Figures: well formed, described in words, and in colours that can be seen."""

import math
from xml.etree import ElementTree

import pytest
from unstuck.analysis.document.html import _DARK, _LIGHT
from unstuck.analysis.plots.canvas import (
    COLOURS,
    Canvas,
    Scale,
    choose_dash,
    format_tick,
    make_linear_scale,
    round_step,
)
from unstuck.analysis.plots.curves import MOST_POINTS, Level, Line, Mark, plot_curves, plot_stacked_shares, thin_points
from unstuck.analysis.plots.settings import Axis, Bar, plot_bars, plot_parallel, plot_scatter

SVG = "{http://www.w3.org/2000/svg}"


def parsed(canvas: Canvas) -> ElementTree.Element:
    source = canvas.svg("n", "a title", "what it says")
    assert "nan" not in source
    assert "inf" not in source
    return ElementTree.fromstring(source)


def texts(canvas: Canvas) -> list[str]:
    return [element.text or "" for element in parsed(canvas).iter(f"{SVG}text")]


def test_a_figure_has_a_title_and_a_description() -> None:
    root = parsed(plot_curves([Line("f1", [(1, 0.1), (2, 0.3)])], "F1"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "n-t n-d"
    assert [root.find(f"{SVG}{tag}").text for tag in ("title", "desc")] == ["a title", "what it says"]  # type: ignore[union-attr]


def test_a_scale_maps_its_ends_and_keeps_what_is_beyond_within() -> None:
    scale = Scale(0, 10, 100, 200)
    assert (scale(0), scale(5), scale(10), scale(50)) == (100, 150, 200, 200)
    assert Scale(0.01, 100, 0, 4, log=True)(1) == pytest.approx(2)
    assert Scale(0.01, 100, 0, 4, log=True)(-1) == 0
    assert Scale(3, 3, 0, 4)(3) == 2


@pytest.mark.parametrize(("least", "step"), [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (7.0, 10.0), (0.0, 1.0)])
def test_ticks_stand_at_round_numbers(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


def test_ticks_lie_within_the_axis() -> None:
    assert make_linear_scale([0.2, 0.9], 0, 1, include=(0.0,)).ticks(5) == pytest.approx([0.0, 0.5])
    assert Scale(1e-5, 1e-2, 0, 1, log=True).ticks() == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    assert [format_tick(x) for x in (0.0, 0.25, 1500.0, 1e-5)] == ["0", "0.25", "1,500", "1e-5"]


def test_lines_have_names_levels_and_marks() -> None:
    lines = [
        Line("one", [(0, 0.1), (10, 0.9)], [(0, 0.0, 0.2), (10, 0.8, 1.0)]),
        Line("two", [(0, 0.2), (10, 0.3)], (), 1),
    ]
    found = texts(plot_curves(lines, "F1", [Level("flag all 0.197", 0.197), Mark("rung 1", 5)]))
    assert {"one", "two", "F1", "iteration", "flag all 0.197", "rung 1"} <= set(found)


def test_a_logarithmic_axis_leaves_out_what_has_no_logarithm() -> None:
    root = parsed(plot_curves([Line("kl", [(1, 0.0), (2, 1e-4), (3, 1e-2)])], "KL", log=True))
    assert len(list(root.iter(f"{SVG}circle"))) == 2


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    kept = thin_points(range(10_001))
    assert len(kept) <= MOST_POINTS + 1
    assert (kept[0], kept[-1]) == (0, 10_000)


def test_shares_are_stacked_and_named_where_there_is_room() -> None:
    found = texts(plot_stacked_shares([1, 2, 3], [("allow", [0.2, 0.5, 0.9]), ("block", [0.8, 0.5, 0.1])], "share"))
    assert {"allow 90 %", "block 10 %"} <= set(found)


def test_bars_carry_their_intervals() -> None:
    root = parsed(plot_bars([("gamma", [Bar(0.6, 0.4, 0.8), Bar(0.5, 0.3, 0.7, 1)])], ("PED-ANOVA", "fANOVA"), "share"))
    assert len(list(root.iter(f"{SVG}rect"))) == 2


def test_trials_run_across_their_settings() -> None:
    axes = [
        Axis("lr", [1e-4, 1e-2, 1e-3], log=True),
        Axis("kind", [0, 1, 0], names=("none", "batch")),
        Axis("F1", [0.1, 0.9, 0.5]),
    ]
    canvas = plot_parallel(axes, [0.1, 0.9, 0.5], [1], ["a", "b", "c"])
    assert {"lr", "kind", "F1", "none", "batch", "1e-4", "0.01"} <= set(texts(canvas))
    pair = plot_scatter(axes[0], axes[2], [0.1, 0.9, 0.5], [1], ["trial 0", "trial 1", "trial 2"])
    tips = [element.text for element in parsed(pair).iter(f"{SVG}title")]
    assert tips[1:] == ["trial 0", "trial 2", "trial 1"]  # the best is drawn last, on top


def test_a_setting_that_is_the_same_for_all_has_an_axis_all_the_same() -> None:
    parsed(plot_parallel([Axis("lr", [1e-3, 1e-3]), Axis("F1", [0.5, 0.5])], [0.5, 0.5], [0], ["a", "b"]))


def luminance(colour: str) -> float:
    """Relative, as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear_parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear_parts[0] + 0.7152 * linear_parts[1] + 0.0722 * linear_parts[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [_LIGHT, _DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out_from_the_page(colours: dict[str, str]) -> None:
    for ground in ("page", "shade", "lead"):
        assert contrast(colours["ink"], colours[ground]) >= 7
    assert contrast(colours["soft"], colours["page"]) >= 4.5
    assert all(contrast(colours[f"c{i}"], colours["page"]) >= 4.5 for i in range(COLOURS))


def test_lines_are_told_apart_without_colours() -> None:
    assert len({choose_dash(index) for index in range(COLOURS)}) == COLOURS


def test_text_is_escaped() -> None:
    canvas = Canvas()
    canvas.text(0, 0, "a < b & c")
    assert texts(canvas) == ["a < b & c"]
    assert math.isclose(canvas.width, 560)
