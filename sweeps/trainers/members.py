"""Train the members of a trial one at a time, by a trainer that knows of one member only.

`MemberTrainer` is all that someone's own PPO has to be (docs/trainers.md). `MembersInTurn` makes a trainer of a whole
trial from one for each member: the members take turns, one iteration each.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.random import SeedSequence
from unstuck.rl import archive
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig, require
from unstuck.rl.seeding import derive_child, derive_int
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.protocol import RANDOMNESS, TrialSpec

if TYPE_CHECKING:  # they bring torch, which the driver does without
    from unstuck.rl.checkpoint import Snapshot
    from unstuck.rl.learner import Metrics
    from unstuck.rl.learner_state import Arrays

Settings = Mapping[str, Any]
"""Settings of PPO by name, such as `lr`; those with a schedule have the value of the next iteration."""

_STATE = "member."
"""Begins the name of the array that holds a member's state as bytes; the member's number follows."""

_SCHEDULES = {"lr": "lr_schedule", "clip_range": "clip_range_schedule"}


@dataclass(frozen=True)
class MemberSpec:
    """Task of a trainer of one member: configuration, random seed, length and folder of one member (seed) of a trial.

    Attributes:
        config: Complete configuration of the trial.
        number: Number of the member, from 0.
        seed: Random seed of the member; `rl.seeding` derives others from the seed.
        evaluation_seeds: Seeds of the episodes that an evaluation plays, one each; the same for all members and trials.
        budget: Length of the training in environment steps, with the iterations after which an evaluation is due.
        folder: Folder of the trial, which all members share; None: the trainer makes a temporary one.
    """

    config: SweepConfig
    number: int
    seed: SeedSequence
    evaluation_seeds: Sequence[int]
    budget: Budget
    folder: Path | None = None

    def evaluates_after(self, iteration: int) -> bool:
        """Return True if an evaluation is due right after an iteration, counted from 1."""
        return self.budget.evaluates_after(iteration, self.config.ppo.batch_size)


class MemberTrainer(Protocol):
    """Protocol of a trainer of one member (seed): one run of someone's own PPO implementation.

    Order of calls: `load_state` and `reset` if the member goes on from a saved state; then `apply` before each
    iteration, `effective` now and then, `state` after an iteration.
    """

    def iterations(self, done: int) -> Iterator[Mapping[str, float]]:
        """Train; yield each iteration's metrics, under the names in `rl.metrics`, as soon as the iteration ends.

        Args:
            done: Iterations of the trial that are done: above 0 after a resume.

        The generator is asked for no more iterations than the budget holds, and may be closed before. The metrics hold
        `eval/episode_return`, the mean return of greedy episodes, whenever `MemberSpec.evaluates_after` says so.
        """

    def state(self) -> bytes | None:
        """Return the training's state after the last iteration as bytes; None if the trainer cannot save one."""

    def load_state(self, state: bytes) -> bool:
        """Load a saved training state; return True if training continues bit for bit, False if with other numbers.

        Raises:
            ValueError: The state is not of such a trainer.
        """

    def apply(self, settings: Settings) -> None:
        """Set the settings for the next iteration; they replace those that a restored state had.

        Args:
            settings: All settings of `ppo`, by name without `ppo.`; `lr` and `clip_range` as their schedule says.
        """

    def effective(self) -> Mapping[str, float]:
        """Return the settings that the next iteration will use, by name without `ppo.`, as read back from the trainer.

        Infinite where a limit is off; without those that cannot be read back.
        """

    def reset(self, parts: Collection[str]) -> None:
        """Reset the named parts of a loaded state, such as the optimiser's, to untrained."""


