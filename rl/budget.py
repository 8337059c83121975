"""Budget of a member's training and evaluations, in environment steps, so that rollouts of any size compare."""

from dataclasses import dataclass

from unstuck.rl.config import PPOConfig


@dataclass(frozen=True)
class Budget:
    """Length of a training, and distance between evaluations, in environment steps; the same for rollouts of any size.

    Attributes:
        steps: Environment steps to train for, over all of the member's lanes. The last update overshoots them by less
            than one rollout.
        eval_every: Environment steps between evaluations; one is due when an update passes a multiple, and at the end.

    Example:
        >>> budget = Budget(steps=1000, eval_every=500)
        >>> budget.iterations(batch=300), budget.share_left(iteration=2, batch=300)
        (4, 0.4)
        >>> [budget.evaluates_after(iteration, batch=300) for iteration in (1, 2, 3, 4)]
        [False, True, False, True]
    """

    steps: int
    eval_every: int

    @classmethod
    def from_config(cls, config: PPOConfig) -> "Budget":
        """Return the budget, in environment steps, that `num_iterations` and `eval_every` of a configuration mean."""
        return cls(config.num_iterations * config.batch_size, config.eval_every * config.batch_size)

    def iterations(self, batch: int) -> int:
        """Return how many updates a training needs to use up the budget, with rollouts of `batch` environment steps."""
        return -(-self.steps // batch)

    def share_left(self, iteration: int, batch: int) -> float:
        """Return the share of the budget (0 to 1) left after `iteration` updates, the factor of annealed settings."""
        return max(0.0, 1 - iteration * batch / self.steps)

    def evaluates_after(self, iteration: int, batch: int) -> bool:
        """True if the policy has to be evaluated right after update number `iteration`, counted from 1."""
        done = iteration * batch
        passed = done // self.eval_every > (done - batch) // self.eval_every
        return passed or iteration == self.iterations(batch)
