"""The value loss at its floor: measured, or bounded by the formula; and what would lower it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import value_floor
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, found, kind, unset, without
from tests.analysis_tests.runs import healthy

RULE = value_floor.RULE
RAW = {"ppo.normalize_returns": "none"}
STREAM = {"data.order": "stream"}


def at(loss: float, floor: float, excess: float | None, **changed: Any) -> History:
    return healthy(value_loss=loss, value_floor=floor, value_loss_excess=excess, **changed)


def unmeasured(loss: float = 1.0, **settings: Any) -> History:
    return without(healthy(value_loss=loss, settings=settings), metrics.VALUE_FLOOR)


def test_the_floor_says_what_cannot_and_what_can_lower_the_value_loss() -> None:
    """Where rewards follow from the flow, a half gamma and lambda 0.95 leave 0.25 / (0.25 + 0.774) = 0.24.

    Of today's policy 0.06 is explained, so that 0.54 of a reward is foreseen: 0.58 are left.
    """
    finding = found(RULE, at(0.96, 0.94, 0.02, explained_variance_mc=0.02, explained_variance_mc_probe=0.03))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.LIMIT, Sureness.SURE, 10)
    assert finding.headline == (
        "value loss 0.96, floor 0.94: neither value_coef nor lr can lower it; gamma 0.99 on independent flows makes it "
        "so; at gamma 0.5 the floor is near 0.24 for a policy whose rewards follow from the flow, and 0.58 for today's"
    )
    assert facts(finding) == [
        "value loss 0.96, floor 0.94 over iterations 80 to 100",
        "the critic explains 0.02 of the variance of Monte Carlo returns",
        "the best regression from the observation explains 0.03 of it",
    ]
    assert changes(finding) == [{"ppo.gamma": [0.5, 0.0]}]
    assert [(one.what, dict(one.change)) for one in finding.unsupported] == [
        ("value_coef too low (0.5)", {"ppo.value_coef": [1.0, 1.7]}),
        ("lr too low (0.0003)", {"ppo.lr": [1e-3]}),
    ]
    assert finding.unsupported[0].why == (
        "not supported until a branch beats a control: the floor is 0.94, and no weight or step size moves a floor"
    )


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (at(0.96, 0.94, 0.049), Kind.LIMIT),
        (at(0.96, 0.94, 0.051), None),  # the critic's own business
        (at(0.989, 0.94, None), Kind.LIMIT),  # where no excess was measured it is the difference
        (at(0.991, 0.94, None), None),
        (at(0.52, 0.5, 0.02), Kind.LIMIT),
        (at(0.51, 0.49, 0.02), Kind.FINE),
        (at(96.0, 94.0, 4.9, target_std=10.0, settings=RAW), Kind.LIMIT),  # of a variance of 100
        (at(96.0, 94.0, 5.1, target_std=10.0, settings=RAW), None),
        (at(51.0, 49.0, 0.0, target_std=10.0, settings=RAW), Kind.FINE),
        (at(51.0, 49.0, 0.0, target_std=None, settings=RAW), Kind.LIMIT),  # in a unit that is not known
        (at(0.9, 0.4, 0.5), None),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_floor_that_is_not_certain_allows_more_above_it() -> None:
    """Of 0.84, 0.94 and 1.04 the mean has an error of 0.1 / sqrt(3) = 0.0577: 0.05 + 0.115 are allowed."""
    shaken = lambda table: 0.94 + 0.1 * ((table.index == 100).astype(float) - (table.index == 80))  # noqa: E731
    assert kind(RULE, healthy(value_loss=1.0, value_floor=shaken, value_loss_excess=0.16)) is Kind.LIMIT
    assert kind(RULE, healthy(value_loss=1.0, value_floor=shaken, value_loss_excess=0.17)) is None


def test_a_floor_that_may_lie_anywhere_is_no_floor() -> None:
    """Floors of 2.43 and 0.21 have a mean of 1.32 with an error of 1.11, and two of 1.0 and 1.6 one of 1.3 +- 0.3."""

    def young(first: float, last: float, loss: float) -> History:
        run = at(loss, first, None)
        floor = run.table[metrics.VALUE_FLOOR].where(run.table.index >= 90)
        floor.loc[100] = last
        return replace(run, table=run.table.assign(**{metrics.VALUE_FLOOR: floor}))

    assert kind(RULE, young(2.43, 0.21, 0.8)) is None
    assert kind(RULE, young(1.0, 1.6, 1.2)) is Kind.LIMIT


@pytest.mark.parametrize(("loss", "expected"), [(0.46, None), (0.48, Kind.LIMIT)])
def test_a_loss_far_below_the_floor_is_not_at_the_floor(loss: float, expected: Kind | None) -> None:
    assert kind(RULE, at(loss, 0.94, -0.4)) is expected


@pytest.mark.parametrize(
    ("settings", "blamed"),
    [
        ({"ppo.value_coef": 2.0}, ["value_coef too low (2)", "lr too low (0.0003)"]),
        ({"ppo.value_coef": 11.17}, ["lr too low (0.0003)"]),
        ({"ppo.lr": 6e-3}, ["value_coef too low (0.5)"]),
    ],
)
def test_what_is_large_is_not_blamed_for_being_too_low(settings: dict[str, float], blamed: list[str]) -> None:
    assert [one.what for one in found(RULE, at(0.96, 0.94, 0.02, settings=settings)).unsupported] == blamed


def test_a_low_floor_is_in_order() -> None:
    finding = found(RULE, at(0.2, 0.19, 0.01))
    assert finding.kind is Kind.FINE
    assert finding.headline == "value loss 0.2, floor 0.19: the critic explains what can be explained"


def test_gamma_is_not_blamed_where_steps_depend_on_each_other() -> None:
    finding = found(RULE, at(0.96, 0.94, 0.02, settings=STREAM))
    assert finding.sureness is Sureness.LIKELY
    assert finding.headline == "value loss 0.96, floor 0.94: neither value_coef nor lr can lower it"
    independent, unseen = cause(finding, "the steps are independent"), cause(finding, "what decides the return")
    assert (independent.support, independent.why) == (
        Support.RULED_OUT,
        "successive steps of this environment depend on each other",
    )
    assert (unseen.support, unseen.why) == (Support.OPEN, "")
    assert changes(finding) == [{"ppo.gamma": [0.95, 0.9]}]


def test_where_flows_are_shuffled_they_account_for_the_floor() -> None:
    finding = found(RULE, at(0.96, 0.94, 0.02))
    assert cause(finding, "the steps are independent").support is Support.SUPPORTED
    assert cause(finding, "what decides the return").support is Support.RULED_OUT
    unknown = found(RULE, unset(at(0.96, 0.94, 0.02), "data.order"))
    assert [one.support for one in unknown.causes] == [Support.OPEN, Support.OPEN]


@pytest.mark.parametrize(
    ("gamma", "remedies", "promise"),
    [(0.51, [{"ppo.gamma": [0.5, 0.0]}], True), (0.5, [], False), (0.0, [], False)],
)
def test_a_short_horizon_is_not_shortened(gamma: float, remedies: list[Any], promise: bool) -> None:
    finding = found(RULE, at(0.96, 0.94, 0.02, settings={"ppo.gamma": gamma}))
    assert changes(finding) == remedies
    assert ("at gamma 0.5 the floor is near" in finding.headline) == promise


def test_a_horizon_without_end_is_diagnosed_like_any_other() -> None:
    """At gamma 1 and lambda 1 nothing of a lambda-return is foreseen among independent steps, and none is refused."""
    endless = {"ppo.gamma": 1.0, "ppo.gae_lambda": 1.0}
    finding = found(RULE, at(0.96, 0.94, 0.02, settings=endless))
    assert "gamma 1 on independent flows makes it so; at gamma 0.5 the floor is near 0.25" in finding.headline
    assert "has a loss between 1 (rewards follow" in found(RULE, unmeasured(**endless)).why


def test_without_a_measurement_a_loss_near_one_is_the_level_of_a_critic_that_explains_nothing() -> None:
    """A perfect critic of independent steps would be left with 1 - 0.1054 at gamma 0.99 and lambda 0.95."""
    finding = found(RULE, unmeasured())
    assert (finding.kind, finding.sureness, finding.since) == (Kind.LIMIT, Sureness.POSSIBLE, 1)
    assert finding.headline == (
        "Value loss 1 over iterations 1 to 100 on normalised returns is the level of a critic that explains nothing; "
        "independent flows at gamma 0.99 would force it there, however good the critic"
    )
    assert finding.why == (
        "the floor was not measured: a perfect critic of independent steps has a loss between 0.89 (rewards follow "
        "from what is observed) and 1 (they do not)"
    )
    assert facts(finding) == ["value loss 1 over iterations 1 to 100: explained variance about 0"]
    assert finding.missing == (
        metrics.VALUE_FLOOR,
        metrics.EXPLAINED_VARIANCE,
        metrics.PROBE_EXPLAINED_VARIANCE_MC,
    )
    assert finding.unsupported[1].why.endswith("nothing in this run shows that the critic could do better")


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (unmeasured(0.86), True),
        (unmeasured(0.84), False),
        (unmeasured(1.0, **RAW), False),
        (unset(unmeasured(), "ppo.normalize_returns"), False),
    ],
)
def test_its_borders_without_a_measurement(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_what_is_assumed_is_said() -> None:
    finding = found(RULE, unset(unmeasured(), "ppo.gamma", "ppo.gae_lambda"))
    assert "and gamma 0.99 and gae_lambda 0.95 are assumed, as they were not recorded" in finding.why
    one = found(RULE, unset(unmeasured(), "ppo.gae_lambda"))
    assert "and gae_lambda 0.95 are assumed" in one.why
    assert "gamma 0.99 and" not in one.why
    blamed = found(RULE, unset(unmeasured(), "ppo.value_coef", "ppo.lr")).unsupported
    assert [(one.what, dict(one.change)) for one in blamed] == [("value_coef too low", {}), ("lr too low", {})]


def test_a_value_loss_below_its_floor_is_shown_with_a_word(command: Any, tmp_path: Path) -> None:
    below = healthy(value_loss=0.9, value_floor=0.94, value_loss_excess=-0.04, explained_variance=-0.3)
    below.table.to_csv(tmp_path / "log.csv", index_label="iteration")
    above = healthy(value_loss=0.96, value_floor=0.94, value_loss_excess=0.02, explained_variance=-0.3)
    above.table.to_csv(tmp_path / "other.csv", index_label="iteration")
    why = "as a loss is measured while the critic fits the same steps, and the floor on steps left out"
    said, other = (
        " ".join(command.analysis("diagnose", file, "--set", "ppo.normalize_returns=batch").out.split())
        for file in ("log.csv", "other.csv")
    )
    assert f"value loss 0.9, floor 0.94 (below it, {why})" in said
    assert "train/value_loss_excess -0.04 over " in said
    assert f"(below 0, {why})" in said
    assert why not in other
    beside = command.analysis("compare", "log.csv", "other.csv").out
    assert f"an excess can be below 0, {why}" in " ".join(beside.split())


def test_without_a_value_loss_the_rule_is_blind() -> None:
    assert blind(RULE, healthy(value_loss=None)) == ((metrics.VALUE_LOSS,),)
    assert ask(RULE, healthy(value_loss=None)) is None
