"""How long a member trains, and when it is evaluated: in environment steps, so that rollouts of any size compare."""

from dataclasses import dataclass

from unstuck.rl.config import PPOConfig


@dataclass(frozen=True)
class Budget:
    """A member's budget. It can be shared by configurations whose rollouts differ in size.

    Attributes:
        steps: Environment steps to train for, over all of the member's lanes. The last update overshoots them by less
            than one rollout.
        eval_every: Environment steps between evaluations; one is due when an update passes a multiple, and at the end.
    """

    steps: int
    eval_every: int

    @classmethod
    def from_config(cls, config: PPOConfig) -> "Budget":
        """The budget that a configuration has by itself."""
        return cls(config.num_iterations * config.batch_size, config.eval_every * config.batch_size)

    def iterations(self, batch: int) -> int:
        """Updates until it is used up, with rollouts of so many steps."""
        return -(-self.steps // batch)

    def left(self, iteration: int, batch: int) -> float:
        """Share that is left after so many updates, in 0..1; what is annealed is multiplied by it."""
        return max(0.0, 1 - iteration * batch / self.steps)

    def evaluates_after(self, iteration: int, batch: int) -> bool:
        """Whether an evaluation is due after this update, counted from 1."""
        done = iteration * batch
        passed = done // self.eval_every > (done - batch) // self.eval_every
        return passed or iteration == self.iterations(batch)