class MembersInTurn:
    """Trainer of all members (seeds) of a trial, which trains the members in turn, one iteration each.

    Args:
        name: Name of the kind of trainer, as in `trainer.name`, which a snapshot keeps.
        spec: The trial.
        make: Function that makes the untrained trainer of one member.

    Attributes:
        config: Settings of PPO.
        members: Trainers of the members.
        iteration: Iterations done by each member.
        last_iteration: Iterations that use up the budget.
        resumed_exactly: False once a member was restored that goes on with other numbers.
    """

    def __init__(self, name: str, spec: TrialSpec, make: Callable[[MemberSpec], MemberTrainer]) -> None:
        self.config, self._budget, self._name = spec.config.ppo, spec.budget, name
        self.iteration, self.resumed_exactly = 0, True
        self.last_iteration = spec.budget.iterations(self.config.batch_size)
        seeds = [derive_int(derive_child(spec.evaluation_seed, n)) for n in range(spec.config.env.eval_episodes)]
        self.members = [
            make(MemberSpec(spec.config, number, seed, seeds, spec.budget, spec.folder))
            for number, seed in enumerate(spec.seeds)
        ]
        self._running: list[Iterator[Mapping[str, float]]] | None = None
        self._apply_settings()

    def iterate(self) -> "Metrics":
        """Train each member (seed) for one iteration; return the metrics that all members have, as arrays by name.

        Raises:
            ConfigError: The budget is used up, or a member ended before.
        """
        require(
            self.iteration < self.last_iteration,
            f"a trainer must not train beyond its budget of {self.last_iteration} iterations, which are done; "
            "raise ppo.num_iterations",
        )
        if self._running is None:
            self._running = [member.iterations(self.iteration) for member in self.members]
        measured = [self._train(number, running) for number, running in enumerate(self._running)]
        self.iteration += 1
        self._apply_settings()
        shared = [name for name in measured[0] if all(name in one for one in measured)]
        return {name: np.array([one[name] for one in measured], dtype=np.float64) for name in shared}

    def _train(self, number: int, running: Iterator[Mapping[str, float]]) -> Mapping[str, float]:
        measured = next(running, None)
        require(
            measured is not None,
            f"each member must train for {self.last_iteration} iterations, and member {number} ended after "
            f"{self.iteration}; lower ppo.num_iterations, or let it train for longer",
        )
        return measured or {}

    def read_effective(self) -> "Metrics":
        """Return the next iteration's settings by name, one value for each seed, that all seeds can read back."""
        read = [member.effective() for member in self.members]
        shared = [name for name in read[0] if all(name in one for one in read)]
        return {name: np.array([one[name] for one in read], dtype=np.float64) for name in shared}

    def take_snapshot(self, history: Sequence[Any] | None = None) -> "Snapshot":
        """Copy the states of all members (seeds), if they can be saved, to a snapshot (saved training state)."""
        from unstuck.rl.checkpoint import Snapshot, libraries

        states = [member.state() for member in self.members]
        arrays: Arrays = {
            f"{_STATE}{number}": np.frombuffer(state, dtype=np.uint8)
            for number, state in enumerate(states)
            if state is not None
        }
        batch, budget = self.config.batch_size, self._budget
        header = {
            "format": archive.FORMAT,
            "version": archive.VERSION,
            "libraries": libraries(),
            "layout": {"trainer": self._name, "members": len(self.members)},
            "configs": [asdict(self.config)] * len(self.members),
            "env_steps": {"done": budget.done + self.iteration * batch, "planned": budget.whole},
            "learner": {"iteration": self.iteration},
            "history": list(history or ()),
        }
        return Snapshot(arrays, header)

    def restore(self, snapshot: "Snapshot") -> None:
        """Continue from a snapshot (saved training state) of the same trial."""
        states = self._read_states(snapshot)
        iteration = int(snapshot.header["learner"]["iteration"])
        require(
            len(states) == len(self.members) and iteration <= self.last_iteration,
            f"the trial must have {len(states)} members and at least {iteration} iterations, as saved, got "
            f"{len(self.members)} and {self.last_iteration}; make the trial as it was",
        )
        self._load_states(states, snapshot)
        self.iteration = iteration
        self._apply_settings()

    def branch(self, snapshot: "Snapshot", reset: Collection[str] = (), fresh: bool = False) -> None:
        """Start from a snapshot (saved training state) of another run, counting iterations from 0 again."""
        states, own = self._read_states(snapshot), len(self.members)
        require(
            own == len(states) or (fresh and own % len(states) == 0),
            f"members must be {len(states)}{' or a multiple' if fresh else ''}, as many as were saved, got {own}; make "
            "as many",
        )
        self._load_states(states * (own // len(states)), snapshot)
        parts = [*reset, *([RANDOMNESS] if fresh else [])]
        for member in self.members if parts else ():
            member.reset(parts)
        self._apply_settings()

    def _read_states(self, snapshot: "Snapshot") -> list[bytes]:
        """Return each seed's saved state in a snapshot; raise `ConfigError` if there is none, or another trainer's."""
        layout = snapshot.header["layout"]
        theirs = layout.get("trainer", "ppo")
        require(theirs == self._name, f"the trainer must be {theirs}, as when saved, got {self._name}; set trainer")
        states = [snapshot.arrays.get(f"{_STATE}{number}") for number in range(int(layout["members"]))]
        known = [state.tobytes() for state in states if state is not None]
        require(
            len(known) == len(states) > 0, f"trainer={self._name} keeps no state to go on from; train from the start"
        )
        return known

    def _load_states(self, states: Sequence[bytes], snapshot: "Snapshot") -> None:
        from unstuck.rl.checkpoint import libraries

        exactly = [member.load_state(state) for member, state in zip(self.members, states, strict=True)]
        self.resumed_exactly = all(exactly) and snapshot.header["libraries"] == libraries()
        self._running = None

    def _apply_settings(self) -> None:
        """Pass the next iteration's settings, schedules applied, to the trainer of each member (seed)."""
        left = self._budget.share_left(self.iteration, self.config.batch_size)
        settings = compute_settings(self.config, left)
        for member in self.members:
            member.apply(settings)


def compute_settings(config: PPOConfig, left: float) -> dict[str, Any]:
    """Return PPO's settings by name; compute those with a schedule for the share `left` of the training that is left.

    Example:
        >>> compute_settings(PPOConfig(lr=0.5, lr_schedule="linear"), 0.25)["lr"]
        0.125
    """
    settings = {item.name: getattr(config, item.name) for item in fields(config)}
    decayed = {name: settings[name] * left for name, kind in _SCHEDULES.items() if settings[kind] == "linear"}
    return settings | decayed
