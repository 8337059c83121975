import numpy as np
import pytest
from unstuck.rl.data.raw import number_rows
from unstuck.rl.data.split import Parts, check_parts, leave_out_shared, split_by_size, split_stream
from unstuck.rl.data.split_as_they_fit import split_as_they_fit
from unstuck.rl.data.types import Flows
from unstuck.rl.errors import DataError


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed))


def _threat(benign: int, threats: int, seed: int = 0) -> np.ndarray:
    return _rng(seed).permutation(np.repeat([False, True], [benign, threats]))


def _flows(values: list[float], threat: list[bool]) -> Flows:
    return Flows(np.array(values, dtype=np.float32)[:, None], np.array(threat))


def _by_size(*arguments) -> Parts:
    return split_by_size(*arguments)[0]


either = pytest.mark.parametrize("split", [split_as_they_fit, _by_size])


@either
def test_sizes_and_shares_are_exact_without_duplicates(split):
    threat = _threat(8910, 4000)
    parts = split(threat, np.arange(len(threat)), 0.109, 1600, _rng())
    # All 8,910 benign flows are kept, and 0.109 / 0.891 * 8,910 = 1,090 threats: 10,000 flows.
    assert [len(p) for p in parts] == [6800, 1600, 1600]
    assert [int(threat[p].sum()) for p in parts] == [1090 - 2 * 174, 174, 174]
    kept = np.concatenate(parts)
    assert len(np.unique(kept)) == 10_000
    assert (~threat[kept]).sum() == 8910
    assert all((np.diff(p) > 0).all() for p in parts)


@either
def test_a_small_set_gives_20_percent_to_each(split):
    threat = _threat(160, 40)
    parts = split(threat, np.arange(200), None, 1600, _rng())
    assert [(len(p), int(threat[p].sum())) for p in parts] == [(120, 24), (40, 8), (40, 8)]


@either
def test_null_share_keeps_every_flow(split):
    threat = _threat(300, 700)
    assert sum(map(len, split(threat, np.arange(1000), None, 100, _rng()))) == 1000
    assert sum(map(len, split_stream(threat, None, 100, _rng()))) == 1000


@either
def test_the_seed_decides(split):
    threat = _threat(800, 200)
    draws = [split(threat, np.arange(1000), 0.1, 100, _rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0].test, draws[1].test)
    assert set(draws[0].test) != set(draws[2].test)
    assert set(draws[0].test) | set(draws[0].train) != set(draws[2].test) | set(draws[2].train)


@either
def test_equal_vectors_stay_in_one_part_whatever_their_labels(split):
    rng = _rng(3)
    vectors = rng.integers(300, size=2000)  # about 7 flows a vector, of both labels
    threat = rng.random(2000) < 0.3
    parts = split(threat, vectors, None, 200, _rng())
    held = [set(vectors[p]) for p in parts]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert not held[1] & held[2]
    for part in parts[1:]:
        assert 190 <= len(part) <= 200
        assert abs(threat[part].mean() - threat.mean()) < 0.02
    plain = split(threat, np.arange(2000), None, 200, _rng())  # blind to duplicates: it leaks
    assert len(set(vectors[plain.train]) & set(vectors[plain.test])) > 50


@either
@pytest.mark.parametrize(
    ("threats_in_group", "sizes"),
    [
        (0, (187, 13)),  # 100 of 1,500 flows are threats: 13 of 200
        (150, (167, 33)),  # 250: 33 of 200; the 100 that are not in the group just suffice for three parts
        (500, (50, 33)),  # 600: 80 of 200, but they would take all 100; so 33, and 50 benign flows at that share
    ],
)
def test_a_group_larger_than_all_others_goes_to_training(split, threats_in_group: int, sizes: tuple[int, int]):
    threat = np.zeros(1500, dtype=bool)
    threat[:threats_in_group] = True
    threat[500:600] = True
    vectors = np.concatenate([np.zeros(500, dtype=np.int64), np.arange(1, 1001)])
    parts = split(threat, vectors, None, 200, _rng())
    assert (vectors[parts.train] == 0).sum() == 500
    for part in parts[1:]:
        assert 0 not in vectors[part]
        assert ((~threat[part]).sum(), threat[part].sum()) == sizes
    alone = threat & (vectors > 0)
    assert alone[parts.train].sum() >= 33


def test_without_duplicates_both_rules_draw_the_same():
    threat = _threat(3000, 1000)
    old, new = (split(threat, np.arange(4000), 0.1, 300, _rng(4)) for split in (split_as_they_fit, _by_size))
    for before, after in zip(old, new, strict=True):
        np.testing.assert_array_equal(before, after)


