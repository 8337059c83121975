"""Judges a sweep's best trial where the search could not flatter it: on fresh seeds, by flows that it never saw.

A sweep picks its best out of many noisy values, so that value is too good. Here the same configuration, and the
control beside it, are trained again on seeds of another block and read the test part once (DESIGN D8).
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from analysis.statistics import Estimate, bootstrap_difference, bootstrap_mean
from rl.budget import Budget
from rl.data import FlowData
from rl.metrics import FINAL_EVALUATIONS
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner
from sweeps.config import SweepConfig
from sweeps.data import load_same_data
from sweeps.errors import SweepError
from sweeps.ledger import Entry, Ledger, best
from sweeps.outcome import Outcome
from sweeps.records import settle
from sweeps.redact import refuse_masked
from sweeps.schema import from_yaml
from sweeps.space import search_space

RESULT_FILE = "champion.json"


@dataclass(frozen=True)
class Judgement:
    """What fresh seeds and unseen flows say of a sweep's best trial.

    Attributes:
        trial: Its number.
        searched: Its value in the search.
        champion: Its value here, over the fresh seeds.
        control: Likewise for the unchanged configuration; None if the best trial is the control, or there is none.
        difference: Champion minus control.
    """

    trial: int
    searched: float
    champion: Estimate
    control: Estimate | None
    difference: Estimate | None


def judge(
    folder: Path, seeds: int, trial: int | None = None, optuna_url: str | None = None, data_path: str | None = None
) -> Judgement:
    """Train a sweep's best trial and its control again, printing what it does; write `report/champion.json`.

    Args:
        folder: The sweep's, absolute.
        seeds: Fresh members of each.
        trial: Another trial than the best completed one.
        optuna_url: The ledger, where its URL holds a password (which the sweep's folder does not keep).
        data_path: Where the flows lie now; None: where they lay.

    Raises:
        DataError: The flows cannot be read.
        SweepError: There is no such sweep or trial, or none completed, or the flows are not those that it was run on.
    """
    config = load_sweep(folder)
    if data_path is not None:
        config = replace(config, data=replace(config.data, path=data_path))
    config = replace(config, tracking=replace(config.tracking, optuna_url=optuna_url or config.tracking.optuna_url))
    refuse_masked("--optuna-url", config.tracking.optuna_url)
    ledger = Ledger.of(settle(config))
    entry = _entry(ledger.entries(), trial, config.sweep.mode)
    space, _ = search_space(config)
    data, _ = load_same_data(config, ledger.attributes)
    print(f"training trial {entry.number} on {seeds} fresh seeds", flush=True)
    budget = space.budget(config)
    champion = bootstrap_mean(_train(space.apply(config, entry.values), data, seeds, budget))
    control = difference = None
    if dict(entry.values) != space.base(config):
        print(f"training the control on the same {seeds} fresh seeds", flush=True)
        control = bootstrap_mean(_train(config, data, seeds))
        difference = bootstrap_difference(champion.values, control.values)
    judgement = Judgement(entry.number, entry.value or 0.0, champion, control, difference)
    report = folder / "report"
    report.mkdir(exist_ok=True)
    temporary = report / f"{RESULT_FILE}.tmp"
    temporary.write_text(json.dumps(asdict(judgement), indent=2) + "\n")
    temporary.rename(report / RESULT_FILE)
    return judgement


def load_sweep(folder: Path) -> SweepConfig:
    """The configuration that a sweep ran with; `sweep.folder` is where the sweep lies now.

    Args:
        folder: The sweep's, absolute.

    Raises:
        SweepError: The folder holds no sweep; the message lists those beside it.
    """
    file = folder / "config.yaml"
    if not file.exists():
        beside = sorted(path.parent.name for path in folder.parent.glob("*/config.yaml"))
        raise SweepError(f"no sweep in {folder}; sweeps in {folder.parent}: {', '.join(beside) or 'none'}")
    config = from_yaml(file.read_text())
    return replace(config, sweep=replace(config.sweep, folder=str(folder.parent)))


def _entry(entries: list[Entry], number: int | None, mode: str) -> Entry:
    completed = [entry for entry in entries if entry.outcome is Outcome.COMPLETED]
    if not completed:
        raise SweepError("a champion must have completed, and no trial of this sweep did")
    if number is None:
        return best(entries, mode) or completed[0]
    for entry in completed:
        if entry.number == number:
            return entry
    numbers = ", ".join(str(entry.number) for entry in completed)
    raise SweepError(f"--trial must name a completed trial, got {number}; completed: {numbers}")


def _train(config: SweepConfig, data: FlowData | None, seeds: int, budget: Budget | None = None) -> list[float]:
    """The sweep's metric of each fresh member: the mean of its last evaluations, on the test part."""
    learner = make_learner(
        config.ppo,
        config.env,
        member_seeds(config.sweep.seed, seeds, block="test"),
        evaluation_seed(config.sweep.seed, block="test evaluation"),
        data,
        data.test if data else None,
        config.data.order,
        budget,
    )
    evaluations = []
    for _ in range(learner.last_iteration):
        measured = learner.iterate()
        if config.sweep.metric in measured:
            evaluations.append(measured[config.sweep.metric])
    last = evaluations[-FINAL_EVALUATIONS:]
    return [float(value) for value in np.mean(last, axis=0)]


def describe(judgement: Judgement, metric: str) -> list[str]:
    """The judgement in words, a line each."""
    lines = [
        f"trial {judgement.trial}: {metric} {_interval(judgement.champion)} on fresh seeds and unseen data "
        f"(the search had said {judgement.searched:.4f})"
    ]
    if judgement.control and judgement.difference:
        lines.append(f"control: {metric} {_interval(judgement.control)}")
        low, high = judgement.difference.low, judgement.difference.high
        clear = "clear of 0" if low > 0 or high < 0 else "not clear of 0: inconclusive"
        lines.append(f"difference: {judgement.difference.mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, {clear}")
    return lines


def _interval(estimate: Estimate) -> str:
    return (
        f"{estimate.mean:.4f} ± {estimate.spread:.4f} over {len(estimate.values)} seeds, "
        f"95 % interval {estimate.low:.4f} to {estimate.high:.4f}"
    )
