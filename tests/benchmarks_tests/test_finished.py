from pathlib import Path

from benchmarks.finished import Finished


def test_what_is_finished_is_there_for_whoever_comes_next(tmp_path: Path) -> None:
    settings = {"env": "CartPole-v1", "lr": 3e-4}
    Finished(tmp_path, "case", settings).add(2, [1.5, 2.5])
    Finished(tmp_path, "case", settings).add(0, [3.5])
    again = Finished(tmp_path, "case", settings)
    assert again.results() == {2: [1.5, 2.5], 0: [3.5]}
    assert again.missing(4) == [1, 3]


def test_results_of_other_settings_are_not_taken_for_these(tmp_path: Path) -> None:
    Finished(tmp_path, "case", {"lr": 3e-4}).add(0, 1.0)
    assert Finished(tmp_path, "case", {"lr": 1e-3}).results() == {}
    assert Finished(tmp_path, "other", {"lr": 3e-4}).missing(2) == [0, 1]
