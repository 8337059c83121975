"""Every fault does what it says, to a learner that is otherwise the healthy one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from unstuck.analysis.diagnosis.rules import RULES
from unstuck.rl import metrics
from unstuck.rl.config import DataConfig
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks.causes import CAUSES, LABELS
from benchmarks.diagnosis import in_environment, in_learner
from benchmarks.diagnosis.faults import FAULTS, OF_STRANGERS
from benchmarks.diagnosis.in_data import FewFlows, FewThreats, LabelsExchanged, LabelsFlipped, ThreatsTakenForBenign
from benchmarks.diagnosis.training import flows
from benchmarks.diagnosis.worlds import WORLDS

SHORT = {"ppo.num_iterations": 8, "ppo.eval_every": 2, "ppo.num_steps": 16, "ppo.minibatch_size": 64}


def learner(world: str = "cartpole", plant: Callable[[Learner], Learner] | None = None, **ppo: object) -> Learner:
    one = WORLDS[world].changed({**SHORT, **{f"ppo.{name}": value for name, value in ppo.items()}})
    data = flows(DataConfig(num_flows=1000, eval_flows=100, threat_share=0.3)) if one.is_triage else None
    made = make_learner(one.ppo, one.env, make_member_seeds(0, 2), make_evaluation_seed(0), data)
    return plant(made) if plant else made


def test_every_fault_is_planted_in_both_forms_and_its_rules_are_written_down() -> None:
    known = {rule.name for rule in RULES} | set(CAUSES.values()) | LABELS.keys()
    assert len(OF_STRANGERS) >= 20
    for fault in FAULTS.values():
        assert set(fault.rules) <= known
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


def test_labels_and_threats_go_wrong_in_the_training_part_alone() -> None:
    data = flows(DataConfig(num_flows=1000, eval_flows=100, threat_share=0.3))
    threat = data.train.threat
    flipped = LabelsFlipped(0.4)(data).train.threat
    assert (flipped != threat).mean() == pytest.approx(0.4, abs=0.06)
    missed = ThreatsTakenForBenign(0.7)(data)
    assert not (missed.train.threat & ~threat).any()
    assert missed.train.threat.sum() / threat.sum() == pytest.approx(0.3, abs=0.08)
    assert missed.validation is data.validation
    few = FewThreats(5)(data).train
    assert (few.threat.sum(), (~few.threat).sum()) == (5, (~threat).sum())


def test_targets_and_log_probabilities_belong_to_other_steps_and_actions() -> None:
    plain = learner("reach")
    batches = []
    for plant in (None, in_learner.TargetsOfOtherSteps(1.0), in_learner.LogProbsOfOtherActions(0.5)):
        one = learner("reach", plant)
        one.rollout.collect(one.env, one.networks, None, one.act_generators)
        batches.append(one._batch()[0])
    ours, shuffled, stale = batches
    assert not torch.equal(shuffled.targets, ours.targets)
    assert torch.equal(shuffled.targets.sort().values, ours.targets.sort().values)
    spoiled = torch.arange(ours.log_probs.shape[1]) % plain.config.num_envs < 4
    assert torch.equal(stale.log_probs[:, ~spoiled], ours.log_probs[:, ~spoiled])
    assert (stale.log_probs != ours.log_probs)[:, spoiled].all()


def test_actions_are_stored_a_step_late_in_half_of_the_lanes() -> None:
    late = learner(plant=in_learner.ActionsStoredLate(0.5))
    late.rollout.collect(late.env, late.networks, None, late.act_generators)
    done = late.rollout.actions.clone()
    late._batch()
    assert torch.equal(late.rollout.actions[:, 1:, :4], done[:, :-1, :4])
    assert torch.equal(late.rollout.actions[:, :, 4:], done[:, :, 4:])


def test_settings_in_force_are_not_those_that_were_set() -> None:
    jumps = learner(plant=in_learner.RateJumps(0.5, 50.0))
    assert [float(jumps.iterate()[metrics.LR][0]) for _ in range(6)] == pytest.approx([5e-4] * 4 + [0.025] * 2)
    assert learner(plant=in_learner.BonusSummed(128)).read_effective()["entropy_coef"] == pytest.approx([1.28, 1.28])
    decays, plain = learner(plant=in_learner.WeightDecay(0.1), num_epochs=1), learner(num_epochs=1)
    start = plain.networks.parameters.norm()
    for one in (decays, plain):
        one.iterate()
    assert plain.networks.parameters.norm() / start == pytest.approx(1.0, abs=0.02)
    assert decays.networks.parameters.norm() / start == pytest.approx(0.9**2, abs=0.02)  # two steps of 64 samples


def lanes_of(world: str, plant: Callable[[Learner], Learner], steps: int, action: float = 0.0) -> list[np.ndarray]:
    """Observations `[2 x 8, F]` of a planted learner's lanes, under the same action at each step."""
    lanes = learner(world, plant).env
    shape = (lanes.num_envs, *lanes.single_action_space.shape)
    seen = [lanes.reset(seed=list(range(lanes.num_envs)))[0]]
    return [*seen, *(lanes.step(np.full(shape, action, lanes.single_action_space.dtype))[0] for _ in range(steps))]


