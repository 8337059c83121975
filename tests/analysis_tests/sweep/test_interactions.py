"""Pairs of settings: what they explain beyond their parts, on trials left out."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from unstuck.analysis.sweep.interactions import PER_TERM, compute_interactions

DRAWS = np.random.default_rng(0)


def settings(count: int, names: Sequence[str] = ("a", "b", "c")) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(1)
    return {name: draws.random(count) for name in names}


def test_a_product_is_found_and_the_other_pairs_explain_nothing() -> None:
    values = settings(200)
    found = compute_interactions(values, (values["a"] - 0.5) * (values["b"] - 0.5))
    assert found[0][:2] == ("a", "b")
    assert found[0][2] > 0.5
    assert [pair[:2] for pair in found] == [("a", "b"), *[pair[:2] for pair in found[1:]]]
    assert {pair[:2] for pair in found[1:]} == {("a", "c"), ("b", "c")}
    assert all(gain < 0.05 for _, _, gain in found[1:])


def test_what_settings_do_by_themselves_is_no_interaction() -> None:
    values = settings(200)
    assert all(gain < 0.05 for _, _, gain in compute_interactions(values, values["a"] + (values["b"] - 0.5) ** 2))


def test_ranges_that_span_orders_of_magnitude_are_taken_by_rank() -> None:
    values = settings(200)
    score = (values["a"] - 0.5) * (values["b"] - 0.5)
    wide = {**values, "a": 10 ** (6 * values["a"])}
    assert compute_interactions(wide, score) == compute_interactions(values, score)
    assert compute_interactions(values, np.exp(5 * score)) == compute_interactions(values, score)


@pytest.mark.parametrize(("names", "least"), [(("a", "b"), 18), (("a", "b", "c"), 24)])
def test_three_trials_a_term_are_needed(names: Sequence[str], least: int) -> None:
    """Of n settings a model has 1 + 2 n terms, and one for the pair."""
    assert least == PER_TERM * (2 * len(names) + 2)
    many, few = settings(least, names), settings(least - 1, names)
    assert len(compute_interactions(many, DRAWS.random(least))) == len(names) * (len(names) - 1) // 2
    assert compute_interactions(few, DRAWS.random(least - 1)) == []


def test_one_setting_has_no_partner() -> None:
    assert compute_interactions(settings(100, ("a",)), DRAWS.random(100)) == []
    assert compute_interactions({}, []) == []


def test_a_setting_that_was_the_same_everywhere_explains_nothing() -> None:
    values = {**settings(60), "c": np.ones(60)}
    gains = {pair[:2]: pair[2] for pair in compute_interactions(values, values["a"])}
    assert gains["a", "c"] == pytest.approx(0.0, abs=1e-9)


def test_scores_that_are_all_the_same_leave_nothing_to_explain() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compute_interactions(settings(60), [0.5] * 60) == []


def test_one_trial_alone_with_a_value_gains_nothing_by_it() -> None:
    """Its own fit leaves it out, so that it cannot be foreseen from itself."""
    values = settings(60)
    values["b"] = np.where(np.arange(60) == 0, 1.0, 0.0)
    gains = [gain for _, _, gain in compute_interactions(values, DRAWS.random(60))]
    assert all(np.isfinite(gains))
    assert max(gains) < 0.2
