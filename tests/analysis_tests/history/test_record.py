"""A run as the analysis sees it: what was recorded, families, seeds and lengths."""

import math
from dataclasses import replace

import pandas as pd
from unstuck.analysis.history import History
from unstuck.rl import metrics

TABLE = pd.DataFrame(
    {
        metrics.F1: [math.nan, 0.5, 0.75],
        metrics.seed_metric(metrics.F1, 1): [math.nan, 0.6, 0.8],
        metrics.seed_metric(metrics.F1, 0): [math.nan, 0.4, 0.7],
        metrics.seed_metric(metrics.F1_TRAIN, 0): [1.0, 1.0, 1.0],
        metrics.action_metric("allow"): [0.25, 0.5, math.nan],
        metrics.seed_metric(metrics.action_metric("allow"), 0): [0.0, 0.0, 0.0],
        metrics.action_metric("block"): [0.75, 0.5, 0.1],
        metrics.ENTROPY: [math.nan] * 3,
        metrics.VALUE_LOSS: [1.0, math.inf, 2.0],
    },
    index=pd.Index([1, 5, 9], name="iteration"),
)
RUN = History("a run", "nowhere", TABLE, {"ppo.lr": 0.1})


def test_a_metric_is_recorded_where_it_has_one_value() -> None:
    assert RUN.has(metrics.F1, metrics.VALUE_LOSS)
    assert RUN.has()
    assert not RUN.has(metrics.ENTROPY)
    assert not RUN.has(metrics.F1, metrics.APPROX_KL)


def test_curves_leave_out_what_was_not_recorded_and_keep_what_is_not_finite() -> None:
    assert RUN.curve(metrics.F1).to_dict() == {5: 0.5, 9: 0.75}
    assert RUN.curve(metrics.VALUE_LOSS).to_dict() == {1: 1.0, 5: math.inf, 9: 2.0}
    assert RUN.curve(metrics.APPROX_KL).empty
    assert RUN.curve(metrics.F1) is RUN.curve(metrics.F1)


def test_a_family_goes_by_its_last_name_and_leaves_out_seeds() -> None:
    family = RUN.family(metrics.ACTION_PREFIX)
    assert {name: curve.to_dict() for name, curve in family.items()} == {
        "allow": {1: 0.25, 5: 0.5},
        "block": {1: 0.75, 5: 0.5, 9: 0.1},
    }
    assert RUN.family(metrics.GREEDY_PREFIX) == {}


def test_seeds_are_those_of_this_very_metric() -> None:
    assert {seed: curve.to_dict() for seed, curve in RUN.seeds(metrics.F1).items()} == {
        1: {5: 0.6, 9: 0.8},
        0: {5: 0.4, 9: 0.7},
    }
    assert list(RUN.seeds(metrics.F1_TRAIN)) == [0]
    assert RUN.seeds(metrics.EVAL_RETURN) == {}


def test_its_length_is_the_planned_one_or_what_it_has() -> None:
    assert (RUN.last_iteration, RUN.length) == (9, 9)
    assert replace(RUN, settings={"ppo.num_iterations": 20}).length == 20
    assert replace(RUN, settings={"ppo.num_iterations": 5}).length == 9
    assert replace(RUN, settings={"ppo.num_iterations": None}).length == 9
    assert replace(RUN, settings={"ppo.num_iterations": "many"}).length == 9
    empty = History("a run", "nowhere", pd.DataFrame())
    assert (empty.last_iteration, empty.length) == (0, 0)
    assert not empty.has(metrics.F1)


def test_a_setting_that_is_off_is_not_one_that_was_not_recorded() -> None:
    run = replace(RUN, settings={"ppo.target_kl": None})
    assert run.setting("ppo.target_kl", "not recorded") is None
    assert run.setting("ppo.gamma", "not recorded") == "not recorded"
    assert run.setting("ppo.gamma") is None


def test_a_copy_with_another_table_does_not_remember_the_old_one() -> None:
    assert RUN.has(metrics.F1)
    assert RUN.curve(metrics.F1).size == 2
    early = replace(RUN, table=TABLE.loc[:1])
    assert not early.has(metrics.F1)
    assert early.curve(metrics.F1).empty
