"""Numbers as people write them, at the edges that examples in docstrings do not show."""

import doctest
import math

import pytest
from unstuck.analysis import words
from unstuck.analysis.words import format_range, format_uncertain, join_words, number, percent, pluralize


def test_the_examples_hold() -> None:
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 4, "0"),
        (0.99949, 3, "0.999"),
        (0.99951, 3, "1"),
        (12.345, 4, "12.35"),
        (999.4, 4, "999.4"),
        (1000.0, 4, "1,000"),
        (1234567.0, 4, "1,234,567"),
        (99.4, 2, "99"),
        (1234.0, 2, "1,234"),
        (-0.00012345, 2, "-0.00012"),
        (1.234e-7, 2, "1.2e-07"),
        (math.inf, 4, "inf"),
        (-math.inf, 4, "-inf"),
        (math.nan, 4, "nan"),
    ],
)
def test_numbers_to_so_many_digits(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.5, 0.25, "0.5 ± 0.2"),
        (0.5, 0.149, "0.50 ± 0.15"),  # a leading 1 takes a second digit
        (0.5, 0.151, "0.5 ± 0.2"),
        (0.5, 0.0999, "0.50 ± 0.10"),
        (-1757.4, 23.0, "-1,757 ± 23"),
        (1234567.0, 1000.0, "1,234,567 ± 1,000"),
        (2.0, 1.0, "2.0 ± 1.0"),
        (0.99592076, 0.00000002, "0.9959 ± < 0.0001"),  # a tiny spread buys no digits
        (0.21548, 0.00003, "0.2155 ± < 0.0001"),
        (0.21548, 0.00013, "0.2155 ± 0.0001"),
        (-1757.4, 0.3, "-1,757 ± < 1"),
        (0.0003, 0.00001, "0.000300 ± 0.000010"),
        (0.0, 0.00002, "0.00000 ± 0.00002"),
        (0.0001, 0.5, "0.0 ± 0.5"),
        (0.19000000000000003, 2.8e-17, "0.19"),  # float64's rounding is no uncertainty
        (0.5, math.nan, "0.5"),
        (0.5, math.inf, "0.5"),
        (math.nan, 0.1, "nan"),
        (math.inf, 0.1, "inf"),
        (0.5, -0.1, "0.5"),
    ],
)
def test_an_uncertainty_sets_the_digits(value: float, spread: float, text: str) -> None:
    assert format_uncertain(value, spread) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3.0, 1.0, 2.0], "1 to 3"),
        ([0.5, 0.25], "0.25 to 0.50"),
        ([1.00001, 1.00002], "1"),
        ([999.0, 1001.0], "999 to 1,001"),
        ([1e-9, 1.0], "1e-09 to 1"),
        ([-1.5, math.inf], "-1.5 to inf"),
    ],
)
def test_a_span_has_as_many_decimals_on_both_sides(values: list[float], text: str) -> None:
    assert format_range(values) == text


def test_shares_counts_and_lists() -> None:
    assert (percent(1.0), percent(0.0049, 1), percent(-0.5)) == ("100 %", "0.5 %", "-50 %")
    assert (pluralize(0, "seed"), pluralize(1, "seed"), pluralize(12345, "flow")) == (
        "0 seeds",
        "1 seed",
        "12,345 flows",
    )
    assert (join_words([]), join_words(["a", "b"], "or"), join_words(["a", "b", "c"], "or")) == (
        "",
        "a or b",
        "a, b or c",
    )
