"""All rules together, on whole runs; each by itself: tests/analysis_tests/diagnosis/rules."""

import json
import math
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis import RULES, diagnose
from unstuck.analysis.diagnosis.finding import Diagnosis, Kind
from unstuck.analysis.document import to_text
from unstuck.analysis.history import History, load
from unstuck.analysis.history.record import OF_MONITORS, PROBED
from unstuck.analysis.report.as_json import diagnosis_json
from unstuck.analysis.report.run import run_document
from unstuck.analysis.report.verdict import state_verdict

from tests.analysis_tests.runs import LENGTH, healthy, untaught

GROWING = np.linspace(0, 1, LENGTH)
UNIFORM = {f"action_{name}": 0.25 for name in ("allow", "block", "quarantine", "alert")}
TOP = math.log(4)


def wrong(diagnosis: Diagnosis, *kinds: Kind) -> list[str]:
    return [one.rule.name for one in diagnosis.select_findings(*(kinds or (Kind.FAULT,)))]


def test_a_healthy_run_has_no_fault_and_its_floor_is_explained() -> None:
    diagnosis = diagnose(healthy())
    assert wrong(diagnosis, Kind.FAULT, Kind.SUSPECT) == []
    assert wrong(diagnosis, Kind.LIMIT) == ["value_floor"]
    assert diagnosis.unexamined == ()
    assert len(diagnosis.select_findings(Kind.FINE)) > 10


@pytest.mark.parametrize("length", [1, 2, 5, 10, 15, 25, 40, 60])
def test_a_healthy_run_has_no_fault_at_any_time(length: int) -> None:
    whole = healthy()
    assert wrong(diagnose(replace(whole, table=whole.table.loc[:length]))) == []


def test_a_cause_stands_above_what_follows_from_it() -> None:
    diagnosis = diagnose(untaught(approx_kl=0.0, update_norm=0.0, entropy=TOP, **UNIFORM))
    assert wrong(diagnosis)[:2] == ["policy_frozen", "greedy_collapsed"]
    assert diagnosis.select_findings(Kind.FAULT)[1].follows_from == ("policy_frozen",)
    saturated = diagnose(untaught(approx_kl=0.2, saturated_share=0.05 + 0.7 * GROWING))
    assert wrong(saturated)[:2] == ["updates_too_large", "units_saturated"]  # though scales are looked at before steps


def test_rewards_that_grow_explain_a_return_that_falls() -> None:
    falling = {"train/episode_return": -1750 * np.exp(5 * GROWING), "value_loss": np.exp(8 * GROWING)}
    assert wrong(diagnose(untaught(advantage_followed=None, **falling)))[:2] == ["value_explosion", "learns_backwards"]


def test_what_was_not_recorded_limits_the_diagnosis_and_is_asked_for() -> None:
    diagnosis = diagnose(
        untaught(approx_kl=None, ratio_deviation=None, saturated_share=None, input_rms_max=None, **UNIFORM)
    )
    blind = {one.rule.name for one in diagnosis.unexamined}
    assert {"updates_too_small", "inputs_unscaled"} <= blind
    assert "updates_too_large" not in blind  # the clip fraction is there
    assert diagnosis.questions["train/approx_kl"].startswith("how far each update moves the policy")


def test_an_empty_run_is_examined_by_nobody() -> None:
    diagnosis = diagnose(replace(healthy(), table=healthy().table.iloc[:0]))
    assert diagnosis.findings == ()
    of_others = [rule for rule in RULES if any(set(group) <= {*PROBED, *OF_MONITORS} for group in rule.needs)]
    assert len(diagnosis.unexamined) == len(RULES) - len(of_others) == len(RULES) - 6


