"""The rule by which a sweep of Stable-Baselines3 counts as cheap, by hand, and the table; nothing is trained."""

import pytest

from benchmarks import sb3_sweep
from benchmarks.sb3_sweep import Pair, is_kept, main, make_table


def test_a_sweep_may_take_15_s_and_5_percent_longer() -> None:
    assert Pair(alone=40.0, swept=57.0).difference == pytest.approx(17.0)
    assert Pair(alone=40.0, swept=57.0).most == pytest.approx(17.0)
    assert is_kept([Pair(100.0, 119.9)])
    assert not is_kept([Pair(100.0, 120.1)])


def test_medians_decide_so_that_one_slow_minute_does_not() -> None:
    slow, good, bad = Pair(40.0, 80.0), Pair(60.0, 70.0), Pair(60.0, 79.0)
    assert is_kept([good, slow, good])
    assert not is_kept([bad, good, bad])  # the mean of the differences, 16.0 s, is below 18 s
    # The medians of the times themselves lie 10 s apart.
    assert not is_kept([Pair(40.0, 60.0), Pair(80.0, 100.0), Pair(60.0, 70.0)])


def test_the_table_holds_each_pair_and_says_what_decides() -> None:
    table = str(make_table("2 x 4,000", [Pair(40.0, 50.0), Pair(60.0, 76.0), Pair(50.0, 62.0)]))
    assert table.splitlines()[0] == (
        "Wall time of 2 x 4,000 steps. The goal: the median difference is at most the median of 15 s and 5% of the "
        "time alone; here it is kept:"
    )
    assert table.splitlines()[4:] == [
        "| 1 | 40.0 | 50.0 | +10.0 | +17.0 |",
        "| 2 | 60.0 | 76.0 | +16.0 | +18.0 |",
        "| 3 | 50.0 | 62.0 | +12.0 | +17.5 |",
        "| median | 50.0 | 62.0 | +12.0 | +17.5 |",
    ]


@pytest.mark.parametrize(("swept", "code"), [(55.0, 0), (60.0, 1)])
def test_alone_and_swept_are_timed_in_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: float, code: int
) -> None:
    order: list[str] = []
    monkeypatch.setattr(sb3_sweep, "_time_alone", lambda *_: order.append("alone") or 40.0)
    monkeypatch.setattr(sb3_sweep, "_time_sweep", lambda *_: order.append("swept") or swept)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    assert main(["--pairs", "2"]) == code
    assert order == ["alone", "swept"] * 2
    assert f"| 2 | 40.0 | {swept} |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--pairs", "0"])
