"""One learner, any device: refusals anywhere, tensors that stay where they belong, and on a GPU the same learning."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from unstuck.rl import checkpoint, metrics
from unstuck.rl import measures as diagnostics
from unstuck.rl.branch import Part, start_branch
from unstuck.rl.budget import Budget
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.distributions import Categorical, DiagonalGaussian, MultiCategorical
from unstuck.rl.errors import ConfigError
from unstuck.rl.gae import Discounts, generalized_advantages
from unstuck.rl.machine import torch_device
from unstuck.rl.make_learner import make_learner
from unstuck.rl.networks import ActorCritic
from unstuck.rl.normalize import ObservationNormalizer, ReturnNormalizer
from unstuck.rl.ppo import Batch, Hyperparameters
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.rl.value_probe import ValueFloor

CONFIG = PPOConfig(
    num_iterations=4, num_envs=4, num_steps=16, minibatch_size=32, normalize_returns="running", eval_every=2
)
ENV = EnvConfig(flows_per_episode=50)
ENVIRONMENTS = [ENV, *(EnvConfig(id=name, eval_episodes=2) for name in ("CartPole-v1", "Pendulum-v1"))]
ALIKE, PARAMETERS_ALIKE = 2e-5, 1e-6
"""What may lie between numbers that differ by float32's rounding alone, after an iteration: twice and ten times what
did on an H200; a step of Adam's moves a parameter by 3e-4."""

META = torch.device("meta")
"""Stands in for a GPU: in `strict`, tensors have shapes and no numbers, and those of two devices do not mix."""


def needs_gpu(test):
    """The first test of a process waits for seconds until the GPU is ready."""
    without = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    return without(pytest.mark.slow(test))


@pytest.fixture
def strict():
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(
        ConfigError, match=r"ppo\.device=cuda needs a GPU that torch can use, got none; set ppo\.device"
    ):
        torch_device("cuda")


def test_a_tensor_made_in_the_wrong_place_would_show(strict):
    with pytest.raises(RuntimeError, match=r"on the same device|two different devices"):
        torch.bmm(torch.zeros(1, 2, 2, device=META), torch.zeros(1, 2, 2))


@pytest.mark.parametrize("distribution", [Categorical(4), MultiCategorical([3, 2]), DiagonalGaussian(2)])
@pytest.mark.parametrize("shared", [True, False])
def test_networks_and_their_gradients_stay_on_their_device(strict, distribution, shared):
    networks = ActorCritic(5, distribution, (20,), shared, [np.random.default_rng(0)] * 2, META)
    observations = torch.zeros(2, 8, 5, device=META)
    actions = distribution.mode(networks.policy(observations))
    outputs, predictions = networks(observations)
    log_probs, _ = distribution.log_probs(outputs, actions)
    batch = Batch(observations, actions, log_probs, *(torch.zeros(2, 8, device=META) for _ in range(2)), predictions)
    batch = batch.shuffle(torch.zeros(2, 8, dtype=torch.int64, device=META)).minibatches(4)[0]
    measured = diagnostics.measure_before_update(
        networks, batch, Hyperparameters.stack_settings([CONFIG] * 2).to_device(META)
    )
    assert {value.device for value in measured.values()} == {META}


def test_statistics_stay_on_their_device(strict):
    hyper = Hyperparameters.stack_settings([CONFIG] * 2).to_device(META)
    rows = torch.zeros(2, 6, 4, 5, device=META)
    values, ends = rows[..., 0], rows[..., 0].bool()
    advantages = generalized_advantages(values, values, values, ends, ends, Discounts(hyper.gamma, hyper.gae_lambda))
    normalizer, returns = ObservationNormalizer(2, 5, META), ReturnNormalizer("running", 2, META)
    normalizer.moments.update(rows.flatten(1, 2))
    returns.update(advantages.flatten(1))
    floor = ValueFloor(2).floor_metrics(returns.to_targets(values.flatten(1)).view_as(values), advantages, returns.std)
    assert {normalizer(rows.flatten(1, 2)).device, *(value.device for value in floor.values())} == {META}


