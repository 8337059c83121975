"""Decide the stages of an unstick: while no arm passes its milestones, the next arms go on from the best arm's state.

The decision follows from what has ended in the ledger alone, and is on record before its arms are queued. So a process
that dies between any two writes is followed by one that starts the same stage, once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from unstuck.analysis.words import join_words, pluralize
from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.names import ARMS, STAGES, restore_values
from unstuck.records.unstick import StageRecord
from unstuck.rl import metrics
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.keys import BRANCH
from unstuck.sweeps.config.settings import CHECKPOINT, SweepConfig
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.parse import parse_point
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.unstick.arm import PARENT, RESET, START, ArmRecord, describe_values
from unstuck.sweeps.unstick.ranking import rank_arms

ADDED_CHANGES = 3
"""Number of single changes of the first stage that later stages add to the best arm's change."""

FEWEST = 2
"""Arms of the smallest stage: the best arm unchanged, as the stage's own control, and one change."""


class Stages:
    """Rounds of a stuck run's branches (arms): the recorded ones and the next; empty for other sweeps.

    Args:
        config: Settings of the sweep.
        space: Search space of the sweep.
        ledger: Ledger of the sweep, with the record of the first stage, and the stage's arms in the queue.

    Attributes:
        records: Stages on record. A decision against a further stage is taken back if a trial was reopened since.
    """

    def __init__(self, config: SweepConfig, space: Space, ledger: Ledger) -> None:
        self._config, self._space, self._ledger = config, space, ledger
        kept = ledger.attributes.get(STAGES, ()) if config.run is not None else ()
        self.records = [StageRecord.from_json(record) for record in kept]
        if self.records and not self.records[-1].is_started and any(entry.is_open for entry in ledger.entries()):
            del self.records[-1]
            self._write()
        self._queue()

    @property
    def num_added(self) -> int:
        """Number of a stuck run's branches (arms) that were added after the first round."""
        return sum(len(record.arms) for record in self.records[1:])

    @property
    def is_open(self) -> bool:
        """True if a further round of a stuck run's branches may start: bounds are set, and rounds are left."""
        has_arms = bool(self.records) and self.records[-1].is_started
        return has_arms and bool(self._config.milestones.checks) and len(self.records) < self._config.unstick.stages

    def open_next(self) -> StageRecord | None:
        """Decide and record if another round of a stuck run's branches starts; queue them; None if none can.

        Returns:
            The decision, with arms or without; None if there is nothing to decide.
        """
        if not self.is_open:
            return None
        decision, arms = decide_stage(self._config, self._space, self._ledger, self.records)
        if arms:
            # A process that died before the decision was on record may have left its arms.
            before = [arm for arm in self._ledger.attributes.get(ARMS, ()) if arm.get("stage", 1) < decision.stage]
            self._ledger.describe({ARMS: [*before, *(arm.to_json() for arm in arms)]})
        self.records.append(decision)
        self._write()
        self._queue()
        return decision

    def _write(self) -> None:
        self._ledger.describe({STAGES: [record.to_json() for record in self.records]})

    def _queue(self) -> None:
        """Put the latest round of a stuck run's branches into Optuna's queue, except those in the study.

        A process may have died in between. The first stage's arms are the points of the sweep.
        """
        if len(self.records) < 2:
            return
        held, arms = list(self._ledger.raw_parameters().values()), self._ledger.attributes[ARMS]
        base = self._space.control_values(self._config)
        for number in self.records[-1].arms:
            raw = self._space.encode({**base, **restore_values(arms[number]["values"])})
            if raw not in held:
                self._ledger.enqueue(raw)


def decide_stage(
    config: SweepConfig, space: Space, ledger: Ledger, stages: Sequence[StageRecord]
) -> tuple[StageRecord, list[ArmRecord]]:
    """Decide if another round of a stuck run's branches starts, and which branches; record nothing.

    Args:
        config: Settings of the sweep.
        space: Search space of the sweep.
        ledger: Ledger of the sweep, in which all trials have ended.
        stages: Stages on record, at least the first.

    Returns:
        The decision, and the arms of the new stage, in order; none if no stage starts.
    """
    stage, last = len(stages) + 1, stages[-1]
    entries = {entry.number: entry for entry in ledger.entries()}
    refuse = partial(_refuse, stage)
    ended = [entries[number] for number in last.arms if number in entries]
    if passed := [entry.number for entry in ended if _passes(entry, config)]:
        return refuse(f"{_name_trials(passed)} of stage {last.stage} passed all milestones"), []
    none_passed = f"no arm of stage {last.stage} passed all its milestones"
    ranked = rank_arms(config, ended)
    if not ranked:
        return refuse(f"{none_passed}, but none completed, so there is no state to go on from"), []
    best = ranked[0]
    builder = _Builder(config, space, best, stage)
    if not builder.can_go_on:
        return refuse(f"{none_passed}, but {PARENT} cannot be {best.number} in the space of this sweep"), []
    singles = rank_arms(config, [entries[number] for number in stages[0].arms if number in entries])
    built = list(builder.build(singles, ledger.attributes.get(ARMS, ())))
    arms = _select_feasible(config, space, built)
    sizes = [count_control_steps(space.apply(config, arm.values)) for arm in arms]
    fitting = fit_budget(config, sizes, _count_spent(config, space, entries.values()))
    if fitting < FEWEST:
        why = f"unstick.max_env_steps = {config.unstick.max_env_steps:,} leaves no room for two more arms"
        return refuse(f"{none_passed}, but {why if len(arms) >= FEWEST else 'there is no change left to try'}"), []
    arms, first = arms[:fitting], max(max(record.arms, default=-1) for record in stages) + 1
    why = f"{none_passed}; {builder.describe_best()}, so {len(arms)} arms go on from its last state"
    if cannot := len(built) - len(sizes):
        why += f"; {pluralize(cannot, 'combination')} left out, as not able to run or there already"
    why += _describe_cut(config, len(sizes) - fitting)
    numbers = tuple(range(first, first + fitting))
    return StageRecord(stage=stage, parent=best.number, why=why, arms=numbers, env_steps=sum(sizes[:fitting])), arms


