"""Parts of a sweep's report on made-up sweeps: curves, what was searched, and what to run next."""

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Remedy
from unstuck.analysis.report.searched import (
    ImportanceView,
    describe_main_setting,
    explain_dashboard_differences,
    format_value,
    importance_blocks,
    importance_detail_blocks,
    list_expectations,
    make_axis,
    searched_blocks,
    shorten_path,
)
from unstuck.analysis.report.sweep_figures import curve_blocks
from unstuck.analysis.report.sweep_next import FEW, next_blocks
from unstuck.analysis.report.write_sweep import choose_values
from unstuck.analysis.sweep.importance import Importance
from unstuck.analysis.sweep.judgements import Judgement, Judgements
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.records.rungs import RungEntry

from tests.analysis_tests.report.made import (
    bullets,
    commands,
    diagnosed,
    figures,
    headings,
    paragraphs,
    ranked,
    sweep,
    tables,
    trial,
)
from tests.analysis_tests.runs import healthy

FOLDER = Path("runs")
THREE = sweep(trial(0, 0.5), trial(1, 0.9), trial(2, 0.7, "pruned", iterations=50))


def curves_of(found: Sweep, diagnoses: Any = None) -> Any:
    (figure,) = figures(curve_blocks(found, diagnoses or {})).values()
    return figure


def test_all_trials_are_drawn_and_the_best_and_the_control_are_named() -> None:
    figure = curves_of(THREE)
    assert figure.name == "made-curves"
    assert figure.caption == "eval/f1 of 3 trials; in colour the best and the control, with their seeds"
    assert figure.alt == "trial 1 ends at 0.9; trial 0 ends at 0.5"
    assert "trial 1, the best" in figure.svg
    assert "trial 0, the control" in figure.svg
    assert figure.svg.count('stroke="var(--c5)"') == 1  # the other one, faint


def test_a_control_that_is_the_best_is_drawn_once() -> None:
    figure = curves_of(sweep(trial(0, 0.9), trial(1, 0.5)))
    svg = figure.svg
    assert "trial 0, the control" not in svg
    assert figure.alt == "trial 0 ends at 0.9"
    assert svg.count('stroke="var(--c5)"') == 1


def test_rungs_are_marked_where_they_first_were_judged() -> None:
    rungs = (RungEntry(0, 1, 30, 0.3, 0.0, False), RungEntry(0, 2, 60, 0.4, 0.0, False))
    late = (RungEntry(0, 1, 32, 0.3, 0.0, False),)
    svg = curves_of(sweep(trial(0, 0.5, rungs=rungs), trial(1, 0.9, rungs=late))).svg
    at = {name: next(part for part in svg.split("<text ") if f">{name}<" in part) for name in ("rung 1", "rung 2")}
    assert 'x="219.6"' in at["rung 1"]  # 74 + 472 * 30 / 100, and 4 beside it
    assert 'x="361.2"' in at["rung 2"]


def test_a_trial_with_a_single_point_is_no_curve() -> None:
    assert curve_blocks(sweep(trial(0, 0.5, curve={10: 0.5})), {}) == []
    assert curve_blocks(sweep(), {}) == []
    caption = curves_of(sweep(trial(0, 0.5), trial(1, 0.4, "crashed", curve={10: 0.5}))).caption
    assert caption.startswith("eval/f1 of 1 trial;")


def test_points_that_are_no_number_are_left_out() -> None:
    diverged = trial(1, None, "diverged", curve={10: 0.2, 50: math.inf, 100: math.nan})
    svg = curves_of(sweep(trial(0, 0.5), diverged)).svg
    assert "nan" not in svg
    lost = trial(0, None, "diverged", curve={10: math.inf, 50: math.nan})
    assert curve_blocks(sweep(lost), {}) == []


def test_curves_that_mlflow_holds_come_with_their_seeds_and_with_trivial_policies() -> None:
    diagnoses = {0: diagnose(healthy()), 1: diagnose(healthy())}
    svg = curves_of(THREE, diagnoses).svg
    assert svg.count("<polygon") == 2
    assert "flag all 0.197" in svg
    other = replace(THREE, settings={**THREE.settings, "sweep.metric": "eval/episode_return"})
    assert "flag all" not in curves_of(other, diagnoses).svg