@functools.cache
def flows():
    return load_flows(DataConfig(num_flows=2000))


def learner_on(device, members=2, config=CONFIG, env=ENV, budget=None):
    """A learner of so many members, or of members with the given seeds."""
    config = dataclasses.replace(config, device=device)
    seeds = make_member_seeds(0, members) if isinstance(members, int) else members
    data = flows() if env.id == TRIAGE else None
    return make_learner(config, env, seeds, make_evaluation_seed(0), data, budget)


def curve(learner, iterations=4):
    return [learner.iterate() for _ in range(iterations)]


def assert_same(ours, theirs):
    """The same names, and numbers equal to the last bit."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)


def assert_close(ours, theirs):
    """The same names, and numbers that differ by rounding alone."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=ALIKE, atol=ALIKE, err_msg=name)


def assert_trained_alike(ours, theirs):
    """The same actions, and parameters that differ by rounding alone."""
    torch.testing.assert_close(ours.rollout.actions, theirs.rollout.actions, rtol=ALIKE, atol=ALIKE)
    parameters = (learner.networks.parameters.cpu() for learner in (ours, theirs))
    torch.testing.assert_close(*parameters, rtol=0, atol=PARAMETERS_ALIKE)


def of_member(measured, place):
    """A member's own metrics; `train/episode_return` waits for all members."""
    return {name: value[[place]] for name, value in measured.items() if name != metrics.TRAIN_RETURN}


@needs_gpu
@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("shared_trunk", [False, True])
def test_a_gpu_learns_what_the_cpu_learns(env, shared_trunk):
    """One iteration, evaluation and all; much later, an action on the edge of two may fall to the other side."""
    config = dataclasses.replace(CONFIG, shared_trunk=shared_trunk, normalize_observations=True, eval_every=1)
    on_gpu, on_cpu = (learner_on(device, 3, config, env) for device in ("cuda", "cpu"))
    assert_close(on_gpu.iterate(), on_cpu.iterate())
    assert {on_gpu.networks.parameters.device.type, on_gpu.adam.exp_avg.device.type} == {"cuda"}
    assert_trained_alike(on_gpu, on_cpu)


@needs_gpu
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_same_seed_gives_the_same_numbers_twice_on_a_gpu(env):
    first, again = (learner_on("cuda", env=env) for _ in range(2))
    assert_same(curve(first), curve(again))
    ours, theirs = (learner.state()[0] for learner in (first, again))
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    other = learner_on("cuda", make_member_seeds(1, 2), env=env)
    curve(other)
    assert not torch.equal(other.networks.parameters, first.networks.parameters)


@needs_gpu
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_who_the_neighbours_are_changes_nothing_on_a_gpu(env):
    """To the last bit, at the same place among as many."""
    seeds = make_member_seeds(5, 11)
    crowd, other = (learner_on("cuda", [seeds[0], *some], env=env) for some in (seeds[1:6], seeds[6:11]))
    ours, theirs = curve(crowd), curve(other)
    assert_same([of_member(each, 0) for each in ours], [of_member(each, 0) for each in theirs])
    assert torch.equal(crowd.networks.parameters[0], other.networks.parameters[0])
    assert not torch.equal(crowd.networks.parameters[1], other.networks.parameters[1])


@needs_gpu
@pytest.mark.parametrize(("members", "place"), [(1, 0), (6, 5), (16, 9), (64, 63)])
def test_how_many_the_neighbours_are_shows_in_the_rounding_alone_on_a_gpu(members, place):
    """A GPU cuts its sums by the number of all of them."""
    config = dataclasses.replace(CONFIG, eval_every=1)
    first, *others = make_member_seeds(5, max(members, 3))
    seeds = [*others[:place], first, *others[place:]][:members]
    few, crowd = learner_on("cuda", [first, *others[:2]], config), learner_on("cuda", seeds, config)
    expected, measured = few.iterate(), crowd.iterate()
    assert_close(of_member(measured, place), of_member(expected, 0))
    parameters = (learner.networks.parameters[row] for learner, row in ((few, 0), (crowd, place)))
    torch.testing.assert_close(*parameters, rtol=0, atol=PARAMETERS_ALIKE)


