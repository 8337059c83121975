"""Define the trainer protocol: what a worker, a verdict and a champion need of whoever trains the members of a trial.

A worker asks a trainer for one iteration after the other, and saves a snapshot at each evaluation. So early stopping,
kill -9, resume, audit and branching are the same for all trainers. Most trainers train one member at a time: such a
trainer needs only the smaller protocol of `sweeps.trainers.members`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.random import SeedSequence
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig
from unstuck.rl.data.types import FlowData
from unstuck.sweeps.config.settings import PARTS, SweepConfig

if TYPE_CHECKING:  # they bring torch, which the driver does without
    from unstuck.rl.checkpoint import Snapshot
    from unstuck.rl.learner import Metrics

RANDOMNESS = "randomness"
"""Name of the part of a state that `branch` starts anew for fresh repeats: all random generators, and the episodes."""


@dataclass(frozen=True)
class TrialSpec:
    """Task of a trainer: configuration, seeds, data and length of one trial, whose seeds are trained together.

    Attributes:
        config: Complete configuration of the trial.
        seeds: Random seeds of the members, one each; equal for all trials of a sweep.
        evaluation_seed: Random seed of the episodes that evaluations play, the same for all trials.
        data: Flows to train on; None for an environment without.
        budget: Length of the training, and what was trained before, in environment steps.
        folder: Folder of the trial, where a trainer may keep files of its own; None: the trainer makes a temporary one.
    """

    config: SweepConfig
    seeds: Sequence[SeedSequence]
    evaluation_seed: SeedSequence
    data: FlowData | None
    budget: Budget
    folder: Path | None = None


class Trains(Protocol):
    """Protocol of anything that trains a trial's members (seeds), iteration by iteration, such as the learner.

    Attributes:
        config: Settings of PPO that the members train with.
        iteration: Iterations done, counted from where the trial starts.
        last_iteration: Iterations that use up the budget.
    """

    @property
    def config(self) -> PPOConfig: ...  # noqa: D102

    @property
    def iteration(self) -> int: ...  # noqa: D102

    @property
    def last_iteration(self) -> int: ...  # noqa: D102

    def iterate(self) -> "Metrics":
        """Train all members (seeds) for one iteration; return metrics by name, one value for each seed.

        The iteration's metrics hold `eval/episode_return` whenever the budget says that an evaluation is due.
        """

    def read_effective(self) -> "Metrics":
        """Return the settings that the next update will use, read back from the trainer, one value for each seed.

        One value a member; infinite where a limit is off; no entry for a setting that cannot be read back.
        """


class Trainer(Trains, Protocol):
    """Protocol of a trainer, which trains all members (seeds) of one trial, and can save and load the training's state.

    Attributes:
        resumed_exactly: False once a restored training may go on with other numbers than the saved one would have.
    """

    @property
    def resumed_exactly(self) -> bool: ...  # noqa: D102

    def take_snapshot(self, history: Sequence[Any] | None = None) -> "Snapshot":
        """Copy the state of the training to a snapshot (arrays and a header), with a history of metrics."""

    def restore(self, snapshot: "Snapshot") -> None:
        """Continue from a snapshot (saved training state) of the same trial, with the trainer's own settings.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: The snapshot is not of such a trainer, or holds no state.
        """

    def branch(self, snapshot: "Snapshot", reset: Collection[str] = (), fresh: bool = False) -> None:
        """Start from a snapshot (saved state) of another trial or run, at iteration 0, with the trainer's settings.

        Args:
            snapshot: State to start from. With `fresh` there may be several times as many members as were saved.
            reset: Parts of the state that start anew (`sweeps.config.settings.PARTS`).
            fresh: True to draw all randomness from the trainer's own seeds instead of going on with the saved one.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: The trainer cannot go on from the snapshot.
        """


LIBRARIES = ("ray.tune", "torch", "pandas")
"""Modules of libraries that every worker needs, whoever trains."""


@dataclass(frozen=True)
class TrainerKind:
    """Kind of trainer, chosen by `trainer.name`: functions that check and make trainers, and what such trainers can do.

    Attributes:
        title: Name for people.
        make: Function that makes an untrained trainer.
        check: Function that raises an error, before anything starts, for a sweep that no such trainer can train.
        estimate_memory: Function of configuration and flows that returns another one: the main memory, in bytes, that
            one process takes for a number of members, without Python itself.
        keeps_state: False if trainers cannot give up the state of a training: a trial then starts anew after a resume,
            and all arms of an unstick start anew.
        acts_on_flows: False if trainers cannot train on flows, so that the environment must be Gymnasium's.
        parts: Parts of a state that can start anew in a branch, of `sweeps.config.settings.PARTS`; with `RANDOMNESS`,
            fresh repeats of one branch are possible, which a verdict needs.
        proves: Settings of `ppo` that `read_effective` reads back; the driver compares them with the recorded ones.
        program: Program in whose words a trial is diagnosed, where a probe of ours measures it (`unstuck.probe`); empty
            for our own words.
        limits: Settings of which trainers have some values only, by dotted path, with these values.
        list_reached: Function that lists the settings of `ppo` and `env` that reach the trainer, by dotted path; None:
            all do. Others are refused, searched or changed by an arm.
        explain_way: Function of a setting's path that says, for an error, why the setting does not reach the trainer
            and what to do, such as "no flag hands it on; write {ppo.gamma} where trainer.command takes it".
        name_dialect: Function that names the program whose log a trial's metrics come from (`History.dialect`).
        libraries: Modules of libraries that a worker needs, by name: workers import them as they start, while records
            are opened.
    """

    title: str
    make: Callable[[TrialSpec], Trainer]
    check: Callable[[SweepConfig, FlowData | None], None]
    estimate_memory: Callable[[SweepConfig, FlowData | None], Callable[[int], int]]
    keeps_state: bool = True
    acts_on_flows: bool = True
    parts: frozenset[str] = frozenset((*PARTS, RANDOMNESS))
    proves: tuple[str, ...] = ()
    program: str = ""
    limits: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    list_reached: Callable[[SweepConfig], Collection[str]] | None = None
    explain_way: Callable[[str], str] = lambda path: "the trainer takes no such setting; choose another trainer"
    name_dialect: Callable[[SweepConfig], str] = lambda config: "unstuck"
    libraries: tuple[str, ...] = LIBRARIES
