"""Train a trial with a planted fault, diagnose it, take its first remedy, and train the trial again with that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.arms import rank_remedies
from unstuck.analysis.diagnosis.finding import Diagnosis, Kind
from unstuck.analysis.history import History
from unstuck.analysis.report.diagnosis import list_tests
from unstuck.rl import metrics
from unstuck.rl.errors import ConfigError

from benchmarks.diagnosis.fault import Form
from benchmarks.diagnosis.training import Arm, records, score_of, table_of

SEEDS = 3
"""Members of a trial."""

HEALTHY_SEEDS = 5
"""Healthy runs beside which a fault is judged, in each world."""

TRAINED_BY = 20261126
"""Draw of the diagnosis benchmark whose seeds the trials have."""


@dataclass(frozen=True)
class Advice:
    """What a diagnosis gives to do first.

    Attributes:
        fault: Name of the rule whose fault stands first; empty if none is found.
        rule: Name of the rule that gives the first remedy; empty if no setting is offered.
        change: Settings of the first remedy by dotted path; empty if no setting is offered.
        incurable: True if the diagnosis says that no setting mends the first fault.
    """

    fault: str
    rule: str
    change: Mapping[str, Any]
    incurable: bool


def train_trial(arm: Arm, folder: Path) -> tuple[History, list[float]]:
    """Return the history of a trial with `SEEDS` members, as a sweep records it, and the score of each member."""
    return read_trial(arm, records(arm, folder, SEEDS, TRAINED_BY))


def score_healthy(arm: Arm, folder: Path) -> list[float]:
    """Return the scores of `HEALTHY_SEEDS` runs of a healthy arm."""
    return read_trial(arm, records(arm, folder, HEALTHY_SEEDS, TRAINED_BY))[1]


def read_trial(arm: Arm, kept: Mapping[str, np.ndarray]) -> tuple[History, list[float]]:
    """Make the history of a trial, and the score of each member, from metrics `[iterations, members]`.

    A metric is the mean over members, and not finite where one of them is not; a trial ends there.
    """
    world = arm.setting
    members = range(next(iter(kept.values())).shape[1])
    table = table_of({name: values.mean(axis=1) for name, values in kept.items()})
    for name in metrics.PER_SEED:
        for member in members if name in kept else ():
            table[metrics.seed_metric(name, member)] = kept[name][: len(table), member]
    settings = {**world.settings(), "sweep.seeds": len(members)}
    history = History(f"{arm.pair}, {arm.form}", "a trial of this benchmark", table, settings)
    each = [table_of({name: values[:, member] for name, values in kept.items()}) for member in members]
    return history, [score_of(one, world) for one in each]


def choose_advice(diagnosis: Diagnosis) -> Advice:
    """Choose what a diagnosis gives to do first: the first change that it expects to help, as reports list them."""
    faults = diagnosis.select_findings(Kind.FAULT)
    first = next(iter(rank_remedies(diagnosis)), None)
    return Advice(
        faults[0].rule.name if faults else "",
        first.rule if first else "",
        first.change if first else {},
        bool(list_tests(diagnosis)),
    )


def change_arm(arm: Arm, change: Mapping[str, Any]) -> Arm | None:
    """Return an arm with other settings and its fault left in; None where the settings cannot be trained."""
    planted = arm.planted
    changed = replace(arm, planted=Form({**planted.settings, **change}, planted.learner, planted.data))
    try:
        _ = changed.setting
    except (ConfigError, TypeError):
        return None
    return changed


def advise(history: History) -> Advice:
    """Diagnose a trial; return what to do first."""
    return choose_advice(diagnose(history))
