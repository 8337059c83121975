"""Environments so small that their values are known, each a step harder than the last (Jones 2021, "Debugging RL").

Whatever fails first says where to look: 1 the critic, 2 its input, 3 discounting and bootstrapping, 4 advantages and
the policy, 5 all of it together; then what tells the end of an episode from a cut.
"""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from unstuck.rl import learner as learner_module
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.envs.lanes import LaneVectorEnv
from unstuck.rl.gae import generalized_advantages
from unstuck.rl.learner import Learner, Member
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

CONFIG = PPOConfig(
    num_iterations=25,
    num_envs=16,
    num_steps=8,
    minibatch_size=64,
    lr=1e-2,
    lr_schedule="linear",
    gamma=0.8,
    entropy_coef=0.0,
    max_grad_norm=10.0,
    hidden_sizes=(16,),
    eval_every=25,
)
NEVER = 10**9


class Probe(LaneVectorEnv):
    """Two actions, episodes that terminate after `length` steps; a subclass says what is seen and what is paid."""

    length, columns = 1, 1

    def __init__(self, num_lanes, max_steps=NEVER):
        super().__init__(num_lanes, Box(-1, 1, (self.columns,), np.float32), Discrete(2), max_steps)
        self.signs = np.ones(num_lanes)

    def _start(self, lane, generator):
        self.signs[lane] = generator.choice([-1, 1])

    def _observe(self):
        return np.zeros((self.num_envs, 1), dtype=np.float32)

    def _advance(self, actions):
        return self.rewards(actions), self._elapsed + 1 >= self.length, {}

    def _arrays(self):
        return {"signs": self.signs}

    def rewards(self, actions):
        return np.ones(self.num_envs)


class Signed(Probe):
    """Shows +1 or -1, and pays it."""

    def _observe(self):
        return self.signs.astype(np.float32)[:, None]

    def rewards(self, actions):
        return self.signs.copy()


class Chain(Probe):
    """Shows how many steps were made, and pays 1 at the last of four."""

    length = columns = 4

    def _observe(self):
        return np.eye(self.columns, dtype=np.float32)[self._elapsed % self.columns]

    def rewards(self, actions):
        return (self._elapsed + 1 == self.length).astype(float)


class RightAction(Probe):
    """Shows nothing, and pays 1 for action 1 and -1 for action 0."""

    def rewards(self, actions):
        return 2.0 * actions - 1


class MatchingAction(Signed):
    """Pays 1 for the action that matches the sign, -1 for the other."""

    def rewards(self, actions):
        return self.signs * (2 * actions - 1)


class Salary(Chain):
    """Pays 1 at every step and shows the step modulo 4, so what follows a cut after 4 steps looks as the start does."""

    def rewards(self, actions):
        return np.ones(self.num_envs)


class EndlessSalary(Salary):
    length = NEVER


class Unjudged:
    """An evaluator for tests that ask the learner themselves."""

    def evaluate(self, act, num_members):
        return {}


def _train(probe, **lanes):
    learner = Learner(
        [Member(CONFIG, seed) for seed in make_member_seeds(0, 2)],
        probe(2 * CONFIG.num_envs, **lanes),
        Unjudged(),
        "01",
    )
    for _ in range(CONFIG.num_iterations):
        learner.iterate()
    return learner


def _values(learner, observations):
    """What the critics say, `[P, B]`, of observations `[B, F]` that all members are shown."""
    _, predictions = learner.networks(torch.tensor(observations, dtype=torch.float32).expand(2, -1, -1))
    return learner.return_normalizer.to_returns(predictions).numpy()


def _greedy(learner, observations):
    return learner.greedy_actions(np.tile(np.array(observations, dtype=np.float32), (2, 1, 1)))


def _both(row):
    return np.tile(row, (2, 1))


def test_probe_1_a_constant_reward():
    np.testing.assert_allclose(_values(_train(Probe), [[0.0]]), _both([1.0]), atol=0.01)


def test_probe_2_a_reward_that_the_observation_foretells():
    np.testing.assert_allclose(_values(_train(Signed), [[-1.0], [1.0]]), _both([-1.0, 1.0]), atol=0.01)


def test_probe_3_a_reward_that_comes_later_is_discounted_once_a_step():
    values = _values(_train(Chain), np.eye(4))
    np.testing.assert_allclose(values, _both(CONFIG.gamma ** np.array([3, 2, 1, 0])), atol=0.01)


