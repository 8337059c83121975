"""What a sweep counts its trials by, and how it says so."""

import pytest
from unstuck.records.axis import ITERATIONS, Axis, read_last_step
from unstuck.rl import metrics


@pytest.mark.parametrize(
    ("searched", "format", "expected"),
    [
        (("ppo.lr",), 2, Axis("iteration", 1, 20)),
        (("ppo.num_envs",), 2, Axis("environment step", 128, 2560)),
        (("ppo.lr", "ppo.num_steps"), 2, Axis("environment step", 128, 2560)),
        (("ppo.num_steps",), 1, Axis("iteration", 1, 20)),  # an old sweep keeps to its own
        ((), 2, Axis("iteration", 1, 20)),
    ],
)
def test_trials_whose_iterations_differ_in_size_are_counted_in_steps(
    searched: tuple[str, ...], format: int, expected: Axis
) -> None:
    assert Axis.choose(searched, 20, 128, format) == expected


def test_places_and_amounts_in_words() -> None:
    iterations, steps = Axis("iteration", 1, 2000), Axis("environment step", 128, 2560)
    assert (iterations.describe_step(1280), steps.describe_step(1280)) == ("iteration 1280", "environment step 1,280")
    assert (iterations.describe_length(1), steps.describe_length(1280)) == ("1 iteration", "1,280 environment steps")
    assert (iterations.units, steps.units) == ("iterations", "environment steps")
    assert (iterations.in_env_steps, steps.in_env_steps, ITERATIONS.in_env_steps) == (False, True, False)


def test_how_far_a_trial_came_is_what_was_written_at_its_end() -> None:
    both = {metrics.FINAL_ENV_STEPS: 2560.0, metrics.FINAL_ITERATIONS: 20.0}
    assert read_last_step(both, 7) == 2560
    assert read_last_step({metrics.FINAL_ITERATIONS: 20.0}, 7) == 20
    assert read_last_step({}, 7) == 7