def test_where_trials_differ_in_steps_an_iteration_curves_count_these() -> None:
    """128 steps an iteration: a run of 100 iterations goes to 12,800."""
    settings = {"ppo.num_envs": 8, "ppo.num_steps": 16}
    one = trial(0, 0.5, values={"ppo.num_steps": 16}, curve={1280: 0.1, 12800: 0.5})
    found = sweep(one, **settings)
    svg = curves_of(found, {0: diagnose(healthy(settings=settings))}).svg
    assert ">environment step<" in svg
    assert ">10,000<" in svg


def test_ranges_control_and_best_stand_in_a_table() -> None:
    blocks = searched_blocks(THREE)
    assert tables(blocks)[0].rows == (("`ppo.lr`", "log [1e-05, 0.01]", "0.0003", "0.0006"),)
    first, second, third = bullets(blocks)
    assert first == "3 trials of 3 seeds, 100 iterations each unless stopped; sampler tpe, scheduler asha."
    assert second == ("Environment unstuck/Triage-v0, data synthetic, order shuffled; objective eval/f1, max.")
    assert third == "3.0 minutes of trials, added up."


def test_hours_are_told_from_an_hour_on_and_other_worlds_have_no_data() -> None:
    long = searched_blocks(sweep(trial(0, 0.5, seconds=3600.0), **{"env.id": "CartPole-v1"}))
    assert bullets(long)[1] == "Environment CartPole-v1; objective eval/f1, max."
    assert bullets(long)[2] == "1.0 hours of trials, added up."
    assert len(bullets(searched_blocks(sweep(trial(0, 0.5, seconds=0.0))))) == 2


def test_points_have_no_range_and_show_their_values() -> None:
    points = sweep(*(trial(number, 0.5, values={"ppo.gamma": 0.9 + number / 100}) for number in range(10)))
    (row,) = tables(searched_blocks(points))[0].rows
    assert row[1] == "the values 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.00012345, "0.000123"),
        (4, "4"),
        (True, "True"),
        ([64, 64], "[64, 64]"),
        ((0.5, "a"), "[0.5, a]"),
        ("batch", "batch"),
    ],
)
def test_values_are_short(value: Any, text: str) -> None:
    assert format_value(value) == text


def test_axes_are_numbers_by_logarithms_where_they_span_much_or_positions() -> None:
    def axis(*values: Any) -> Any:
        trials = [trial(number, 0.5, values={"ppo.x": value}) for number, value in enumerate(values)]
        return make_axis(sweep(*trials), "ppo.x", trials)

    assert (axis(1.0, 30.0).log, axis(1.0, 31.0).log) == (False, True)
    assert not axis(0.0, 31.0).log
    assert axis(2, 4).values == [2.0, 4.0]
    kinds = axis("none", "batch", "none")
    assert (kinds.values, kinds.names) == ([1.0, 0.0, 1.0], ("batch", "none"))
    flags = axis(True, False)
    assert (flags.values, flags.names) == ([1.0, 0.0], ("False", "True"))
    assert axis(1.0, None).names == ("", "1")
    assert axis(1.0).name == shorten_path("ppo.x") == "x"


def importance(path: str, share: float, low: float, high: float, fanova: float = 0.5) -> Importance:
    return Importance(path, share, (low, high), fanova, (0.0, 1.0))


def test_what_stands_out_lies_above_all_others() -> None:
    clear = [importance("ppo.lr", 0.8, 0.51, 0.9), importance("ppo.gamma", 0.2, 0.1, 0.5)]
    assert describe_main_setting(clear) == (
        "what sets good trials apart is lr, with 80 % of the importance (51 to 90 % over draws of two thirds of the "
        "trials)"
    )
    touching = [importance("ppo.lr", 0.8, 0.5, 0.9, 0.9), importance("ppo.gamma", 0.2, 0.1, 0.5)]
    assert describe_main_setting(touching) == (
        "no single setting clearly stands out: lr comes first with 80 % of the importance (50 to 90 % over draws of "
        "two thirds of the trials)"
    )
    assert describe_main_setting(clear[:1]) == "lr is the only setting that differs between trials"
    assert describe_main_setting([]) == "too few trials, or too few different settings, to say which setting matters"