def test_probe_4_a_reward_for_an_action():
    learner = _train(RightAction)
    assert (_greedy(learner, [[0.0]]) == 1).all()
    np.testing.assert_allclose(_values(learner, [[0.0]]), _both([1.0]), atol=0.05)  # the other is still drawn at times


def test_probe_5_a_reward_for_the_action_that_fits_the_observation():
    learner = _train(MatchingAction)
    np.testing.assert_array_equal(_greedy(learner, [[-1.0], [1.0]]), _both([0, 1]))
    np.testing.assert_allclose(_values(learner, [[-1.0], [1.0]]), _both([1.0, 1.0]), atol=0.05)


class Dial(gymnasium.Env):
    """Shows +1 or -1 in a dictionary, and pays minus the squared distance of the number given from half of it."""

    observation_space = Dict(sign=Box(-1, 1, (1,), np.float32))
    action_space = Box(-3, 3, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.sign = self.np_random.choice([-1, 1])
        return {"sign": np.array([self.sign], dtype=np.float32)}, {}

    def step(self, action):
        return {"sign": np.zeros(1, dtype=np.float32)}, self.payment(action), True, False, {}

    def payment(self, action):
        return -float(np.square(action[0] - self.sign / 2))


class Switches(Dial):
    """Two switches: pays 1 for each that stands right, the first at 1 or 2 by the sign, the second at 0."""

    action_space = MultiDiscrete([3, 2])

    def payment(self, action):
        return float(action[0] == (1 if self.sign > 0 else 2)) + float(action[1] == 0)


@pytest.fixture
def registered():
    gymnasium.register("unstuck-tests/Dial-v0", entry_point=Dial)
    gymnasium.register("unstuck-tests/Switches-v0", entry_point=Switches)
    yield
    del gymnasium.registry["unstuck-tests/Dial-v0"], gymnasium.registry["unstuck-tests/Switches-v0"]


def _trained_on(env_id):
    config = replace(CONFIG, num_iterations=30, eval_every=30)
    learner = make_learner(
        config, EnvConfig(id=env_id, eval_episodes=20), make_member_seeds(0, 2), make_evaluation_seed(0)
    )
    return learner, [learner.iterate() for _ in range(config.num_iterations)][-1]


def test_probe_6_a_number_that_fits_the_observation(registered):
    learner, last = _trained_on("unstuck-tests/Dial-v0")
    np.testing.assert_allclose(_greedy(learner, [[-1.0], [1.0]])[..., 0], _both([-0.5, 0.5]), atol=0.1)
    assert last["eval/episode_return"].min() > -0.01
    assert last["train/entropy"].max() < 1.0  # 1.42 at the start: the spread has become smaller, since it costs


def test_probe_7_two_choices_at_once(registered):
    learner, last = _trained_on("unstuck-tests/Switches-v0")
    assert _greedy(learner, [[-1.0], [1.0]]).tolist() == [[[2, 0], [1, 0]]] * 2
    assert (last["eval/episode_return"] == 2).all()
    assert last["train/action/1.0"].min() > 0.9


FOREVER = 1 / (1 - CONFIG.gamma)
FOUR_STEPS = (1 - CONFIG.gamma ** np.array([4, 3, 2, 1])) * FOREVER


def test_an_endless_salary_is_worth_all_of_it_however_often_it_is_cut():
    values = _values(_train(EndlessSalary, max_steps=4), np.eye(4))
    np.testing.assert_allclose(values, _both([FOREVER] * 4), rtol=0.02)


def test_a_salary_that_ends_is_worth_the_steps_left():
    values = _values(_train(Salary), np.eye(4))
    np.testing.assert_allclose(values, _both(FOUR_STEPS), rtol=0.02)


def test_cuts_taken_for_ends_would_lose_most_of_an_endless_salary(monkeypatch):
    def mistaken(rewards, values, next_values, terminated, truncated, discounts):
        return generalized_advantages(rewards, values, next_values, terminated | truncated, truncated, discounts)

    monkeypatch.setattr(learner_module, "generalized_advantages", mistaken)
    values = _values(_train(EndlessSalary, max_steps=4), np.eye(4))
    np.testing.assert_allclose(values, _both(FOUR_STEPS), rtol=0.02)
    assert values.max() < 0.7 * FOREVER


@pytest.mark.parametrize("probe", [Probe, Signed, Chain, RightAction, MatchingAction, Salary])
def test_probes_end_when_they_say(probe):
    lanes = probe(2)
    lanes.reset(seed=0)
    ends = [lanes.step(np.array([0, 1]))[2].all() for _ in range(8)]
    assert ends == [step % probe.length == 0 for step in range(1, 9)]
