"""The probe by hand-computed numbers, against wrong calls, and that it changes nothing."""

import csv
import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import MultiDiscrete
from torch import Tensor, nn
from unstuck.analysis.history import record
from unstuck.analysis.history.record import ENV_STEPS, POLICY_STD
from unstuck.rl import metrics

import unstuck
from unstuck import Probe
from unstuck.probe import measuring
from unstuck.probe.update import MINIBATCHES

STEPS, LANES = 8, 2
COEFFICIENTS = {"ppo.gamma": 0.9, "ppo.entropy_coef": 0.01, "ppo.value_coef": 0.5, "ppo.clip_range": 0.2}


class Dropping(nn.Module):
    """An agent whose evaluation draws random numbers and moves statistics, as long as it is in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.2), nn.Linear(3, 4), nn.Tanh())
        self.policy, self.value = nn.Linear(4, 2), nn.Linear(4, 1)

    def get_action_and_value(self, obs: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        hidden = self.body(obs)
        chosen = torch.distributions.Categorical(logits=self.policy(hidden))
        action = chosen.sample() if action is None else action
        return action, chosen.log_prob(action), chosen.entropy(), self.value(hidden)


def arrays(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (STEPS, LANES)
    named = ("logprobs", "rewards", "values", "advantages")
    ends = torch.rand(shape, generator=generator) < 0.2
    drawn = {name: torch.randn(shape, generator=generator) for name in named}
    obs = torch.randn((*shape, 3), generator=generator)
    actions = torch.randint(2, shape, generator=generator).float()
    return {**drawn, "dones": ends.float(), "obs": obs, "actions": actions}


def ended(probe: Probe, **given: Any) -> dict[str, float]:
    probe.rollout(**given)
    return probe.end_iteration()


def test_a_rollout_by_hand() -> None:
    probe = Probe(None, settings={"ppo.gamma": 0.5}, actions=["left", "right"])
    found = ended(
        probe,
        obs=torch.tensor([[[1.0]], [[1.0]], [[2.0]], [[3.0]]]),
        actions=torch.tensor([[0.0], [1.0], [1.0], [1.0]]),
        rewards=[[1.0], [2.0], [3.0], [4.0]],
        values=[[0.0], [1.0], [0.0], [1.0]],
        returns=[[1.0], [3.0], [1.0], [3.0]],
        dones=[[0], [1], [0], [0]],
    )
    assert found[metrics.TARGET_MEAN] == 2.0
    assert found[metrics.TARGET_STD] == 1.0
    assert found[metrics.ADVANTAGE_MEAN] == 1.5  # 1, 2, 1, 2
    assert found[metrics.ADVANTAGE_STD] == 0.5
    assert found[metrics.EXPLAINED_VARIANCE] == 0.75  # 1 - 0.25 / 1
    assert found[metrics.action_metric("left")] == 0.25
    assert found[metrics.action_metric("right")] == 0.75
    assert found[metrics.TRAIN_RETURN] == 3.0  # 1 + 2: the second episode goes on
    assert found[metrics.OBSERVATION_REPEATS] == 0.25
    # Monte Carlo: 1 + 0.5 x 3, the return where the episode ended, 3 + 0.5 x 3, the return where the rollout ended.
    monte_carlo, values = np.array([2.5, 3.0, 4.5, 3.0]), np.array([0.0, 1.0, 0.0, 1.0])
    assert found[metrics.EXPLAINED_VARIANCE_MC] == pytest.approx(1 - np.var(monte_carlo - values) / np.var(monte_carlo))


def test_minibatches_by_hand() -> None:
    probe = Probe(None, settings={"ppo.clip_range": 0.2, "ppo.max_grad_norm": 1.0})
    probe.rollout(values=[0.0, 1.0], returns=[0.0, 1.0])
    probe.minibatch(
        logratio=torch.zeros(2), entropy=torch.tensor([0.2, 0.4]), policy_loss=torch.tensor(0.1),
        values=torch.tensor([[1.0], [3.0]]), returns=torch.tensor([1.0, 1.0]), grad_norm=torch.tensor(0.5),
    )  # fmt: skip
    probe.minibatch(
        logratio=torch.tensor([1.5, 1.0]).log(), entropy=0.1, policy_loss=0.3,
        values=torch.tensor([1.0]), returns=torch.tensor([1.0]), grad_norm=2.5,
    )  # fmt: skip
    found = probe.end_iteration(env_steps=7)
    assert found[metrics.RATIO_DEVIATION] == 0.0  # of the first alone
    assert found[metrics.APPROX_KL] == pytest.approx((0.5 - math.log(1.5)) / 4)
    assert found[metrics.CLIP_FRACTION] == pytest.approx(0.25)
    assert found[metrics.ENTROPY] == pytest.approx(0.2)
    assert found[metrics.POLICY_LOSS] == pytest.approx(0.2)
    assert found[metrics.VALUE_LOSS] == pytest.approx(1.0)  # (0 + 4) / 2, and 0
    assert found[metrics.GRAD_NORM] == pytest.approx(1.5)
    assert found[metrics.GRAD_CLIPPED_SHARE] == pytest.approx(0.5)
    assert probe.env_steps == 7


def test_a_first_ratio_off_1_shows_from_minibatches_alone() -> None:
    probe = Probe(None)
    probe.minibatch(logratio=torch.tensor([0.0, -0.7]))
    assert probe.end_iteration()[metrics.RATIO_DEVIATION] == pytest.approx(1 - math.exp(-0.7))


def test_long_updates_are_thinned_out_evenly() -> None:
    probe = Probe(
        None, settings={"ppo.num_epochs": 4, "ppo.num_steps": 640, "ppo.num_envs": 1, "ppo.minibatch_size": 16}
    )
    wanted = []
    for number in range(160):
        wanted.append(probe.wants_gradient)
        probe.minibatch(entropy=float(number))
    assert sum(wanted) == MINIBATCHES
    assert probe.end_iteration()[metrics.ENTROPY] == pytest.approx(159 / 2, abs=1)


def test_both_ways_to_mark_an_end_mean_the_same() -> None:
    rewards = torch.arange(8.0).view(4, 2)
    after = torch.tensor([[0, 1], [0, 0], [1, 0], [0, 1]])
    before = torch.cat([torch.zeros(1, 2, dtype=torch.int64), after[:-1]])
    one, other = Probe(None), Probe(None)
    expected = [0.0 + 2 + 4, 1.0, 3.0 + 5 + 7]
    assert ended(one, rewards=rewards, dones=after)[metrics.TRAIN_RETURN] == pytest.approx(np.mean(expected))
    assert ended(other, rewards=rewards, dones=before, next_done=after[-1])[metrics.TRAIN_RETURN] == pytest.approx(
        np.mean(expected)
    )
    # The first lane's second episode goes on, and the last return stays until another episode ends.
    assert ended(one, rewards=torch.ones(1, 2), dones=torch.zeros(1, 2))[metrics.TRAIN_RETURN] == np.mean(expected)
    assert ended(one, rewards=torch.ones(1, 2), dones=torch.tensor([[1, 0]]))[metrics.TRAIN_RETURN] == 6.0 + 1 + 1


def test_sums_of_scaled_rewards_are_no_returns() -> None:
    probe = Probe(None, settings={"ppo.normalize_returns": "running"})
    assert metrics.TRAIN_RETURN not in ended(probe, rewards=[1.0], dones=[1.0])
    probe.rollout(rewards=[1.0], dones=[1.0])
    assert probe.end_iteration(episode_returns=[3.0, 5.0])[metrics.TRAIN_RETURN] == 4.0


class Fixed(nn.Module):
    """An agent of one hidden layer, whose weights tell what is measured."""

    def __init__(self, activation: nn.Module, weights: list[float]) -> None:
        super().__init__()
        self.hidden, self.activation = nn.Linear(1, len(weights)), activation
        self.heads = nn.Linear(len(weights), 3)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.tensor(weights).view(-1, 1))
            self.hidden.bias.zero_()

    def get_action_and_value(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        outputs = self.heads(self.activation(self.hidden(obs)))
        chosen = torch.distributions.Categorical(logits=outputs[:, :2])
        return action, chosen.log_prob(action), chosen.entropy(), outputs[:, 2:]


@pytest.mark.parametrize(
    ("activation", "weights", "share"),
    [
        (nn.Tanh(), [3.0, -3.0, 0.1, 0.1], 0.5),  # tanh(3) = 0.995
        (nn.Sigmoid(), [5.0, -5.0, 1.0, 1.0], 0.5),
        (nn.ReLU(), [1.0, -1.0, -2.0, -3.0], 0.75),  # inputs above 0 never wake these
        (nn.ReLU(), [1.0, 1.0, 1.0, 1.0], 0.0),
    ],
)
def test_saturated_and_dead_units_are_counted(activation: nn.Module, weights: list[float], share: float) -> None:
    probe = Probe(None, Fixed(activation, weights), settings={"ppo.minibatch_size": 2})
    obs = torch.tensor([[[1.0]], [[2.0]], [[9.0]]])
    found = ended(probe, obs=obs, actions=torch.zeros(3, 1), logprobs=torch.zeros(3, 1))
    assert found[metrics.SATURATED_SHARE] == share
    assert found[metrics.INPUT_RMS_MAX] == pytest.approx(math.sqrt((1 + 4) / 2))  # of the minibatch's two samples


def test_gradients_by_hand() -> None:
    """One action always taken with probability 1/2, advantages -1 and 1: d(-ln p A)/d(logits) is known."""

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits, self.value = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.tensor(1.0))

        def evaluate(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            chosen = torch.distributions.Categorical(logits=self.logits.expand(len(obs), 2))
            return chosen.log_prob(actions), chosen.entropy(), self.value.expand(len(obs))

    agent = Constant()
    probe = Probe(None, agent, {"ppo.entropy_coef": 0.0, "ppo.value_coef": 0.5}, evaluate=agent.evaluate)
    found = ended(
        probe, obs=torch.zeros(2, 1, 1), actions=torch.tensor([[0], [1]]), logprobs=torch.full((2, 1), math.log(0.5)),
        values=torch.ones(2, 1), advantages=torch.tensor([[-1.0], [1.0]]), returns=torch.tensor([[0.0], [2.0]]),
    )  # fmt: skip
    scaled = 1 / math.sqrt(2)  # advantages over their spread (n - 1)
    # Each sample gives -A (1 - p) on its own logit and A p on the other: -A/2 and A/2, with mean (scaled/2, -scaled/2).
    assert found[metrics.GRAD_NORM_POLICY] == pytest.approx(math.hypot(scaled / 2, scaled / 2))
    assert found[metrics.GRAD_NORM_VALUE] == pytest.approx(0.0, abs=1e-6)  # errors 1 and -1
    assert found[metrics.RATIO_DEVIATION] == pytest.approx(0.0, abs=1e-6)
    assert probe.settings["ppo.shared_trunk"] is False


def test_a_shared_trunk_is_seen() -> None:
    probe = Probe(None, Dropping(), COEFFICIENTS)
    ended(probe, **arrays())
    assert probe.settings["ppo.shared_trunk"] is True


def test_advantages_are_followed_where_the_update_follows_them() -> None:
    agent = Dropping()
    agent.eval()
    given = arrays()
    flat = given["obs"].flatten(0, 1), given["actions"].flatten()
    with torch.no_grad():
        given["logprobs"] = agent.get_action_and_value(*flat)[1].view(STEPS, LANES)
    for sign in (1, -1):
        probe, optimizer = Probe(None, agent, COEFFICIENTS), torch.optim.SGD(agent.parameters(), 0.1)
        probe.rollout(**given)
        log_probs = agent.get_action_and_value(*flat)[1]
        optimizer.zero_grad()
        (-sign * log_probs * given["advantages"].flatten()).mean().backward()
        before = [one.detach().clone() for one in agent.parameters()]
        optimizer.step()
        found = probe.end_iteration()
        assert sign * found[metrics.ADVANTAGE_FOLLOWED] > 0.2
        with torch.no_grad():
            after = [one.detach().clone() for one in agent.parameters()]
            for one, earlier in zip(agent.parameters(), before, strict=True):
                one.copy_(earlier)
        moved = math.sqrt(sum(float((one - other).square().sum()) for one, other in zip(after, before, strict=True)))
        norm = math.sqrt(sum(float(one.square().sum()) for one in before))
        assert found[metrics.UPDATE_NORM] == pytest.approx(moved / norm, rel=1e-5)


def trained(probed: bool) -> tuple[list[Tensor], Tensor]:
    """The state of a small training with dropout and running statistics, and of all generators, at its end."""
    torch.manual_seed(3)
    agent = Dropping()
    optimizer = torch.optim.Adam(agent.parameters())
    probe = Probe(None, agent, COEFFICIENTS, optimizer=optimizer, every=1) if probed else None
    for seed in range(4):
        given = arrays(seed)
        if probe:
            with torch.no_grad():  # where many loops stand at that point
                probe.rollout(**given)
        for _ in range(2):
            _, log_probs, entropy, values = agent.get_action_and_value(
                given["obs"].flatten(0, 1), given["actions"].flatten()
            )
            logratio = log_probs - given["logprobs"].flatten()
            optimizer.zero_grad()
            (logratio.exp().mean() + values.square().mean()).backward()
            optimizer.step()
            if probe:
                probe.minibatch(logratio=logratio, entropy=entropy, values=values, returns=values)
        if probe:
            probe.end_iteration()
    modes = [module.training for module in agent.modules()]
    assert all(modes)
    return [*agent.state_dict().values()], torch.get_rng_state()


def test_training_is_bit_for_bit_the_same() -> None:
    bare, probed = trained(False), trained(True)
    assert all(torch.equal(one, other) for one, other in zip(bare[0], probed[0], strict=True))
    assert torch.equal(bare[1], probed[1])


def test_an_evaluation_in_the_open_would_change_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "leave_as_is", nullcontext)
    bare, probed = trained(False), trained(True)
    assert not all(torch.equal(one, other) for one, other in zip(bare[0], probed[0], strict=True))
    assert not torch.equal(bare[1], probed[1])


def test_a_rollout_of_inference_tensors_is_measured() -> None:
    with torch.inference_mode():
        given = {name: tensor + 0 for name, tensor in arrays().items()}
    assert metrics.GRAD_NORM_POLICY in ended(Probe(None, Dropping(), COEFFICIENTS), **given)


def test_a_default_device_of_the_script_changes_nothing() -> None:
    agent, given = Dropping(), arrays()

    def measure() -> dict[str, float]:
        probe = Probe(None, agent, COEFFICIENTS, optimizer=torch.optim.Adam(agent.parameters()), every=1)
        probe.rollout(**given)
        logratio = torch.arange(4, device="cpu") / 10
        probe.minibatch(logratio=logratio, entropy=0.1, policy_loss=0.2, values=logratio, returns=logratio)
        return probe.end_iteration()

    plain = measure()
    with torch.device("meta"):  # as a GPU that the rollout is not on: what is made there by default can't be used
        found = measure()
    assert {metrics.VALUE_FLOOR, metrics.GRAD_NORM_POLICY, metrics.ADVANTAGE_FOLLOWED} <= plain.keys()
    assert found == pytest.approx(plain, nan_ok=True)


def test_parts_of_an_observation_go_to_the_agent_by_name() -> None:
    agent = Dropping()

    def evaluate(obs: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return agent.get_action_and_value(torch.cat([obs["a"], obs["b"]], dim=1), actions)[1:]

    given = arrays()
    parts = {"a": given["obs"][..., :1], "b": given["obs"][..., 1:]}
    apart = ended(Probe(None, agent, COEFFICIENTS, evaluate=evaluate), **{**given, "obs": parts})
    assert apart == pytest.approx(ended(Probe(None, agent, COEFFICIENTS), **given), rel=1e-5)


class Masked(Dropping):
    """An agent whose second action may be forbidden."""

    def get_action_and_value(  # type: ignore[override]
        self, obs: Tensor, action: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        hidden = self.body(obs)
        logits = self.policy(hidden)
        if mask is not None:
            logits = torch.where(mask > 0, logits, -1e8)
        chosen = torch.distributions.Categorical(logits=logits)
        action = chosen.sample() if action is None else action
        return action, chosen.log_prob(action), chosen.entropy(), self.value(hidden)


class Recurrent(nn.Module):
    """An agent with a memory, with the arguments of CleanRL's."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.policy, self.value = nn.LSTMCell(3, 4), nn.Linear(4, 2), nn.Linear(4, 1)

    def get_action_and_value(
        self, obs: Tensor, lstm_state: tuple[Tensor, Tensor], done: Tensor, action: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        kept = 1.0 - done[:, None]
        hidden, cell = self.memory(obs, (lstm_state[0] * kept, lstm_state[1] * kept))
        chosen = torch.distributions.Categorical(logits=self.policy(hidden))
        action = chosen.sample() if action is None else action
        return action, chosen.log_prob(action), chosen.entropy(), self.value(hidden), hidden, cell


def rolled_with_masks(agent: Masked) -> tuple[dict[str, Tensor], Tensor]:
    """A rollout in which the second action is forbidden where the first column is below 0."""
    given = arrays()
    masks = torch.stack([torch.ones(STEPS, LANES), (given["obs"][..., 0] >= 0).float()], dim=-1)
    agent.eval()
    with torch.no_grad():
        spoken = agent.get_action_and_value(given["obs"].flatten(0, 1), None, masks.flatten(0, 1))
    given["actions"], given["logprobs"] = (part.view(STEPS, LANES).float() for part in spoken[:2])
    return given, masks


def rolled_with_memory(agent: Recurrent) -> dict[str, Any]:
    """A rollout of an agent that remembers, with the memory that it had before each step."""
    given, states, done = arrays(), torch.zeros(2, LANES, 4), torch.zeros(LANES)
    kept: dict[str, list[Tensor]] = {"actions": [], "logprobs": [], "hidden": [], "cell": [], "done": []}
    with torch.no_grad():
        for step in range(STEPS):
            before = {"hidden": states[0], "cell": states[1], "done": done[:, None]}
            action, log_prob, _, _, *after = agent.get_action_and_value(
                given["obs"][step], (states[0], states[1]), done
            )
            for name, part in {"actions": action.float(), "logprobs": log_prob, **before}.items():
                kept[name].append(part)
            states, done = torch.stack(after), given["dones"][step]
    stacked = {name: torch.stack(parts) for name, parts in kept.items()}
    parts = {name: stacked.pop(name) for name in ("hidden", "cell", "done")}
    return {**given, **stacked, "obs": {"seen": given["obs"], **parts}}


ASKED = {metrics.GRAD_NORM_POLICY, metrics.GRAD_NORM_VALUE, metrics.ADVANTAGE_FOLLOWED}


def test_an_agent_with_masks_is_not_asked_and_that_is_said() -> None:
    agent = Masked()
    given, _ = rolled_with_masks(agent)
    with pytest.warns(UserWarning, match=r"get_action_and_value takes mask beside observations and actions, so the"):
        probe = Probe(None, agent, COEFFICIENTS)
    probe.rollout(**given)
    probe.minibatch(logratio=torch.zeros(8))
    found = probe.end_iteration()
    assert not ASKED & found.keys()
    assert found[metrics.RATIO_DEVIATION] == 0.0  # of the loop's own minibatch, which knew the masks
    assert metrics.UPDATE_NORM in found


def test_an_agent_with_masks_is_measured_by_a_function_that_knows_them() -> None:
    agent = Masked()
    given, masks = rolled_with_masks(agent)

    def evaluate(obs: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return agent.get_action_and_value(obs["seen"], actions, obs["mask"])[1:]

    def forget_masks(obs: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return agent.get_action_and_value(obs["seen"], actions)[1:]

    parts = {**given, "obs": {"seen": given["obs"], "mask": masks}}
    found, wrong = (
        ended(Probe(None, agent, COEFFICIENTS, evaluate=function), **parts) for function in (evaluate, forget_masks)
    )
    assert found.keys() >= ASKED
    assert found[metrics.RATIO_DEVIATION] < 1e-6
    assert wrong[metrics.RATIO_DEVIATION] > 0.01


def test_an_agent_with_a_memory_is_measured_from_the_memories_that_it_had() -> None:
    torch.manual_seed(2)
    agent = Recurrent()
    given = rolled_with_memory(agent)
    with pytest.warns(UserWarning, match=r"takes lstm_state and done beside observations and actions"):
        assert not ASKED & ended(Probe(None, agent, COEFFICIENTS), **given).keys()

    def evaluate(obs: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spoken = agent.get_action_and_value(obs["seen"], (obs["hidden"], obs["cell"]), obs["done"][:, 0], actions)
        return spoken[1], spoken[2], spoken[3]

    found = ended(Probe(None, agent, COEFFICIENTS, evaluate=evaluate), **given)
    assert found.keys() >= ASKED
    assert found[metrics.RATIO_DEVIATION] < 1e-6


def test_continuous_actions_have_a_spread_and_no_shares() -> None:
    probe = Probe(None)
    given = arrays()
    probe.rollout(obs=given["obs"], rewards=given["rewards"], actions=torch.randn(STEPS, LANES, 2))
    probe.minibatch(entropy=2 * (0.5 * math.log(2 * math.pi * math.e) + math.log(0.3)))
    assert probe.end_iteration()[POLICY_STD] == pytest.approx(0.3, rel=1e-5)


def test_choices_of_an_action_are_counted_apart() -> None:
    probe = Probe(None, actions=MultiDiscrete([2, 3]))
    actions = torch.tensor([[[0, 2]], [[1, 2]], [[0, 0]], [[0, 1]]])
    found = ended(probe, rewards=torch.zeros(4, 1), actions=actions)
    assert [found[metrics.action_metric(name)] for name in ("0.0", "0.1", "1.0", "1.1", "1.2")] == [
        *(0.75, 0.25, 0.25, 0.25, 0.5)
    ]


def test_wide_observations_have_no_value_floor() -> None:
    given = {name: array for name, array in arrays().items() if name != "obs"}
    found = ended(Probe(None, settings=COEFFICIENTS), obs=torch.randn(STEPS, LANES, measuring.WIDEST + 1), **given)
    assert metrics.VALUE_FLOOR not in found
    assert metrics.EXPLAINED_VARIANCE in found


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"reward": [1.0]}, TypeError, r"rollout takes obs, .*, got reward; did you mean rewards\?"),
        ({"obs": torch.zeros(4, 1, 1)}, ValueError, "rollout must be given one of .* at least, got obs"),
        (
            {"rewards": torch.zeros(4, 2), "values": torch.zeros(4, 3)},
            ValueError,
            r"values must .* \[4, 2\].* \[4, 3\]",
        ),
        (
            {"rewards": torch.zeros(8)},
            ValueError,
            r"rewards must .*\[steps, 2\].* got \[8\].*before they are flattened",
        ),
        ({"rewards": torch.zeros(4, 2), "obs": torch.zeros(8, 3)}, ValueError, r"obs must begin with \[4, 2\]"),
        (
            {"dones": torch.zeros(4, 2), "next_done": torch.zeros(3)},
            ValueError,
            r"next_done must .* 2 lanes, got \[3\]",
        ),
        ({"rewards": "many"}, TypeError, "rewards must be a tensor or an array of numbers, got str"),
    ],
)
def test_wrong_rollouts_are_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Probe(None, settings={"ppo.num_envs": 2}).rollout(**given)