def test_importances_are_about_final_values_where_most_trials_came_to_one_and_else_about_the_first_rung() -> None:
    """Two of three completed are enough, two of four are not; a trial that is no number there does not count."""

    def judged(number: int, at_rung: float, outcome: str = "pruned", value: float | None = None) -> Trial:
        rungs = (RungEntry(0, 1, 30, at_rung, 0.0, False), RungEntry(0, 2, 60, at_rung, 0.0, False))
        return trial(number, value, outcome, curve={10: 0.1, 30: at_rung}, rungs=rungs)

    two = (judged(0, 0.5, "completed", 0.8), judged(1, 0.6, "completed", 0.9))
    assert choose_values(sweep(*two, judged(2, 0.3))) == ({0: 0.8, 1: 0.9}, "the final eval/f1 of completed trials")
    assert choose_values(sweep(*two, judged(2, 0.3), judged(3, 0.2))) == (
        {0: 0.5, 1: 0.6, 2: 0.3, 3: 0.2},
        "eval/f1 at iteration 30, which all of them reached",
    )
    diverged = (judged(3, math.nan, "diverged"), judged(4, math.inf, "diverged"), trial(5, None, "crashed"))
    assert choose_values(sweep(*two, judged(2, 0.3), *diverged))[0] == {0: 0.8, 1: 0.9}
    assert choose_values(sweep(judged(2, 0.3), *diverged))[0] == {2: 0.3}
    assert choose_values(sweep(trial(0, 0.5), trial(1, None, "crashed")))[0] == {0: 0.5}
    assert list(choose_values(sweep(*two))[0]) == [1, 0]  # draws depend on the order
    assert choose_values(sweep()) == ({}, "the final eval/f1 of completed trials")


def test_importances_warn_where_trials_are_few_and_are_left_out_where_there_are_none() -> None:
    found = [importance("ppo.lr", 0.8, 0.51, 0.9), importance("ppo.gamma", 0.2, 0.1, 0.5)]
    few = importance_blocks(THREE, ImportanceView(found, "the end", 3))
    assert any(text.startswith("Warning: 3 trials for 2 settings are too few") for text in paragraphs(few))
    many = importance_blocks(THREE, ImportanceView(found, "the end", 1000))
    assert not any(text.startswith("Warning") for text in paragraphs(many))
    assert any(text.startswith("What sets good trials apart is lr, with 80 %") for text in paragraphs(many))
    detail = importance_detail_blocks(THREE, ImportanceView(found, "the end", 1000, "said elsewhere"))
    assert "said elsewhere" in paragraphs(detail)
    assert tables(detail)[0].rows[0] == ("`ppo.lr`", "80 %", "51 to 90 %", "50 %", "0 to 100 %")
    nothing = ImportanceView([], "", 0, "said elsewhere")
    assert paragraphs(importance_blocks(THREE, nothing)) == [
        "Too few trials, or too few different settings, to say which setting matters."
    ]
    assert paragraphs(importance_detail_blocks(THREE, nothing)) == ["said elsewhere"]
    assert importance_detail_blocks(THREE, ImportanceView([], "", 0)) == []


def test_the_dashboards_importances_are_explained() -> None:
    assert explain_dashboard_differences(THREE, {}, "the end", 3) == ""
    told = explain_dashboard_differences(THREE, {"ppo.lr": 0.75, "ppo.gamma": 0.25}, "the end", 8)
    assert told.startswith("Optuna's dashboard shows other importances: lr 0.75, gamma 0.25. ")
    assert "of the best 1 of 2 completed trials" in told  # a tenth of two
    assert "The report's are of the best 2 of 8 trials (the end)" in told  # a quarter of eight
    assert explain_dashboard_differences(THREE, {"ppo.lr": 1.0}, "", 0).endswith(
        "these are too few trials for importances."
    )


def test_expectations_stand_beside_what_was_measured() -> None:
    run = healthy(value_loss=0.96, value_floor=0.94, **{"eval/episode_return": 900.0})
    rows = list_expectations(THREE, {0: diagnose(run), 1: diagnose(run)})
    assert [row[0] for row in rows] == [
        "floor of the value loss, control (0)",
        "greedy return of an episode, control (0)",
        "floor of the value loss, best trial (1)",
        "greedy return of an episode, best trial (1)",
    ]
    assert rows[0][1:3] == ("0.89 to 1 at gamma 0.99 on independent flows", "value loss 0.96, floor 0.94")
    assert rows[1][1:3] == ("-1,758 by drawing evenly, 1,316 at best", "900")
    assert list_expectations(THREE, {}) == []
    assert list_expectations(THREE, {2: diagnose(run)}) == []  # neither the best nor the control


