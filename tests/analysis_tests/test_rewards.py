"""What the reward table pays, worked out by hand: a quarter threats."""

import pandas as pd
import pytest

from analysis.diagnosis.rewards import rewards_of
from analysis.diagnosis.signals import Signals
from analysis.history import History

TABLE = {"env.reward_benign": (0.5, -5.0, -3.0, -1.0), "env.reward_threat": (-10.0, 8.0, 5.0, 2.0)}


def run(**settings: object) -> Signals:
    return Signals(History("a run", "nowhere", pd.DataFrame(), {**TABLE, "data.threat_share": 0.25, **settings}, {}))


def test_policies_under_the_default_table() -> None:
    rewards = rewards_of(run())
    assert rewards is not None
    assert rewards.constant == {"allow": -2.125, "block": -1.75, "quarantine": -1.0, "alert": -0.25}
    assert rewards.best_constant == -0.25
    assert rewards.uniform == -1.28125
    assert rewards.perfect == 2.375
    assert (rewards.best_benign, rewards.best_threat) == ("allow", "block")
    assert rewards.certainty == pytest.approx(5.5 / 23.5)
    assert rewards.share_of_way(1.0625, start=-0.25) == pytest.approx(0.5)
    assert rewards.share_of_way(-2.0, start=-0.25) == pytest.approx(-1.75 / 2.625)


def test_where_one_action_is_best_there_is_no_way_to_go() -> None:
    rewards = rewards_of(run(**{"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}))
    assert rewards is not None
    assert rewards.share_of_way(0.0, start=rewards.best_constant) is None


def test_without_the_table_nothing_is_known() -> None:
    assert rewards_of(run(**{"env.reward_benign": None})) is None