def _refuse(stage: int, why: str) -> StageRecord:
    return StageRecord(stage=stage, parent=None, why=f"{why}; stage {stage} is not started", arms=(), env_steps=0)


def make_first_stage(config: SweepConfig, run: str, num_arms: int, num_cut: int) -> StageRecord:
    """Make the record of the first round of a stuck run's branches: number, reason, environment steps.

    Args:
        config: Configuration of the unstick's control.
        run: Name of the run, and the iteration of the checkpoint.
        num_arms: Number of arms, the control included.
        num_cut: Number of arms that the budget has no room for.
    """
    beside = f"{pluralize(num_arms - 1, 'arm')} beside the untouched control" if num_arms > 1 else "the control"
    why = f"{beside}, from {run}{_describe_cut(config, num_cut)}"
    if not config.milestones.checks:
        why += "; there are no milestones, so no further stage follows"
    steps = num_arms * count_control_steps(config)
    return StageRecord(stage=1, parent=None, why=why, arms=tuple(range(num_arms)), env_steps=steps)


def _describe_cut(config: SweepConfig, num_cut: int) -> str:
    if not num_cut:
        return ""
    return f"; {pluralize(num_cut, 'more arm')} would exceed unstick.max_env_steps = {config.unstick.max_env_steps:,}"


def _passes(entry: Entry, config: SweepConfig) -> bool:
    decided = entry.milestones
    return len(decided) == len(config.milestones.checks) and all(one.passed for one in decided)


def _name_trials(numbers: Sequence[int]) -> str:
    return f"trial{'' if len(numbers) == 1 else 's'} {join_words([str(number) for number in numbers])}"