def test_other_wrong_calls_are_refused() -> None:
    probe = Probe(None)
    probe.rollout(rewards=[1.0])
    with pytest.raises(ValueError, match=r"end_iteration must be called after each update"):
        probe.rollout(rewards=[1.0])
    with pytest.raises(ValueError, match=r"logratio must hold one number a sample, got \[4, 4\]"):
        probe.minibatch(logratio=torch.zeros(4, 1) - torch.zeros(4))
    with pytest.raises(ValueError, match=r"of the same samples, got \[4\] and \[3\]"):
        probe.minibatch(values=torch.zeros(4), returns=torch.zeros(3))
    with pytest.raises(ValueError, match=r"got train/entropi; did you mean train/entropy\?"):
        probe.end_iteration(measured={"train/entropi": 1.0})
    with pytest.raises(TypeError, match=r"got optimiser; did you mean optimizer\?"):
        Probe(None, optimiser=None)
    with pytest.raises(ValueError, match=r"program must be one of .*, got 'clean'"):
        Probe(None, program="clean")
    with pytest.raises(ValueError, match=r"settings: ppo.gamma must be .* got 99"):
        Probe(None, settings={"gamma": 99})
    with pytest.raises(ValueError, match="agent must be the networks"):
        Probe(None, evaluate=lambda obs, actions: (obs, obs, obs))
    short = Probe(None, nn.Linear(1, 1), evaluate=lambda obs, actions: (obs.sum(), obs.sum(), obs.sum()))
    with pytest.raises(ValueError, match=r"one number a sample as log-probabilities, 3 in all, got \[\]"):
        short.rollout(obs=torch.zeros(3, 1, 1), actions=torch.zeros(3, 1), logprobs=torch.zeros(3, 1))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "probe.csv").open(encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_each_row_is_on_the_disk_when_its_iteration_ends(tmp_path: Path) -> None:
    probe = Probe(tmp_path / "new" / "run", settings={"gamma": 0.9, "anything": "x", "optimizer": object()})
    for done in (1, 2):
        found = ended(probe, **arrays(done))
        written = rows(tmp_path / "new" / "run")
        assert len(written) == done
        assert {name: float(value) for name, value in written[-1].items() if value} == {
            "iteration": done, ENV_STEPS: done * STEPS * LANES, **found,
        }  # fmt: skip
    settings = json.loads((tmp_path / "new" / "run" / "probe.json").read_text())
    assert settings == {"probe.program": "plain", "ppo.gamma": 0.9, "anything": "x"}


def test_a_resumed_run_goes_on_where_it_was_and_a_new_one_is_refused(tmp_path: Path) -> None:
    whole = Probe(None, settings=COEFFICIENTS, every=1)
    expected = [ended(whole, **arrays(seed)) for seed in range(5)]
    first = Probe(tmp_path, settings=COEFFICIENTS, every=1)
    for seed in range(3):
        ended(first, **arrays(seed))
        if seed == 1:
            state = json.loads(json.dumps(first.state()))
    with (tmp_path / "probe.csv").open("a") as opened:
        opened.write("4,64,0.5")  # a kill in the middle of a row
    with pytest.raises(ValueError, match=r"holds? no log, got .* with 3 iterations; .* iterations_done=3"):
        Probe(tmp_path)
    again = Probe(tmp_path, settings=COEFFICIENTS, every=1, iterations_done=2)
    again.load_state(state)
    assert [ended(again, **arrays(seed)) for seed in range(2, 5)] == expected[2:]
    assert [row["iteration"] for row in rows(tmp_path)] == ["1", "2", "3", "4", "5"]
    assert [float(row[metrics.TARGET_MEAN]) for row in rows(tmp_path)] == [one[metrics.TARGET_MEAN] for one in expected]
    history = unstuck.load_run(tmp_path)
    assert (history.last_iteration, history.settings["ppo.gamma"]) == (5, 0.9)


def test_a_log_that_an_older_version_began_gets_the_new_columns(tmp_path: Path) -> None:
    Probe(tmp_path, settings=COEFFICIENTS).end_iteration(measured={metrics.ENTROPY: 0.5})
    file = tmp_path / "probe.csv"
    (header, row) = file.read_text().splitlines()
    assert header.split(",")[-1] == record.TRUNCATED_EARLY
    file.write_text(f"{header.removesuffix(',' + record.TRUNCATED_EARLY)}\n{row[:-1]}\n")
    again = Probe(tmp_path, settings=COEFFICIENTS, iterations_done=1)
    again.end_iteration(measured={metrics.ENTROPY: 0.4, record.TRUNCATED_EARLY: 0.25})
    assert file.read_text().splitlines()[:2] == [header, row]
    assert [(one[metrics.ENTROPY], one[record.TRUNCATED_EARLY]) for one in rows(tmp_path)] == [
        ("0.5", ""),
        ("0.4", "0.25"),
    ]


def test_looks_grow_seldom_unless_told_how_often() -> None:
    def look(every: int | None = None) -> list[int]:
        """Numbers of the iterations that are looked at, of 12 with 6,144 samples each."""
        probe = Probe(None, every=every)
        alike = {"obs": torch.zeros(6_144, 1, 1), "rewards": torch.zeros(6_144, 1)}
        return [number for number in range(1, 13) if metrics.OBSERVATION_REPEATS in ended(probe, **alike)]

    assert look() == [1, 2, 3, 4, 5, 7, 9, 11]
    assert look(every=1) == [*range(1, 13)]
    assert look(every=5) == [1, 5, 10]


def test_discounted_sums_end_with_the_episode() -> None:
    """Two lanes at gamma 0.5: one episode of three steps, and one that ends after each of the first two."""
    rewards, ends = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]), np.array([[0, 1], [0, 1], [1, 1]], bool)
    assert measuring.sum_discounted(rewards, ends, 0.5).tolist() == [[3.0, 1.0], [4.0, 2.0], [4.0, 4.0]]


def test_a_metric_without_a_column_is_refused(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    probe.end_iteration(measured={metrics.ENTROPY: 0.5})
    with pytest.raises(ValueError, match=r"has no column for train/action/x; hand it over from the first iteration on"):
        probe.end_iteration(measured={metrics.action_metric("x"): 0.5})
