import pytest

from benchmarks.diagnosis.harm import clopper_pearson, harm_of


def test_intervals_of_shares_are_those_of_the_literature() -> None:
    # 0 of n: 1 - 0.025^(1/n); Brown, Cai and DasGupta 2001 and any table give the others.
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 0.3085), abs=5e-5)
    assert clopper_pearson(10, 10) == pytest.approx((0.6915, 1.0), abs=5e-5)
    assert clopper_pearson(5, 10) == pytest.approx((0.1871, 0.8129), abs=5e-5)
    assert clopper_pearson(1, 20) == pytest.approx((0.0013, 0.2487), abs=5e-5)


def test_harm_by_hand() -> None:
    # Means 2 and 6, variances 1 and 1, n 3: error sqrt(2/3), 4 degrees of freedom, t 2.7764.
    harm = harm_of([1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    assert (harm.faulty, harm.healthy) == (2.0, 6.0)
    assert harm.low == pytest.approx(-4 - 2.7764 * (2 / 3) ** 0.5, abs=1e-3)
    assert harm.high == pytest.approx(-4 + 2.7764 * (2 / 3) ** 0.5, abs=1e-3)
    assert harm.hurts


def test_what_lies_within_the_noise_does_not_hurt() -> None:
    assert not harm_of([1.0, 5.0, 9.0], [5.0, 6.0, 7.0]).hurts
    assert not harm_of([7.0, 8.0, 9.0], [5.0, 6.0, 7.0]).hurts


def test_scores_that_never_vary_are_compared_as_they_are() -> None:
    assert harm_of([8.0, 8.0], [500.0, 500.0]).hurts
    assert not harm_of([500.0, 500.0], [500.0, 500.0]).hurts
