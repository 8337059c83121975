"""Unstick on record: the run that was branched, the arms with their reasons, the stages, and the verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from unstuck.analysis.history import History
from unstuck.analysis.sweep.verdicts import Readings, read_verdicts
from unstuck.records.files import read_branched_run
from unstuck.records.names import ARMS, PARENT_RUN, STAGES, SWEEP_TAG, TRIAL_TAG
from unstuck.records.unstick import StageRecord
from unstuck.rl.wording import pluralize

START, RESET, PARENT = "branch.start", "branch.reset", "branch.parent"
"""Settings of an arm that say what it starts from."""

ANEW = "anew"
"""Value of `branch.start` of an arm that starts from fresh weights."""

_GROUPS = ("ppo.", "env.", "data.")
"""Settings that a run has; the others are the sweep's."""


@dataclass(frozen=True)
class Arm:
    """Branch of a stuck run (an arm): settings that differ from the control, starting state, and reason.

    Attributes:
        values: Settings that differ from the control, by dotted path, those of `branch` included.
        why: Reason for the arm; empty where the record does not say.
        rule: Name of the rule of diagnosis that proposed the arm; empty for an arm of other origin.
        watch: Metric and deadline by which the change must show an effect.
        stage: Number of the arm's stage, from 1.
        carried: Sentences on what was carried over from the run, what was reset, and why.
    """

    values: Mapping[str, Any]
    why: str = ""
    rule: str = ""
    watch: str = ""
    stage: int = 1
    carried: str = ""

    @property
    def change(self) -> Mapping[str, Any]:
        """Settings of the stuck run that a branch changes, by dotted path."""
        return {path: value for path, value in self.values.items() if not path.startswith("branch.")}

    @property
    def is_anew(self) -> bool:
        """True if a stuck run's branch starts from newly initialised weights, not from the checkpoint."""
        return self.values.get(START) == ANEW

    @property
    def parent(self) -> int | None:
        """Number of the trial whose last state the trial starts from; None for checkpoint or fresh weights."""
        value = self.values.get(PARENT)
        return None if value is None else int(value)

    @property
    def reset(self) -> tuple[str, ...]:
        """Names of the saved state's parts, such as `adam`, that are reset to untrained."""
        return tuple(map(str, self.values.get(RESET) or ()))


@dataclass(frozen=True)
class Unstick:
    """Record of what was tried on a stuck run: the run, its branches with reasons, rounds, comparisons.

    Attributes:
        run: What is on record of the branched run: `name`, `iteration`, `env_steps`, `mlflow_run`.
        arms: Arms in the order of their trials' numbers, the control first.
        stages: Stages in the order in which they were decided.
        verdicts: Readings of the verdict.
    """

    run: Mapping[str, Any]
    arms: tuple[Arm, ...]
    stages: tuple[StageRecord, ...] = ()
    verdicts: Readings = field(default_factory=Readings)

    @property
    def name(self) -> str:
        """Name of the stuck run, such as `horizon/7` (sweep and trial)."""
        return str(self.run.get("name") or "a run")

    @property
    def branched_from(self) -> str:
        """Stuck run and iteration of its checkpoint in words, such as `horizon/7 at iteration 220`."""
        iteration = self.run.get("iteration")
        return self.name if iteration is None else f"{self.name} at iteration {iteration}"

    def find_arm(self, number: int) -> Arm | None:
        """Return the record of the branch of a stuck run that a trial trained; None if not recorded."""
        return self.arms[number] if 0 <= number < len(self.arms) else None


def read_unstick(attributes: Mapping[str, Any], report: Path) -> Unstick | None:
    """Read the record of a stuck run's branches from the study's attributes; None for other sweeps.

    Args:
        attributes: Attributes of the sweep's study.
        report: The sweep's folder `report/`, where the verdicts lie.

    Raises:
        AnalysisError: The file of verdicts holds something else.
    """
    if ARMS not in attributes:
        return None
    arms = tuple(_parse_arm(held) for held in attributes[ARMS])
    stages = tuple(StageRecord.from_json(held) for held in attributes.get(STAGES, ()))
    return Unstick(attributes.get(PARENT_RUN) or {}, arms, stages, read_verdicts(report))


def _parse_arm(held: Mapping[str, Any]) -> Arm:
    values = {path: tuple(value) if isinstance(value, list) else value for path, value in held["values"].items()}
    texts = {name: str(held.get(name) or "") for name in ("why", "rule", "watch", "carried")}
    return Arm(values, stage=int(held.get("stage") or 1), **texts)


def read_run_before(unstick: Unstick, settings: Mapping[str, Any], folder: Path) -> History | None:
    """Read the metrics of the stuck run up to its checkpoint; None if the checkpoint cannot be read.

    Args:
        unstick: The unstick.
        settings: Settings of the unstick by dotted path; the checkpoint knows the run's own PPO settings.
        folder: Folder of the unstick, where the copy of the checkpoint lies.
    """
    found = read_branched_run(folder)
    if found is None or not found[0]:
        return None
    records, of_ppo = found
    own = {path: value for path, value in settings.items() if path.startswith(_GROUPS)}
    index = pd.Index([record.iteration for record in records], name="iteration", dtype=int)
    table = pd.DataFrame([record.list_values() for record in records], index=index, dtype=float)
    sweep, trial = unstick.run.get("sweep"), unstick.run.get("trial")
    tags = {SWEEP_TAG: str(sweep), TRIAL_TAG: str(trial)} if sweep is not None and trial is not None else {}
    source = f"the checkpoint at the branch, {pluralize(len(records), 'iteration')}"
    return History(unstick.name, source, table, {**own, **of_ppo}, tags)


def name_parts(parts: Sequence[str]) -> str:
    """Return names of a state's parts in words: `value head and adam` for `value_head` and `adam`."""
    words = [part.replace("_", " ") for part in parts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
