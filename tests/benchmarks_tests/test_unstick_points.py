import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig

from benchmarks.unstick import points
from benchmarks.unstick.kinds import ENVIRONMENTS, KINDS, Settings
from benchmarks.unstick.points import PointsError


def test_the_committed_list_is_the_one_that_was_drawn() -> None:
    committed = points.read()
    assert committed == points.draw()
    assert [point.number for point in committed] == list(range(len(committed)))
    assert len({point.name for point in committed}) == len(committed)


def test_every_combination_is_drawn_once_and_kinds_come_evenly() -> None:
    drawn = points.draw()
    combinations = Counter((point.kind, point.environment, point.severity) for point in drawn)
    assert set(combinations.values()) == {1}
    assert len(drawn) == sum(len(kind.environments) * len(kind.severities) for kind in KINDS)
    first = Counter(points.draw(seed=seed)[0].kind for seed in range(1400))
    assert set(first) == {kind.name for kind in KINDS}
    assert 65 < min(first.values()) <= max(first.values()) < 140  # 100 each; 3.5 standard deviations
    assert points.draw(seed=1) != points.draw(seed=2)


def test_the_list_is_long_enough_for_the_figure() -> None:
    """At least 12 points of at least 6 kinds, at most 2 of a kind, in at least 3 environments."""
    assert points.TAKEN >= 12
    assert points.MOST_OF_A_KIND == 2
    most = sorted(points.MOST_IN.values())
    assert sum(most[1:]) < points.TAKEN <= sum(most)  # so all four, and triage is two of them
    assert set(points.MOST_IN) == set(ENVIRONMENTS)
    assert points.TAKEN > 5 * points.MOST_OF_A_KIND  # so six kinds at least
    assert len({settings["env.id"] for settings in ENVIRONMENTS.values()}) == 3


def test_another_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "points.json"
    rows = json.loads(points.FILE.read_text())
    rows[0], rows[1] = rows[1], rows[0]
    file.write_text(json.dumps(rows))
    with pytest.raises(PointsError, match=r"points.json must have the sha256 [0-9a-f]{12}\.\.\., committed before"):
        points.read(file)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "points.json"
    drawn = points.draw(seed=3)
    assert points.read(file, points.write(drawn, file)) == drawn


def test_every_point_is_a_configuration_and_differs_from_the_healthy_one() -> None:
    for point in points.read():
        assert _configure({**point.healthy, **point.fault}) != _configure(point.healthy), point


def _configure(settings: Settings) -> tuple[PPOConfig, EnvConfig, DataConfig]:
    parts: dict[str, dict[str, Any]] = {"ppo": {}, "env": {}, "data": {}, "sweep": {}}
    for path, value in settings.items():
        group, _, name = path.partition(".")
        parts[group][name] = tuple(value) if isinstance(value, list) else value
    return PPOConfig(**parts["ppo"]), EnvConfig(**parts["env"]), DataConfig(**parts["data"])
