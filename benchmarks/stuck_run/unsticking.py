"""Unstick the run from its checkpoint: with all faults in force in every arm, and with one of them or all mended."""

import json
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from unstuck.analysis.statistics import Interval, compute_paired_difference
from unstuck.records.entry import Entry
from unstuck.records.files import read_records
from unstuck.records.ledger import Ledger
from unstuck.records.names import ARMS, restore_values
from unstuck.records.outcome import Outcome
from unstuck.rl import metrics
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.unstick.arm import describe_values

from benchmarks.in_process import forked
from benchmarks.stuck_run.faults import FAULTS, planted
from benchmarks.stuck_run.scale import RUN, Scale, run_command
from benchmarks.value_coef.tables import Table, spread

Array = npt.NDArray[np.float64]

ALL_FAULTS = "all-faults"
"""Name of the unstick in which every arm has all faults."""

NOTHING = "nothing changed"
"""Changes of a control, in words."""

_LATE = 20
"""Last iterations over which a return is averaged; all arms are shown the same flows in each."""


@dataclass(frozen=True)
class Arm:
    """What one arm measured.

    Attributes:
        entry: The arm's record in the ledger.
        changes: Changes of the arm in words, and who asked for them.
        losses: Value loss of each member at the last iteration.
        returned: Return of an episode in each of the last iterations, mean over members.
        shares: Shares of sampled actions at the last iteration, mean over members.
        f1: F1 of each member, mean of the last three evaluations.
    """

    entry: Entry
    changes: str
    losses: Array
    returned: Array
    shares: Array
    f1: Array

    @property
    def name(self) -> str:
        """Number and changes of the arm in words."""
        return f"{self.entry.number}: {self.changes}"

    @property
    def parent(self) -> int | None:
        """Number of the arm that the arm goes on from; None for the run's checkpoint."""
        parent: int | None = self.entry.values.get("branch.parent")
        return parent

    @property
    def passed(self) -> str:
        """Count of the milestones that the arm passed, with their numbers."""
        numbers = [str(one.number) for one in self.entry.milestones if one.passed]
        count = f"{len(numbers)} of {len(self.entry.milestones)}"
        return f"{count} ({', '.join(numbers)})" if numbers else count


def unstick(scale: Scale, folder: Path) -> list[Table]:
    """Unstick the run with all faults in every arm, then with faults mended; return the tables of the second part."""
    tables = unstick_with_faults(scale, folder)
    return [*tables, mend(scale, folder)]


def unstick_with_faults(scale: Scale, folder: Path) -> list[Table]:
    """Branch the run into all arms with all faults in force; return the arms, and what the verdict was and took."""
    file = folder / f"{ALL_FAULTS}.json"
    if not file.exists():
        wall, core = time.perf_counter(), _core_seconds()
        with planted(tuple(FAULTS)):
            words = [
                f"arms=[{', '.join(scale.arms)}]",
                "unstick.max_arms=20",
                f"unstick.stages={scale.stages}",
                f"unstick.repeats={scale.repeats}",
            ]
            run_command([*_words(scale, ALL_FAULTS), *words], folder, forked(scale.processes))
        if not (folder / ALL_FAULTS / "report" / "verdicts.json").exists():
            raise SystemExit(f"{ALL_FAULTS} was ended before its verdict; start anew, in another folder")
        took = {"wall": time.perf_counter() - wall, "core": _core_seconds() - core}
        file.write_text(json.dumps(took))
    took = json.loads(file.read_text())
    arms = read_arms(ALL_FAULTS, scale, folder)
    return [list_arms(arms), compare_arms(arms), tell_verdict(folder, took)]


def _core_seconds() -> float:
    """Return the seconds of a core that this process and its ended children have used."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def mend(scale: Scale, folder: Path) -> Table:
    """Branch the run once more with one fault mended in each branch, then with all mended; return their controls."""
    rows = []
    for mended in scale.mended:
        name = f"mended-{'-'.join(mended)}"
        others = ", ".join(scale.arms_mended) if len(mended) == len(FAULTS) else ""
        if not (folder / name / "report").exists():
            with planted([fault for fault in FAULTS if fault not in mended]):
                words = [f"arms=[{others}]", "unstick.stages=1", "unstick.repeats=0"]
                run_command([*_words(scale, name), *words], folder, forked(scale.processes))
        arms = read_arms(name, scale, folder)
        rows += [[" and ".join(mended), *_figures(arm)] for arm in arms]
    columns = ["mended", "arm", "value loss", "return", "shares", "greedy F1", "milestones passed"]
    return Table("The same checkpoint, with faults mended; the other faults stay in force:", columns, rows)


def read_arms(name: str, scale: Scale, folder: Path) -> list[Arm]:
    """Read from an unstick's ledger and checkpoints what each completed arm measured."""
    config = find_sweep(name, folder)
    ledger = Ledger.open_sweep(config.reference)
    entries, asked = ledger.entries(), ledger.attributes[ARMS]
    control = next(entry.values for entry in entries if entry.is_control)
    return [
        _read_arm(entry, _describe(entry.values, control, asked), scale, config.own_folder)
        for entry in entries
        if entry.outcome is Outcome.COMPLETED
    ]


