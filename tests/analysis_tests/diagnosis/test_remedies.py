"""Usual values in place of unusual ones, and multiples of a learning rate."""

from dataclasses import replace
from typing import Any

import pytest
from unstuck.analysis.diagnosis.remedies import USUAL, change_rate, list_unusual, restore_usual
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig

from tests.analysis_tests.runs import healthy


def run(**settings: Any) -> Signals:
    return Signals(healthy(settings={f"ppo.{name}": value for name, value in settings.items()}))


def unusual(signals: Signals) -> list[dict[str, Any]]:
    return [dict(remedy.change) for remedy in list_unusual(signals)]


def test_usual_values_are_our_own_defaults_and_lie_in_their_ranges() -> None:
    ours = PPOConfig()
    for path, usual in USUAL.items():
        assert getattr(ours, path.removeprefix("ppo.")) == usual.value
        assert usual.value is None or usual.least <= usual.value <= usual.most


def test_a_run_of_usual_settings_has_nothing_unusual() -> None:
    assert unusual(run()) == []
    assert unusual(run(lr=2.5e-4, clip_range=0.1, gae_lambda=1.0, num_epochs=10, max_grad_norm=10.0)) == []


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [
        ("lr", 0.05, 1e-3),
        ("lr", 1e-6, 3e-4),
        ("entropy_coef", 1.0, 0.01),
        ("value_coef", 500.0, 0.5),
        ("value_coef", 1e-4, 0.5),
        ("max_grad_norm", 1e-6, 0.5),
        ("target_kl", 2e-5, None),
        ("clip_range", 1e-3, 0.2),
        ("clip_range", 1.0, 0.2),
        ("adam_eps", 1e-2, 1e-5),
        ("num_epochs", 60, 4),
        ("gamma", 0.9999, 0.99),
        ("gae_lambda", 0.1, 0.95),
        ("clip_range_vf", 1e-3, None),
        ("hidden_sizes", (2, 2), (64, 64)),
        ("normalize_advantage", False, True),
    ],
)
def test_a_value_far_from_usual_is_offered_the_usual_one(name: str, value: Any, usual: Any) -> None:
    assert unusual(run(**{name: value})) == [{f"ppo.{name}": usual}]


def test_traces_to_the_end_of_a_horizon_far_too_long_are_shortened_with_the_horizon() -> None:
    assert unusual(run(gamma=0.999, gae_lambda=1.0)) == [{"ppo.gamma": 0.99}, {"ppo.gae_lambda": 0.95}]
    assert unusual(run(gamma=0.999, gae_lambda=0.97)) == [{"ppo.gamma": 0.99}]
    assert unusual(run(gamma=0.99, gae_lambda=1.0)) == []
    assert unusual(run(gamma=0.5, gae_lambda=1.0)) == []


def test_a_tiny_minibatch_grows_to_one_that_divides_the_rollout() -> None:
    assert unusual(run(minibatch_size=4, num_envs=8, num_steps=128)) == [{"ppo.minibatch_size": 256}]
    assert unusual(run(minibatch_size=4, num_envs=5, num_steps=32)) == [{"ppo.minibatch_size": 32}]
    assert unusual(run(minibatch_size=4, num_envs=3, num_steps=9)) == []  # 27 samples: none fits


def test_a_rate_annealed_to_nothing_is_offered_a_constant_one() -> None:
    left = [3e-4 * (1 - i / 100) for i in range(100)]
    settings = {"ppo.lr_schedule": "linear"}
    assert unusual(Signals(healthy(lr=left, settings=settings))) == [{"ppo.lr_schedule": "constant"}]


def test_where_steps_are_independent_no_horizon_is_too_short() -> None:
    assert unusual(run(gamma=0.0)) == []
    stream = healthy(settings={"ppo.gamma": 0.0, "data.order": "stream"})
    assert unusual(Signals(stream)) == [{"ppo.gamma": 0.99}]


def test_a_side_restricts_what_is_restored() -> None:
    low, high = run(lr=1e-6), run(lr=0.05)
    assert [bool(restore_usual(one, ("ppo.lr",), "", side)) for one in (low, high) for side in (-1, 0, 1)] == [
        *(True, True, False),
        *(False, True, True),
    ]
    (remedy,) = restore_usual(high, ("ppo.lr",), "watch")
    assert (remedy.why, remedy.watch) == ("lr 0.05 is far above what is usual", "watch")


def test_orders_of_magnitude_off_the_usual_rate_comes_first() -> None:
    def rates(signals: Signals, *factors: float) -> list[Any]:
        return [remedy.change["ppo.lr"] for remedy in change_rate(signals, factors, "why", "watch")]

    assert rates(run(lr=0.05), 1 / 3, 1 / 10) == [[1e-3, 3e-4], [0.02, 0.005]]
    assert rates(run(lr=1e-6), 3, 10) == [[3e-4, 1e-3], [3e-6, 1e-5]]
    assert rates(run(lr=3e-4), 3) == [9e-4]
    assert rates(run(lr=0.05), 3) == []  # too large as it is: larger steps must come from something else
    logged = healthy(lr=0.05)
    settings = {path: value for path, value in logged.settings.items() if path != "ppo.lr"}
    assert rates(Signals(replace(logged, settings=settings)), 1 / 3) == [[1e-3, 3e-4], 0.02]
    nowhere = replace(logged, settings=settings, table=logged.table.drop(columns=metrics.LR))
    assert rates(Signals(nowhere), 3) == []
