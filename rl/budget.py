"""Budget of a member's training and evaluations, in environment steps, so that rollouts of any size compare."""

from dataclasses import dataclass

from unstuck.rl.config import PPOConfig


@dataclass(frozen=True)
class Budget:
    """Length of a training, and distance between evaluations, in environment steps, for rollouts of any size.

    Attributes:
        steps: Environment steps to train for, over all of the member's lanes. The last update overshoots them by less
            than one rollout.
        eval_every: Environment steps between evaluations; one is due when an update passes a multiple, and at the end.
        done: Environment steps that the weights were trained for before: above 0 for a branch from a checkpoint.
        planned: Environment steps, those done included, that schedules were made for before the branch.

    Example:
        >>> budget = Budget(steps=1000, eval_every=500)
        >>> budget.iterations(batch=300), budget.share_left(iteration=2, batch=300)
        (4, 0.4)
        >>> [budget.evaluates_after(iteration, batch=300) for iteration in (1, 2, 3, 4)]
        [False, True, False, True]
        >>> Budget(steps=1000, eval_every=500, done=1000).share_left(iteration=1, batch=500)
        0.25
    """

    steps: int
    eval_every: int
    done: int = 0
    planned: int = 0

    @classmethod
    def from_config(cls, config: PPOConfig) -> "Budget":
        """Return the budget, in environment steps, that a configuration's `num_iterations` and `eval_every` mean."""
        return cls(config.num_iterations * config.batch_size, config.eval_every * config.batch_size)

    def iterations(self, batch: int) -> int:
        """Compute how many iterations use up the budget, with rollouts of `batch` environment steps."""
        return -(-self.steps // batch)

    def share_left(self, iteration: int, batch: int) -> float:
        """Compute the share of the training (0 to 1) left after `iteration` iterations, which scales annealed settings.

        A branch goes on with the schedule of the run, which is stretched where the branch trains for longer.
        """
        return max(0.0, 1 - (self.done + iteration * batch) / self.whole)

    @property
    def whole(self) -> int:
        """Environment steps at which schedules end, counted from the weights' first training."""
        return max(self.planned, self.done + self.steps)

    def evaluates_after(self, iteration: int, batch: int) -> bool:
        """True if an evaluation is due right after the given iteration, counted from 1."""
        done = iteration * batch
        passed = done // self.eval_every > (done - batch) // self.eval_every
        return passed or iteration == self.iterations(batch)
