import numpy as np
import pytest
import torch

from rl.networks import ActorCritic


def _networks(members=3, shared=False, features=5, actions=4, hidden=(20, 24)):
    return ActorCritic(features, actions, hidden, shared, [np.random.default_rng(seed) for seed in range(members)])


@pytest.mark.parametrize("shared", [True, False])
def test_each_member_is_an_ordinary_mlp(shared):
    networks = _networks(shared=shared)
    observations = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    logits, values = networks(observations)
    for member in range(3):
        outputs = []
        for tower in range(networks.num_towers):
            hidden = observations[member]
            index = member * networks.num_towers + tower
            for layer, (weight, bias) in enumerate(zip(networks._weights, networks._biases, strict=True)):
                hidden = hidden @ weight[index] + bias[index]
                hidden = torch.tanh(hidden) if layer < 2 else hidden
            outputs.append(hidden)
        torch.testing.assert_close(logits[member], outputs[0][:, :4])
        torch.testing.assert_close(values[member], outputs[-1][:, 4])


@pytest.mark.parametrize("shared", [True, False])
def test_policy_alone_gives_the_same_logits(shared):
    networks = _networks(shared=shared)
    observations = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(networks.logits(observations), networks(observations)[0])


def test_separate_networks_share_no_gradient():
    networks = _networks(shared=False)
    _, values = networks(torch.ones(3, 2, 5))
    values.sum().backward()
    by_tower = networks.gradients.view(3, 2, -1)
    assert (by_tower[:, 0] == 0).all()
    assert (by_tower[:, 1] != 0).any()


def test_padding_stays_zero_under_training():
    networks = _networks(hidden=(20, 24))
    logits, values = networks(torch.ones(3, 2, 5))
    (logits.square().sum() + values.sum()).backward()
    used = sum(rows * columns + columns for rows, columns in ((5, 20), (20, 24), (24, 5)))
    assert int((networks.gradients != 0).sum()) <= 3 * 2 * used
    assert (networks._weights[0].grad[:, :, 20:] == 0).all()
    assert (networks._weights[1].grad[:, 20:] == 0).all()


def test_initial_weights_are_orthogonal_with_the_usual_gains():
    networks = _networks(features=30, hidden=(20, 24))
    first = networks._weights[0][0, :30, :20].detach()
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(20), rtol=0, atol=1e-5)
    head = networks._weights[-1][0, :24].detach()
    torch.testing.assert_close(head[:, :4].T @ head[:, :4], 1e-4 * torch.eye(4), rtol=0, atol=1e-9)
    assert float(head[:, 4].norm()) == pytest.approx(1.0, abs=1e-5)


def test_members_start_from_their_own_generator():
    together, alone = _networks(members=2), _networks(members=1)
    assert torch.equal(together.parameters[0], alone.parameters[0])
    assert not torch.equal(together.parameters[0], together.parameters[1])


def test_gradients_agree_with_finite_differences():
    networks = _networks(members=2, features=3, actions=2, hidden=(4,))
    observations = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))

    def loss():
        logits, values = networks(observations)
        return (torch.log_softmax(logits, -1)[..., 0].sum() + values.square().sum()).double()

    loss().backward()
    gradient = networks.gradients.clone()
    for member in range(2):
        for index in torch.nonzero(gradient[member]).flatten()[::7].tolist():
            old, step = networks.parameters[member, index].item(), 1e-2
            networks.parameters[member, index] = old + step
            above = loss().item()
            networks.parameters[member, index] = old - step
            below = loss().item()
            networks.parameters[member, index] = old
            assert (above - below) / (2 * step) == pytest.approx(gradient[member, index].item(), rel=2e-2, abs=2e-3)
