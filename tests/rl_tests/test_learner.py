import copy
import dataclasses

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from unstuck.rl import metrics, ppo
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.envs import list_action_names, make_evaluator, make_vec
from unstuck.rl.errors import ConfigError
from unstuck.rl.learner import Learner, Member
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

CONFIG = PPOConfig(
    num_iterations=20,
    num_envs=3,
    num_steps=11,
    minibatch_size=11,
    num_epochs=2,
    hidden_sizes=(24, 20),
    normalize_returns="running",
    normalize_observations=True,
    eval_every=10,
    target_kl=0.05,
    clip_range_vf=0.5,
    lr_schedule="linear",
)
ENV = EnvConfig(flows_per_episode=50)


@pytest.fixture(scope="module")
def data():
    return load_flows(DataConfig(num_flows=2000))


def _learner(members, data, env=ENV):
    lanes = [seed for member in members for seed in member.lane_seeds()]
    vector = make_vec(env, lanes, data)
    evaluator = make_evaluator(env, data.validation, [0] * env.eval_episodes)
    return Learner(members, vector, evaluator, list_action_names(env, vector.single_action_space))


def _curve(learner, member, iterations):
    return [{name: value[member] for name, value in learner.iterate().items()} for _ in range(iterations)]


def _assert_same(ours, theirs):
    """Equal to the last bit; what waits for every member's first episode is compared where both have it.

    The environment is measured on lanes of all members together.
    """
    for one, other in zip(ours, theirs, strict=True):
        shared = (one.keys() & other.keys()) - set(metrics.ENVIRONMENT)
        waiting = {metrics.TRAIN_RETURN, metrics.EPISODE_LENGTH, metrics.START_REPEATS, *metrics.ENVIRONMENT}
        assert one.keys() ^ other.keys() <= waiting
        assert {name: one[name] for name in shared} == {name: other[name] for name in shared}


@pytest.mark.parametrize("shared_trunk", [True, False])
@pytest.mark.parametrize("normalize_returns", ["none", "running", "batch"])
def test_member_alone_equals_member_among_seven_others(data, shared_trunk, normalize_returns):
    settings = {"shared_trunk": shared_trunk, "normalize_returns": normalize_returns}
    config = dataclasses.replace(CONFIG, eval_every=5, **settings)  # episodes end in the fifth iteration as well
    seeds = make_member_seeds(7, 16)
    alone = _learner([Member(config, seeds[0])], data)
    expected = _curve(alone, 0, 6)
    for place, others in ((0, seeds[1:8]), (5, seeds[8:15])):
        lr = 1e-2 if place else 1e-4
        neighbours = [Member(dataclasses.replace(config, lr=lr, entropy_coef=0.1), seed) for seed in others]
        crowd = _learner([*neighbours[:place], Member(config, seeds[0]), *neighbours[place:]], data)
        _assert_same(_curve(crowd, place, 6), expected)
        assert torch.equal(crowd.networks.parameters[place], alone.networks.parameters[0])


@pytest.mark.parametrize(("env", "iterations"), [("CartPole-v1", 6), ("Pendulum-v1", 11), ("unstuck/Triage-v0", 4)])
def test_neighbours_whose_episodes_end_elsewhere_change_nothing(data, env, iterations):
    """Truncated episodes are valued in chunks: their number must not show in another member's numbers."""
    config, where = dataclasses.replace(CONFIG, num_steps=22), EnvConfig(id=env, flows_per_episode=7, eval_episodes=2)
    seeds = make_member_seeds(3, 4)
    expected = _curve(_learner([Member(config, seeds[0])], data, where), 0, iterations)
    together = _curve(_learner([Member(config, seed) for seed in seeds], data, where), 0, iterations)
    _assert_same(together, expected)
    assert metrics.TRAIN_RETURN in expected[-1]


def test_eight_configurations_in_one_learner_equal_each_alone(data):
    seeds = make_member_seeds(11, 8)
    members = [
        Member(
            dataclasses.replace(
                CONFIG,
                lr=1e-4 * 2**index,
                gamma=0.9 + 0.01 * index,
                gae_lambda=index / 8,
                entropy_coef=0.01 * index,
                value_coef=0.25 * (index + 1),
                clip_range=0.1 + 0.02 * index,
                max_grad_norm=0.2 * (index + 1),
                target_kl=None if index % 2 else 0.02,
                clip_range_vf=None if index % 3 else 0.3,
            ),
            seed,
        )
        for index, seed in enumerate(seeds)
    ]
    together = _learner(members, data)
    curves = [together.iterate() for _ in range(6)]
    for index, member in enumerate(members):
        alone = _learner([member], data)
        _assert_same([{n: v[index] for n, v in measured.items()} for measured in curves], _curve(alone, 0, 6))
        assert torch.equal(together.networks.parameters[index], alone.networks.parameters[0])


