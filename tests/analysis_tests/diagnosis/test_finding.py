"""What a diagnosis is made of: its kinds, stages and the questions that it asks."""

from dataclasses import replace

import pytest
from unstuck.analysis.diagnosis import RULES, diagnose
from unstuck.analysis.diagnosis.examining import examine_rule
from unstuck.analysis.diagnosis.finding import (
    Diagnosis,
    Finding,
    Kind,
    Ranked,
    Rule,
    Stage,
    Support,
    Sureness,
    Unexamined,
)
from unstuck.analysis.diagnosis.questions import WOULD_TELL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history.record import LOGGED_ELSEWHERE
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import without
from tests.analysis_tests.runs import healthy, untaught

FAMILIES = {f"{metrics.ACTION_PREFIX}<action>", f"{metrics.GREEDY_PREFIX}<action>"} | {
    f"{name}/seed_<member>" for name in (metrics.F1, metrics.EVAL_RETURN)
}
SETTINGS = {"env.actions"}
NAMED = {*LOGGED_ELSEWHERE} | {
    value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)
}


def ranked(name: str, kind: Kind) -> Ranked:
    rule = Rule(name, name, Stage.BUG, (), "nowhere", lambda run: None)
    return Ranked(rule, Finding(name, kind, Sureness.SURE))


def test_findings_are_asked_for_by_kind_and_keep_their_order() -> None:
    findings = (ranked("a", Kind.FAULT), ranked("b", Kind.FINE), ranked("c", Kind.SUSPECT), ranked("d", Kind.FAULT))
    diagnosis = Diagnosis(Signals(healthy()), findings, ())
    assert [one.rule.name for one in diagnosis.select_findings(Kind.FAULT)] == ["a", "d"]
    assert [one.rule.name for one in diagnosis.select_findings(Kind.SUSPECT, Kind.FAULT)] == ["a", "c", "d"]
    assert diagnosis.select_findings() == []
    assert diagnosis.questions == {}


def test_causes_come_before_what_follows_from_them() -> None:
    assert list(Stage) == sorted(Stage)
    assert [stage.name for stage in Stage] == [
        *("BUG", "CEILING", "SCALE", "STEP", "EXPLORATION", "CRITIC", "BEHAVIOUR"),
    ]
    assert Sureness.POSSIBLE < Sureness.LIKELY < Sureness.SURE
    assert [str(support) for support in Support] == ["supported", "open", "ruled out"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_needs_and_uses_metrics_that_there_are(rule: Rule) -> None:
    asked = {name for group in rule.needs for name in group} | set(rule.helps)
    assert asked <= NAMED | FAMILIES
    assert rule.needs
    assert all(rule.needs)
    assert rule.title
    assert rule.name not in rule.explains


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_a_rule_needs_can_be_asked_for(rule: Rule) -> None:
    assert {name for group in rule.needs for name in group} <= set(WOULD_TELL)


def test_questions_are_about_metrics_that_there_are() -> None:
    assert set(WOULD_TELL) <= NAMED | FAMILIES | SETTINGS
    assert all(tells and not tells.endswith(".") for tells in WOULD_TELL.values())


def test_explanations_go_no_circle_among_stages_of_their_own() -> None:
    """Ranking takes the first that nothing left explains: a circle would only fall back on the stages."""
    explains = {rule.name: set(rule.explains) for rule in RULES}
    bug = next(rule for rule in RULES if rule.stage is Stage.BUG)
    assert not any(bug.name in names for names in explains.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_without_any_of_a_group_that_it_needs_a_rule_is_blind(rule: Rule) -> None:
    run = replace(untaught(), dialect="sb3")  # what only a probe logs is not asked of our own learner
    for group in rule.needs:
        columns = [column for column in run.table.columns if any(_is_of(column, name) for name in group)]
        found = examine_rule(Signals(without(run, *columns)), rule)
        assert isinstance(found, Unexamined)
        assert group in found.missing


def _is_of(column: str, name: str) -> bool:
    if name.endswith("/seed_<member>"):
        return column.startswith(name.removesuffix("<member>"))
    return column.startswith(name.removesuffix("<action>")) if name.endswith("<action>") else column == name


def test_what_is_in_order_asks_for_nothing_and_what_is_wrong_asks_first() -> None:
    assert diagnose(healthy()).questions == {}
    small = untaught(approx_kl=1e-6, update_norm=None, saturated_share=None, input_rms_max=None)
    asked = list(diagnose(small).questions)
    assert asked.index(metrics.UPDATE_NORM) < asked.index(metrics.SATURATED_SHARE)