def odd(draws: np.random.Generator) -> History:
    """A run of which some things are missing, cut off, in another unit, not finite, constant, or set to nonsense."""
    run = healthy(seeds=int(draws.integers(4))) if draws.random() < 0.6 else untaught()
    table = run.table.copy()
    for name in draws.choice(list(table.columns), size=12, replace=False):
        at, column = draws.random(LENGTH), table[name]
        table[name] = [
            math.nan * column,
            0 * column,
            column.where(at < 0.5),
            column.where(at < 0.9, math.inf),
            column.where(np.arange(LENGTH) > draws.integers(LENGTH)),
            column * draws.choice([1e-9, 1e4, -1.0]),
            column * 0 + 1,
        ][draws.integers(7)]
    settings = dict(run.settings)
    for path in draws.choice(list(settings), size=8, replace=False):
        settings[path] = [None, 0, 1.0, "text"][draws.integers(4)]
    for path in draws.choice(list(settings), size=3, replace=False):
        del settings[path]
    return replace(run, table=table.iloc[: draws.choice([0, 1, 3, 12, 40, LENGTH])], settings=settings)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("error")
def test_no_rule_stumbles_over_what_may_be_on_record(seed: int, tmp_path: Path) -> None:
    diagnosis = diagnose(odd(np.random.default_rng(seed)))
    assert len(diagnosis.findings) + len(diagnosis.unexamined) <= len(RULES)
    text = to_text(run_document(diagnosis, tmp_path))
    assert not re.search(r"\b(nan|None)\b", text.partition("Settings on record")[0])
    assert json.loads(json.dumps(diagnosis_json(diagnosis), allow_nan=False))["iterations"] == len(
        diagnosis.signals.history.table
    )


@pytest.mark.parametrize(
    ("cell", "verdict"),
    [
        ("nan", "Stuck: a number that is not finite came in from outside (likely)"),
        ("NaN", "Stuck: a number that is not finite came in from outside (likely)"),
        ("inf", "Stuck: a number that is not finite came in from outside (likely)"),
        ("", ""),
    ],
)
def test_a_loss_that_was_logged_as_nan_is_not_finite_and_an_empty_cell_is_not_recorded(
    cell: str, verdict: str, tmp_path: Path
) -> None:
    rows = "".join(f"{i},{cell if i > 15 else 2.0},nan,{10 - i % 2}\n" for i in range(1, 21))
    file = tmp_path / "progress.csv"
    file.write_text(f"iteration,value_loss,explained_variance,episode_return\n{rows}")
    history = load(str(file))
    assert not history.has("train/explained_variance")  # of returns that do not vary it is no number by right
    assert state_verdict(diagnose(history)).startswith(verdict)
    assert bool(np.isinf(history.table["train/value_loss"]).any()) == bool(verdict)


def test_a_run_of_a_hundred_thousand_iterations_takes_no_pair_of_its_points() -> None:
    """It takes a second of a core, on a busy machine a few; one quadratic rule would take minutes."""
    length = 100_000
    turn = np.arange(1, length + 1)
    noise = np.random.default_rng(0).standard_normal(length)
    columns = {
        "train/episode_return": -500.0 * turn / length + noise,
        "eval/episode_return": np.where(turn % 2 == 0, noise, math.nan),
        "train/approx_kl": 0.01 + 0.001 * noise,
        "train/entropy": 1.38 - 1e-3 * noise,
        "train/value_loss": 1.0 + turn,
    }
    run = History("long", "made", pd.DataFrame(columns, index=pd.Index(turn, name="iteration")), dialect="sb3")
    begun = time.process_time()
    assert wrong(diagnose(run), Kind.SUSPECT)
    assert time.process_time() - begun < 10


def test_rules_name_their_file_and_each_other_rightly() -> None:
    names = {rule.name for rule in RULES}
    folder = Path(__file__).parents[2] / "analysis" / "diagnosis" / "rules"
    assert {file.stem for file in folder.glob("*.py") if "RULE = Rule(" in file.read_text()} == names
    tested = Path(__file__).parent / "diagnosis" / "rules"
    assert {file.stem.removeprefix("test_") for file in tested.glob("test_*.py")} == names
    for rule in RULES:
        assert set(rule.explains) <= names
        assert rule.source


