"""How actions, observations and rewards belong together, in systems whose answers are known."""

from typing import Any

import numpy as np
import pytest
import torch
from unstuck.analysis.history import record
from unstuck.rl.dynamics import Bounds

from unstuck import Probe
from unstuck.probe.arrays import read_rollout
from unstuck.probe.dynamics import measure_dynamics
from unstuck.probe.episodes import EpisodeStarts

STEPS, LANES, LONG = 96, 8, 24
WHOLE = Bounds((), np.array([-1.0]), np.array([1.0]))


def drive(late: int = 0, cut: bool = False, force: float = 0.1, shown: tuple[int, ...] = (0, 1)) -> dict[str, Any]:
    """A cart of position and velocity that random forces move: episodes of 24 steps, the reward is -|position|."""
    generator = np.random.default_rng(0)
    forces = generator.uniform(-1.5, 1.5, (STEPS, LANES, 1))
    states, rewards, ends = np.zeros((STEPS, LANES, 2)), np.zeros((STEPS, LANES)), np.zeros((STEPS, LANES))
    for lane in range(LANES):
        for step in range(STEPS):
            if step % LONG == 0:
                state = generator.normal(0, 1, 2)
                past = [state] * (late + 1)
            past.append(state)
            states[step, lane] = past[-1 - late]
            done = np.clip(forces[step, lane, 0], 0 if cut else -1, 1)
            rewards[step, lane] = -abs(state[0])
            state = state + np.array([0.1 * state[1], force * done + 0.01 * generator.normal()])
            ends[step, lane] = (step + 1) % LONG == 0
    hidden = states.copy()
    hidden[..., [one for one in (0, 1) if one not in shown]] = 0
    return {"obs": hidden, "actions": forces, "rewards": rewards, "dones": ends}


def measured(**how: Any) -> dict[str, float]:
    return measure_dynamics(read_rollout(drive(**how)), WHOLE)


def test_where_all_is_in_order_actions_show_at_once_and_the_past_adds_nothing() -> None:
    found = measured()
    assert found[record.ACTION_DELAY] == 0
    assert found[record.ACTION_SHOWN] > 0.6
    given = drive()
    pushed = 0.1 * np.clip(given["actions"], -1, 1).std() / given["obs"][..., 1].std()
    assert found[record.ACTION_EFFECT] == pytest.approx(pushed, rel=0.1)
    assert found[record.ACTION_HALVES] > 0.8
    assert found[record.COLUMNS_CONSTANT] == 0
    assert found[record.NEXT_BY_PAST] - found[record.NEXT_BY_STEP] < 0.05
    assert found[record.REWARD_BY_OBSERVATION] > 0.8


def test_an_observation_that_is_late_answers_late() -> None:
    found = measured(late=3)
    assert found[record.ACTION_DELAY] == 3
    assert found[record.ACTION_SHOWN] < 0.05
    assert found[record.ACTION_SHOWN_LATE] > 0.5


def test_what_pays_is_seen_later_where_frames_are_old_and_at_once_where_answers_are_slow() -> None:
    old = measured(late=6, force=1.0)
    assert 1 - old[record.REWARD_BY_LATER] < 0.5 * (1 - old[record.REWARD_BY_NEXT])
    given = drive(late=6, force=1.0)
    rewards = -np.abs(given["obs"][..., 0])  # what is shown is what is paid for, and answers late by nature
    slow = measure_dynamics(read_rollout({**given, "rewards": rewards}), WHOLE)
    assert slow[record.ACTION_DELAY] == 6
    assert slow[record.REWARD_BY_NEXT] > slow[record.REWARD_BY_LATER] + 0.1
    assert record.REWARD_BY_LATER not in measured()


def test_columns_that_are_cut_off_at_both_ends() -> None:
    given = drive()
    assert measured()[record.COLUMNS_CLIPPED] == 0
    limit = float(np.quantile(np.abs(given["obs"][..., 1]), 0.4))
    cut = np.clip(given["obs"], [-99, -limit], [99, limit])
    share = min((cut[..., 1] == limit).mean(), (cut[..., 1] == -limit).mean())
    found = measure_dynamics(read_rollout({**given, "obs": cut}), WHOLE)
    assert found[record.COLUMNS_CLIPPED] == pytest.approx(share)
    assert share > 0.15
    last = np.zeros((STEPS, LANES, 1))
    last[1:] = np.clip(given["actions"], -1, 1)[:-1]
    shown = np.concatenate([given["obs"], 3 * last, np.sign(last)], axis=-1)
    found = measure_dynamics(read_rollout({**given, "obs": shown}), WHOLE)
    assert found[record.COLUMNS_CLIPPED] == 0  # the last action, which has bounds, and a switch


