"""Stop hopeless trials by asynchronous successive halving (ASHA), the stopping variant, with a tie-breaker.

Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (arXiv 1810.05934). Unlike in Ray's, a trial
counts in the rung that it is judged by; a non-finite value is the worst, where Ray leaves NaN out of the cutoff
(ray#6659) and lets the trial pass; and ties are broken, because early on F1 is 0 for almost every trial. In words:
`docs/early_stopping.md`.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from unstuck.records.axis import ITERATION, Axis
from unstuck.records.errors import SweepError
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.rungs import RungEntry
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.stopping.live_trial import LiveTrial


class Asha:
    """Judge that prunes a trial that does worse than others at a rung (a step at which trials are compared), by ASHA.

    Decisions depend on the order of arrival: the first `reduction_factor - 1` trials at a rung always continue, and so
    does the best trial so far. That is the price of never waiting for others. The order of entries already recorded
    does not matter.

    Attributes:
        rungs: Steps `grace, grace * eta, grace * eta^2, ...` on the sweep's axis, as long as no rung is judged by one
            of the evaluations that a trial's final value averages: else ranks at the rung and at the end would agree by
            construction. Rungs of a sweep of format 1 go on to the iteration before the last.

    Example:
        >>> from unstuck.sweeps.config.settings import SchedulerConfig, SweepConfig
        >>> scheduler = SchedulerConfig(grace_iterations=40, reduction_factor=2, spared_share=0.0)
        >>> asha = Asha(SweepConfig(scheduler=scheduler, ppo=PPOConfig(num_iterations=200, eval_every=20)))
        >>> asha.rungs
        (40, 80)
        >>> asha.judge_rungs(trial=0, iteration=40, value=0.5, tie_breaker=0.0)[1] is None  # the first at the rung
        True
        >>> print(asha.judge_rungs(trial=1, iteration=40, value=0.3, tie_breaker=0.0)[1].reason)
        asha rung 1: 0.3 < 0.5
    """

    def __init__(self, config: SweepConfig, axis: Axis | None = None) -> None:
        """Compute the rungs, the steps at which trials are compared, from the settings.

        Args:
            config: Settings of the scheduler, and the mode in which values compare. The tie-breaker is always
                maximised.
            axis: Axis that trials are counted by, with the full length of a trial, at which nothing is pruned; None:
                iterations.
        """
        self._config = config.scheduler
        self._axis = axis or Axis(ITERATION, 1, config.ppo.num_iterations)
        self._mode, self._metric = config.sweep.mode, config.sweep.metric
        self._seed = config.sweep.seed
        self._is_old = config.format < 2
        last = config.ppo.num_iterations - 1 if self._is_old else _find_last_before_final(config.ppo, self._axis)
        rungs = []
        rung = config.scheduler.grace_iterations
        while rung <= last:
            rungs.append(rung * self._axis.scale)
            rung *= config.scheduler.reduction_factor
        self.rungs: tuple[int, ...] = tuple(rungs)
        self._entries: dict[int, dict[int, RungEntry]] = {}
        self.restore(())

    def is_spared(self, trial: int) -> bool:
        """Return True if a trial is never pruned, to measure what pruning costs; each process gives the same answer.

        With a share of 1 / k the middle one of every k trials is spared, trial 0 not counted: no draw can make spared
        trials few.
        """
        share = self._config.spared_share
        if self._is_old:
            return random.Random(f"spared {self._seed} {trial}").random() < share
        spared_up_to = [math.floor(number * Fraction(str(share)) + Fraction(1, 2)) for number in (trial - 1, trial)]
        return trial > 0 and spared_up_to[0] < spared_up_to[1]

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Compare a trial with others at each new rung (ASHA step); return `pruned` and a reason, or None to go on.

        See `Judge.judge`.
        """
        last = period[-1]
        if (value := last.metrics.get(self._metric)) is None:
            return None
        tie_breaker = last.metrics[metrics.EVAL_RETURN]
        entries, verdict = self.judge_rungs(trial.number, last.step, value, tie_breaker, trial.is_control)
        trial.rungs += entries
        return verdict

    def judge_rungs(
        self, trial: int, iteration: int, value: float, tie_breaker: float, is_control: bool = False
    ) -> tuple[list[RungEntry], Verdict | None]:
        """Record an evaluation at each new rung (ASHA step); return the records, and `pruned` or None to go on.

        Args:
            trial: Number of the trial.
            iteration: Step of the evaluation, counted from 1, on the sweep's axis.
            value: Value of the objective, mean over members.
            tie_breaker: Undiscounted episode return, mean over members.
            is_control: True for the control, which all others are compared with at the end: the control is spared.

        Returns:
            New entries, to be stored before the verdict acts, and the verdict on a trial that must end, or None.
                Entries of a trial that ends stay. At full length a trial is recorded and never stopped: nothing is left
                to save.
        """
        spared = is_control or self.is_spared(trial)
        entries, verdicts = [], []
        for rung, reached in zip(self._entries, self.rungs, strict=True):
            if iteration >= reached and trial not in self._entries[rung]:
                entry = RungEntry(trial, rung, iteration, value, tie_breaker, spared)
                self._entries[rung][trial] = entry
                verdicts.append(self._judge_entry(entry))
                self._entries[rung][trial] = replace(entry, would_stop=verdicts[-1] is not None)
                entries.append(self._entries[rung][trial])
        # A spared trial, and one at full length, is judged for the record alone.
        if spared or iteration >= self._axis.length:
            return entries, None
        return entries, next(filter(None, verdicts), None)

    def restore(self, entries: Iterable[RungEntry]) -> None:
        """Replace the results at all rungs (ASHA steps) by recorded ones, e.g. at a resume.

        Raises:
            SweepError: An entry does not fit the rungs, which were computed from other settings.
        """
        self._entries = {rung: {} for rung in range(1, len(self.rungs) + 1)}
        for entry in entries:
            if entry.rung not in self._entries or entry.iteration < self.rungs[entry.rung - 1]:
                raise SweepError(
                    f"recorded rungs must fit the present ones, at {self._axis.units} {list(self.rungs)}; "
                    f"got rung {entry.rung} at {self._axis.unit} {entry.iteration} from trial {entry.trial}; "
                    "resume with the scheduler.*, ppo.num_iterations and ppo.eval_every that the sweep was started with"
                )
            self._entries[entry.rung][entry.trial] = entry

    def _judge_entry(self, entry: RungEntry) -> Verdict | None:
        """Return `pruned` with a reason if a trial is not among the best at a rung (ASHA step); else None.

        A trial goes on if fewer than `max(1, n // eta)` of the n results at the rung are better.
        """
        # The first ones at a rung go on: there are too few to compare with.
        ranked = sorted(self._entries[entry.rung].values(), key=self._make_sort_key, reverse=True)
        if len(ranked) < self._config.reduction_factor:
            return None
        # The last of the best 1 / eta; ties with it go on.
        cutoff = ranked[max(1, len(ranked) // self._config.reduction_factor) - 1]
        if self._make_sort_key(cutoff) <= self._make_sort_key(entry):
            return None
        return Verdict(Outcome.PRUNED, f"asha rung {entry.rung}: {self._describe_comparison(entry, cutoff)}")

    def _make_sort_key(self, entry: RungEntry) -> tuple[float, float]:
        """Return the key that sorts results at a rung (ASHA step): higher if better, ties by episode return.

        A non-finite value is the worst regardless of the return; a non-finite return loses all ties.
        """
        if not math.isfinite(entry.value):
            return -math.inf, -math.inf
        value = entry.value if self._mode == "max" else -entry.value
        return value, entry.tie_breaker if math.isfinite(entry.tie_breaker) else -math.inf

    def _describe_comparison(self, entry: RungEntry, cutoff: RungEntry) -> str:
        if entry.value == cutoff.value:
            returns = _format_comparison(entry.tie_breaker, "<", cutoff.tie_breaker)
            return f"{entry.value:.4g} = {cutoff.value:.4g}, return {returns}"
        return _format_comparison(entry.value, "<" if self._mode == "max" else ">", cutoff.value)


def _find_last_before_final(config: PPOConfig, axis: Axis) -> int:
    """Find the step of the last evaluation that the final value does not average; 0 if there is none."""
    before_the_end = (config.num_iterations - 1) // config.eval_every
    if axis.in_env_steps:  # with large rollouts the last evaluation is the one at the end
        before_the_end = config.num_iterations // config.eval_every - 1
    return max(0, before_the_end + 1 - metrics.FINAL_EVALUATIONS) * config.eval_every


def _format_comparison(ours: float, sign: str, theirs: float) -> str:
    """Format a comparison such as `0.3 < 0.5`, with as many digits (at least 4) as show the difference.

    17 digits tell any two floats apart.

    Example:
        >>> _format_comparison(0.3, "<", 0.5)
        '0.3 < 0.5'
        >>> _format_comparison(0.299999, "<", 0.3)
        '0.299999 < 0.3'
    """
    digits = next(digits for digits in range(4, 18) if f"{ours:.{digits}g}" != f"{theirs:.{digits}g}")
    return f"{ours:.{digits}g} {sign} {theirs:.{digits}g}"
