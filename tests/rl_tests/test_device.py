"""One learner, any device: refusals anywhere, tensors that stay where they belong, and on a GPU the same learning."""

import dataclasses

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from unstuck.rl import measures as diagnostics
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
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
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
META = torch.device("meta")
"""Stands in for a GPU: in `strict`, tensors have shapes and no numbers, and those of two devices do not mix."""


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
    with pytest.raises(RuntimeError, match="on the same device"):
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


@needs_gpu
def test_a_gpu_learns_what_the_cpu_learns():
    data = load_flows(DataConfig(num_flows=2000))
    curves = {}
    for device in ("cpu", "cuda"):
        config = dataclasses.replace(CONFIG, device=device)
        learner = make_learner(config, ENV, make_member_seeds(0, 3), make_evaluation_seed(0), data)
        curves[device] = [learner.iterate() for _ in range(4)]
        assert learner.networks.parameters.device.type == device
    for ours, theirs in zip(curves["cpu"][:1], curves["cuda"][:1], strict=True):
        for name, value in ours.items():
            np.testing.assert_allclose(theirs[name], value, rtol=1e-2, atol=1e-3, err_msg=name)


@needs_gpu
def test_a_checkpoint_goes_from_one_device_to_the_other():
    data = load_flows(DataConfig(num_flows=2000))
    on_gpu, on_cpu = (
        make_learner(
            dataclasses.replace(CONFIG, device=device), ENV, make_member_seeds(0, 2), make_evaluation_seed(0), data
        )
        for device in ("cuda", "cpu")
    )
    on_gpu.iterate()
    on_cpu.load_state(*on_gpu.state())
    assert torch.equal(on_cpu.networks.parameters, on_gpu.networks.parameters.cpu())
    assert on_cpu.iteration == 1