@needs_gpu
@pytest.mark.parametrize("env", ENVIRONMENTS[:2])
def test_a_run_on_a_gpu_goes_on_from_its_checkpoint_bit_for_bit(env, tmp_path):
    whole, saved, resumed = (learner_on("cuda", env=env) for _ in range(3))
    expected = curve(whole)
    curve(saved, 2)
    checkpoint.save(tmp_path / "c", saved)
    checkpoint.load(tmp_path / "c", resumed)
    assert resumed.resumed_exactly
    assert_same(curve(resumed, 2), expected[2:])
    assert torch.equal(resumed.networks.parameters, whole.networks.parameters)


@needs_gpu
def test_a_checkpoint_goes_from_one_device_to_the_other_and_back(tmp_path):
    on_gpu, on_cpu, back = (learner_on(device) for device in ("cuda", "cpu", "cuda"))
    curve(on_gpu, 2)
    for left, right in ((on_gpu, on_cpu), (on_cpu, back)):
        checkpoint.save(tmp_path / "c", left)
        checkpoint.load(tmp_path / "c", right)
        assert right.iteration == 2
        ours, theirs = left.state()[0], right.state()[0]
        assert ours.keys() == theirs.keys()
        assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    assert (on_cpu.networks.parameters.device.type, back.networks.parameters.device.type) == ("cpu", "cuda")
    expected = on_gpu.iterate()
    assert (on_cpu.resumed_exactly, back.resumed_exactly) == (False, False)
    assert_same([back.iterate()], [expected])
    assert_close(on_cpu.iterate(), expected)


@needs_gpu
@pytest.mark.parametrize("env", ENVIRONMENTS[:2])
def test_a_branch_on_a_gpu_is_the_run_with_a_longer_budget(env, tmp_path):
    batch = CONFIG.batch_size
    run, longer = learner_on("cuda", env=env), learner_on("cuda", budget=Budget(8 * batch, 2 * batch), env=env)
    expected = curve(longer, 8)[4:]
    curve(run)
    checkpoint.save(tmp_path / "c", run)
    arms = [learner_on(device, budget=Budget(4 * batch, 2 * batch, 4 * batch), env=env) for device in ("cuda", "cpu")]
    for arm in arms:
        start_branch(tmp_path / "c", arm)
    assert [arm.resumed_exactly for arm in arms] == [True, False]
    assert_same([arms[0].iterate()], expected[:1])
    assert_close(arms[1].iterate(), expected[0])
    assert_same(curve(arms[0], 3), expected[1:])


@needs_gpu
@pytest.mark.parametrize("shared_trunk", [False, True])
def test_heads_and_moments_start_anew_in_a_branch_on_a_gpu(shared_trunk, tmp_path):
    config = dataclasses.replace(CONFIG, shared_trunk=shared_trunk)
    run = learner_on("cuda", config=config)
    curve(run)
    checkpoint.save(tmp_path / "c", run)
    arm, untrained = (learner_on("cuda", make_member_seeds(8, 2), config) for _ in range(2))
    start_branch(tmp_path / "c", arm, [Part.POLICY_HEAD, Part.VALUE_HEAD, Part.ADAM])
    assert arm.adam.exp_avg.abs().max() == arm.adam.steps.max() == 0
    heads = [[*learner.networks.policy_head(), *learner.networks.value_head()] for learner in (arm, untrained, run)]
    for ours, theirs, of_the_run in zip(*heads, strict=True):
        assert torch.equal(ours, theirs)
        ours.zero_()
        of_the_run.zero_()
    assert torch.equal(arm.networks.parameters, run.networks.parameters)  # beside the heads
