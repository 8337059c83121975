"""What the reward table pays, worked out by hand: a quarter threats."""

import pandas as pd
import pytest
from unstuck.analysis.diagnosis.finding import Support
from unstuck.analysis.diagnosis.rewards import compute_rewards, compute_threat_share, judge_constant_policies
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History

TABLE = {"env.reward_benign": (0.5, -5.0, -3.0, -1.0), "env.reward_threat": (-10.0, 8.0, 5.0, 2.0)}


def run(**settings: object) -> Signals:
    return Signals(History("a run", "nowhere", pd.DataFrame(), {**TABLE, "data.threat_share": 0.25, **settings}, {}))


def test_policies_under_the_default_table() -> None:
    rewards = compute_rewards(run())
    assert rewards is not None
    assert rewards.constant == {"allow": -2.125, "block": -1.75, "quarantine": -1.0, "alert": -0.25}
    assert rewards.best_constant == -0.25
    assert rewards.uniform == -1.28125
    assert rewards.perfect == 2.375
    assert (rewards.best_benign, rewards.best_threat) == ("allow", "block")
    assert rewards.certainty == pytest.approx(5.5 / 23.5)
    assert rewards.compute_gain(1.0625, start=-0.25) == pytest.approx(0.5)
    assert rewards.compute_gain(-2.0, start=-0.25) == pytest.approx(-1.75 / 2.625)


def test_where_one_action_is_best_there_is_no_way_to_go() -> None:
    rewards = compute_rewards(run(**{"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}))
    assert rewards is not None
    assert rewards.compute_gain(0.0, start=rewards.best_constant) is None


def test_without_the_table_nothing_is_known() -> None:
    assert compute_rewards(run(**{"env.reward_benign": None})) is None


def test_another_environment_does_not_pay_by_the_table_that_its_settings_hold() -> None:
    assert compute_rewards(run(**{"env.id": "CartPole-v1"})) is None
    assert compute_rewards(run(**{"env.id": "unstuck/Triage-v0"})) is not None


@pytest.mark.parametrize(
    "row", [None, 0.5, (0.5, -5.0, -3.0), "(0.5, -5, -3, -1)", (0.5, -5.0, -3.0, -1.0, 0.0)], ids=str
)
def test_a_row_that_is_not_four_rewards_is_no_table(row: object) -> None:
    assert compute_rewards(run(**{"env.reward_threat": row})) is None


def test_rewards_may_be_lists_as_yaml_has_them() -> None:
    rewards = compute_rewards(run(**{"env.reward_benign": [0.5, -5, -3, -1], "env.reward_threat": [-10, 8, 5, 2]}))
    assert rewards is not None
    assert rewards.perfect == 2.375


def test_the_share_of_threats_is_that_of_the_flows_evaluated_where_it_was_counted() -> None:
    counted = pd.DataFrame({"eval/tp": [10.0, 5.0], "eval/fn": [0.0, 5.0], "eval/fp": [5.0, 5.0], "eval/tn": 85.0})
    signals = Signals(History("a run", "nowhere", counted, {**TABLE, "data.threat_share": 0.25}))
    assert compute_threat_share(signals) == pytest.approx(0.1)
    assert compute_threat_share(run()) == 0.25
    assert compute_threat_share(run(**{"data.threat_share": None})) is None
    assert compute_rewards(run(**{"data.threat_share": None})) is None


def test_flagging_that_never_pays_asks_for_more_than_certainty() -> None:
    """Where one action is the best for both there is nothing to be certain of."""
    rewards = compute_rewards(run(**{"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}))
    assert rewards is not None
    assert rewards.certainty > 1
    sure = compute_rewards(
        run(**{"env.reward_benign": (0.0, 0.0, 0.0, -1.0), "env.reward_threat": (-1.0, 1.0, 0.0, 0.0)})
    )
    assert sure is not None
    assert sure.certainty == 0.0  # blocking costs nothing


def test_whether_one_action_is_the_best_whatever_is_observed() -> None:
    assert judge_constant_policies(run()) == (
        Support.RULED_OUT,
        "always alert earns -0.25 a flow, a perfect policy 2.38",
    )
    support, why = judge_constant_policies(run(**{"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}))
    assert (support, why) == (Support.SUPPORTED, "always allow earns 0.625 a flow, a perfect policy 0.625")
    assert judge_constant_policies(run(**{"env.reward_threat": None})) == (Support.OPEN, "")
