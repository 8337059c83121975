"""Triage of network flows: allow, block, quarantine or alert, one flow after the other.

An action neither chooses nor changes the next flow: an episode is a row of independent decisions.
"""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from unstuck.rl.config import ORDERS, DataConfig, EnvConfig, require, require_one_of
from unstuck.rl.data.types import Flows
from unstuck.rl.envs.lanes import LaneVectorEnv, Observations, State
from unstuck.rl.metrics import ACTIONS


def draw_episode(
    generator: np.random.Generator, num_flows: int, flows_per_episode: int, order: str
) -> npt.NDArray[np.int64]:
    """Draw the indices of the network flows in one episode, and of one more flow, the last observation.

    Args:
        generator: Generator, drawn from once.
        num_flows: Flows in the part, n.
        flows_per_episode: Flows judged, T.
        order: `shuffled`: uniform, with replacement; `stream`: consecutive from a uniform start in `[0, n - T - 1]`.

    Returns:
        Row numbers, int64 `[T + 1]`.
    """
    if order == "shuffled":
        return generator.integers(num_flows, size=flows_per_episode + 1)
    start = int(generator.integers(num_flows - flows_per_episode))
    return np.arange(start, start + flows_per_episode + 1)


def make_reward_table(env: EnvConfig) -> npt.NDArray[np.float64]:
    """Make the table of rewards: rows are benign and threat, columns the actions in the order of `ACTIONS`.

    Returns `[2, 4]`.
    """
    return np.array([env.reward_benign, env.reward_threat], dtype=np.float64)


class TriageEnv(gymnasium.Env[npt.NDArray[Any], np.int64]):
    """Gymnasium environment `unstuck/Triage-v0`, in which each action judges one network flow.

    The observation holds the features of the flow that the next action judges, float32 `[F]`. The reward comes from the
    reward table for that flow. After `flows_per_episode` flows the episode is truncated; an episode never terminates,
    and the last observation is the next flow drawn. `info["threat"]` is True if the flow just judged was a threat.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (an instance variable in gymnasium.Env)

    def __init__(self, flows: Flows | None = None, env: EnvConfig | None = None, order: str = "shuffled") -> None:
        """Make the triage environment, which draws episodes from the given network flows.

        Args:
            flows: The part to draw from; None: the training part of the synthetic flows, as `DataConfig` has them.
            env: Length of an episode and rewards; None: the defaults.
            order: `shuffled` or `stream`, see `draw_episode`.

        Raises:
            ConfigError: The part is too short for an episode in stream order.
        """
        self._flows = _default_flows() if flows is None else flows
        self._env = env or EnvConfig()
        self._order = order
        _check_part(self._flows, self._env, order)
        self.observation_space = _observation_space(self._flows)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self._rewards = make_reward_table(self._env)
        self._episode = np.empty(0, dtype=np.int64)
        self._judged = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start an episode; return the first network flow's features, and an empty dict. There are no options.

        The features are float32 `[F]`.
        """
        super().reset(seed=seed, options=options)
        self._episode = draw_episode(self.np_random, len(self._flows), self._env.flows_per_episode, self._order)
        self._judged = 0
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Judge the present network flow by `action`; return the next one, reward, False, True at the end, and infos.

        Raises:
            ResetNeeded: Before the first reset, or after the episode's end.
        """
        if self._judged + 1 >= len(self._episode):
            raise ResetNeeded("there is no flow to judge: the episode has ended or not begun; call reset()")
        threat = bool(self._flows.threat[self._episode[self._judged]])
        reward = float(self._rewards[int(threat), action])
        self._judged += 1
        return self._observe(), reward, False, self._judged == self._env.flows_per_episode, {"threat": threat}

    def _observe(self) -> npt.NDArray[np.float32]:
        return np.array(self._flows.features[self._episode[self._judged]])


class TriageVectorEnv(LaneVectorEnv):
    """Parallel triage environments (lanes), each equal to a `TriageEnv` that was reset with the same seed.

    Each step's `infos["threat"]`, bool `[L]`, says whether the flows just judged were threats.
    """

    def __init__(self, num_envs: int, flows: Flows, env: EnvConfig, order: str = "shuffled") -> None:
        """Make `num_envs` parallel triage environments, which draw episodes from the given network flows.

        Args:
            num_envs: Lanes, L.
            flows: The part to draw from.
            env: Length of an episode and rewards.
            order: `shuffled` or `stream`, see `draw_episode`.

        Raises:
            ConfigError: The part is too short for an episode in stream order.
        """
        _check_part(flows, env, order)
        actions = gymnasium.spaces.Discrete(len(ACTIONS))
        super().__init__(num_envs, _observation_space(flows), actions, env.flows_per_episode)
        self._features = np.ascontiguousarray(flows.features)
        self._threat = flows.threat
        self._rewards = make_reward_table(env).ravel()
        self._reward_rows = flows.threat * np.int64(len(ACTIONS))  # where a flow's row begins in the flat table
        self._all_lanes = np.ones(num_envs, dtype=np.bool_)
        self._order = order
        self._episodes = np.zeros((num_envs, env.flows_per_episode + 1), dtype=np.int64)
        self._row_starts = np.arange(num_envs) * (env.flows_per_episode + 1)

    def _start(self, lane: int, generator: np.random.Generator) -> None:
        self._episodes[lane] = draw_episode(generator, len(self._threat), self.max_steps, self._order)

    def _current(self) -> npt.NDArray[np.int64]:
        """Return the index of the network flow to be judged next in each parallel environment.

        Row numbers `[L]`; flat `take` costs half of indexing by two arrays.
        """
        return self._episodes.take(self._row_starts + self._elapsed)

    def _observe(self) -> Observations:
        return self._features.take(self._current(), axis=0)

    def _advance(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], dict[str, Any]]:
        judged = self._current()  # the clock has not moved yet
        rewards = self._rewards.take(self._reward_rows.take(judged) + actions)
        infos = {"threat": self._threat.take(judged), "_threat": self._all_lanes.copy()}
        return rewards, np.zeros(self.num_envs, dtype=np.bool_), infos

    def _arrays(self) -> State:
        return {"episodes": self._episodes}


def _observation_space(flows: Flows) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(-np.inf, np.inf, flows.features.shape[1:], np.float32)


def _check_part(flows: Flows, env: EnvConfig, order: str) -> None:
    require_one_of("data.order", order, ORDERS)
    require(
        order == "shuffled" or len(flows) > env.flows_per_episode,
        f"data.order=stream needs at least env.flows_per_episode + 1 = {env.flows_per_episode + 1} flows in the part "
        f"drawn from, got {len(flows)}; try env.flows_per_episode={len(flows) - 1}",
    )


def _default_flows() -> Flows:
    from unstuck.rl.data import load_flows  # only now: whoever brings flows need not load the sources

    return load_flows(DataConfig()).train