def test_same_seed_same_numbers_and_other_seed_others(data):
    first, again, other = (
        make_learner(CONFIG, ENV, make_member_seeds(s, 2), make_evaluation_seed(s), data) for s in (1, 1, 2)
    )
    ours, same, different = (_curve(learner, 1, 5) for learner in (first, again, other))
    assert ours == same
    assert ours != different


def test_members_of_one_learner_must_agree_on_shapes(data):
    seeds = make_member_seeds(0, 2)
    odd = dataclasses.replace(CONFIG, num_epochs=5)
    with pytest.raises(ConfigError, match=r"ppo\.num_epochs must be the same for all members.*got \['2', '5'\]"):
        _learner([Member(CONFIG, seeds[0]), Member(odd, seeds[1])], data)


def test_learns_to_triage(data):
    config = PPOConfig(
        num_iterations=12, lr=3e-3, gamma=0.0, eval_every=12, shared_trunk=True, normalize_returns="batch"
    )
    learner = make_learner(config, EnvConfig(), make_member_seeds(0, 2), make_evaluation_seed(0), data)
    final = [learner.iterate() for _ in range(12)][-1]
    assert final[metrics.F1].min() > 2 * final[metrics.F1_FLAG_ALL].max()
    assert final[metrics.EVAL_RETURN].min() > 0  # a uniformly random policy earns -1,750


def test_greedy_actions_of_many_observations_are_those_of_each(data):
    learner = _learner([Member(CONFIG, seed) for seed in make_member_seeds(0, 2)], data)
    learner.iterate()
    flows = np.random.default_rng(0).standard_normal((2, 1100, 20)).astype(np.float32)
    outputs = learner.networks.policy(learner.observation_normalizer(torch.from_numpy(flows)))
    greedy = learner.greedy_actions(flows)
    assert greedy.shape == (2, 1100)
    np.testing.assert_array_equal(greedy, outputs.argmax(-1).numpy())


def test_metrics_come_once_an_iteration_and_evaluations_when_due(data):
    learner = make_learner(CONFIG, ENV, make_member_seeds(0, 2), make_evaluation_seed(0), data)
    curve = _curve(learner, 0, 20)
    always = {name for name in metrics.TRAIN if name != metrics.TRAIN_RETURN}
    shares = {metrics.action_metric(name) for name in ("allow", "block", "quarantine", "alert")}
    for iteration, measured in enumerate(curve, 1):
        assert always | shares <= measured.keys()
        assert (metrics.F1 in measured) == (iteration in (10, 20))
        assert sum(measured[name] for name in shares) == pytest.approx(1.0)


def test_episode_return_is_absent_until_every_member_ended_an_episode(data):
    learner = make_learner(CONFIG, ENV, make_member_seeds(0, 2), make_evaluation_seed(0), data)
    present = [metrics.TRAIN_RETURN in learner.iterate() for _ in range(7)]
    assert present == [False] * 4 + [True] * 3  # 11 steps an iteration, episodes of 50


def test_lr_decays_linearly_to_the_end(data):
    learner = make_learner(CONFIG, ENV, make_member_seeds(0, 1), make_evaluation_seed(0), data)
    rates = [learner.iterate()[metrics.LR][0] for _ in range(20)]
    np.testing.assert_allclose(rates, CONFIG.lr * (1 - np.arange(20) / 20), rtol=1e-6)


def test_clip_range_decays_linearly_where_it_is_used(data):
    """The update of iteration i must be that of a constant clip_range (1 - i / n), and no other."""
    seed = make_member_seeds(0, 1)
    config = dataclasses.replace(CONFIG, clip_range=0.2, num_epochs=6, lr=1e-2, lr_schedule="constant", target_kl=None)
    linear = dataclasses.replace(config, clip_range_schedule="linear")
    decaying = make_learner(linear, ENV, seed, make_evaluation_seed(0), data)
    for _ in range(15):
        decaying.iterate()
    assert decaying.read_effective()["clip_range"] == pytest.approx(0.2 * 5 / 20)
    fractions = {}
    for clip_range in (0.2 * 5 / 20, 0.2):
        constant = make_learner(
            dataclasses.replace(config, clip_range=clip_range), ENV, seed, make_evaluation_seed(0), data
        )
        constant.load_state(*decaying.state())
        fractions[clip_range] = constant.iterate()[metrics.CLIP_FRACTION][0]
    reached = decaying.iterate()[metrics.CLIP_FRACTION][0]
    assert reached == pytest.approx(fractions[0.2 * 5 / 20])
    assert reached > fractions[0.2] + 0.1


def test_batch_normalised_value_loss_starts_at_one(data):
    """The critic knows nothing yet and its targets have spread 1: the stuck run's 1.0 (its case, conclusion 2)."""
    config = PPOConfig(num_iterations=1, eval_every=1, normalize_returns="batch", lr=1e-9)
    learner = make_learner(config, EnvConfig(), make_member_seeds(0, 4), make_evaluation_seed(0), data)
    assert learner.iterate()[metrics.VALUE_LOSS].mean() == pytest.approx(1.0, abs=0.4)