def _traffic(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """4,000 flows, most of them of few vectors, and what a fixed rule says of each: it errs on rare vectors only."""
    times = np.concatenate([rng.integers(55, 65, size=40), rng.integers(8, 16, size=40), np.ones(1200, dtype=np.int64)])
    labels, flagged = np.arange(len(times)) % 4 == 0, np.arange(len(times)) % 4 == 0
    wrong = rng.random(len(times)) < np.select([times > 50, times > 5], [0.0, 0.2], 0.5)
    flagged[wrong] = ~flagged[wrong]
    vectors = rng.permutation(np.repeat(np.arange(len(times)), times))
    return vectors, labels[vectors], flagged[vectors]


def _f1(threat: np.ndarray, flagged: np.ndarray) -> float:
    return 2 * (threat & flagged).sum() / (threat.sum() + flagged.sum())


def test_parts_say_of_a_fixed_rule_what_the_traffic_says():
    vectors, threat, flagged = _traffic(_rng(1))
    size = np.bincount(vectors)[vectors]
    true = _f1(threat, flagged)
    said = {}
    for split in (split_as_they_fit, _by_size):
        draws = [split(threat, vectors, None, 200, _rng(seed)) for seed in range(30)]
        said[split] = [
            np.mean([_f1(threat[rows], flagged[rows]) for rows in parts]) for parts in zip(*draws, strict=True)
        ]
        if split is split_as_they_fit:
            continue
        for parts in draws:
            held = [set(vectors[rows]) for rows in parts]
            assert len(set.union(*held)) == sum(map(len, held))
            for rows in parts:
                assert threat[rows].mean() == pytest.approx(threat.mean(), abs=0.005)
                for low, high in ((1, 2), (8, 16), (55, 65)):
                    inside = (low <= size) & (size < high)
                    assert inside[rows].mean() == pytest.approx(inside.mean(), abs=0.01)
    assert true == pytest.approx(0.705, abs=0.001)
    assert said[_by_size] == pytest.approx([true] * 3, abs=0.015)
    assert said[split_as_they_fit][2] < true - 0.05


def test_a_vector_with_few_of_its_size_is_counted():
    vectors = np.concatenate([np.repeat(np.arange(2), 400), np.arange(2, 1202)])
    threat = vectors % 5 == 2
    parts, alone = split_by_size(threat, vectors, None, 200, _rng())
    assert alone == 800  # two of 400 flows are not enough for three parts
    assert (vectors[parts.train] < 2).sum() == 800
    three = np.concatenate([np.repeat(np.arange(3), 400), np.arange(3, 803)])
    parts, alone = split_by_size(three % 5 == 3, three, None, 200, _rng())
    assert alone == 0
    assert [(three[rows] < 3).mean().round(2) for rows in parts] == [0.6, 0.6, 0.6]
    assert [len(set(three[rows][three[rows] < 3])) for rows in parts] == [1, 1, 1]
    assert [len(rows) for rows in parts] == [1600, 200, 200]


def test_stream_parts_follow_each_other_in_order():
    threat = _threat(900, 300)
    for share in (None, 0.1):
        parts = split_stream(threat, share, 100, _rng())
        everything = np.concatenate(parts)
        assert (np.diff(everything) > 0).all()
        assert len(parts.validation) == len(parts.test) == 100
    assert [int(threat[p].sum()) for p in parts] == [80, 10, 10]  # 900 benign, 100 threats, in each part a tenth


def test_a_quiet_stretch_of_a_stream_keeps_the_threats_it_has():
    threat = np.zeros(2000, dtype=bool)
    threat[:400] = True
    threat[1990:1993] = True
    threat[1700] = True
    parts = split_stream(threat, 0.1, 200, _rng())
    assert int(threat[parts.test].sum()) == 3
    assert int((~threat[parts.test]).sum()) == 180  # of 1,596 benign flows and 177 threats: 200, 20 of them threats


def test_what_encoding_made_equal_is_left_out_of_the_earlier_part():
    train = _flows([1, 2, 3, 3, 4], [True, False, True, False, False])
    validation = _flows([3, 5, 6, 0.0], [True, False, True, True])
    test = _flows([6, 7, 7, -0.0], [False, True, True, True])
    train, validation, test = leave_out_shared(train, validation, test)
    assert train.features.ravel().tolist() == [1, 2, 4]
    assert train.threat.tolist() == [True, False, False]
    assert validation.features.ravel().tolist() == [3, 5]
    assert test.features.ravel().tolist() == [6, 7, 7, 0]


def test_row_ids_are_equal_where_rows_are():
    nan = np.nan
    ids = number_rows(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [nan, 1.0], [nan, 1.0]]))
    assert ids.tolist() == [0, 0, 1, 2, 2]


@either
def test_too_few_threats_for_the_share(split):
    threat = _threat(9000, 500)  # needs 1,000 at 0.1; has 500 / 9,500 = 0.05263
    with pytest.raises(
        DataError, match=r"threat_share = 0\.1 needs 1000 threats .* 9000 benign flows, got 500, .*threat_share=0\.0526"
    ):
        split(threat, np.arange(9500), 0.1, 100, _rng())
    parts = split(threat, np.arange(9500), 0.0526, 100, _rng())  # the remedy works
    assert len(parts.test) == 100
    with pytest.raises(DataError, match="needs 1000 threats"):
        split_stream(threat, 0.1, 100, _rng())


@either
@pytest.mark.parametrize(
    ("benign", "threats", "message"),
    [
        (80, 19, r"at least 100 flows.*got 99 flows \(80 benign, 19 threats\)"),
        (500, 2, r"100 flows, 0 of them threats"),
        (2, 500, r"100 flows, 100 of them threats"),
    ],
)
def test_too_few_flows(split, benign: int, threats: int, message: str):
    threat = _threat(benign, threats)
    with pytest.raises(DataError, match=message):
        split(threat, np.arange(len(threat)), None, 1600, _rng())
    with pytest.raises(DataError, match=message):
        split_stream(threat, None, 1600, _rng())


def test_a_part_of_one_class_is_refused():
    both, one = _flows([*range(10)], [True, False] * 5), _flows([*range(10)], [False] * 10)
    check_parts(both, both, both)
    with pytest.raises(DataError, match=r"got 0 threats and 10 benign flows in validation; use data\.order=shuffled"):
        check_parts(both, one, both)
    with pytest.raises(DataError, match="got 0 threats and 10 benign flows in training"):
        check_parts(one, both, both)
    with pytest.raises(DataError, match=r"must hold 10 flows, .* got 1 threats and 1 benign flows in test"):
        check_parts(both, both, _flows([1, 2], [True, False]))
