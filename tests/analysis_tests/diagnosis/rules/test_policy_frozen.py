"""A policy that does not move: by its KL, or without one by all that would have changed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Blind, Finding, Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import policy_frozen, updates_too_small
from unstuck.analysis.diagnosis.updates_missing import MOVING
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS, PARAMETERS_UNMOVED
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, unset, without
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = policy_frozen.RULE
TOP = math.log(4)
TURN = np.arange(1, LENGTH + 1)
NAMES = ("allow", "block", "quarantine", "alert")
UNIFORM: dict[str, Any] = {f"action_{name}": 0.25 for name in NAMES}
COUNTS = "(TP 0, TN 1426, FP 0, FN 174)"


def drifting(distance: float) -> dict[str, Any]:
    """Shares that move from allow to block, so far in all."""
    way = distance * np.linspace(0, 1, LENGTH)
    return {**UNIFORM, "action_allow": 0.25 - way, "action_block": 0.25 + way}


def unseen(**changed: Any) -> History:
    """A run of which neither KL nor entropy is on record."""
    return untaught(approx_kl=None, entropy=None, **changed)


def test_updates_whose_kl_is_nothing_are_a_sure_fault() -> None:
    finding = found(RULE, untaught(approx_kl=0.0, entropy=TOP, **UNIFORM))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 4)
    kl = "KL of an update 0 in the median over iterations 1 to 100"
    assert finding.headline == f"The policy is not being updated: {kl}"
    even = "25.0 / 25.0 / 25.0 / 25.0 %"
    assert facts(finding) == [
        kl,
        f"sampled action shares (allow, block, quarantine, alert) are {even} at iteration 1 and {even} at 100: at most "
        "0.0 % of the actions differ between any two",
        f"all 10 greedy evaluations have exactly the same counts {COUNTS}: the most probable action has changed for no "
        "flow",
        "entropy 1.386 over iterations 1 to 100, of 1.386 at most",
    ]
    assert finding.why == "KL of every update is on record"
    assert finding.missing == ()


def test_it_can_stop_moving_later() -> None:
    finding = found(RULE, untaught(approx_kl=np.where(TURN <= 50, 2e-3, 0.0)))
    assert finding.headline.endswith("KL of an update 0 in the median over iterations 51 to 100")
    assert finding.since == 54


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (untaught(approx_kl=1e-9), True),
        (untaught(approx_kl=1.1e-9), False),
        (untaught(approx_kl=-1.1e-9), False),
        (untaught(approx_kl=-0.01), False),  # impossible, and no standstill
        (untaught(approx_kl=np.where(TURN == 96, 2e-3, 0.0)), True),
        (untaught(approx_kl=np.where(TURN == 97, 2e-3, 0.0)), False),
        (untaught(approx_kl=np.where(TURN == 97, -2e-3, 0.0)), False),
        (untaught(approx_kl=0.0, entropy=0.11 * TOP), True),
        (untaught(approx_kl=0.0, entropy=0.09 * TOP), False),  # it has decided what there was to decide
        (healthy(approx_kl=2e-5), False),
        (first(untaught(approx_kl=0.0), 4), True),
        (first(untaught(approx_kl=0.0), 3), False),
    ],
)
def test_the_border_of_its_kl(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (unseen(**drifting(0.059)), True),
        (unseen(**drifting(0.061)), False),
        (healthy(approx_kl=None, entropy=None, **UNIFORM), False),  # it learns all the same
        (first(unseen(**UNIFORM), 20), True),
        (first(unseen(**UNIFORM), 19), False),
        (unseen(**UNIFORM, settings={"ppo.num_iterations": 198}), True),  # half of the run is on record
        (unseen(**UNIFORM, settings={"ppo.num_iterations": 199}), False),
        (untaught(approx_kl=None, entropy=0.996 * TOP, **drifting(0.2)), True),
        (untaught(approx_kl=None, entropy=0.994 * TOP, **drifting(0.2)), False),
    ],
)
def test_without_kl_a_run_that_shows_nothing_must_have_kept_its_behaviour(run: History, fires: bool) -> None:
    settings = {"ppo.num_iterations": run.length}
    if run.table.index[-1] < LENGTH:  # a short run is the whole of a run
        settings = {"ppo.num_iterations": int(run.table.index[-1])}
    run = History(run.name, run.source, run.table, {**run.settings, **settings})
    assert (ask(RULE, run) is not None) == fires


def test_without_kl_it_is_likely_and_the_rest_is_asked_for() -> None:
    finding = found(RULE, unseen(**UNIFORM))
    assert (finding.sureness, finding.since) == (Sureness.LIKELY, 20)
    assert finding.headline.startswith("The policy is not being updated: sampled action shares (allow, ")
    assert finding.why == (
        "KL was not recorded; a policy that is being trained does not keep its behaviour for 100 iterations. Balanced "
        "actions are no sign of good exploration here"
    )
    assert finding.missing == (metrics.APPROX_KL, metrics.ENTROPY)


def test_counts_that_change_once_are_no_standstill() -> None:
    finding = found(RULE, untaught(approx_kl=0.0, tp=np.where(TURN <= 10, 1.0, 0.0)))
    assert not any("greedy evaluations" in fact for fact in facts(finding))


@pytest.mark.parametrize(
    ("beginning", "changed", "support", "why"),
    [
        ("learning rate annealed", {"lr": 0.9e-7}, Support.SUPPORTED, "learning rate in force 9e-08 over iterations 1"),
        ("learning rate annealed", {"lr": 1e-7}, Support.RULED_OUT, "learning rate in force 1e-07 over iterations 1"),
        ("learning rate annealed", {"lr": None}, Support.OPEN, "lr 0.0003 was set; the rate in force was not recorded"),
        ("an early stop", {"settings": {"ppo.target_kl": None}}, Support.RULED_OUT, "target_kl is off"),
        ("an early stop", {"settings": {"ppo.target_kl": 0.01}}, Support.OPEN, "target_kl 0.01"),
        ("a ratio", {"ratio_deviation": 2e-3}, Support.SUPPORTED, "the first ratio is off 1 by 0.002 at most"),
        ("a ratio", {"ratio_deviation": 1e-3}, Support.RULED_OUT, "the first ratio is off 1 by 0.001 at most"),
        ("a ratio", {"ratio_deviation": None}, Support.OPEN, ""),
        ("advantages", {"advantage_std": 0.9e-6}, Support.SUPPORTED, "advantages are constant (spread 9e-07)"),
        ("advantages", {"advantage_std": 7.0}, Support.OPEN, "advantages have a spread of 7, so they are not constant"),
        ("advantages", {"advantage_std": None}, Support.OPEN, ""),
        (
            "inputs",
            {"saturated_share": 0.51, "input_rms_max": 40.0},
            Support.SUPPORTED,
            "51 % of the hidden units are saturated, largest input 40",
        ),
        (
            "inputs",
            {"saturated_share": 0.5, "input_rms_max": None},
            Support.RULED_OUT,
            "50 % of the hidden units are saturated",
        ),
        ("inputs", {"saturated_share": None, "input_rms_max": 40.0}, Support.OPEN, "largest input 40"),
        (
            "a gradient",
            {"grad_norm_policy": 0.3, "update_norm": 0.9e-7},
            Support.SUPPORTED,
            "policy gradient 0.3, change of the parameters 9e-08",
        ),
        (
            "a gradient",
            {"grad_norm_policy": 0.3, "update_norm": 1e-7},
            Support.RULED_OUT,
            "policy gradient 0.3, change of the parameters 1e-07",
        ),
        ("a gradient", {"grad_norm_policy": 0.9e-6, "update_norm": 0.0}, Support.RULED_OUT, "policy gradient 9e-07"),
        ("a gradient", {"update_norm": None}, Support.OPEN, ""),
        ("a reward taken", {}, Support.OPEN, ""),
    ],
)
def test_what_was_recorded_decides_between_its_suspects(
    beginning: str, changed: dict[str, Any], support: Support, why: str
) -> None:
    suspect = cause(found(RULE, untaught(approx_kl=0.0, **changed)), beginning)
    assert suspect.support is support
    assert suspect.why.startswith(why)
    assert bool(suspect.why) == bool(why)


def test_settings_that_were_not_recorded_say_nothing() -> None:
    run = unset(without(untaught(approx_kl=0.0), metrics.LR), "ppo.lr", "ppo.target_kl")
    finding = found(RULE, run)
    for beginning in ("learning rate annealed", "an early stop"):
        suspect = cause(finding, beginning)
        assert (suspect.support, suspect.why) == (Support.OPEN, "")
    assert changes(finding) == []


@pytest.mark.parametrize(("rate", "expected"), [(1.9e-5, [{"ppo.lr": [3e-4, 1e-3]}]), (2e-5, [])])
def test_only_a_rate_that_moves_nothing_is_changed(rate: float, expected: list[dict[str, Any]]) -> None:
    assert changes(found(RULE, untaught(approx_kl=0.0, settings={"ppo.lr": rate}))) == expected


def test_without_anything_that_would_move_the_rule_is_blind() -> None:
    nothing = {f"action_{name}": None for name in NAMES}
    needed = (metrics.APPROX_KL, "train/action/<action>", metrics.ENTROPY, PARAMETERS_UNMOVED)
    assert blind(RULE, unseen(**nothing)) == (needed,)
    assert blind(RULE, unseen()) == ()


def test_a_single_update_that_moved_nothing_is_a_doubt() -> None:
    def glimpse(at: int, **changed: Any) -> History:
        run = untaught(**{"entropy": TOP, "approx_kl": 7e-16, "clip_fraction": 0.0, **changed})
        return replace(run, table=run.table.loc[at:at])

    finding = found(RULE, glimpse(50))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.SUSPECT, Sureness.POSSIBLE, 50)
    assert finding.headline == (
        "Nothing moves the policy: KL of an update 7e-16 at iteration 50, and no ratio was clipped"
    )
    assert ask(RULE, glimpse(1)) is None  # before the first update
    assert ask(RULE, glimpse(50, approx_kl=1e-5)) is None
    assert ask(RULE, glimpse(50, clip_fraction=0.01)) is None
    assert ask(RULE, glimpse(50, clip_fraction=None)) is None
    assert ask(RULE, glimpse(50, entropy=0.01)) is None  # it has made its choice


def test_a_kl_taken_before_the_only_step_accuses_nobody() -> None:
    """With one gradient step an update the ratio is 1 while KL is measured: it is 0 in a run that learns."""
    assert ask(RULE, healthy(approx_kl=0.0)) is None
    assert found(RULE, untaught(approx_kl=0.0, entropy=TOP, **UNIFORM)).kind is Kind.FAULT


@pytest.mark.parametrize(("unmoved", "fires"), [(1.0, True), (5 / 6, False), (0.0, False)])
def test_a_saved_optimiser_without_a_gradient_of_the_policy_is_proof(unmoved: float, fires: bool) -> None:
    run = healthy()
    run = replace(run, table=run.table.assign(**{PARAMETERS_UNMOVED: np.where(TURN == LENGTH, unmoved, np.nan)}))
    finding = ask(RULE, run)
    assert (finding is not None) is fires  # layers that are frozen on purpose leave others that learn
    if isinstance(finding, Finding):
        assert (
            finding.headline == "The policy is not being updated: none of the policy's parameters ever had a gradient"
        )
        assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.MEASURED)


def waiting(steps: float, **changed: Any) -> History:
    """A run of ML-Agents' without a loss, which has done so many steps of a rollout of 10,000."""
    run = untaught(approx_kl=None, clip_fraction=None, value_loss=None, policy_loss=None, entropy=1.42, **changed)
    run = replace(run, table=run.table.assign(**{ENV_STEPS: steps * TURN / LENGTH}), dialect="mlagents")
    return replace(run, settings={"ppo.num_steps": 10_000, "ppo.num_envs": 1}, has_ended=True)


