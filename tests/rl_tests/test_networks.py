import numpy as np
import pytest
import torch
from unstuck.rl.distributions import Categorical, DiagonalGaussian
from unstuck.rl.networks import ActorCritic


def _networks(members=3, shared=False, features=5, actions=4, hidden=(20, 24)):
    generators = [np.random.default_rng(seed) for seed in range(members)]
    return ActorCritic(features, Categorical(actions), hidden, shared, generators)


def _observations(members=3, batch=7, features=5):
    return torch.randn(members, batch, features, generator=torch.Generator().manual_seed(0))


def _forward(networks, observations):
    """Outputs that collect a loss's gradient, and the inputs of the layers."""
    logits, values, inputs = networks.forward(observations)
    return logits.requires_grad_(), values.requires_grad_(), inputs


def _by_autograd(networks, parameters, observations):
    """The same networks in plain torch, one member and tower at a time: logits `[P, B, A]` and values `[P, B]`."""
    weights, biases = networks._views(parameters)
    logits, values = [], []
    for member in range(networks.num_members):
        outputs = []
        for tower in range(networks.num_towers):
            hidden, index = observations[member], member * networks.num_towers + tower
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                hidden = hidden @ weight[index] + bias[index]
                hidden = torch.tanh(hidden) if layer < len(weights) - 1 else hidden
            outputs.append(hidden)
        logits.append(outputs[0][:, : networks.distribution.num_outputs])
        values.append(outputs[-1][:, networks.distribution.num_outputs])
    return torch.stack(logits), torch.stack(values)


@pytest.mark.parametrize("shared", [True, False])
def test_each_member_is_an_ordinary_mlp(shared):
    networks, observations = _networks(shared=shared), _observations()
    logits, values = _by_autograd(networks, networks.parameters, observations)
    torch.testing.assert_close(networks(observations)[0], logits.transpose(1, 2))
    torch.testing.assert_close(networks(observations)[1], values)
    torch.testing.assert_close(networks.policy(observations), logits)
    torch.testing.assert_close(networks.forward(observations)[0], logits.transpose(1, 2))
    torch.testing.assert_close(networks.forward(observations)[1], values)


@pytest.mark.parametrize("shared", [True, False])
def test_a_few_members_at_a_time_give_what_all_give_at_once(shared):
    networks, observations = _networks(5, shared), _observations(5, 1032)  # 3 members, then 2
    for block, whole in zip(networks(observations), networks.forward(observations)[:2], strict=True):
        assert torch.equal(block, whole)


@pytest.mark.parametrize("hidden", [(20,), (20, 24), (16, 16, 16)])
@pytest.mark.parametrize("shared", [True, False])
def test_backward_equals_autograd(shared, hidden):
    networks, observations = _networks(shared=shared, hidden=hidden), _observations()

    def loss(logits, values):
        return torch.log_softmax(logits, -1)[..., 0].sum() + (values.unsqueeze(-1) * logits).square().sum()

    parameters = networks.parameters.clone().requires_grad_()
    loss(*_by_autograd(networks, parameters, observations)).backward()
    logits, values, inputs = _forward(networks, observations)
    of_outputs = torch.autograd.grad(loss(logits.transpose(1, 2), values), (logits, values))
    torch.testing.assert_close(networks.backward(inputs, *of_outputs), parameters.grad, rtol=1e-4, atol=1e-5)


@pytest.fixture
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_agree_with_finite_differences(float64, shared):
    """Every 7th parameter that a gradient moves, by central differences in float64."""
    networks, observations = _networks(2, shared, 3, 2, hidden=(4, 5)), _observations(2, 6, 3)

    def loss(logits, values):
        return torch.log_softmax(logits, 1)[:, 0].sum() + values.square().sum() + (values * logits[:, 1]).sum()

    logits, values, inputs = _forward(networks, observations)
    gradients = networks.backward(inputs, *torch.autograd.grad(loss(logits, values), (logits, values)))
    for member in range(2):
        for index in torch.nonzero(gradients[member]).flatten()[::7].tolist():
            old, step, sides = networks.parameters[member, index].item(), 1e-5, []
            for moved in (old + step, old - step):
                networks.parameters[member, index] = moved
                sides.append(loss(*networks.forward(observations)[:2]).item())
            networks.parameters[member, index] = old
            slope = (sides[0] - sides[1]) / (2 * step)
            assert slope == pytest.approx(gradients[member, index].item(), rel=1e-7, abs=1e-9)


def test_separate_networks_share_no_gradient():
    networks = _networks(shared=False)
    logits, values, inputs = _forward(networks, torch.ones(3, 2, 5))
    by_tower = networks.backward(inputs, torch.zeros_like(logits), torch.ones_like(values)).view(3, 2, -1)
    assert (by_tower[:, 0] == 0).all()
    assert (by_tower[:, 1] != 0).any()


def test_padding_has_no_gradient():
    networks = _networks(hidden=(20, 24))
    logits, values, inputs = _forward(networks, _observations())
    gradients = networks.backward(inputs, torch.ones_like(logits), torch.ones_like(values))
    used = sum(rows * columns + columns for rows, columns in ((5, 20), (20, 24), (24, 5)))
    assert int((gradients != 0).sum()) <= 3 * 2 * used
    of_weights, _ = networks._views(gradients)
    assert (of_weights[0][:, :, 20:] == 0).all()
    assert (of_weights[1][:, 20:] == 0).all()


def test_initial_weights_are_orthogonal_with_the_usual_gains():
    networks = _networks(features=30, hidden=(20, 24))
    first = networks._weights[0][0, :30, :20]
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(20), rtol=0, atol=1e-5)
    head = networks._weights[-1][0, :24]
    torch.testing.assert_close(head[:, :4].T @ head[:, :4], 1e-4 * torch.eye(4), rtol=0, atol=1e-9)
    assert float(head[:, 4].norm()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_some_members_share_the_parameters_of_all(shared):
    networks, observations = _networks(shared=shared), _observations()
    some = networks.select_members(slice(1, 3))
    assert some.num_members == 2
    assert torch.equal(some.policy(observations[1:]), networks.policy(observations)[1:])
    some.parameters.mul_(0.5)
    assert torch.equal(some(observations[1:])[1], networks(observations)[1][1:])


def test_members_start_from_their_own_generator():
    together, alone = _networks(members=2), _networks(members=1)
    assert torch.equal(together.parameters[0], alone.parameters[0])
    assert not torch.equal(together.parameters[0], together.parameters[1])


def test_constant_outputs_are_learned_but_no_observation_moves_them():
    networks = ActorCritic(5, DiagonalGaussian(2), (20,), False, [np.random.default_rng(0)])
    outputs, values, inputs = _forward(networks, _observations(members=1))
    assert (outputs[:, 2:] == 0).all()
    gradients = networks.backward(inputs, torch.ones_like(outputs), torch.ones_like(values))
    of_weights, of_biases = networks._views(gradients)
    assert (of_weights[-1][:, :, 2:4] == 0).all()
    assert (of_biases[-1][0, 0, :4] == 7).all()  # once a sample
    assert (of_weights[-1][0, :, :2] != 0).any()
    networks.parameters.sub_(0.1 * gradients)
    moved, *_ = networks.forward(_observations(members=1))
    assert (moved[:, 2:] == moved[:, 2:, :1]).all()
    assert (moved[:, 2:] != 0).all()
