"""Faults planted in a loop of its owner's are found from the probe's log, in the words of the loop's settings."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Kind

import unstuck
from benchmarks.own_loop import Settings, main, train

pytestmark = pytest.mark.timeout(60)

SHORT = replace(Settings(), total_timesteps=2_048, num_steps=32, minibatch_size=64)


@pytest.fixture(scope="module")
def diagnose(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Settings], Diagnosis]:
    """Train with settings and diagnose the log; once for equal settings."""

    @cache
    def trained(settings: Settings) -> Diagnosis:
        folder = tmp_path_factory.mktemp("probed")
        train(settings, str(folder))
        return unstuck.diagnose(folder)

    return trained


def test_a_healthy_loop_has_no_fault_and_few_blind_rules(diagnose: Callable[[Settings], Diagnosis]) -> None:
    found = diagnose(SHORT)
    assert [one.rule.name for one in found.findings if one.finding.kind is Kind.FAULT] == []
    of_evaluations = {"greedy_collapsed", "greedy_vs_sampled", "paid_otherwise", "rewards_noisy", "starts_alike"}
    assert {one.rule.name for one in found.unexamined} <= {"seeds_bimodal", *of_evaluations}
    assert found.signals.history.program == "cleanrl"


@pytest.mark.parametrize(
    ("planted", "rules", "words"),
    [
        ({"wrong_logprob": True}, {"bug_gate"}, "the probability ratio is off 1"),
        ({"learning_rate": 1e-7}, {"updates_too_small", "policy_frozen"}, "--learning-rate"),
        ({"ent_coef": 10.0}, {"entropy_pinned"}, "--ent-coef"),
        ({"obs_scale": 1_000.0}, {"inputs_unscaled"}, "Inputs are not scaled"),
        ({"shared_trunk": True, "vf_coef": 1_000.0}, {"policy_starved"}, "--vf-coef"),
    ],
)
def test_a_planted_fault_is_found(
    diagnose: Callable[[Settings], Diagnosis], planted: dict[str, float], rules: set[str], words: str
) -> None:
    found = diagnose(replace(SHORT, **planted))
    wrong = {one.rule.name: one.finding for one in found.findings if one.finding.kind in (Kind.FAULT, Kind.SUSPECT)}
    (name,) = rules & wrong.keys()
    assert words in str(wrong[name])
    healthy = diagnose(SHORT)
    assert not rules & {one.rule.name for one in healthy.select_findings(Kind.FAULT, Kind.SUSPECT)}


def test_the_loop_trains_the_same_without_a_probe() -> None:
    tiny = replace(SHORT, total_timesteps=1_024)
    bare, probed = train(tiny, probed=False), train(tiny)
    assert all(torch.equal(one, other) for one, other in zip(bare.parameters(), probed.parameters(), strict=True))


def test_the_loop_runs_by_command(tmp_path: Path) -> None:
    assert main(["--folder", str(tmp_path / "mine"), "--total-timesteps", "1024"]) == 0
    assert unstuck.load_run(tmp_path / "mine").last_iteration == 2