def test_a_rollout_that_was_never_full_made_no_update() -> None:
    finding = found(RULE, waiting(9_999))
    assert (finding.kind, finding.sureness, finding.ground) == (Kind.FAULT, Sureness.SURE, Ground.MEASURED)
    assert finding.headline == (
        "Not one update took place: 9,999 steps were done, and the first rollout is full at 10,000"
    )
    assert changes(finding) == [{"ppo.num_steps": 2048}]
    assert found(RULE, replace(waiting(9_999), has_ended=False)).kind is Kind.SUSPECT


@pytest.mark.parametrize(
    "run",
    [
        waiting(10_000),  # full at last
        replace(waiting(9_999), table=waiting(9_999).table.assign(**{metrics.VALUE_LOSS: 1.0})),  # an update was logged
        replace(waiting(9_999), settings={}),  # how long a rollout is, is not known
        waiting(9_999, **{"train/episode_return": np.minimum(5.0 * TURN, 300.0), "f1": None}),  # it learned
    ],
)
def test_the_nearest_runs_that_did_update(run: History) -> None:
    finding = ask(RULE, run)
    assert not isinstance(finding, Finding) or "Not one update" not in finding.headline


def unused(minibatch: float | None = 20_480, entropy: float = 0.001, **changed: Any) -> History:
    """A run of ML-Agents' without a loss, which has done a hundred rollouts of 10,000 steps."""
    run = waiting(1_000_000, **changed)
    table = run.table.assign(**{metrics.ENTROPY: 0.64 + entropy * np.sin(7.0 * TURN)})
    settings = {"ppo.num_steps": 10_000, "ppo.num_envs": 1, "ppo.minibatch_size": minibatch}
    return replace(run, table=table, settings={name: value for name, value in settings.items() if value})