def test_a_cost_of_actions_that_is_nearly_all_of_the_reward() -> None:
    given = drive()
    assert measured()[record.REWARD_BY_EFFORT] < 0.02
    cost = np.square(np.clip(given["actions"], -1, 1)).sum(-1)
    dear = measure_dynamics(read_rollout({**given, "rewards": given["rewards"] - 20 * cost}), WHOLE)
    assert dear[record.REWARD_BY_EFFORT] > 0.95
    paid = measure_dynamics(read_rollout({**given, "rewards": given["rewards"] + 20 * cost}), WHOLE)
    assert paid[record.REWARD_BY_EFFORT] == 0


def test_a_hidden_velocity_is_told_by_the_step_before() -> None:
    found = measured(shown=(0,))
    assert found[record.COLUMNS_CONSTANT] == 0.5
    assert found[record.NEXT_BY_STEP] < 0.2
    assert found[record.NEXT_BY_PAST] > 0.8


def test_a_hidden_position_leaves_rewards_to_the_past() -> None:
    found = measured(shown=(1,))
    assert found[record.REWARD_BY_STEP] < 0.3
    assert found[record.REWARD_BY_PAST] > 0.8


def test_half_a_range_that_is_cut_off_does_nothing() -> None:
    assert measured(cut=True)[record.ACTION_HALVES] < 0.2


def test_actions_that_are_not_applied_show_nowhere() -> None:
    found = measured(force=0.0)
    assert found[record.ACTION_SHOWN] < 0.05
    assert record.ACTION_DELAY not in found


def test_an_effect_is_as_large_as_the_action() -> None:
    assert measured(force=0.05)[record.ACTION_EFFECT] == pytest.approx(measured()[record.ACTION_EFFECT] / 2, rel=0.1)


def test_discrete_actions_show_too() -> None:
    given = drive()
    given["actions"] = np.digitize(given["actions"][..., 0], [-0.5, 0.5])
    found = measure_dynamics(read_rollout(given), Bounds((3,)))
    assert found[record.ACTION_SHOWN] > 0.5
    assert record.ACTION_HALVES not in found


def test_nothing_is_said_of_too_few_steps_or_numbers_that_are_not_finite() -> None:
    given = drive()
    assert set(measure_dynamics(read_rollout({name: part[:12] for name, part in given.items()}), WHOLE)) == {
        record.COLUMNS_CONSTANT
    }
    given["obs"][0, 0, 0] = np.nan
    assert measure_dynamics(read_rollout(given), WHOLE) == {}
    assert measure_dynamics(read_rollout(drive()), None) == {}


def test_starts_that_repeat_are_counted_across_rollouts() -> None:
    starts = EpisodeStarts()
    same = {"obs": [[[5.0]], [[1.0]], [[2.0]], [[1.0]]], "dones": [[1], [0], [1], [1]], "rewards": [[0.0]] * 4}
    assert starts.add(read_rollout(same)) == {record.START_REPEATS: 0.5}  # 1 and 1; how 5 began is not known
    assert starts.add(read_rollout(same)) == {record.START_REPEATS: pytest.approx(1 - 2 / 5)}  # 5, 1 and 1 more


def test_raw_observations_are_told_apart_where_scaled_ones_drift() -> None:
    probe, raw = Probe(None), torch.ones(8, 1, 1)
    probe.rollout(obs=raw + torch.arange(8.0).view(-1, 1, 1), raw_obs=raw, rewards=torch.zeros(8, 1))
    assert probe.end_iteration()["train/observation_repeats"] == pytest.approx(1 - 1 / 8)


def test_the_shape_and_the_decay_are_read_from_networks_and_optimiser() -> None:
    agent = torch.nn.ModuleDict({"actor": torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))})
    probe = Probe(None, agent, optimizer=torch.optim.SGD(agent.parameters(), 0.1, weight_decay=0.3))
    assert probe.settings == {"ppo.hidden_sizes": [3], "ppo.optimizer": "SGD", "ppo.weight_decay": 0.3}
    probe.rollout(rewards=torch.zeros(2, 1))
    norm = torch.cat([one.flatten() for one in agent.parameters()]).norm().item()
    assert probe.end_iteration()[record.PARAMETER_NORM] == pytest.approx(norm)
