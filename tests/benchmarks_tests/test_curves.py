import pytest

from benchmarks.curves import area, learning_curve


def test_a_tenth_of_the_run_is_the_mean_over_its_episodes() -> None:
    # 20 rollouts, two a tenth. In the first tenth 1, 2 and 6: mean 3, not the mean of the rollouts' means, 3.75.
    returns = [[1.0, 2.0], [6.0]] + [[float(rollout)] for rollout in range(2, 20)]
    curve = learning_curve(returns)
    assert curve == [3.0, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 18.5]
    assert area(curve) == pytest.approx(9.75)


def test_a_rollout_without_an_episode_is_no_gap_if_its_tenth_has_one() -> None:
    returns = [[], [4.0]] * 10
    assert learning_curve(returns) == [4.0] * 10


def test_a_tenth_without_an_episode_is_refused() -> None:
    returns = [[1.0]] * 4 + [[], []] + [[1.0]] * 14
    with pytest.raises(ValueError, match="none did in number 3"):
        learning_curve(returns)


@pytest.mark.parametrize("rollouts", [0, 9, 391])
def test_tenths_must_be_equally_long(rollouts: int) -> None:
    with pytest.raises(ValueError, match=f"a multiple of 10 rollouts, got {rollouts}"):
        learning_curve([[1.0]] * rollouts)