def test_a_minibatch_larger_than_the_rollout_is_never_filled() -> None:
    finding = found(RULE, unused())
    assert (finding.kind, finding.sureness, finding.ground) == (Kind.FAULT, Sureness.SURE, Ground.MEASURED)
    assert finding.headline == "Not one update took place: a minibatch of 20,480 from a rollout of 10,000"
    assert facts(finding) == ["no loss is on record beside 100 entropies, all 0.64"]
    assert changes(finding) == [{"ppo.minibatch_size": 1250}]
    other = found(RULE, unused(1_024))
    assert (other.sureness, changes(other)) == (Sureness.LIKELY, [])
    assert cause(other, "a minibatch").support is Support.RULED_OUT
    assert cause(found(RULE, unused(None)), "a minibatch").support is Support.OPEN


@pytest.mark.parametrize(
    "run",
    [
        unused(entropy=0.01),  # it moves: losses are only left out of the record
        first(unused(), 19),
        replace(unused(), dialect="plain"),  # whose losses need not be written
        replace(unused(), table=unused().table.assign(**{metrics.VALUE_LOSS: 1.0})),
        replace(unused(), settings={}, table=unused().table.assign(**{ENV_STEPS: 8_000.0 * TURN})),  # two large buffers
    ],
)
def test_the_nearest_runs_whose_losses_need_not_be_missed(run: History) -> None:
    finding = ask(RULE, run)
    assert not isinstance(finding, Finding) or "Not one update" not in finding.headline