def _describe(values: Mapping[str, Any], control: Mapping[str, Any], asked: Sequence[Mapping[str, Any]]) -> str:
    """Describe an arm by what was trained, and name the rule of diagnosis that asked for the same, if one did."""
    changes = {path: value for path, value in values.items() if value != control[path]}
    alike = [arm["rule"] for arm in asked if restore_values(arm["values"]) == changes and arm["rule"]]
    return describe_values(changes) + (f" ({alike[0]})" if alike else "")


def _read_arm(entry: Entry, changes: str, scale: Scale, folder: Path) -> Arm:
    rows: list[Mapping[str, float]] = [record.metrics for record in read_records(folder, entry.number)]
    members = range(scale.members)
    evaluated = [row for row in rows if metrics.F1 in row][-metrics.FINAL_EVALUATIONS :]
    return Arm(
        entry,
        changes,
        np.array([rows[-1][metrics.seed_metric(metrics.VALUE_LOSS, member)] for member in members]),
        np.array([row[metrics.TRAIN_RETURN] for row in rows[-_LATE:]]),
        np.array([rows[-1][metrics.action_metric(name)] for name in metrics.ACTIONS]),
        np.array([[row[metrics.seed_metric(metrics.F1, member)] for row in evaluated] for member in members]).mean(1),
    )


def list_arms(arms: Sequence[Arm]) -> Table:
    """List all arms of the unstick with the figures that the owner watched."""
    rows = [_figures(arm) for arm in arms]
    columns = ["arm", "value loss", "return", "shares", "greedy F1", "milestones passed"]
    return Table("All arms, with all three faults in force in each:", columns, rows)


def compare_arms(arms: Sequence[Arm]) -> Table:
    """Compare each arm with its stage's control, at the end: what the arm moves, and whether that cures the run."""
    controls = {arm.parent: arm for arm in reversed(arms) if arm.changes in (NOTHING, f"from trial {arm.parent}")}
    others = [arm for arm in arms if arm not in controls.values()]
    rows = []
    for arm in others:
        control = controls[arm.parent]
        sides = ((arm.losses, control.losses, 3), (arm.returned, control.returned, 0), (arm.f1, control.f1, 3))
        rows.append([arm.name, *(_difference(*side, len(others)) for side in sides), _tell_cure(arm)])
    columns = ["arm", "value loss", "return", "greedy F1", "cures the run"]
    caption = "Each arm minus its stage's control, with intervals that hold for all arms at once; bold: told from noise"
    return Table(f"{caption}:", columns, rows)


def _difference(ours: Array, theirs: Array, digits: int, comparisons: int) -> str:
    found = compute_paired_difference(ours.tolist(), theirs.tolist(), comparisons)
    if not isinstance(found.interval, Interval):
        return f"{found.mean:+.{digits}f}"
    text = f"{found.mean:+.{digits}f} ({found.interval.low:+.{digits}f} to {found.interval.high:+.{digits}f})"
    return f"**{text}**" if found.side else text


def _tell_cure(arm: Arm) -> str:
    """Say whether an arm passed all milestones, and what was left where not."""
    if arm.entry.milestones and all(one.passed for one in arm.entry.milestones):
        return "yes"
    flagged = int((arm.f1 > 0).sum())
    return f"no: F1 above 0 in {flagged} of {len(arm.f1)} members" if flagged else "no: F1 is 0 in every member"


def _figures(arm: Arm) -> list[str]:
    shares = " / ".join(f"{100 * share:.0f}" for share in arm.shares)
    return [arm.name, spread(arm.losses), f"{arm.returned.mean():,.0f}", shares, spread(arm.f1), arm.passed]


def tell_verdict(folder: Path, took: Mapping[str, float]) -> Table:
    """Tell how long the run took from its checkpoint to the verdict, and what the verdict is."""
    lead = (folder / ALL_FAULTS / "report" / "report.md").read_text().splitlines()[2]
    rows = [
        ["verdict", lead.strip("*")],
        ["from checkpoint to verdict", f"{took['wall'] / 60:.1f} min, {took['core'] / 60:.1f} min of one core"],
    ]
    return Table("The verdict:", ["", ""], rows)


def _words(scale: Scale, name: str) -> list[str]:
    """Return the words that any unstick of the run has in common."""
    which = ["+experiment=unstick", f"run={RUN}/0", f"milestones={scale.milestones}", f"sweep.name={name}"]
    return [*which, f"unstick.iterations={scale.branched}"]
