"""Who stops the hopeless: asynchronous successive halving, the stopping variant, with a tie-breaker.

Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (arXiv 1810.05934). Unlike in Ray's, a trial
counts in the rung that it is judged by, a non-finite value is the worst instead of passing unseen (ray#8671), and ties
are broken, because early on F1 is 0 for almost every trial. In words: `docs/early_stopping.md`.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from sweeps.config import SchedulerConfig
from sweeps.errors import SweepError
from sweeps.outcome import Outcome, Verdict


@dataclass(frozen=True)
class RungEntry:
    """A trial's result at a rung: all that a fresh process needs to judge the trials that follow.

    Attributes:
        trial: The trial's number.
        rung: Which rung, counted from 1.
        iteration: The evaluation that was recorded: the first at or beyond the rung.
        value: The objective there, mean over members; may be non-finite.
        tie_breaker: The undiscounted episode return there, mean over members; higher is better.
        spared: Whether the trial is exempt from pruning.
    """

    trial: int
    rung: int
    iteration: int
    value: float
    tie_breaker: float
    spared: bool


class Asha:
    """Judges a trial at each rung against those that came there before it.

    Decisions depend on the order of arrival: the first `reduction_factor - 1` trials at a rung always continue, and
    so does whoever is the best so far. That is the price of never waiting for others. The order of entries already
    recorded does not matter.

    Attributes:
        rungs: Iterations `grace, grace * eta, grace * eta^2, ...`, all below `num_iterations`.
    """

    def __init__(self, config: SchedulerConfig, num_iterations: int, mode: str, seed: int) -> None:
        """Lay out the rungs.

        Args:
            config: First rung, reduction factor (eta) and the share of trials that is spared.
            num_iterations: A trial's full length; nothing is pruned there.
            mode: `max` or `min`, how values compare. The tie-breaker is always maximised.
            seed: The sweep's; decides with a trial's number whether it is spared.
        """
        self._config = config
        self._num_iterations = num_iterations
        self._mode = mode
        self._seed = seed
        rungs = []
        rung = config.grace_iterations
        while rung < num_iterations:
            rungs.append(rung)
            rung *= config.reduction_factor
        self.rungs: tuple[int, ...] = tuple(rungs)
        self._entries: dict[int, dict[int, RungEntry]] = {}
        self.restore(())

    def is_spared(self, trial: int) -> bool:
        """Whether this trial is never pruned, to measure what pruning costs. The same in every process."""
        return random.Random(f"spared {self._seed} {trial}").random() < self._config.spared_share

    def judge(
        self, trial: int, iteration: int, value: float, tie_breaker: float
    ) -> tuple[list[RungEntry], Verdict | None]:
        """Record an evaluation at every rung that the trial has newly reached, and judge it there.

        Args:
            trial: The trial's number.
            iteration: That of the evaluation, counted from 1.
            value: The objective, mean over members.
            tie_breaker: The undiscounted episode return, mean over members.

        Returns:
            The new entries, to be stored before the verdict acts, and why the trial must end, or None. Entries of a
            trial that ends stay. At `num_iterations` a trial is recorded and never stopped: nothing is left to save.
        """
        spared = self.is_spared(trial)
        entries = []
        for rung, reached in zip(self._entries, self.rungs, strict=True):
            if iteration >= reached and trial not in self._entries[rung]:
                entry = RungEntry(trial, rung, iteration, value, tie_breaker, spared)
                self._entries[rung][trial] = entry
                entries.append(entry)
        if spared or iteration >= self._num_iterations:
            return entries, None
        return entries, next((verdict for entry in entries if (verdict := self._verdict(entry))), None)

    def restore(self, entries: Iterable[RungEntry]) -> None:
        """Rebuild the rungs from entries recorded earlier, in place of what is there.

        Raises:
            SweepError: If an entry does not fit the rungs: they were laid out by other settings.
        """
        self._entries = {rung: {} for rung in range(1, len(self.rungs) + 1)}
        for entry in entries:
            if entry.rung not in self._entries or entry.iteration < self.rungs[entry.rung - 1]:
                raise SweepError(
                    f"recorded rungs must fit the present ones, at iterations {list(self.rungs)}; "
                    f"got rung {entry.rung} at iteration {entry.iteration} from trial {entry.trial}; "
                    "resume with the scheduler.* and ppo.num_iterations that the sweep was started with"
                )
            self._entries[entry.rung][entry.trial] = entry

    def _verdict(self, entry: RungEntry) -> Verdict | None:
        """Stop unless fewer than `max(1, n // eta)` of the rung's n entries, this one included, are better."""
        ranked = sorted(self._entries[entry.rung].values(), key=self._rank, reverse=True)
        if len(ranked) < self._config.reduction_factor:
            return None
        cutoff = ranked[max(1, len(ranked) // self._config.reduction_factor) - 1]
        if self._rank(cutoff) <= self._rank(entry):
            return None
        return Verdict(Outcome.PRUNED, f"asha rung {entry.rung}: {self._comparison(entry, cutoff)}")

    def _rank(self, entry: RungEntry) -> tuple[float, float]:
        """Higher is better. A non-finite value is the worst whatever the return; a non-finite return loses all ties."""
        if not math.isfinite(entry.value):
            return -math.inf, -math.inf
        value = entry.value if self._mode == "max" else -entry.value
        return value, entry.tie_breaker if math.isfinite(entry.tie_breaker) else -math.inf

    def _comparison(self, entry: RungEntry, cutoff: RungEntry) -> str:
        if entry.value == cutoff.value:
            returns = _apart(entry.tie_breaker, "<", cutoff.tie_breaker)
            return f"{entry.value:.4g} = {cutoff.value:.4g}, return {returns}"
        return _apart(entry.value, "<" if self._mode == "max" else ">", cutoff.value)


def _apart(ours: float, sign: str, theirs: float) -> str:
    """Both numbers to 4 significant digits, or to as many as tell them apart (17 tell any two floats apart)."""
    digits = next(digits for digits in range(4, 18) if f"{ours:.{digits}g}" != f"{theirs:.{digits}g}")
    return f"{ours:.{digits}g} {sign} {theirs:.{digits}g}"