def test_a_plain_log_of_steps_and_returns_shows_that_no_update_was_made() -> None:
    """Nothing else of what the rule needs is on record; once a rollout was full, it asks for that as ever."""
    settings = {"ppo.num_steps": 10_000, "ppo.num_envs": 1}
    for steps, plan, names in ((9_999, 9_999, ["policy_frozen"]), (10_000, 9_999, []), (9_999, None, [])):
        run = elsewhere(np.sin(7.0 * TURN), more={ENV_STEPS: steps * TURN / LENGTH})
        run = replace(run, table=run.table[["train/episode_return", ENV_STEPS]], dialect="plain", has_ended=True)
        run = replace(run, settings={**settings, "total_timesteps": plan})
        diagnosis = diagnose(run)
        assert [one.rule.name for one in diagnosis.select_findings(Kind.FAULT) if one.rule is RULE] == names
        missing = [one.missing for one in diagnosis.unexamined if one.rule is RULE]
        assert missing == ([] if names else [(MOVING,)])


@pytest.mark.parametrize(("last_digit", "fires"), [(1e-3, False), (1e-4, False), (1.37e-3, True), (1e-8, True)])
def test_a_kl_of_0_that_was_printed_short_is_a_small_one(last_digit: float, fires: bool) -> None:
    """A few updates of one last digit, and zeros at the end."""
    kl = np.where(np.arange(LENGTH) % 9 == 1, last_digit, 0.0)
    kl[-10:] = 0.0
    run = replace(untaught(approx_kl=kl, entropy=np.linspace(1.38, 1.0, LENGTH)), dialect="pufferlib")
    assert (ask(RULE, run) is not None) == fires
    assert isinstance(ask(updates_too_small.RULE, run), Blind) != fires
