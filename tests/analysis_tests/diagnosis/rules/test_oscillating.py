"""A return without a trend: its swings beside those of chance."""

from dataclasses import replace

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import oscillating
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, first, found, kind, unset
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = oscillating.RULE
TURN = np.arange(1, LENGTH + 1)
SWINGING = {"train/episode_return": np.where(TURN % 2 == 0, 100.0, -100.0)}
FALLING = {"train/episode_return": -1750.0 - 10 * TURN}


def test_swings_without_a_trend_are_a_suspect_with_their_size() -> None:
    """A hundred values of 100 to both sides have a spread of 100 sqrt(100 / 99) = 100.5.

    With 174 threats of 1,600 flows a uniform policy earns a quarter of -7.032 a flow.
    """
    finding = found(RULE, untaught(**SWINGING))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.SUSPECT, Sureness.SURE, 8)
    assert finding.headline.startswith(
        "The return has no trend: -100 to 100 over iterations 1 to 100, 0 in 100 iterations (Mann-Kendall p "
    )
    assert facts(finding) == [
        "100 values, 0 ± 101",
        "drawing actions evenly returns -1,758 an episode, by the reward table",
    ]
    assert finding.why == "the run has nothing to show for it"
    assert finding.remedies == ()
    assert finding.missing == ()


def test_a_return_that_falls_is_said_to() -> None:
    finding = found(RULE, untaught(**FALLING))
    assert finding.headline.startswith(
        "The return falls: from -1,880 in the first quarter to -2,630 in the last, over iterations 1 to 100, -1,000 in "
        "100 iterations (Mann-Kendall p "
    )


def test_one_that_rises_is_in_order_though_nothing_else_shows_it() -> None:
    finding = found(RULE, untaught(**{"train/episode_return": -1750.0 + 0.5 * TURN}))
    assert finding.kind is Kind.FINE
    assert finding.headline.startswith("the return of training episodes rises: 50 in 100 iterations (Mann-Kendall p ")


def test_one_that_rises_by_too_little_to_be_above_its_start_is_not_in_order() -> None:
    """Ten returns go up in 38 of 45 pairs (p 0.007), but not by three standard errors: the run counts as stuck."""
    slow = [-28.0, -27.0, -28.5, -27.5, -26.0, -25.0, -25.2, -24.0, -24.3, -24.9]
    run = replace(first(elsewhere(-25.0), len(slow)), dialect="sb3")
    run = replace(run, table=run.table.assign(**{metrics.TRAIN_RETURN: slow}))
    assert kind(RULE, run) is None
    steep = replace(run, table=run.table.assign(**{metrics.TRAIN_RETURN: np.arange(10.0)}))
    assert kind(RULE, steep) is Kind.FINE


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (untaught(), Kind.SUSPECT),
        (healthy(), Kind.FINE),
        (healthy(**SWINGING), None),  # F1 shows what is learned
        (first(untaught(**SWINGING), 8), Kind.SUSPECT),
        (first(untaught(**SWINGING), 7), None),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_seeds_and_the_table_are_shown_where_they_are_on_record() -> None:
    seeds = {f"eval/episode_return/seed_{seed}": 100.0 * seed for seed in range(3)}
    assert facts(found(RULE, untaught(**{"seeds": 3, **SWINGING, **seeds})))[-1] == (
        "seeds differ: 0 to 200 in the last evaluations"
    )
    assert facts(found(RULE, untaught(**SWINGING, settings={"env.reward_threat": None}))) == ["100 values, 0 ± 101"]
    assert len(facts(found(RULE, untaught(**SWINGING, settings={"env.flows_per_episode": None})))) == 1


@pytest.mark.parametrize(
    ("kl", "chance", "updates"),
    [
        (0.9e-4, Support.SUPPORTED, Support.RULED_OUT),
        (1e-4, Support.OPEN, Support.RULED_OUT),
        (0.9e-3, Support.OPEN, Support.RULED_OUT),
        (1e-3, Support.OPEN, Support.OPEN),
        (0.03, Support.OPEN, Support.OPEN),
        (0.031, Support.OPEN, Support.SUPPORTED),
        (None, Support.OPEN, Support.OPEN),
    ],
)
def test_the_size_of_updates_tells_its_causes_apart(kl: float | None, chance: Support, updates: Support) -> None:
    finding = found(RULE, untaught(approx_kl=kl, **SWINGING))
    nothing, lost = cause(finding, "nothing is learned"), cause(finding, "something is learned")
    assert (nothing.support, lost.support) == (chance, updates)
    assert nothing.why == lost.why == ("" if kl is None else f"KL of an update {kl:.2g} in the median")
    assert finding.missing == (() if kl is not None else (metrics.APPROX_KL,))


def test_without_returns_the_rule_is_blind() -> None:
    assert blind(RULE, untaught(**{"train/episode_return": None})) == ((metrics.TRAIN_RETURN,),)
    assert ask(RULE, untaught(**{"train/episode_return": None})) is None
    finding = found(RULE, untaught(**SWINGING, **{"eval/episode_return": None, "f1": None}))
    assert finding.missing == (metrics.EVAL_RETURN,)


def test_a_run_of_another_program_that_has_ended_so_is_at_fault() -> None:
    run = replace(elsewhere(np.where(TURN % 2 == 0, 5.0, -5.0)), dialect="sb3")
    goes_on, over = (
        replace(run, settings={**unset(run, "ppo.num_iterations").settings, "finished": is_over})
        for is_over in (False, True)
    )
    assert kind(RULE, goes_on) is Kind.SUSPECT
    assert kind(RULE, over) is Kind.FAULT


@pytest.mark.parametrize(
    ("settings", "length", "first"),
    [
        ({"ppo.lr": 1e-2}, 50.0, "a learning rate outside"),
        ({"ppo.num_steps": 199}, 50.0, "rollouts that hold too few episodes"),
        ({"ppo.num_steps": 200}, 50.0, "rollouts that hold too few episodes"),
        ({"ppo.num_steps": 1001}, 50.0, "something is learned"),
    ],
)
def test_rivals_stand_in_the_order_of_what_the_record_supports(
    settings: dict[str, float], length: float, first: str
) -> None:
    """A usual rate is ruled out; 4 to 20 episodes in a rollout are open."""
    run = untaught(**SWINGING, approx_kl=0.01, settings={"ppo.num_envs": 1, **settings})
    run = replace(run, table=run.table.assign(**{EPISODE_LENGTH: length}))
    causes = found(RULE, run).causes
    assert causes[0].what.startswith(first)
    supports = [cause.support for cause in causes]
    assert supports == sorted(supports, key=[Support.SUPPORTED, Support.OPEN, Support.RULED_OUT].index)
    episodes = cause(found(RULE, run), "rollouts that hold")
    few = settings.get("ppo.num_steps") == 199
    assert (episodes.support is Support.SUPPORTED) == few
    assert not few or episodes.why == "4 episodes in a rollout"