class _Builder:
    """Builder of the next round of a stuck run's branches, which continue from the best one's last state.

    Args:
        config: Settings of the sweep.
        space: Search space of the sweep.
        best: The best arm.
        stage: Number of the new stage.
    """

    def __init__(self, config: SweepConfig, space: Space, best: Entry, stage: int) -> None:
        self._config, self._space, self._best, self._stage = config, space, best, stage
        self._base = space.control_values(config)
        self._own = self._find_change(best)

    @property
    def can_go_on(self) -> bool:
        """True if the search space allows trials that start from the last state of the best branch so far."""
        kind = self._space.kinds.get(PARENT)
        return kind is not None and kind.contains(self._best.number)

    def describe_best(self) -> str:
        """Describe a stuck run's best branch in words: number, changes, value, and how many bounds it passed."""
        best, value = self._best, f"{self._config.sweep.metric} {self._best.value:.3f}"
        passed = f"passed {sum(one.passed for one in best.milestones)} of {len(best.milestones)}"
        differs = {path: value for path, value in best.values.items() if value != self._base[path]}
        return f"trial {best.number} ({describe_values(differs)}) has the best {value} and {passed}"

    def build(self, singles: Sequence[Entry], arms: Sequence[Mapping[str, Any]]) -> Iterator[ArmRecord]:
        """Yield the next branches of a stuck run: the best one unchanged, then with others' good changes.

        What the best arm has changed stays: the others are no better. After the control, single changes are combined by
        two instead, since each of them was tried alone.

        Args:
            singles: Completed arms of the first stage, best first.
            arms: Records of all arms so far, as in the study's attribute `ARMS`.
        """
        best = self._best.number
        yield self._make_arm({}, (), f"trial {best} goes on unchanged, as this stage's own control")
        others = self._select_singles(singles)
        groups = [(one,) for one in others] if self._own else list(combinations(others, 2))
        for group in groups[:ADDED_CHANGES]:
            change = {path: value for one in group for path, value in self._find_change(one).items()}
            reset = tuple(dict.fromkeys(part for one in group for part in one.values.get(RESET, ())))
            whose = _name_trials([one.number for one in group])
            why = f"adds {describe_values(change)} of {whose} to the settings of trial {best}"
            watch = [str(arms[one.number].get("watch", "")) for one in group if one.number < len(arms)]
            yield self._make_arm(change, reset, why, "; ".join(filter(None, watch)))
        for combined in self._config.unstick.escalation:
            asked = parse_point(combined, self._config, "unstick.escalation")
            change = {path: value for path, value in asked.items() if path not in self._own}
            if change:
                why = f"adds {describe_values(change)}, of a combined change, to the settings of trial {best}"
                yield self._make_arm(change, (), why)

    def _make_arm(self, change: Mapping[str, Any], reset: tuple[str, ...], why: str, watch: str = "") -> ArmRecord:
        """Make a branch with a further change, which starts from the last state of a stuck run's best branch."""
        values = {**self._own, **change, PARENT: self._best.number}
        if reset := self._widen(reset):
            values[RESET] = reset
        parts = f"{join_words([part.replace('_', ' ') for part in reset])} anew" if reset else "nothing is reset"
        carried = f"Goes on from the last state of trial {self._best.number}; {parts}."
        return ArmRecord(values, why, watch=watch, stage=self._stage, carried=carried)

    def _widen(self, reset: tuple[str, ...]) -> tuple[str, ...]:
        """Return the smallest set of state parts to reset that the search space offers and that contains `reset`."""
        kind = self._space.kinds.get(RESET)
        options = kind.options if isinstance(kind, Choice) else ()
        wide = [option for option in options if set(reset) <= set(option)]
        return reset if reset in options or not wide else min(wide, key=len)

    def _select_singles(self, singles: Sequence[Entry]) -> list[Entry]:
        """Select a stuck run's best branches that changed one setting only, not one that the best has changed."""
        found: dict[str, Entry] = {}
        for entry in singles:
            paths = list(self._find_change(entry))
            # What starts anew may need other networks than those whose state is carried over.
            if len(paths) == 1 and paths[0] not in self._own and entry.values.get(START, CHECKPOINT) == CHECKPOINT:
                found.setdefault(paths[0], entry)
        return list(found.values())[:ADDED_CHANGES]

    def _find_change(self, entry: Entry) -> dict[str, Any]:
        """Return the settings in which a stuck run's branch differs from the control, by path."""
        return {
            path: value
            for path, value in entry.values.items()
            if path.partition(".")[0] != BRANCH and value != self._base[path]
        }


def _select_feasible(config: SweepConfig, space: Space, arms: Iterable[ArmRecord]) -> list[ArmRecord]:
    """Select the branches of a stuck run that can run and lie in the search space; drop duplicates."""
    found: list[ArmRecord] = []
    for arm in arms:
        values = {**space.control_values(config), **arm.values}
        if space.contains(values) and all(arm.values != other.values for other in found):
            try:
                space.apply(config, values)
            except ConfigError:
                continue
            found.append(arm)
    return found


def count_control_steps(config: SweepConfig) -> int:
    """Count the environment steps of all seeds of a trial that keeps the stuck run's rollout size."""
    return config.sweep.seeds * config.ppo.num_iterations * config.ppo.batch_size


def _count_spent(config: SweepConfig, space: Space, entries: Iterable[Entry]) -> int:
    """Count the environment steps that all seeds of the ended trials have trained."""
    spent = 0
    for entry in entries:
        if iterations := int(entry.summary.get(metrics.FINAL_ITERATIONS, 0)):
            spent += config.sweep.seeds * iterations * space.apply(config, entry.values).ppo.batch_size
    return spent


def fit_budget(config: SweepConfig, sizes: Sequence[int], spent: int = 0) -> int:
    """Count how many of a stuck run's branches, in order, fit into the rest of `unstick.max_env_steps`.

    Args:
        config: Settings of the sweep.
        sizes: Environment steps of each arm, in order.
        spent: Environment steps that earlier stages have trained.
    """
    most = config.unstick.max_env_steps
    if most is None:
        return len(sizes)
    return max(number for number in range(len(sizes) + 1) if sum(sizes[:number]) <= max(0, most - spent))


def describe_start(config: SweepConfig, run: Mapping[str, Any]) -> str:
    """Describe the checkpoint that a trial starts from, e.g. `stuck/7 at iteration 220`; empty if untrained.

    Args:
        config: Configuration of the arm.
        run: The study's attribute `PARENT_RUN`; empty in a sweep that branches no run.
    """
    if not run or config.branch.start != CHECKPOINT:
        return ""
    parent = config.branch.parent
    return f"trial {parent}" if parent is not None else name_run(run)


def name_run(run: Mapping[str, Any]) -> str:
    """Return the name of a stuck run and its checkpoint's iteration, e.g. `stuck/7 at iteration 220`."""
    return f"{run['name']} at iteration {run['iteration']}"
