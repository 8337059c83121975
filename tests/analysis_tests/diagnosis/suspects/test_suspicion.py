"""Whose returns count for a suspicion, and what its evidence cites."""

import pandas as pd
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects.suspicion import build_evidence, select_returns
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.suspects.bare import TURN


def recorded(*names: str) -> Signals:
    return Signals(History("bare", "made", pd.DataFrame(dict.fromkeys(names, 2.0), index=TURN), dialect="plain"))


def test_returns_of_evaluations_count_where_training_has_none_on_record() -> None:
    def select(*names: str) -> list[str | None]:
        return [window.metric if window else None for window in select_returns(recorded(*names))]

    evaluated = (metrics.EVAL_RETURN, EVAL_LENGTH)
    assert select(*evaluated) == list(evaluated)
    assert select(*evaluated, metrics.TRAIN_RETURN) == [metrics.TRAIN_RETURN, None]  # lengths of the same episodes
    assert select(metrics.TRAIN_RETURN, EPISODE_LENGTH) == [metrics.TRAIN_RETURN, EPISODE_LENGTH]
    assert select(EPISODE_LENGTH) == [None, None]


def test_evidence_cites_the_windows_that_are_there() -> None:
    run = recorded(metrics.TRAIN_RETURN, metrics.ENTROPY)
    late, none = run.select_last(metrics.ENTROPY), run.select_all(metrics.APPROX_KL)
    fact = build_evidence("words", none, late, run.select_all(metrics.TRAIN_RETURN))
    assert (fact.text, fact.metrics) == ("words", (metrics.ENTROPY, metrics.TRAIN_RETURN))
    assert late is not None
    assert fact.iterations == late.reach
    assert late.reach != (1, 60)
    assert build_evidence("words", none).iterations is None