CASE_METRICS = """\
iteration,value_loss,episode_reward,action_allow,action_block,action_quarantine,action_alert
10,0.999,-2000,.27,.22,.21,.30
50,1.000,-1500,.28,.22,.21,.29
100,0.999,-1900,.27,.23,.23,.27
120,0.999,-1600,,,,
150,0.998,-1400,,,,
200,1.000,-1700,.28,.24,.22,.26
"""


def stuck(folder: Path) -> History:
    """A run like the one that this project began with, a few numbers of which are made up."""
    folder.joinpath("metrics.csv").write_text(CASE_METRICS)
    rows = "\n".join(f"{i},0,1419,0,181,0.0" for i in range(20, 221, 20))
    folder.joinpath("evaluations.csv").write_text(f"iteration,tp,tn,fp,fn,f1\n{rows}\n")
    folder.joinpath("config.yaml").write_text(
        "value_coef: 1.5\nlr: 3e-4\nentropy_coef: 0.05\niterations: 220\n"
        "return_normalization: true  # before, value loss grew from 38,000 to 49,000\n"
    )
    return load(str(folder))


@pytest.fixture(params=["made", "recorded"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Diagnosis:
    """The diagnosis of the stuck run, and of a small copy of it."""
    if request.param == "made":
        return diagnose(stuck(tmp_path))
    return diagnose(load(str(request.getfixturevalue("stuck_run"))))


def test_the_stuck_run_is_stuck_because_its_policy_is_not_updated(case: Diagnosis) -> None:
    assert wrong(case)[0] == "policy_frozen"
    finding = case.findings[0].finding
    assert "Balanced actions are no sign of good exploration" in finding.why
    assert any("exactly the same counts (TP 0, TN 1419, FP 0, FN 181)" in fact.text for fact in finding.evidence)
    suspects = " ".join(cause.what for cause in finding.causes)
    for suspect in (
        "learning rate",
        "early stop on KL",
        "ratio that is not 1",
        "advantages",
        "next step",
        "not scaled",
    ):
        assert suspect in suspects
    assert finding.remedies == ()  # no setting is the cause as far as the run shows


def test_the_stuck_runs_greedy_policy_has_collapsed(case: Diagnosis) -> None:
    ranked = next(one for one in case.findings if one.rule.name == "greedy_collapsed")
    assert ranked.finding.headline == (
        "The greedy policy allows everything, whatever it sees: TP 0, FP 0, TN 1419, FN 181 in all 11 evaluations"
    )
    assert ranked.follows_from == ("policy_frozen",)


def test_the_stuck_runs_value_loss_is_no_fault_and_value_coef_not_supported(case: Diagnosis) -> None:
    (limit,) = case.select_findings(Kind.LIMIT)
    assert "the level of a critic that explains nothing" in limit.finding.headline
    assert "independent flows at gamma 0.99 would force it there" in limit.finding.headline
    assert "gamma 0.99 and gae_lambda 0.95 are assumed" in limit.finding.why
    blamed = limit.finding.unsupported[0]
    assert blamed.what == "value_coef too low (1.5)"
    assert blamed.why.startswith("not supported until a branch beats a control")


def test_the_stuck_runs_explosion_was_ended_by_normalisation(case: Diagnosis) -> None:
    steady = next(one.finding for one in case.findings if one.rule.name == "value_explosion")
    assert steady.kind is Kind.FINE
    assert "value loss grew from 38,000 to 49,000" in steady.headline
    assert "Normalisation ended that explosion" in steady.headline


def test_the_stuck_run_lacks_what_would_decide(case: Diagnosis) -> None:
    wanted = list(case.questions)
    assert wanted[0] == "train/approx_kl"
    assert {"train/entropy", "train/ratio_deviation"} <= set(wanted)
    assert len(wanted) == 5
