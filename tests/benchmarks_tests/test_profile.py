import time
from typing import Any

import pytest
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks.profile import Part, _parts, _timed


def test_products_are_counted_by_hand() -> None:
    """Layers of 4 to 64, 64 to 64 and 64 to 3 (two actions and the value), two towers, 4 epochs of 16 samples."""
    config = PPOConfig(num_envs=2, num_steps=8, minibatch_size=16, hidden_sizes=(64, 64))
    parts = _parts(make_learner(config, EnvConfig(id="CartPole-v1"), make_member_seeds(0, 3), make_evaluation_seed(0)))
    forward = 2 * (4 * 64 + 64 * 64 + 64 * 3)
    backward = forward + 2 * (64 * 64 + 64 * 3)  # weights; and what went into all layers but the first
    samples, visits = 3 * 16, 4 * 2
    assert parts["policy"].operations == samples * forward
    assert parts["values and advantages"].operations == samples * forward * 2
    assert parts["forward"].operations == samples * forward * visits
    assert parts["backward"].operations == samples * backward * visits
    assert parts["update"].operations == parts["forward"].operations + parts["backward"].operations


def test_a_part_within_another_counts_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(time, "process_time", lambda: next(clock))

    class Work:
        def inner(self) -> int:
            return 7

        def outer(self) -> int:
            return self.inner()

    spent = {"outer": 0.0, "inner": 0.0}
    parts: dict[str, Any] = {"outer": Part(Work, "outer"), "inner": Part(Work, "inner", "outer")}
    with _timed(parts, spent):
        assert Work().inner() == 7
        assert spent == {"outer": 0.0, "inner": 0.0}
        assert Work().outer() == 7
    assert spent == {"outer": 3.0, "inner": 1.0}
    assert Work().outer() == 7
    assert spent == {"outer": 3.0, "inner": 1.0}
