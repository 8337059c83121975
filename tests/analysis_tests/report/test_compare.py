"""Runs side by side: by which score, which settings differ, and how sure a difference is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Kind, Ranked
from unstuck.analysis.document import Document
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import History
from unstuck.analysis.report import compare
from unstuck.analysis.side_by_side import choose_score, compare_runs, name_apart
from unstuck.rl import metrics

from tests.analysis_tests.report.made import diagnosed, headings, paragraphs, ranked, tables
from tests.analysis_tests.runs import LENGTH, healthy

RETURNS = {"f1": None, "eval/episode_return": 5.0}
BETTER = {**RETURNS, "eval/episode_return": 9.0}


def named(name: str, own: tuple[float, ...] = (), *findings: Ranked, **changed: Any) -> Diagnosis:
    """A run of this name, whose seeds have these F1."""
    columns: dict[str, Any] = {f"f1/seed_{seed}": value for seed, value in enumerate(own)}
    if own:
        columns["f1"] = sum(own) / len(own)
    run: History = healthy(**{"seeds": len(own), **columns, **changed})
    return diagnosed(*findings, run=replace(run, name=name))


def compare_document(diagnoses: Sequence[Diagnosis]) -> Document:
    return compare.comparison_document(compare_runs(diagnoses))


def compare_json(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    return compare.comparison_json(compare_runs(diagnoses))


GOOD = (0.88, 0.90, 0.92)
BAD = (0.48, 0.50, 0.52)


def test_the_best_score_that_all_have_is_compared() -> None:
    assert choose_score([named("a"), named("b")]) == metrics.F1
    assert choose_score([named("a"), named("b", **RETURNS)]) == metrics.EVAL_RETURN
    assert choose_score([named("a"), named("b", **{"f1": None, "eval/episode_return": None})]) == metrics.TRAIN_RETURN
    nothing = {"f1": None, "eval/episode_return": None, "train/episode_return": None}
    with pytest.raises(AnalysisError, match="must have F1, returns of evaluations or returns of training in common"):
        choose_score([named("a"), named("b", **nothing)])


def test_a_clear_difference_is_called_one() -> None:
    document = compare_document([named("old", BAD), named("new", GOOD)])
    assert document.title == "Comparison of 2 runs"
    assert document.lead.startswith("new is the best: eval/f1 0.9 against 0.5 of old, a difference of +0.4 (95 % ")
    assert document.lead.endswith(": clear of 0.")


def test_one_within_noise_is_not() -> None:
    lead = compare_document([named("old", (0.4, 0.5, 0.6)), named("new", (0.45, 0.55, 0.65))]).lead
    assert lead.startswith("new is the best: eval/f1 0.55 against 0.5 of old, a difference of +0.05 (95 % interval -")
    assert lead.endswith(": noise is not ruled out.")


def test_the_first_run_is_the_one_to_beat() -> None:
    assert compare_document([named("new", GOOD), named("old", BAD)]).lead == "None is better than new: eval/f1 0.9."


def test_the_best_of_several_is_named() -> None:
    runs = [named("a", BAD), named("b", GOOD), named("c", (0.68, 0.70, 0.72))]
    assert compare_document(runs).lead.startswith("b is the best: ")
    said = compare_json(runs)
    assert [run["run"] for run in said["runs"]] == ["a", "b", "c"]
    assert said["runs"][0]["difference"] is None
    assert [round(run["difference"][0], 9) for run in said["runs"][1:]] == [0.4, 0.2]
    mean, low, high = said["runs"][1]["difference"]
    assert low < mean < high


def test_without_seeds_noise_is_not_ruled_out() -> None:
    lead = compare_document([named("old", **RETURNS), named("new", **BETTER)]).lead
    assert lead == (
        "new is the best: eval/episode_return 9 against 5 of old; one seed each, or none on record, so noise is not "
        "ruled out."
    )
    said = compare_json([named("old", **RETURNS), named("new", **RETURNS)])
    assert [(run["value"], run["seeds"], run["difference"]) for run in said["runs"]] == [(5.0, None, None)] * 2


def test_only_settings_that_differ_are_shown() -> None:
    lower = {"ppo.lr": 1e-4, "ppo.hidden_sizes": [64, 64], "ppo.target_kl": 0.01}
    blocks = list(compare_document([named("a", GOOD), named("b", GOOD, settings=lower)]).blocks)
    (table,) = [table for table in tables(blocks) if table.header[0] == "setting"]
    assert table.header == ("setting", "a", "b")
    assert table.rows == (("`ppo.lr`", "0.0003", "0.0001"), ("`ppo.target_kl`", "None", "0.01"))
    same = list(compare_document([named("a", GOOD), named("b", GOOD)]).blocks)
    assert "Their settings on record are the same." in paragraphs(same)
    assert "Where their settings differ" not in headings(same)


def test_a_setting_that_only_one_recorded_differs() -> None:
    one, other = named("a", GOOD), named("b", GOOD, settings={"ppo.adam_eps": 1e-8})
    assert compare_json([one, other])["runs"][1]["settings"] == {"ppo.adam_eps": 1e-8}
    assert compare_json([one, other])["runs"][0]["settings"] == {"ppo.adam_eps": None}


def test_metrics_that_nobody_recorded_have_no_row() -> None:
    shared = {"clip_fraction": 0.25, "approx_kl": None}
    blocks = list(compare_document([named("a", GOOD, **shared), named("b", GOOD, **shared)]).blocks)
    rows = {row[0]: row[1:] for table in tables(blocks) if table.header[0] == "metric" for row in table.rows}
    assert rows["`train/clip_fraction`"] == ("0.25", "0.25")
    assert "`train/approx_kl`" not in rows
    assert "`train/value_loss`" not in rows  # value losses do not compare
    lone = list(compare_document([named("a", GOOD), named("b", GOOD, clip_fraction=None)]).blocks)
    rows = {row[0]: row[1:] for table in tables(lone) if table.header[0] == "metric" for row in table.rows}
    assert rows["`train/clip_fraction`"][1] == ""


def test_runs_of_different_tasks_have_no_best() -> None:
    one, other = (
        named("a", GOOD, settings={"env.id": "CartPole-v1"}),
        named("b", BAD, settings={"env.id": "Acrobot-v1"}),
    )
    document = compare_document([one, other])
    assert document.lead == (
        "No run is the best: their tasks differ (CartPole-v1 and Acrobot-v1), so their scores do not compare."
    )
    assert compare_json([one, other])["runs"][1]["difference"] is None
    compared = compare_runs([one, other])
    assert [run.against_control for run in compared.runs] == [
        "the control",
        "not compared with the control, whose task is another",
    ]


def test_whether_unknown_tasks_are_the_same_is_said_not_to_be_known() -> None:
    lead = compare_document([named("a", BAD), named("b", GOOD, settings={"env.id": None})]).lead
    assert lead.startswith("b has the highest score: eval/f1 0.9 against 0.5 of a, a difference of ")
    assert lead.endswith(" Whether their tasks are the same is not on record.")
    other = compare_document([named("b", GOOD, settings={"env.id": None}), named("a", BAD)]).lead
    assert other.startswith("None has a higher score than b: ")


def test_rates_that_were_logged_and_differ_are_said_to() -> None:
    falling = np.linspace(3e-4, 0.0, LENGTH)
    one, other = named("a", GOOD), named("b", GOOD, lr=falling)
    compared = compare_document([one, other])
    assert compared.lead.endswith(" The learning rates in force differ: 0.0003 of a and 0.0003 to 0 of b.")
    (table,) = [table for table in tables(list(compared.blocks)) if table.header[0] == "setting"]
    assert table.rows == (("`train/lr` in force", "0.0003", "0.0003 to 0"),)
    assert compare_json([one, other])["runs"][1]["in_force"] == {"train/lr": "0.0003 to 0"}
    same = named("b", GOOD, lr=3.001e-4)
    assert "in force" not in compare_document([one, same]).lead


def test_without_any_settings_on_record_none_are_said_to_be_the_same() -> None:
    bare = [diagnosed(run=replace(healthy(), name=name, settings={})) for name in "ab"]
    assert "No settings are on record." in paragraphs(list(compare_document(bare).blocks))


def test_runs_of_one_name_are_told_apart_by_their_paths() -> None:
    runs = [
        diagnosed(run=replace(healthy(), name="progress.csv", source=f"logs/{seed}/progress.csv")) for seed in (1, 2)
    ]
    compared = compare_runs([*runs, named("other", GOOD)])
    assert [one.name for one in compared.runs] == ["1/progress.csv", "2/progress.csv", "other"]
    folders = [History("ppo", f"events.1 in logs/{seed}/ppo", healthy().table) for seed in (1, 2)]
    assert name_apart(folders) == ["1/ppo", "2/ppo"]
    twice = name_apart([folders[0], folders[0]])
    assert [name[-3:] for name in twice] == ["(1)", "(2)"]


def test_what_the_rules_say_stands_side_by_side() -> None:
    both, one = ranked(Kind.FAULT, name="both"), ranked(Kind.SUSPECT, name="one")
    fine = ranked(Kind.FINE, name="fine")
    blocks = list(compare_document([named("a", GOOD, both, fine), named("b", GOOD, both, one)]).blocks)
    (table,) = [table for table in tables(blocks) if table.header[0] == "finding"]
    assert table.rows == (("Rule both", "fault", "fault"), ("Rule one", "", "suspect"))
    (verdicts,) = [table.rows for table in tables(blocks) if table.header == ("run", "verdict")]
    assert [name for name, _ in verdicts] == ["a", "b"]
    assert all(text.startswith("Held back: something (likely); F1 0.90 ± 0.02") for _, text in verdicts)
    nothing = list(compare_document([named("a", GOOD), named("b", GOOD)]).blocks)
    assert all(table.header[0] != "finding" for table in tables(nothing))


def test_scores_stand_with_their_seeds_and_iterations() -> None:
    blocks = list(compare_document([named("old", BAD), named("new", GOOD)]).blocks)
    (table,) = [table for table in tables(blocks) if table.header[0] == "run" and len(table.header) > 2]
    first, second = table.rows
    assert first == ("old", "0.50 ± 0.02", "0.48 to 0.52", "", "100")
    assert (second[:3], second[4]) == (("new", "0.90 ± 0.02", "0.88 to 0.92"), "100")
    assert second[3].startswith("+0.4 (95 % interval ")


def test_a_score_is_called_what_it_is_a_mean_of() -> None:
    def title(dialect: str, **changed: Any) -> str:
        run = replace(healthy(seeds=0, f1=None, **changed), dialect=dialect)
        made = compare_document([diagnosed(run=run), diagnosed(run=replace(run, name="other"))])
        return tables(made.blocks)[0].caption

    assert title("unstuck") == "Mean of the last 3 evaluations"
    assert title("sb3") == "Mean of the last 3 evaluated iterations"
    assert title("sb3", **{"eval/episode_return": None}) == "Mean of the last 3 iterations"


def test_a_score_of_fewer_values_says_how_many() -> None:
    few = [*[np.nan] * (LENGTH - 11), 1.0, *[np.nan] * 9, 2.0]  # evaluated at iterations 90 and 100
    short = named("short", **RETURNS | {"eval/episode_return": few})
    blocks = list(compare_document([short, named("twin", **RETURNS | {"eval/episode_return": few})]).blocks)
    assert tables(blocks)[0].caption == "Mean of the last 2 evaluations"
    blocks = list(compare_document([short, named("long", **RETURNS)]).blocks)
    assert tables(blocks)[0].caption == "Mean of the last 2 or 3 evaluations"
