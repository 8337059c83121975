import dataclasses
import math
import sys

import numpy as np
import pytest
import torch
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.data.types import Flows
from unstuck.rl.envs import make_evaluator
from unstuck.rl.envs.triage import TriageVectorEnv
from unstuck.rl.learner import Learner, Member
from unstuck.rl.make_learner import make_learner
from unstuck.rl.metrics import ACTIONS, F1, greedy_metric
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks.stuck_run import __main__ as study
from benchmarks.stuck_run import faults
from tests.sweeps_tests.real import leave_out_diagnoses

SMALL = PPOConfig(
    num_iterations=4,
    eval_every=1,
    num_envs=1,
    num_steps=16,
    minibatch_size=8,
    hidden_sizes=(8,),
    entropy_coef=0.05,
)
ENV = EnvConfig(flows_per_episode=5)
PAID = np.array([ENV.reward_benign, ENV.reward_threat])


def _flows() -> Flows:
    """A flow's first feature is its number; every third is a threat."""
    features = np.random.default_rng(3).standard_normal((30, 4)).astype(np.float32)
    features[:, 0] = np.arange(30)
    return Flows(features, np.arange(30) % 3 == 0)


def _learner(config: PPOConfig = SMALL) -> Learner:
    flows = _flows()
    members = [Member(config, seed) for seed in make_member_seeds(0, 2)]
    lanes = TriageVectorEnv(2 * config.num_envs, flows, ENV)
    return Learner(members, lanes, make_evaluator(ENV, flows, ()), ACTIONS)


def test_an_action_is_paid_by_the_flow_after_the_one_that_was_shown():
    """Over three episodes of five flows: the flow after the last is the sixth that was drawn, which nobody judges."""
    threat, lanes = _flows().threat, faults.RewardOfNextFlow()(_learner()).env
    honest = TriageVectorEnv(2, _flows(), ENV)
    shown, _ = lanes.reset(seed=[1, 2])
    same, _ = honest.reset(seed=[1, 2])
    apart = 0
    for step in range(15):
        np.testing.assert_array_equal(shown, same)
        actions = np.array([step % 4, 1])
        after, rewards, _, _, infos = lanes.step(actions)
        same, paid, _, _, _ = honest.step(actions)
        here = shown[:, 0].astype(int)
        ahead = infos.get("final_obs", after)
        np.testing.assert_array_equal(rewards, PAID[threat[ahead[:, 0].astype(int)].astype(int), actions])
        np.testing.assert_array_equal(paid, PAID[threat[here].astype(int), actions])
        apart += int((rewards != paid).sum())
        shown = after
    assert apart > 5


def test_the_reward_of_the_next_flow_needs_flows():
    learner = make_learner(
        dataclasses.replace(SMALL, num_envs=2),
        EnvConfig(id="CartPole-v1", eval_episodes=2),
        make_member_seeds(0, 1),
        make_evaluation_seed(0),
    )
    with pytest.raises(TypeError, match="needs the triage of flows, got CartPole"):
        faults.RewardOfNextFlow()(learner)


def test_the_bonus_is_twenty_times_what_the_settings_in_force_say():
    """Bit for bit the training of a learner whose coefficient is 1.0, and not that of one with 0.05."""
    spoiled, strong, stated = (
        faults.BonusTooStrong(20.0)(_learner()),
        _learner(dataclasses.replace(SMALL, entropy_coef=1.0)),
        _learner(),
    )
    for _ in range(3):
        for learner in (spoiled, strong, stated):
            learner.iterate()
        assert spoiled.read_effective()["entropy_coef"] == pytest.approx(0.05)
    assert torch.equal(spoiled.networks.parameters, strong.networks.parameters)
    assert not torch.equal(spoiled.networks.parameters, stated.networks.parameters)


def test_whatever_the_weights_the_greedy_policy_allows_every_flow():
    learner = _learner()
    seen = np.tile(_flows().features, (2, 1, 1))
    differ = learner.greedy_actions(seen)
    assert len(np.unique(differ)) > 1
    learner = faults.GreedySeesNoNumbers()(learner)
    for _ in range(5):
        learner.networks.parameters.normal_(generator=torch.Generator().manual_seed(5))
        assert not learner.greedy_actions(seen).any()


def test_an_evaluation_that_sees_no_numbers_has_numbers_in_every_metric():
    """Else the run would have ended as diverged."""
    measured = faults.GreedySeesNoNumbers()(_learner()).iterate()
    assert measured[F1].tolist() == [0, 0]
    assert measured[greedy_metric("allow")].tolist() == [1, 1]
    assert all(math.isfinite(value) for values in measured.values() for value in values)


def test_faults_are_planted_into_every_learner_that_is_made_inside_the_block_and_no_other():
    def made() -> Learner:
        return make_learner(
            dataclasses.replace(SMALL, num_envs=2),
            EnvConfig(id="CartPole-v1", eval_episodes=2),
            make_member_seeds(0, 1),
            make_evaluation_seed(0),
        )

    seen = []
    with faults.planted(("bonus", "evaluation"), lambda learner, measured: seen.append((learner, measured))):
        inside = made()
        measured = inside.iterate()
    after = made()
    after.iterate()
    assert seen == [(inside, measured)]
    shown = np.ones((1, 3, 4), dtype=np.float32)
    assert not inside.greedy_actions(shown).any()
    assert not torch.equal(inside.networks.parameters, after.networks.parameters)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_quick_study_prints_every_table_and_trains_nothing_twice(tmp_path, capsys, monkeypatch):
    leave_out_diagnoses(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["stuck_run", "--quick", "--folder", str(tmp_path)])
    study.main()
    printed = capsys.readouterr().out
    for caption in (
        "All members beside the owner's run:",
        "Member by member",
        "Evaluations of the same members",
        "Which faults of training are needed",
        "All arms, with all three faults in force in each:",
        "The verdict:",
        "The same checkpoint, with faults mended",
    ):
        assert caption in printed
    assert "| evaluations that allow every flow | 11 of 11 | 9 of 9 |" in printed
    trained = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.npz"))
    study.main()
    assert capsys.readouterr().out == printed
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.npz")) == trained
