"""Prove what helped: train an unstick's best arm and the control once more, by randomness that no arm has used.

The best of several arms is flattered by the choice. So the best arm and the control go on again from where the run was
branched, several times each, and are judged by flows or episodes that no arm has seen (docs/design.md, D8).
`analysis.sweep.verdicts` judges the values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from unstuck.analysis.words import pluralize
from unstuck.records.entry import Entry
from unstuck.records.machine import count_granted_cores
from unstuck.rl.data import FlowData
from unstuck.sweeps.config.settings import CHECKPOINT, SweepConfig
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.unstick.fresh_runs import Lineage, Values, train_fresh
from unstuck.sweeps.unstick.ranking import rank_arms

_CONTROL = "the control"


@dataclass(frozen=True)
class FreshRuns:
    """Values of a stuck run's best branch and of the control, trained again with fresh seeds, on unseen data.

    Attributes:
        trial: Number of the arm's trial.
        searched: Value of the arm among all arms, by which the arm was chosen.
        arm: Values of the arm, `[repeats][members]`.
        control: Values of the control, `[repeats][members]`; equal places have equal seeds.
    """

    trial: int
    searched: float
    arm: Values
    control: Values


@dataclass(frozen=True)
class Means:
    """Resources to train a stuck run's best branch again: data, cores, functions to print and ask for a stop.

    Attributes:
        data: Flows of the sweep; None for an environment without.
        cores: Cores to train on.
        say: Called with each line of text on the progress.
        is_over: Asked now and then if the training has to end, such as after Ctrl-C.
    """

    data: FlowData | None
    cores: int
    say: Callable[[str], None]
    is_over: Callable[[], bool]


def train_fresh_runs(config: SweepConfig, space: Space, entries: Sequence[Entry], means: Means) -> FreshRuns | None:
    """Train a stuck run's best branch and the control repeatedly with fresh seeds; None if there is none.

    Args:
        config: Configuration of the unstick, which is the control's.
        space: Space of the arms.
        entries: Records of all arms.
        means: Flows, cores, and where the progress goes.

    Returns:
        The values; None if no arm beside the control completed, or the training had to end.

    Raises:
        CheckpointError: The run's checkpoint cannot be read.
        SweepError: A process that trained died.
    """
    best = find_best_arm(config, space, entries)
    if best is None:
        means.say("No verdict: no arm beside the control completed")
        return None
    repeats, name = config.unstick.repeats, f"trial {best.number}"
    unseen = "flows that no arm saw" if means.data else "episodes that no arm saw"
    means.say(
        f"Verdict: training {name} and the control again from the branch, {pluralize(repeats, 'time')} each, by fresh "
        f"randomness, judged by {unseen}"
    )

    def tell(which: str, repeat: int, values: Sequence[float]) -> None:
        mean = sum(values) / len(values)
        means.say(f"  {which}, repeat {repeat + 1} of {repeats}: {config.sweep.metric} {mean:.4f}")

    configs = trace_lineage(config, space, entries, best.number)
    folder, budget = config.own_folder, space.budget(config)
    lineages = {
        name: Lineage(configs, folder, budget),
        _CONTROL: Lineage((config,) * len(configs), folder, budget),  # as many environment steps as the arm
    }
    cores = min(means.cores, count_granted_cores().count)  # a cluster's cores are not all on this machine
    values = train_fresh(lineages, means.data, repeats, cores, tell, means.is_over)
    if values is None:
        return None
    return FreshRuns(best.number, best.value or 0.0, values[name], values[_CONTROL])


def find_best_arm(config: SweepConfig, space: Space, entries: Sequence[Entry]) -> Entry | None:
    """Find the stuck run's completed branch with the best value that changes something; None if none does."""
    ranked = rank_arms(config, entries)
    lineages = ((entry, trace_lineage(config, space, entries, entry.number)) for entry in ranked)
    return next((entry for entry, lineage in lineages if not _changes_nothing(config, lineage)), None)


def trace_lineage(config: SweepConfig, space: Space, entries: Sequence[Entry], number: int) -> tuple[SweepConfig, ...]:
    """Return the configurations, one after another, that trained a branch's state from the stuck run on.

    Args:
        config: Configuration of the unstick.
        space: Space of the arms.
        entries: Records of all arms.
        number: Number of the arm's trial.
    """
    values: Mapping[int, Mapping[str, object]] = {entry.number: entry.values for entry in entries}
    own = space.apply(config, values[number])
    parent = own.branch.parent
    return (own,) if parent is None else (*trace_lineage(config, space, entries, parent), own)


def _changes_nothing(config: SweepConfig, lineage: Sequence[SweepConfig]) -> bool:
    """Return True if a chain of configurations only trains the stuck run further, with no change or reset."""
    return all(
        (one.ppo, one.env, one.branch.start, one.branch.reset) == (config.ppo, config.env, CHECKPOINT, ())
        for one in lineage
    )
