"""What a probe sees on both sides of wrappers, by hand: each fault, and the nearest thing that is none."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import (
    FrameStackObservation,
    RescaleAction,
    TimeLimit,
    TransformAction,
    TransformObservation,
    TransformReward,
)
from unstuck.analysis.history import record
from unstuck.sweeps.trainers.object_state import pack, unpack

from unstuck.probe.lane_tap import STEPS, LaneTap
from unstuck.probe.wrapper_watch import WrapperWatch
from unstuck.probe.wrappers import measure_wrappers

Make = Callable[[gymnasium.Env[Any, Any]], gymnasium.Env[Any, Any]]


class Walk(gymnasium.Env[np.ndarray, np.ndarray]):
    """A place that actions move; a step pays the place. The episode ends after seven steps."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float64)
    ends = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.steps, self.place = 0, self.np_random.uniform(-5, 5)
        return self._show(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps, self.place = self.steps + 1, self.place + float(action[0])
        return self._show(), self.place, self.steps == 7, False, {}

    def _show(self) -> np.ndarray:
        return np.array([self.place, self.steps], np.float64)


class Goal(Walk):
    """A step pays nothing but the seventh, the last one, which pays 1."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        seen, _, ended, *others = super().step(action)
        return seen, float(ended), ended, *others


class Arms(Walk):
    """Three numbers act, and a step pays 1; the episode ends sooner or later, by chance."""

    action_space = spaces.Box(-1.0, 1.0, (3,), np.float64)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        seen, *_ = super().step(action)
        return seen, 1.0, bool(self.np_random.random() < 0.2), False, {}


class Late(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Actions, or observations, arrive three steps late."""

    def __init__(self, env: gymnasium.Env[Any, Any], acts: bool) -> None:
        super().__init__(env)
        self.acts = acts

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        seen, info = self.env.reset(**how)
        self.held = [np.zeros(1)] * 3 if self.acts else [seen] * 3
        return seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self.acts:
            self.held.append(action)
            return self.env.step(self.held.pop(0))
        seen, *others = self.env.step(action)
        self.held.append(seen)
        return self.held.pop(0), *others


class EndsAsTruncations(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Ends are told as truncations."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, reward, False, terminated or truncated, info


class Noisy(gymnasium.RewardWrapper[Any, Any]):
    """Noise of spread 100 is added to the rewards."""

    def reward(self, reward: Any) -> float:
        return float(reward) + float(self.np_random.normal(0, 100))


class Costly(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Each action costs 100 times its square."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        seen, reward, *others = self.env.step(action)
        return seen, float(reward) - 100 * float(np.square(action).sum()), *others


def played(wrap: Make, steps: int = 400, env: type[gymnasium.Env[Any, Any]] = Walk) -> dict[str, float]:
    """Play uniform actions in two lanes; return what the taps measure."""
    lanes = [wrap(env()) for _ in range(2)]
    taps = [LaneTap(lane) for lane in lanes]
    draws = np.random.default_rng(0)
    for number, lane in enumerate(lanes):
        lane.reset(seed=number)
        for _ in range(steps // 2):
            _, _, terminated, truncated, _ = lane.step(draws.uniform(-1, 1, lane.action_space.shape))
            if terminated or truncated:
                lane.reset()
    found = measure_wrappers(taps)
    for tap in taps:
        tap.stop()
    assert not any("step" in vars(one) for lane in lanes for one in (lane, lane.unwrapped))
    return found


def seen(change: Callable[[Any], Any]) -> Make:
    return lambda env: TransformObservation(env, change, env.observation_space)


def done(change: Callable[[Any], Any]) -> Make:
    return lambda env: TransformAction(env, change, env.action_space)


@pytest.mark.parametrize(
    ("wrap", "name", "value"),
    [
        (lambda env: Late(env, acts=True), record.WRAPPED_ACTION_DELAY, 3.0),
        (lambda env: Late(env, acts=False), record.WRAPPED_SIGHT_DELAY, 3.0),
        (lambda env: Late(env, acts=True), record.WRAPPED_SIGHT_DELAY, 0.0),
        (done(lambda action: action / 100), record.WRAPPED_ACTION_REACH, 0.01),
        (done(lambda action: np.clip(action, 0, 1)), record.WRAPPED_ACTION_CUT, 0.5),
        (seen(lambda place: place * np.array([0, 1])), record.WRAPPED_COLUMNS_BLANK, 0.5),
        (seen(lambda place: place * np.array([0, 1])), record.WRAPPED_SIGHT_LOST, 1.0),
        (seen(np.round), record.WRAPPED_SIGHT_LOST, 1 / 12 / 10),  # variance of rounding; that of the place is about 10
        (lambda env: TransformReward(env, lambda paid: -paid), record.WRAPPED_REWARD_SIGN, -1.0),
        (lambda env: TransformReward(env, lambda paid: 3.0), record.WRAPPED_REWARD_LOST, 1.0),
        (EndsAsTruncations, record.WRAPPED_ENDS, 1.0),
        (lambda env: TimeLimit(env, 20), record.WRAPPED_ENDS, 0.0),
    ],
)
def test_what_a_wrapper_changes_by_hand(wrap: Make, name: str, value: float) -> None:
    assert played(wrap)[name] == pytest.approx(value, abs=0.01)


def test_bare_and_rescaled_environments_change_nothing() -> None:
    """What RescaleAction and a smaller unit of rewards and observations do is no loss."""

    def rescale(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        scaled = RescaleAction(env, -3.0, 3.0)
        return TransformReward(TransformObservation(scaled, lambda o: o / 10, env.observation_space), lambda r: r / 10)

    for wrap in (lambda env: env, rescale):
        found = played(wrap)
        assert found[record.WRAPPED_ACTION_DELAY] == found[record.WRAPPED_ACTION_CUT] == 0
        assert found[record.WRAPPED_ACTION_REACH] == pytest.approx(1)
        assert found[record.WRAPPED_COLUMNS_BLANK] == found[record.WRAPPED_ENDS] == 0
        assert found[record.WRAPPED_SIGHT_LOST] == pytest.approx(0, abs=1e-6)
        assert found.get(record.WRAPPED_REWARD_LOST, 0) == pytest.approx(0, abs=1e-6)
        assert found.get(record.WRAPPED_REWARD_SIGN, 1) == pytest.approx(1)
        assert found.get(record.WRAPPED_REWARD_NOISE, 0) == pytest.approx(0, abs=1e-6)


def test_noise_and_costs_are_measured_in_spreads_of_the_environments_returns() -> None:
    """A return is the sum of seven places, and has a spread of about 20; seven draws of noise have 100 sqrt 7."""
    noisy, costly, shaped = (
        played(wrap, 1_000) for wrap in (Noisy, Costly, lambda env: TransformReward(env, lambda paid: paid + 5))
    )
    assert 9 < noisy[record.WRAPPED_REWARD_NOISE] < 18
    assert record.WRAPPED_REWARD_COST not in noisy
    assert costly[record.WRAPPED_REWARD_COST] == pytest.approx(7 * 100 / 3 / 20, rel=0.3)  # the mean square is a third
    assert shaped[record.WRAPPED_REWARD_NOISE] < 0.01


@pytest.mark.parametrize(
    ("change", "unused"),
    [
        (lambda action: np.full(3, action[0]), 2 / 3),
        (lambda action: action[[2, 0, 1]], 0.0),
        (lambda action: action * np.array([1, 1, 0]), 1 / 3),
        (lambda action: action.mean() + action / 10, 0.0),
    ],
)
def test_numbers_of_an_action_that_change_nothing_are_counted(change: Callable[[Any], Any], unused: float) -> None:
    assert played(done(change), env=Arms)[record.WRAPPED_ACTION_UNUSED] == pytest.approx(unused)
    assert record.WRAPPED_ACTION_UNUSED not in played(lambda env: env)  # one number alone is no part


@pytest.mark.parametrize(("added", "step"), [(-3.0, 3.0), (-0.5, 0.5), (0.25, 0.0)])
def test_a_cost_of_each_step_is_weighed_against_what_a_step_more_brings(added: float, step: float) -> None:
    """Arms pays 1 a step, so each step more brings 1; Walk's seven steps tell nothing of a step more."""
    paid = played(lambda env: TransformReward(env, lambda reward: reward + added), env=Arms)
    assert paid[record.WRAPPED_REWARD_STEP] == pytest.approx(step)
    assert record.WRAPPED_REWARD_STEP not in played(lambda env: TransformReward(env, lambda reward: reward + added))


class Rounds(Walk):
    """Every twentieth of a hundred steps pays 1, and every 33rd costs 1."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        seen, *_ = super().step(action)
        paid = float(self.steps % 20 == 0) - float(self.steps % 33 == 0)
        return seen, paid, self.steps == 100, False, {}


def test_rewards_that_come_seldom_are_timed_from_the_start_or_from_the_last_one() -> None:
    """A step that pays less than most is a cost, and no reward to be waited for."""
    assert played(lambda env: env, 800, env=Rounds)[record.REWARD_AFTER] == 20
    assert played(lambda env: env, env=Goal).get(record.REWARD_AFTER) is None  # every seventh step is not seldom
    assert played(lambda env: TransformReward(env, lambda paid: 0.0))[record.WRAPPED_REWARD_LOST] == 1


def test_observations_of_another_shape_are_not_compared() -> None:
    found = played(lambda env: FrameStackObservation(env, 3))
    assert record.WRAPPED_ACTION_DELAY in found
    assert not {record.WRAPPED_SIGHT_DELAY, record.WRAPPED_SIGHT_LOST, record.WRAPPED_COLUMNS_BLANK} & found.keys()


def test_a_watch_measures_when_steps_have_doubled_and_ends_by_itself() -> None:
    env = TimeLimit(Walk(), 5)
    watch = WrapperWatch([env, env, object()])
    env.reset(seed=0)
    measured = []
    for step in range(STEPS):
        *_, terminated, truncated, _ = env.step(np.zeros(1))
        if terminated or truncated:
            env.reset()
        if watch.measure():
            measured.append(step + 1)
    assert measured == [64, 128, 256, 512, 1024, 2048]
    assert "step" not in vars(env)
    assert "step" not in vars(env.unwrapped)


def test_a_watch_ends_where_rollouts_are_no_power_of_two() -> None:
    env = Walk()
    watch = WrapperWatch([env])
    env.reset(seed=0)
    for rollout in range(2):
        for _ in range(1_500):
            if env.step(np.zeros(1))[2]:
                env.reset()
        assert watch.measure(), rollout
    assert "step" not in vars(env)


def test_a_step_that_someone_else_has_set_is_there_again() -> None:
    env = Walk()
    env.reset(seed=0)
    set_before = lambda action: (np.zeros(2), 42.0, False, False, {})  # noqa: E731
    env.step = set_before  # type: ignore[method-assign]
    watch = WrapperWatch([env])
    assert env.step(np.zeros(1))[1] == 42
    watch.stop()
    assert env.step is set_before


class Strange(Walk):
    """Shows and pays what is no number to NumPy, as values of another library; flags are more than one."""

    class Value:
        """A value whose size is a method, and that cannot be made an array."""

        def size(self) -> int:
            return 1

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise RuntimeError("it still requires a gradient")

    def step(self, action: np.ndarray) -> tuple[Any, Any, Any, Any, dict]:
        return self.Value(), self.Value(), np.zeros(2, bool), False, {}


class Closed(Walk):
    """Lets nobody replace its step."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "step":
            raise AttributeError("step is fixed")
        super().__setattr__(name, value)


@pytest.mark.parametrize("env", [Strange(), Closed(), TimeLimit(Closed(), 3)])
def test_watching_raises_nothing_in_a_training(env: gymnasium.Env[Any, Any]) -> None:
    watch = WrapperWatch([env])
    env.reset(seed=0)
    for _ in range(70):
        if isinstance(env, Strange):
            assert len(env.step(np.zeros(1))) == 5
        elif any(env.step(np.zeros(1))[2:4]):
            env.reset()
    assert record.WRAPPED_ACTION_REACH not in watch.measure()
    watch.stop()


def test_a_watch_goes_on_from_a_saved_state_as_if_nothing_had_happened() -> None:
    """A trial that another worker takes over logs what the undisturbed one logs, in a file of plain arrays."""
    env, other = TimeLimit(Walk(), 5), TimeLimit(Walk(), 5)
    watch, later = WrapperWatch([env]), WrapperWatch([other])
    env.reset(seed=0)
    draws = np.random.default_rng(0)
    for step in range(100):
        if env.step(draws.uniform(-1, 1, 1))[2:4] != (False, False):
            env.reset()
        if step == 63:
            assert watch.measure()
    unpack(pack(watch), later)
    other.reset(seed=1)
    for action in draws.uniform(-1, 1, (28, 1)):
        for each in (env, other):
            each.unwrapped.__dict__.update(steps=0, place=1.5)
            each.step(action)
        measured = watch.measure()
        assert later.measure() == measured
    assert measured  # of 128 steps, 100 of them before
    watch.stop()
    unpack(pack(watch), later)
    assert "step" not in vars(other.unwrapped)