def test_late_observations_are_those_of_some_steps_ago() -> None:
    plain = lanes_of("reach", lambda one: one, 30, 0.5)
    late = lanes_of("reach", in_environment.LateObservations(3), 30, 0.5)
    for step, shown in ((1, 0), (2, 0), (3, 1), (10, 8), (25, 25), (26, 25), (27, 25), (28, 26)):  # a new one after 25
        np.testing.assert_array_equal(late[step], plain[shown])


def test_clocks_grow_and_columns_are_hidden() -> None:
    plain = lanes_of("cartpole", lambda one: one, 3)
    grown = lanes_of("cartpole", in_environment.GrowingObservations(1.0), 3)
    np.testing.assert_array_equal(grown[2][:, 1:], plain[2][:, 1:])
    np.testing.assert_allclose((grown[3] - grown[2] - plain[3] + plain[2])[:, 0], 1.0, atol=1e-5)
    hidden = lanes_of("cartpole", in_environment.HiddenColumns(2), 2)
    assert not hidden[2][:, [1, 3]].any()
    np.testing.assert_array_equal(hidden[2][:, [0, 2]], plain[2][:, [0, 2]])
    broken = lanes_of("cartpole", in_environment.ObservationsNotFinite(3 / 128), 3)  # 8 iterations of 16 steps
    assert [bool(np.isnan(seen).any()) for seen in broken].count(True) == 1


def test_episodes_end_early_and_begin_alike() -> None:
    early = learner("acrobot", in_environment.EarlyEnds(8)).env
    ends = [early.step(np.ones(16, np.int64)) for _ in range(16)]
    assert [bool(truncated.all()) for _, _, _, truncated, _ in ends] == [step % 8 == 7 for step in range(16)]
    assert (ends[7][4]["final_obs"] != ends[7][0]).any()
    alike = lanes_of("reach", in_environment.EpisodesAlike(1), 25)
    assert (alike[0] == alike[0][0]).all()
    np.testing.assert_array_equal(alike[25], alike[0])
    lanes = lanes_of("shuffled", in_environment.LanesAlike(2), 1)[0].reshape(2, 8, -1)
    np.testing.assert_array_equal(lanes[:, ::2], np.repeat(lanes[:, :1], 4, axis=1))
    assert (lanes[:, 0] != lanes[:, 1]).any()
    assert (lanes[0, 0] != lanes[1, 0]).any()


def test_an_evaluation_shows_one_observation() -> None:
    shown: list[np.ndarray] = []

    class Shows:
        def evaluate(self, act: Callable[[np.ndarray], object], num_members: int) -> dict[str, np.ndarray]:
            for step in range(2):
                act(np.arange(step, step + 12, dtype=np.float32).reshape(2, 3, 2))
            return {}

    one = learner(plant=in_environment.OneObservationInEvaluation(empty=False))
    one.evaluator._evaluator = Shows()  # type: ignore[attr-defined]
    one.evaluator.evaluate(shown.append, 2)  # type: ignore[arg-type]
    first = np.repeat(np.array([[[0, 1]], [[6, 7]]], np.float32), 3, axis=1)
    for seen in shown:
        np.testing.assert_array_equal(seen, first)
    assert len(shown) == 2


def test_rewards_are_rare_costly_or_turned() -> None:
    ours, rare, turned, costly = (
        learner("reach", plant)
        for plant in (
            lambda one: one,
            in_environment.RareRewards(0.1, measured=512),
            in_environment.SignTurns(0.25),  # 32 of 128 steps
            in_environment.CostlyActions(20.0),
        )
    )
    action = np.full((16, 2), 0.5, np.float32)
    true, paid, sign, less = (
        np.array([one.env.step(action)[1] for _ in range(64)]) for one in (ours, rare, turned, costly)
    )
    assert not paid[:33].any()
    assert paid[33:].tolist() == (true[33:] > np.quantile(true[:32], 0.9)).tolist()
    np.testing.assert_array_equal(sign, np.concatenate([true[:32], -true[32:]]))
    np.testing.assert_allclose(less, true - 20.0 * 0.5, rtol=1e-6)
