"""Lanes that step together, each with a separate generator, so that a lane equals one single environment.

Gymnasium's vectorised environments draw all resets from one generator, so that the episodes of a lane depend on the
neighbours. Here each lane draws by itself, and the whole state of a lane can be saved and restored.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

Observations = npt.NDArray[np.float32]
Actions = npt.NDArray[np.int64]
State = dict[str, npt.NDArray[Any]]
_WORD = 2**64


class LaneVectorEnv(VectorEnv[Observations, Actions, npt.NDArray[Any]]):
    """Base class of parallel environments (lanes): random generators, restarts, time limit; subclasses add rules.

    After the end of an episode the next one begins in the same step (`AutoresetMode.SAME_STEP`). Each returned array is
    new: a later step does not change it.
    """

    def __init__(
        self,
        num_envs: int,
        observation_space: gymnasium.spaces.Box,
        action_space: gymnasium.spaces.Discrete,
        max_steps: int,
    ) -> None:
        """Set the number of parallel environments (lanes), the spaces and the time limit.

        Args:
            num_envs: Lanes, L.
            observation_space: Space of one lane's observations: float32 `[F]`.
            action_space: Space of one lane's actions.
            max_steps: Steps after which an episode is truncated.
        """
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs = num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.max_steps = max_steps
        self._num_actions = int(action_space.n)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._generators: list[np.random.Generator] = []  # empty until the first reset

    @abstractmethod
    def _start(self, lane: int, generator: np.random.Generator) -> None:
        """Start an episode in one of the parallel environments, with random numbers from the given generator."""

    @abstractmethod
    def _observe(self) -> Observations:
        """Return the observations of all parallel environments, one row for each, in a new array.

        float32 `[L, F]`, C-contiguous.
        """

    @abstractmethod
    def _advance(self, actions: Actions) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], dict[str, Any]]:
        """Apply one action in each parallel environment; return rewards, ends of episodes (booleans) and infos.

        Rewards `[L]`, terminated `[L]` and infos are those of the step just made.
        """

    @abstractmethod
    def _arrays(self) -> State:
        """Return the subclass's arrays with the environments' state, uncopied, without generators and clocks."""

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start new episodes in all parallel environments, or in masked ones; return observations and {}.

        Args:
            seed: Seed of lane i: `seed + i`, or `seed[i]`; where it is None the lane's generator goes on.
            options: `{"reset_mask": bool [L]}` begins episodes in these lanes only; the others stay as they are.

        Returns:
            Observations, float32 `[L, F]`, of all lanes, and an empty dict.

        Raises:
            ValueError: There is not one seed a lane, or the mask is not bool `[L]`.
            ResetNeeded: The first reset leaves lanes out.
        """
        mask = self._reset_mask(options)
        seeds = self._lane_seeds(seed)
        if not self._generators:
            if not mask.all():
                raise ResetNeeded("the first reset must start every lane; call reset() once without reset_mask")
            self._generators = [np_random(lane_seed)[0] for lane_seed in seeds]
        else:
            for lane, lane_seed in enumerate(seeds):
                if mask[lane] and lane_seed is not None:
                    self._generators[lane] = np_random(lane_seed)[0]
        self._begin(np.flatnonzero(mask))
        return self._observe(), {}

    def step(
        self, actions: Actions
    ) -> tuple[Observations, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """Step each parallel environment by its action; return observations, rewards, ends of episodes, infos.

        Args:
            actions: Integers `[L]`.

        Returns:
            Observations float32 `[L, F]`, where an episode ended those of the next one; rewards float64 `[L]`;
            terminated and truncated, bool `[L]`; and infos. If an episode ended, `infos["final_obs"]`, float32
            `[L, F]`, holds its last observation in the rows where `infos["_final_obs"]`, bool `[L]`, is true.

        Raises:
            ResetNeeded: Before the first reset.
            InvalidAction: An action is not in the action space.
        """
        if not self._generators:
            raise ResetNeeded("the lanes have not been started; call reset() before step()")
        self._check(actions)
        rewards, terminated, infos = self._advance(actions)
        self._elapsed += 1
        truncated = self._elapsed >= self.max_steps
        observations = self._observe()
        ended = terminated | truncated
        if np.count_nonzero(ended):
            infos["final_obs"], infos["_final_obs"] = observations, ended
            self._begin(np.flatnonzero(ended))
            observations = self._observe()
        return observations, rewards, terminated, truncated, infos

    def get_state(self) -> State:
        """Copy the state of all parallel environments to arrays by name, to continue from bit for bit.

        Raises:
            ResetNeeded: Before the first reset: there is nothing to go on from.
        """
        if not self._generators:
            raise ResetNeeded("lanes that have not been started have no state; call reset() before get_state()")
        state = {name: array.copy() for name, array in self._live().items()}
        state["generators"] = np.stack([_pack(generator) for generator in self._generators])
        return state

    def set_state(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore a state that `get_state` returned, in environments of the same number and settings.

        Raises:
            ValueError: An array is missing, unknown or of another shape; the lanes are then unchanged.
        """
        live = self._live()
        expected = {name: array.shape for name, array in live.items()} | {"generators": (self.num_envs, 6)}
        got = {name: array.shape for name, array in state.items()}
        if got != expected:
            raise ValueError(
                f"a state must hold arrays of shape {expected}, got {got}; make the environment as it was when saved"
            )
        for name, array in live.items():
            np.copyto(array, state[name])
        self._generators = [_unpack(words) for words in state["generators"]]

    def _live(self) -> State:
        return {"elapsed": self._elapsed, **self._arrays()}

    def _begin(self, lanes: npt.NDArray[np.intp]) -> None:
        self._elapsed[lanes] = 0
        for lane in lanes.tolist():
            self._start(lane, self._generators[lane])

    def _check(self, actions: Actions) -> None:
        as_unsigned = actions.astype(np.uint64)  # negative numbers become huge ones: one comparison sees both ends
        if actions.shape != (self.num_envs,) or np.count_nonzero(as_unsigned >= self._num_actions):
            raise InvalidAction(
                f"actions must be {self.num_envs} integers in 0..{self._num_actions - 1}, one a lane; got {actions!r}"
            )

    def _lane_seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        seeds = [seed + lane for lane in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must list one seed for each of the {self.num_envs} lanes, got {len(seeds)}")
        return [None if lane_seed is None else int(lane_seed) for lane_seed in seeds]

    def _reset_mask(self, options: Mapping[str, Any] | None) -> npt.NDArray[np.bool_]:
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"options['reset_mask'] must be a bool array of shape ({self.num_envs},), got {mask!r}")
        return mask


def _pack(generator: np.random.Generator) -> npt.NDArray[np.uint64]:
    """Convert the state of a random generator (PCG64) to six integers in an array."""
    state: Any = generator.bit_generator.state
    words = [word for number in (state["state"]["state"], state["state"]["inc"]) for word in divmod(number, _WORD)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def _unpack(words: npt.NDArray[np.uint64]) -> np.random.Generator:
    """Make a random generator from the six integers that `_pack` returned."""
    state_high, state_low, inc_high, inc_low, has_uint32, uinteger = (int(word) for word in words)
    generator = np.random.Generator(np.random.PCG64(0))
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state_high * _WORD + state_low, "inc": inc_high * _WORD + inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return generator
