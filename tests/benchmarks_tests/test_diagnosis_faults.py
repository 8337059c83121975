"""Every fault does what it says, to a learner that is otherwise the healthy one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from unstuck.rl import metrics
from unstuck.rl.config import DataConfig
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks.diagnosis import in_environment, in_learner
from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.in_data import FewFlows, LabelsExchanged
from benchmarks.diagnosis.training import flows
from benchmarks.diagnosis.worlds import WORLDS

SHORT = {"ppo.num_iterations": 8, "ppo.eval_every": 2, "ppo.num_steps": 16, "ppo.minibatch_size": 64}


def learner(world: str = "cartpole", plant: Callable[[Learner], Learner] | None = None, **ppo: object) -> Learner:
    one = WORLDS[world].changed({**SHORT, **{f"ppo.{name}": value for name, value in ppo.items()}})
    data = flows(DataConfig(num_flows=1000, eval_flows=100, threat_share=0.3)) if one.is_triage else None
    made = make_learner(one.ppo, one.env, make_member_seeds(0, 2), make_evaluation_seed(0), data)
    return plant(made) if plant else made


def test_every_fault_is_planted_in_both_forms_and_its_rules_are_written_down() -> None:
    assert len(FAULTS) >= 14
    for fault in FAULTS.values():
        assert fault.rules
        assert fault.why
        assert fault.mild != fault.strong
        for form in fault.forms.values():
            assert form.settings or form.learner or form.data
            for world in fault.worlds:
                WORLDS[world].changed(form.settings)


def test_inputs_are_scaled_in_training_and_evaluation() -> None:
    ours, theirs = learner(), learner(plant=in_environment.ScaledInputs(100.0))
    assert torch.equal(theirs.rollout.raw_observations[:, -1], ours.rollout.raw_observations[:, -1] * 100)
    with torch.no_grad():
        ours.networks.parameters.copy_(theirs.networks.parameters)
    ours.iterate(), theirs.iterate()
    seen = theirs.rollout.raw_observations[:, :-1].abs().amax()
    assert seen > 20 * ours.rollout.raw_observations[:, :-1].abs().amax()


def test_evaluation_alone_sees_other_inputs() -> None:
    ours, theirs = learner("shuffled"), learner("shuffled", in_environment.OtherInputsInEvaluation(0.2, 3.0))
    for _ in range(2):
        one, other = ours.iterate(), theirs.iterate()
    assert torch.equal(ours.networks.parameters, theirs.networks.parameters)
    assert not np.array_equal(one[metrics.greedy_metric("allow")], other[metrics.greedy_metric("allow")])


def test_lanes_are_shown_each_others_observations() -> None:
    ours, theirs = learner(), learner(plant=in_environment.ObservationsOfOthers(1.0))
    first, other = ours.rollout.raw_observations[:, -1], theirs.rollout.raw_observations[:, -1]
    assert not torch.equal(first, other)
    for member in range(2):  # the same ones, in another order, and none in its own lane
        assert sorted(first[member].tolist()) == sorted(other[member].tolist())
        assert not (first[member] == other[member]).all(-1).any()


@pytest.mark.parametrize(
    ("plant", "pays"),
    [
        (in_environment.ScaledRewards(100.0), lambda rewards: rewards * 100),
        (in_environment.ConstantReward(0.0), lambda rewards: rewards * 0),
    ],
)
def test_rewards_are_changed_and_nothing_else(
    plant: Callable[[Learner], Learner], pays: Callable[..., torch.Tensor]
) -> None:
    ours, theirs = learner("shuffled"), learner("shuffled", plant)
    ours.iterate(), theirs.iterate()
    assert torch.equal(theirs.rollout.rewards, pays(ours.rollout.rewards))
    assert torch.equal(theirs.rollout.raw_observations, ours.rollout.raw_observations)


def test_rewards_grow() -> None:
    grown = learner(plant=in_environment.GrowingRewards(16))
    grown.iterate()
    assert grown.rollout.rewards[0, -1, 0] == pytest.approx(10.0, rel=1e-5)
    grown.iterate()
    assert grown.rollout.rewards[0, -1, 0] == pytest.approx(100.0, rel=1e-5)


def test_lanes_are_paid_each_others_rewards() -> None:
    ours, theirs = learner("shuffled"), learner("shuffled", in_environment.RewardsOfOthers(1.0))
    ours.iterate(), theirs.iterate()
    one, other = ours.rollout.rewards, theirs.rollout.rewards
    assert not torch.equal(one, other)
    assert torch.equal(one.sort(dim=2).values, other.sort(dim=2).values)


def test_a_policy_that_is_left_out_stays_and_its_critic_learns() -> None:
    late = learner(plant=in_learner.PolicyLeftOut(0.25))  # from iteration 2 on
    for iteration in range(4):
        before = late.networks.parameters.unflatten(-1, (2, -1)).clone()
        late.iterate()
        now = late.networks.parameters.unflatten(-1, (2, -1))
        assert torch.equal(before[:, 0], now[:, 0]) == (iteration >= 2)
        assert not torch.equal(before[:, 1], now[:, 1])


def test_a_critic_that_is_too_fast_takes_longer_steps() -> None:
    ours, theirs = (
        learner(num_epochs=1, minibatch_size=128),
        learner(plant=in_learner.CriticTooFast(100.0), num_epochs=1, minibatch_size=128),
    )
    before = ours.networks.parameters.unflatten(-1, (2, -1)).clone()
    ours.iterate(), theirs.iterate()
    one, other = (x.networks.parameters.unflatten(-1, (2, -1)) - before for x in (ours, theirs))
    assert torch.equal(one[:, 0], other[:, 0])
    assert torch.allclose(other[:, 1], 100 * one[:, 1], atol=1e-5)


def test_weights_are_larger_and_units_saturated() -> None:
    large = learner(plant=in_learner.LargeWeights(30.0))
    assert torch.equal(large.networks.parameters, learner().networks.parameters * 30)


def test_the_bonus_has_the_wrong_sign_in_the_loss_alone() -> None:
    turned = learner(plant=in_learner.BonusWithWrongSign(30.0))
    assert turned.read_effective()["entropy_coef"] == pytest.approx([-0.3, -0.3])
    assert turned.config.entropy_coef == 0.01


def test_the_schedule_ends_too_early() -> None:
    short = learner(plant=in_learner.ScheduleTooShort(0.5))  # 4 of 8 iterations
    rates = [float(short.iterate()[metrics.LR][0]) for _ in range(6)]
    assert rates[:4] == pytest.approx([5e-4, 3.75e-4, 2.5e-4, 1.25e-4])
    assert rates[4:] == pytest.approx([5e-8, 5e-8])


def test_the_update_sees_what_a_bug_makes_of_the_rollout() -> None:
    turned = learner("shuffled", in_learner.AdvantagesWithWrongSign(0.75))
    plain = learner("shuffled")
    for one in (turned, plain):
        one.rollout.collect(one.env, one.networks, None, one.act_generators)
    ours, theirs = plain._batch()[0], turned._batch()[0]
    lanes = torch.arange(ours.advantages.shape[1]) % 8
    assert torch.equal(theirs.advantages[:, lanes >= 6], ours.advantages[:, lanes >= 6])
    assert torch.equal(theirs.advantages[:, lanes < 6], -ours.advantages[:, lanes < 6])
    shuffled = learner("shuffled", in_learner.AdvantagesOfOtherSteps(1.0))
    shuffled.rollout.collect(shuffled.env, shuffled.networks, None, shuffled.act_generators)
    mixed = shuffled._batch()[0].advantages
    assert not torch.equal(mixed, ours.advantages)
    assert torch.equal(mixed.sort().values, ours.advantages.sort().values)


def test_stale_log_probabilities_show_in_the_first_ratio() -> None:
    stale = learner(plant=in_learner.LogProbsOfOtherSteps(1.0), lr=1e-2)
    deviations = [stale.iterate().get(metrics.RATIO_DEVIATION) for _ in range(4)]
    assert (deviations[3] > 1e-3).all()  # type: ignore[operator]


def test_forgotten_ends_raise_the_targets() -> None:
    forgets = learner(plant=in_learner.EndsForgotten(1.0), num_steps=64)
    forgets.iterate()
    assert not forgets.rollout.terminated.any()
    assert any(forgets.rollout.episode_returns)


def test_labels_are_exchanged_in_the_training_part_alone() -> None:
    data = flows(DataConfig(num_flows=1000, eval_flows=100, threat_share=0.3))
    spoiled = LabelsExchanged(1.0)(data)
    assert spoiled.train.threat.sum() == data.train.threat.sum()
    assert (spoiled.train.threat != data.train.threat).mean() == pytest.approx(2 * 0.3 * 0.7, abs=0.06)
    assert spoiled.validation is data.validation
    assert len(FewFlows(120)(data).train) == 120