def _looking(monkeypatch, look):
    """Calls `look(networks, batch)` just before every update."""
    update = ppo.update

    def watched(networks, adam, batch, *rest):
        look(networks, batch)
        return update(networks, adam, batch, *rest)

    monkeypatch.setattr(ppo, "update", watched)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "unstuck/Triage-v0"])
def test_actions_were_drawn_by_the_very_policy_that_the_update_starts_from(data, monkeypatch, env):
    """So that every ratio starts at 1. It would not if statistics of observations moved before the update."""
    learner = _learner(
        [Member(CONFIG, seed) for seed in make_member_seeds(5, 2)], data, EnvConfig(id=env, eval_episodes=1)
    )
    policy, replays = learner.networks.distribution, copy.deepcopy(learner.act_generators)

    def look(networks, batch):
        outputs = networks.policy(batch.observations)
        noise = torch.stack([policy.noise(generator, (CONFIG.num_steps, CONFIG.num_envs)) for generator in replays])
        torch.testing.assert_close(policy.sample(outputs, noise.flatten(1, 2)), batch.actions)
        torch.testing.assert_close(policy.log_probs(outputs.transpose(1, 2), batch.actions)[0], batch.log_probs)

    _looking(monkeypatch, look)
    for _ in range(3):
        learner.iterate()


class Ladder(gymnasium.Env):
    """Shows 1 more than the steps made and pays 1, 2, 3: then odd episodes terminate and even ones are cut."""

    observation_space, action_space = Box(1, 4, (1,), np.float32), Discrete(2)
    episode = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.made = self.episode + 1, 0
        return np.ones(1, dtype=np.float32), {}

    def step(self, action):
        self.made += 1
        last, odd = self.made == 3, self.episode % 2 == 1
        return np.full(1, self.made + 1, dtype=np.float32), float(self.made), last and odd, last and not odd, {}


def _ladder_advantages(values, start, steps, after_a_cut=3, after_an_end=None):
    """By equation 16, from the rules of `Ladder` alone; `values` of 0 to 3 steps made."""
    result = []
    for first in range(start, start + steps):
        total, weight = 0.0, 1.0
        for step in range(first, start + steps):
            episode, made = divmod(step, 3)
            future = values[made + 1]
            if made == 2:
                after = after_an_end if episode % 2 == 0 else after_a_cut
                future = 0.0 if after is None else values[after]
            total += weight * (made + 1 + CONFIG.gamma * future - values[made])
            weight *= CONFIG.gamma * CONFIG.gae_lambda
            if made == 2:
                break
        result.append(total)
    return np.array(result)


def test_advantages_across_ends_cuts_and_automatic_resets_equal_brute_force(monkeypatch):
    """No sample is a reset, an end is worth nothing, and a cut what its own last observation is worth."""
    monkeypatch.setitem(gymnasium.registry, "Ladder-v0", EnvSpec("Ladder-v0", entry_point=Ladder))
    config = dataclasses.replace(CONFIG, normalize_returns="none", normalize_observations=False)
    env = EnvConfig(id="Ladder-v0", eval_episodes=1)
    learner = make_learner(config, env, make_member_seeds(0, 2), make_evaluation_seed(0))
    starts = iter((0, 11, 22))

    def look(networks, batch):
        start = next(starts)
        made = (start + np.arange(11)) % 3
        _, values = networks(torch.arange(1.0, 5.0).view(4, 1).expand(2, 4, 1))
        for member, value in enumerate(values.double().numpy()):
            shown, advantages, targets = (
                column[member].view(11, 3).numpy() for column in (batch.observations, batch.advantages, batch.targets)
            )
            expected = _ladder_advantages(value, start, 11)
            for lane in range(3):
                np.testing.assert_array_equal(shown[:, lane], made + 1)
                np.testing.assert_allclose(advantages[:, lane], expected, atol=1e-4)
                np.testing.assert_allclose(targets[:, lane], expected + value[made], atol=1e-4)
            for wrong in ({"after_a_cut": 0}, {"after_a_cut": None}, {"after_an_end": 0}, {"after_an_end": 3}):
                assert np.abs(_ladder_advantages(value, start, 11, **wrong) - expected).max() > 1e-3

    _looking(monkeypatch, look)
    for _ in range(3):
        learner.iterate()


def test_a_member_that_is_not_finite_changes_no_other(data):
    sound, beside = (_learner([Member(CONFIG, seed) for seed in make_member_seeds(2, 3)], data) for _ in range(2))
    beside.networks.parameters[1] = torch.nan
    ours, theirs = ([learner.iterate() for _ in range(10)] for learner in (sound, beside))
    for member in (0, 2):
        _assert_same(*([{n: v[member] for n, v in measured.items()} for measured in curve] for curve in (ours, theirs)))
        assert torch.equal(sound.networks.parameters[member], beside.networks.parameters[member])
    assert np.isnan(theirs[-1][metrics.VALUE_LOSS][1])
    assert np.isnan(theirs[-1][metrics.VALUE_FLOOR][1])
