import numpy as np
import pytest
from unstuck.rl.data.encode import encode, fit_features
from unstuck.rl.data.raw import Categorical, RawFlows
from unstuck.rl.errors import DataError


def _raw(numbers: dict[str, list[float]] | None = None, categories: dict[str, list[str]] | None = None) -> RawFlows:
    columns = {name: np.array(values, dtype=np.float64) for name, values in (numbers or {}).items()}
    names = {name: Categorical.from_cells(cells) for name, cells in (categories or {}).items()}
    rows = len(next(iter([*(numbers or {}).values(), *(categories or {}).values()])))
    return RawFlows(columns, names, np.zeros(rows, dtype=bool))


def _names(raw: RawFlows) -> list[str]:
    return [feature.name for feature in fit_features(raw)]


def test_numbers_get_mean_0_and_spread_1_of_training():
    features = fit_features(_raw({"x": [1, 3, 1, 3]}))
    assert encode(features, _raw({"x": [1, 2, 5]})).ravel().tolist() == [-1, 0, 3]  # mean 2, deviation 1


def test_evaluation_flows_do_not_move_the_scaling():
    train, other = _raw({"x": [1, 3, 1, 3]}), _raw({"x": [1000, 2000]})
    alone = encode(fit_features(train), train)
    both = fit_features(_raw({"x": [1, 3, 1, 3, 1000, 2000]}))
    assert not np.allclose(encode(both, train), alone)  # what a leak would look like
    assert encode(fit_features(train), other).ravel().tolist() == [10, 10]  # clipped


def test_missing_numbers_get_the_median_and_a_flag():
    nan = np.nan
    features = fit_features(_raw({"x": [0, 0, 2, 4, nan]}))  # median 1; with it mean 1.4
    assert [feature.name for feature in features] == ["x", "x=missing"]
    encoded = encode(features, _raw({"x": [1, nan, 4]}))
    assert encoded[0, 0] == encoded[1, 0] != encoded[2, 0]
    assert encoded[:, 1].tolist() == [0, 1, 0]
    assert encoded[0, 0] == pytest.approx((1 - 1.4) / np.std([0, 0, 2, 4, 1]))


def test_missing_only_later_gets_the_median_without_a_flag():
    features = fit_features(_raw({"x": [1, 2, 6]}))
    encoded = encode(features, _raw({"x": [np.nan, 2]}))
    assert encoded.shape == (2, 1)
    assert encoded[0, 0] == encoded[1, 0]


def test_long_tails_are_logged_and_nothing_else():
    tail = [float(2**k) for k in range(12)]
    even = [float(k) for k in range(12)]
    rates = [0.0] * 11 + [1.0]
    negative = [-1.0, *tail[1:]]
    assert _names(_raw({"bytes": tail, "even": even, "rate": rates, "change": negative})) == [
        "log1p(bytes)",
        "even",
        "rate",
        "change",
    ]
    features = fit_features(_raw({"bytes": tail}))
    logs = np.log1p(tail)
    np.testing.assert_allclose(
        encode(features, _raw({"bytes": tail})).ravel(), (logs - logs.mean()) / logs.std(), rtol=1e-6
    )
    below = encode(features, _raw({"bytes": [-5.0, 0.0]})).ravel()
    assert below[0] == below[1]  # never seen in training: as 0, not NaN


def test_names_become_one_feature_each_and_rare_ones_share_one():
    cells = ["tcp"] * 20 + ["udp"] * 10 + ["icmp"] * 9 + ["gre"]
    features = fit_features(_raw(categories={"proto": cells}))
    assert [feature.name for feature in features] == ["proto=tcp", "proto=udp", "proto=(rare)"]
    later = _raw(categories={"proto": ["udp", "gre", "never seen", "tcp"]})
    assert encode(features, later).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]


def test_an_unseen_name_is_none_of_the_known_where_none_is_rare():
    features = fit_features(_raw(categories={"proto": ["tcp"] * 20 + ["udp"] * 10}))
    assert [feature.name for feature in features] == ["proto=tcp", "proto=udp"]
    assert encode(features, _raw(categories={"proto": ["new", "tcp"]})).tolist() == [[0, 0], [1, 0]]


def test_at_most_64_names_get_a_feature():
    cells = [f"s{k}" for k in range(70) for _ in range(20 if k >= 6 else 10)]
    names = _names(_raw(categories={"service": cells}))
    assert len(names) == 65
    assert names[-1] == "service=(rare)"
    assert "service=s0" not in names
    assert "service=s6" in names


def test_what_is_constant_in_training_is_dropped():
    nan = np.nan
    raw = _raw(
        {"same": [0.1] * 12, "none": [nan] * 12, "x": [0, 1] * 6, "gaps": [5, nan] * 6},
        {"word": ["a"] * 12, "id": [f"{k}" for k in range(12)]},
    )
    assert _names(raw) == ["x", "gaps=missing"]  # each id is rare: all share one feature, which is constant
    with pytest.raises(DataError, match="at least one column must vary in the training part, got constants in same"):
        fit_features(_raw({"same": [0.1] * 12}))


@pytest.mark.parametrize("values", [[1e100, -1e100, 0.0], [1e100, 0.0, 0.0], [1e-320, 0.0, 0.0], [5e-324, 0.0, 1.0]])
def test_features_are_finite_whatever_the_numbers(values: list[float]):
    raw = _raw({"x": values * 5, "y": [0, 1, 2] * 5})
    encoded = encode(fit_features(raw), _raw({"x": [1e100, -1e100, 1e-320], "y": [1e100, -1e100, np.nan]}))
    assert encoded.dtype == np.float32
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= 10
