"""Adapt the training of one trial to Ray Tune; `sweeps.worker.training` does the work."""

from typing import Any

from ray.tune import Trainable
from unstuck.records.errors import DiskFullError
from unstuck.rl.data.types import FlowData
from unstuck.sweeps.worker.assignment import ASSIGNMENT, DELIVERY, DISK_FULL, Assignment, Delivery


class TrialTrainable(Trainable):
    """Ray Tune trainable, which trains one trial in a worker process; each `step` trains up to the next evaluation.

    Trials are judged at evaluations, so earlier reports gain nothing.

    Setting up writes nothing, since Tune may set up a trial on two actors. Tune keeps no checkpoints of its own: a
    worker that took over from a dead one, or from another process, finds the trial's checkpoint in the sweep's folder.
    """

    def setup(self, config: dict[str, Any], data: FlowData | None = None) -> None:
        """Make the learner of the assigned trial, and restore the trial's checkpoint if there is one.

        Args:
            config: Mapping that holds the `Assignment`.
            data: Flows, read once by the driver and shared by all trials; None for an environment without.
        """
        self._data = data
        self._start(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare the same process for a further trial, which saves 2 s of importing; return True."""
        del self._training  # else the old learner would stay in memory beside the new one
        self._start(new_config[ASSIGNMENT])
        return True

    def step(self) -> dict[str, Any]:
        """Train up to the next evaluation; return a dict with a `Delivery`, the new iterations, for the driver.

        The period ends at the next evaluation, at the first metric that is not finite, or at a full disk.
        """
        try:
            delivery = Delivery(self._training.next_period(), self._training.take_notes())
        except DiskFullError as error:
            delivery = Delivery([], {DISK_FULL: str(error)})
        return {"training_iteration": self._training.trainer.iteration, DELIVERY: delivery}

    def _start(self, assignment: Assignment) -> None:
        from unstuck.sweeps.worker.training import Training  # late: it brings torch, which the driver does without

        self._training = Training(assignment, self._data)
