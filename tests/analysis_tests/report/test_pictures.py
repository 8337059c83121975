"""Pictures for Optuna's dashboard on made-up sweeps; Plotly itself says whether it can draw them."""

import json
import math
from typing import Any

import plotly.graph_objects as go
from unstuck.analysis.plots.canvas import LIGHT
from unstuck.analysis.report.pictures import MOST_CURVES, MOST_POINTS, draw_pictures
from unstuck.analysis.report.sweep import Findings
from unstuck.analysis.sweep.importance import Importance
from unstuck.records.rungs import RungEntry

from tests.analysis_tests.report.made import sweep, trial

RUNGS = {
    0: (RungEntry(0, 1, 10, 0.1, 0.0, True, True),),
    1: (RungEntry(1, 1, 10, 0.4, 0.0, False, False), RungEntry(1, 2, 50, 0.6, 0.0, False, False)),
    2: (RungEntry(2, 1, 12, 0.2, 0.0, False, True),),
}
GAMMAS = {number: {"ppo.gamma": gamma} for number, gamma in enumerate((0.99, 0.95, 0.9, 0.999, 0.5))}
FIVE = sweep(
    trial(0, 0.5, values=GAMMAS[0], rungs=RUNGS[0]),
    trial(1, 0.9, values=GAMMAS[1], rungs=RUNGS[1]),
    trial(2, 0.2, "pruned", values=GAMMAS[2], rungs=RUNGS[2], curve={5: 0.1, 12: 0.2}),
    trial(3, None, "infeasible", values=GAMMAS[3]),
    trial(4, math.nan, "diverged", values=GAMMAS[4]),
)
SHARES = [
    Importance("ppo.gamma", 0.6, (0.5, 0.9), 0.5, (0.4, 0.6)),
    Importance("ppo.lr", 0.4, (0.1, 0.5), 0.5, (0.4, 0.6)),
]


def drawn(**parts: Any) -> dict[str, Any]:
    """Traces of each picture by name, once Plotly has accepted the picture."""
    found = draw_pictures(Findings(parts.pop("of", FIVE), {}, **parts))
    for picture in found.values():
        json.dumps(picture, allow_nan=False)
        go.Figure(picture)  # raises for what it does not know
    return {name: {trace["name"]: trace for trace in picture["data"]} for name, picture in found.items()}


def test_importances_have_their_intervals_and_the_reports_colours() -> None:
    bars = drawn(importances=SHARES, importance_at="the end")["unstuck-importance"]
    assert bars.keys() == {"PED-ANOVA", "fANOVA"}
    first = bars["PED-ANOVA"]
    assert (first["y"], first["x"]) == (["lr", "gamma"], [0.4, 0.6])
    assert (first["error_x"]["arrayminus"], first["error_x"]["array"]) == ([0.3, 0.1], [0.1, 0.3])
    assert first["marker"]["color"] == LIGHT["c0"]
    assert bars["fANOVA"]["marker"]["color"] == LIGHT["c1"]
    assert "unstuck-importance" not in drawn()


def test_curves_name_the_best_and_the_control_and_are_few_and_thin() -> None:
    curves = drawn()["unstuck-curves"]
    assert list(curves) == ["trial 2, pruned", "trial 1, the best", "trial 0, the control"]
    assert [trace["showlegend"] for trace in curves.values()] == [False, True, True]
    assert (curves["trial 2, pruned"]["x"], curves["trial 2, pruned"]["y"]) == ([5, 12], [0.1, 0.2])
    long = {step: step / 1000 for step in range(1, 1001)}
    many = [trial(number, 0.5 + number / 1000, curve=long) for number in range(50)]
    curves = drawn(of=sweep(*many))["unstuck-curves"]
    assert len(curves) == MOST_CURVES
    assert {"trial 49, the best", "trial 0, the control", "trial 48, completed"} <= curves.keys()
    lengths = {len(trace["x"]) for trace in curves.values()}
    assert max(lengths) <= MOST_POINTS + 1
    assert {trace["x"][-1] for trace in curves.values()} == {1000}
    assert (
        list(drawn(of=sweep(trial(0, 0.5), trial(1, 0.1)))["unstuck-curves"])[-1]
        == "trial 0, the control, and the best"
    )


def test_rungs_show_who_was_stopped_who_went_on_and_who_was_spared() -> None:
    rungs = drawn()["unstuck-rungs"]
    told = {name: list(zip(trace["text"], trace["x"], trace["y"], strict=True)) for name, trace in rungs.items()}
    assert told == {
        "went on": [("trial 1", "rung 1, iteration 10", 0.4), ("trial 1", "rung 2, iteration 50", 0.6)],
        "stopped here": [("trial 2", "rung 1, iteration 10", 0.2)],
        "spared, would have stopped": [("trial 0", "rung 1, iteration 10", 0.1)],
    }
    assert "unstuck-rungs" not in drawn(of=sweep(trial(0, 0.5), trial(1, 0.9)))


def test_settings_are_drawn_as_they_are_with_each_outcome_apart() -> None:
    dots = drawn()["unstuck-settings"]
    assert {name: (trace["x"], trace["marker"]["symbol"]) for name, trace in dots.items()} == {
        "completed": ([0.99, 0.95], "circle"),
        "pruned": ([0.9], "circle"),
        "diverged, without a value": ([0.5], "x"),
        "infeasible, without a value": ([0.999], "x"),
    }
    assert len({trace["marker"]["color"] for trace in dots.values()}) == 4
    assert max(dots["infeasible, without a value"]["y"]) < min(dots["completed"]["y"] + dots["pruned"]["y"])
    assert "unstuck-settings" not in drawn(of=sweep(trial(0, 0.5)))
    names = sweep(*(trial(number, 0.5, values={"ppo.x": kind}) for number, kind in enumerate(("a", "b", "a"))))
    assert drawn(of=names)["unstuck-settings"]["completed"]["x"] == ["a", "b", "a"]


def test_a_sweep_without_a_value_has_no_picture() -> None:
    assert drawn(of=sweep()) == {}
    assert drawn(of=sweep(trial(0, None, "crashed"))) == {}
