import dataclasses
import shutil

import numpy as np
import pytest
import torch
from unstuck.rl import compiling, metrics, ppo
from unstuck.rl.adam import Adam
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.distributions import Categorical, DiagonalGaussian, MultiCategorical
from unstuck.rl.learner import Learner, Member
from unstuck.rl.make_learner import make_learner
from unstuck.rl.networks import ActorCritic
from unstuck.rl.ppo import Batch, Hyperparameters
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds


def compiles(test):
    """Marks a test that waits for g++."""
    without = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
    return without(pytest.mark.slow(pytest.mark.timeout(300)(test)))


@pytest.fixture(autouse=True, scope="module")
def instructions_taken_for_granted():
    """Spares g++ torch's question whether it can build for the processor's vector instructions: 5 s of a core."""
    from torch._inductor import config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.cpp, "vec_isa_ok", True)
        yield


SAMPLES, OBSERVED, CHOICES = 64, 4, 2  # CartPole's, so that all tests of one choice share one compiled program
CONFIG = PPOConfig(num_envs=2, num_steps=32, minibatch_size=16, num_epochs=3, hidden_sizes=(20,), lr=3e-3, compile=True)

STOPPING = {"clip_range_vf": 0.1, "target_kl": 1e-3}


def _update(config, distribution, members=2):
    """Metrics, networks and optimiser after one update of random networks on random samples, the same each time."""
    generator = torch.Generator().manual_seed(0)
    networks = ActorCritic(
        OBSERVED,
        distribution,
        config.hidden_sizes,
        config.shared_trunk,
        [np.random.default_rng(m) for m in range(members)],
    )
    observations = torch.randn(members, SAMPLES, OBSERVED, generator=generator)
    outputs, predictions = networks(observations)
    noise = torch.stack([distribution.noise(np.random.default_rng(m), (SAMPLES,)) for m in range(members)])
    actions = distribution.sample(outputs.transpose(1, 2), noise)
    log_probs, _ = distribution.log_probs(outputs, actions)
    advantages, targets = torch.randn(2, members, SAMPLES, generator=generator)
    batch = Batch(observations, actions, log_probs, advantages, targets, predictions)
    hyper = Hyperparameters.stack_settings([config] + [dataclasses.replace(config, lr=1e-3)] * (members - 1))
    adam = Adam(networks.parameters, hyper.adam_eps)
    generators = [np.random.default_rng(m) for m in range(members)]
    return ppo.update(networks, adam, batch, hyper, config, generators), networks, adam


@pytest.mark.parametrize(
    ("distribution", "settings"),
    [
        (Categorical(CHOICES), STOPPING),
        (MultiCategorical([2, 3]), {"normalize_advantage": False}),
        (DiagonalGaussian(2), {"shared_trunk": True}),
    ],
    ids=["categorical", "multi-categorical", "gaussian"],
)
@compiles
def test_a_compiled_update_is_the_eager_one_but_for_rounding(distribution, settings):
    config = dataclasses.replace(CONFIG, **settings)
    ours, networks, adam = _update(config, distribution)
    theirs, eager, eager_adam = _update(dataclasses.replace(config, compile=False), distribution)
    torch.testing.assert_close(networks.parameters, eager.parameters, rtol=0, atol=1e-5)
    assert torch.equal(adam.steps, eager_adam.steps)
    for name in ppo.MEASURED:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
    assert (adam.steps < 12).any() == (config.target_kl is not None)


@compiles
def test_compiled_members_do_not_notice_their_neighbours():
    config = dataclasses.replace(CONFIG, num_iterations=3, eval_every=3, **STOPPING)

    def trained(places):
        seeds = make_member_seeds(0, 4)
        members = [Member(dataclasses.replace(config, lr=1e-3 * (1 + place)), seeds[place]) for place in places]
        learner = make_learner(config, EnvConfig(id="CartPole-v1"), seeds[: len(places)], make_evaluation_seed(0))
        learner = Learner(members, learner.env, learner.evaluator, learner.actions)
        curve = [learner.iterate() for _ in range(3)]
        return curve, learner.networks.parameters

    together, parameters = trained((0, 1, 2, 3))
    for place in (0, 2):
        alone, own = trained((place,))
        assert torch.equal(own[0], parameters[place])
        for ours, theirs in zip(alone, together, strict=True):
            starts = {metrics.START_SCALE, metrics.STARTS_ALIKE, metrics.STARTS_UNSEEN}
            of_all = {*metrics.ENVIRONMENT, *starts}  # on lanes, and after episodes, of all members
            assert ours.keys() ^ theirs.keys() <= of_all
            shared = (ours.keys() & theirs.keys()) - set(metrics.ENVIRONMENT)
            assert metrics.UPDATE_NORM in shared
            assert {name: ours[name][0] for name in shared} == {name: theirs[name][place] for name in shared}


def test_one_program_serves_all_that_does_the_same(monkeypatch):
    """What tells layouts apart: whatever changes the operations or the shapes, and no number."""
    made = []

    def program(function, tensors):
        made.append(function)
        return lambda *given: function(*given)

    monkeypatch.setattr(compiling, "_program", program)
    monkeypatch.setattr(ppo, "compile_step", compiling.compile_step.__wrapped__)
    step = compiling.compile_step.__wrapped__(ppo.minibatch_step)
    monkeypatch.setattr(ppo, "compile_step", lambda _: step)
    distributions = [Categorical(CHOICES), MultiCategorical([2, 2]), MultiCategorical([3]), DiagonalGaussian(2)]
    same = ({}, {"lr": 1e-2}, {"num_epochs": 2}, {"clip_range": 0.1}, {"clip_range_vf": None})
    others = ({"clip_range_vf": 0.1}, {"minibatch_size": 32}, {"hidden_sizes": (10,)}, {"shared_trunk": True})
    for settings in same:
        _update(dataclasses.replace(CONFIG, **settings), distributions[0])
    _update(CONFIG, distributions[0], members=3)
    assert len(made) == 1
    for settings in (*others, {"normalize_advantage": False}):
        _update(dataclasses.replace(CONFIG, **settings), distributions[0])
    for distribution in distributions[1:]:
        _update(CONFIG, distribution)
    assert len(made) == 1 + len(others) + 1 + len(distributions) - 1


def test_the_function_that_is_compiled_is_the_step():
    """Flattened and put together again: the same numbers, tanh aside."""
    config = dataclasses.replace(CONFIG, compile=False)
    eager, networks, _ = _update(config, Categorical(4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "_program", lambda function, tensors: function)
        patch.setattr(compiling, "_tanh", torch.tanh)
        patch.setattr(ppo, "compile_step", compiling.compile_step.__wrapped__)
        ours, flat, _ = _update(CONFIG, Categorical(4))
    torch.testing.assert_close(flat.parameters, networks.parameters, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-6)


def test_tanh_by_one_exponential():
    x = torch.linspace(-20, 20, 100_001)
    torch.testing.assert_close(compiling._tanh(x), torch.tanh(x), rtol=0, atol=2e-7)