def test_nothing_is_expected_of_steps_that_depend_on_each_other_or_of_an_unknown_table() -> None:
    run = healthy(settings={"data.order": "stream", "env.reward_benign": None})
    assert list_expectations(THREE, {1: diagnose(run)}) == []


def test_a_judgement_is_set_beside_what_the_search_saw() -> None:
    judged = Judgement(trial=1, searched=0.9, champion=(0.8, 0.84), control=(0.5, 0.5), values={"ppo.lr": 6e-4})
    rows = list_expectations(replace(THREE, judgements=Judgements((judged,))), {})
    assert rows == [("trial 1 on fresh seeds", "0.9, as the search saw it", "0.82", "report/champions.json")]


def test_the_best_is_to_be_judged_until_it_has_been() -> None:
    blocks = next_blocks(THREE, {}, FOLDER)
    assert headings(blocks) == ["What to run next", "Milestones"]
    assert commands(blocks)[0].endswith(" champion made")
    judged = Judgement(trial=1, searched=0.9, champion=(0.8, 0.84), values={"ppo.lr": 6e-4})
    known = replace(THREE, judgements=Judgements((judged,)))
    assert not any("champion" in line for line in commands(next_blocks(known, {}, FOLDER)))


def test_a_folder_is_named_where_it_is_not_the_usual_one() -> None:
    first, second = (shlex.split(line) for line in commands(next_blocks(THREE, {}, Path("/my runs"))))
    assert first[-4:] == ["champion", "made", "--folder", "/my runs"]
    assert second[second.index("--config-path") + 1] == "/my runs/made"  # as it is on record
    assert second[-3:] == ["sweep.folder=/my runs", "resume=made", "sweep.num_trials=6"]
    usual = shlex.split(commands(next_blocks(THREE, {}, FOLDER))[0])
    assert usual[-2:] == ["champion", "made"]


def test_a_search_goes_on_until_it_has_enough_for_each_setting() -> None:
    def goes_on(completed: int, **settings: Any) -> bool:
        found = sweep(*(trial(number, 0.5) for number in range(completed)), **settings)
        return any("resume=made" in line for line in commands(next_blocks(found, {}, FOLDER)))

    assert goes_on(FEW - 1)
    assert not goes_on(FEW)
    assert not goes_on(2, **{"sampler.name": "points"})


def test_where_nothing_is_left_to_do_nothing_is_said() -> None:
    assert next_blocks(sweep(), {}, FOLDER) == []


def test_what_the_best_trials_diagnosis_proposes_is_tried_beside_it() -> None:
    remedy = Remedy({"ppo.gamma": 0.5}, "less noise", "a lower loss")
    run = replace(healthy(), tags={"sweep": "made", "trial": "1", "searched": "ppo.lr"})
    fault = ranked(Kind.FAULT, remedies=(remedy,))
    blocks = next_blocks(THREE, {1: diagnosed(fault, run=run), 0: diagnosed(run=run)}, FOLDER)
    changes, milestones = tables(blocks)
    assert changes.rows == (("1. gamma 0.5", "less noise", "100 iterations"),)
    assert milestones.rows == (
        (
            "judging the best trial",
            "a 95 % interval of the difference that is clear of 0; if it is not, more seeds tell, or nothing was "
            "gained",
        ),
        ("gamma 0.5", "a lower loss"),
        ("searching on", "the best value risen by more than its seeds' spread"),
    )
    assert any(text.startswith("Try what the diagnosis of trial 1 proposes") for text in paragraphs(blocks))
    assert any("sampler.points=" in line for line in commands(blocks))
    none_completed = sweep(trial(0, 0.5, "crashed"), trial(1, None, "crashed"))
    of_control = next_blocks(none_completed, {0: diagnosed(fault, run=run)}, FOLDER)
    assert any(text.startswith("Try what the diagnosis of trial 0 proposes") for text in paragraphs(of_control))
    assert len(tables(next_blocks(THREE, {2: diagnosed(fault, run=run)}, FOLDER))) == 1  # the milestones alone
