"""A trial in its worker: trains all members of one configuration, and talks to nobody but Ray Tune."""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.tune import Trainable

from rl import metrics
from rl.data.types import FlowData
from rl.learner import Learner, Metrics
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner
from sweeps.assignment import ASSIGNMENT, RECORDS, Assignment
from sweeps.config import SweepConfig
from sweeps.record import Record


class TrialTrainable(Trainable):
    """One step is one evaluation period: trials are judged at evaluations, so nothing is gained by reporting sooner.

    Setting up writes nothing, since Tune may set up a trial on two actors. A worker that died starts its trial anew;
    the same seeds give the same numbers, and the driver skips what it has on record.
    """

    def setup(self, config: dict[str, Any], data: FlowData | None = None) -> None:
        """See `Trainable.setup`.

        Args:
            config: Holds the `Assignment`.
            data: The flows, read once by the driver: the same for all trials.
        """
        self._data = data
        self._start(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process, which saves 2 s of importing (`reuse_actors`)."""
        self._start(new_config[ASSIGNMENT])
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next evaluation, or to the first metric that is not finite."""
        records = train_period(self._learner, self._config.sweep.metric)
        return {"training_iteration": self._learner.iteration, RECORDS: records}

    def _start(self, assignment: Assignment) -> None:
        self._config = assignment.config
        self._learner = learner_of(self._config, self._data)


def learner_of(config: SweepConfig, data: FlowData | None) -> Learner:
    """The learner that a trial of this configuration trains: same configuration, same numbers."""
    return make_learner(
        config.ppo,
        config.env,
        member_seeds(config.sweep.seed, config.sweep.seeds),
        evaluation_seed(config.sweep.seed),
        data,
        order=config.data.order,
    )


def train_period(learner: Learner, metric: str) -> list[Record]:
    """Iterations up to and including the next evaluation; fewer if a metric is not finite."""
    records = []
    evaluated = False
    while not evaluated:
        measured = learner.iterate()
        evaluated = metrics.EVAL_RETURN in measured
        means = summarise(measured, (*metrics.PER_SEED, metric))
        records.append(Record(learner.iteration, time.time_ns() // 1_000_000, means))
        if not all(map(math.isfinite, means.values())):
            break
    return records


def summarise(measured: Metrics, per_seed: Sequence[str]) -> dict[str, float]:
    """Means over members, one that is not finite included (never a nanmean), and some members' own values."""
    result = {name: float(np.mean(values)) for name, values in measured.items()}
    for name in per_seed:
        for member, value in enumerate(measured.get(name, ())):
            result[metrics.seed_metric(name, member)] = float(value)
    return result
