"""What is left of a finding in a run of any learner, on any task."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.examining import weigh_finding
from unstuck.analysis.diagnosis.finding import Finding, Ground, Kind, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import ENV_STEPS, History
from unstuck.analysis.history.record import EPISODE_LENGTH

from tests.analysis_tests.runs import LENGTH, healthy, untaught

TURN = np.arange(1, LENGTH + 1)
RISING, FLAT = 1.0 * TURN, np.where(TURN % 2 == 0, 5.0, -5.0)
NO_ACTIONS: dict[str, Any] = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}


def stranger(returns: Any = FLAT, dialect: str = "sb3", **settings: Any) -> History:
    """A run of another program, on a task of its own, of which returns are on record."""
    run = healthy(seeds=0, f1=None, **{"eval/episode_return": None, "train/episode_return": returns}, **NO_ACTIONS)
    return replace(run, settings={"env.id": "Own-v1", **settings}, dialect=dialect)


def weighed(run: History, ground: Ground, kind: Kind = Kind.FAULT) -> tuple[Kind, Sureness]:
    finding = weigh_finding(Signals(run), Finding("It is: 1", kind, Sureness.SURE, "so it is", ground=ground))
    return finding.kind, finding.sureness


PLANNED = {"ppo.num_iterations": LENGTH}
YOUNG = {"ppo.num_iterations": 3 * LENGTH}


@pytest.mark.parametrize(
    ("run", "ground", "expected"),
    [
        (stranger(), Ground.PROOF, (Kind.FAULT, Sureness.SURE)),
        (stranger(RISING), Ground.PROOF, (Kind.FAULT, Sureness.SURE)),
        (stranger(RISING), Ground.MEASURED, (Kind.FAULT, Sureness.LIKELY)),  # it would learn more
        (stranger(**YOUNG), Ground.MEASURED, (Kind.FAULT, Sureness.LIKELY)),
        (stranger(), Ground.STATE, (Kind.FAULT, Sureness.LIKELY)),
        (stranger(RISING), Ground.STATE, (Kind.SUSPECT, Sureness.LIKELY)),  # it does not suffer
        (stranger(), Ground.PACE, (Kind.SUSPECT, Sureness.LIKELY)),  # nobody knows how long it takes
        (stranger(**PLANNED), Ground.PACE, (Kind.FAULT, Sureness.LIKELY)),
        (stranger(**YOUNG), Ground.PACE, (Kind.SUSPECT, Sureness.LIKELY)),
        (stranger(finished=True), Ground.PACE, (Kind.FAULT, Sureness.LIKELY)),  # its user says that it is over
        (stranger(finished=True, **YOUNG), Ground.PACE, (Kind.FAULT, Sureness.LIKELY)),
        (stranger(finished=False, **PLANNED), Ground.PACE, (Kind.SUSPECT, Sureness.LIKELY)),
        (stranger(RISING, finished=True), Ground.PACE, (Kind.SUSPECT, Sureness.LIKELY)),
        (stranger(RISING, **PLANNED), Ground.PACE, (Kind.SUSPECT, Sureness.LIKELY)),
        (untaught(), Ground.PACE, (Kind.FAULT, Sureness.SURE)),  # our own learner's paces and sizes are known
        (healthy(), Ground.STATE, (Kind.FAULT, Sureness.SURE)),
    ],
)
def test_of_another_learner_only_a_proof_is_sure_and_a_fault_needs_a_run_that_suffers(
    run: History, ground: Ground, expected: tuple[Kind, Sureness]
) -> None:
    assert weighed(run, ground) == expected


def test_a_finding_that_the_end_would_settle_says_how_to_tell_that_the_run_has_ended() -> None:
    young = weigh_finding(Signals(stranger()), Finding("It is: 1", Kind.FAULT, Sureness.SURE, "so", ground=Ground.PACE))
    assert young.why == (
        "so; how long this task takes is not known (of a run that has ended, say so: --set finished=true)"
    )


@pytest.mark.parametrize(
    ("iterations", "steps", "expected"),
    [(10, 2_048.0, Kind.SUSPECT), (15, 4_369.0, Kind.SUSPECT), (16, 2_048.0, Kind.FAULT), (15, 4_370.0, Kind.FAULT)],
)
def test_a_run_of_few_iterations_and_few_steps_was_too_short_for_a_fault_of_its_pace(
    iterations: int, steps: float, expected: Kind
) -> None:
    run = stranger(finished=True)
    short = replace(run, table=run.table.assign(**{ENV_STEPS: steps * TURN}).loc[:iterations])
    assert weighed(short, Ground.PACE)[0] is expected
    assert weighed(short, Ground.STATE)[0] is Kind.FAULT
    unknown = replace(short, table=short.table.drop(columns=ENV_STEPS))
    assert weighed(unknown, Ground.PACE)[0] is Kind.FAULT  # a row may be of many updates


def test_a_run_that_was_too_short_is_told_so() -> None:
    run = stranger(finished=True)
    short = Signals(replace(run, table=run.table.assign(**{ENV_STEPS: 2_048.0 * TURN}).loc[:10]))
    found = weigh_finding(short, Finding("It is: 1", Kind.FAULT, Sureness.SURE, "so", ground=Ground.PACE))
    assert found.why == "so; 10 iterations are too few to tell: train longer"


def test_a_suspect_stays_one_and_what_is_fine_or_a_limit_is_left_alone() -> None:
    assert weighed(stranger(RISING), Ground.STATE, Kind.SUSPECT) == (Kind.SUSPECT, Sureness.LIKELY)
    assert weighed(stranger(RISING), Ground.STATE, Kind.FINE) == (Kind.FINE, Sureness.SURE)
    assert weighed(stranger(RISING), Ground.STATE, Kind.LIMIT) == (Kind.LIMIT, Sureness.SURE)


def test_a_plan_is_told_from_environment_steps_too() -> None:
    run = stranger(total_timesteps=40_000)
    with_steps = replace(run, table=run.table.assign(**{ENV_STEPS: 200.0 * TURN}))
    assert Signals(run).planned is None
    assert Signals(with_steps).planned == 200
    assert Signals(with_steps).compute_progress(LENGTH) == 0.5
    assert weighed(with_steps, Ground.PACE) == (Kind.FAULT, Sureness.LIKELY)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("dialect", ["sb3", "cleanrl", "rsl_rl", "plain"])
def test_a_healthy_run_of_others_has_no_fault_however_early_it_is_looked_at(dialect: str, share: float) -> None:
    """Entropy near its maximum, a critic that explains nothing yet, a value loss that grows with the returns."""
    noise = np.random.default_rng(2).standard_normal(LENGTH)
    learned = 1 / (1 + np.exp(-(TURN - 50) / 8))
    run = stranger(np.convolve(300 * learned + 5 * noise, np.ones(5) / 5, "same"), dialect)
    columns = {"train/entropy": 1.386 * (1 - 0.5 * learned), "train/value_loss": 0.7 + 4000 * learned**2}
    columns |= {"train/explained_variance": 0.9 * learned, "train/approx_kl": 0.01 + 0.002 * noise}
    young = replace(run, table=run.table.assign(**columns).loc[: round(share * LENGTH)])
    assert diagnose(young).select_findings(Kind.FAULT) == []
    assert all(one.finding.sureness < Sureness.SURE for one in diagnose(young).select_findings(Kind.SUSPECT))


def test_what_only_a_probe_logs_is_missed_in_other_trainers_runs_alone() -> None:
    ours, theirs = diagnose(healthy()), diagnose(stranger())
    probed = {"observation_late", "observation_incomplete", "action_not_applied", "starts_alike"}
    assert not probed & {one.rule.name for one in ours.unexamined}
    assert probed <= {one.rule.name for one in theirs.unexamined}


def test_what_a_level_return_of_short_episodes_suffers_from_is_no_fault_short_of_a_measurement() -> None:
    run = stranger(finished=True)
    brief = replace(run, table=run.table.assign(**{EPISODE_LENGTH: 1.4}))
    assert [weighed(run, ground)[0] for ground in Ground] == [Kind.FAULT] * len(Ground)
    faults = [ground for ground in Ground if weighed(brief, ground)[0] is Kind.FAULT]
    assert sorted(faults) == sorted((Ground.PROOF, Ground.MEASURED))
