"""Tell what rules ask of a run beside its curves: what its settings, actions and entropy imply."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.diagnosis.curves import LATE_SHARE, Curves
from unstuck.analysis.diagnosis.rates import follows_kl
from unstuck.analysis.diagnosis.tasks import find_task
from unstuck.analysis.diagnosis.window import QUARTERS
from unstuck.analysis.history import ENV_STEPS, History
from unstuck.analysis.history.derive import derive_spread
from unstuck.analysis.history.record import EPISODE_LENGTH, FINISHED, POLICY_STD
from unstuck.analysis.words import number
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

_FEW = 8
"""Values that an entropy must have had near 0 to stay there."""

MOST_GUESSED = 8
"""Largest number of actions that the first entropy tells. Logarithms of larger numbers lie so close that any entropy is
near one: of 17 actions, or of two continuous ones of spread 1, it is 2.83."""

NEARLY_UNIFORM = 0.98
"""Share of the largest entropy that an untrained policy has at least: a small last layer leaves 0.995 and more."""

ROUNDING = 1e-3
"""Nats by which an entropy may exceed its bounds in float32 and in print."""

BITS = 1 / math.log(2)
"""Bits in a nat: some log entropies in bits."""

GONE = 0.05
"""Entropy, in nats, near 0: one action has 99 % of the probability. A differential entropy does not stop there."""

SIGNED = -1e-5
"""A KL below this is a signed estimate (old minus new log-probability): rounding of the others stays above."""

LAST_DIGIT = 1e-4
"""The last digit of a KL that is printed short."""

STILL_KL = 1e-9
"""Mean KL of an update that has moved nothing: the rounding of ratios that are 1."""

CHANGED = 0.05
"""Share by which entropy, or the spread of actions, must have changed to show that the policy did: the entropy of a
policy that stays the same varies by less with the observations that it meets."""

OURS = "unstuck"
"""Dialect of runs of our own learner, and of a user's whose log has our names."""

WINDOW, WINDOWED = 100, ("sb3", "sb2", "baselines", "rllib")
"""Episodes whose mean these programs log as the return, so that neighbouring values share most of them."""

ANNEALED = 0.3
"""Share of the largest learning rate in force below which small steps were asked for."""


_OPTION = re.compile(r"\d+\.\d+")
"""Name of an option of one of several choices: the choice's number, then the option's."""


class ActionKind(StrEnum):
    """Kinds of actions (discrete, continuous or unknown), which decide how to read an entropy.

    Attributes:
        DISCRETE: The entropy lies between 0 and ln n.
        CONTINUOUS: The entropy is a differential one: without a maximum, and negative for small spreads.
        UNKNOWN: The record does not tell.
    """

    DISCRETE = "discrete"
    CONTINUOUS = "continuous"
    UNKNOWN = "unknown"


class Signals(Curves):
    """Metrics and settings of one run, and what these imply: plan, kind of actions, largest entropy, action shares.

    Args:
        history: The run so far; rules judge a running run by the same code.

    Attributes:
        history: The run.
    """

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._shares: dict[str, pd.DataFrame] = {}
        self._dominance: dict[str, pd.Series[float]] = {}
        if not self.is_triage:
            self.history = derive_spread(history)

    def compute_progress(self, iteration: int) -> float:
        """Compute the share of the planned iterations (or of those done without a plan) done at an iteration.

        Iterations before those of a record that begins in mid-run are done, too.
        """
        before = self.history.unrecorded
        return (iteration + before) / max(1, self.planned or 0, self.history.length + before)

    @cached_property
    def planned(self) -> int | None:
        """Number of iterations planned for the run, from settings or total environment steps; None if unknown."""
        if (iterations := self.read_number("ppo.num_iterations")) is not None:
            return int(iterations)
        total, steps = self.read_number("total_timesteps"), self.select_finite(ENV_STEPS)
        if total is None or steps.empty or not 0 < float(steps.iloc[-1]) <= total:
            return None
        return round((int(steps.index[-1]) + self.history.unrecorded) * total / float(steps.iloc[-1]))

    @cached_property
    def averaged(self) -> int:
        """Number of iterations that a logged training return averages, as for a mean of the last 100 episodes."""
        steps, lengths = self.select_finite(ENV_STEPS), self.select_finite(EPISODE_LENGTH)
        if self.history.dialect not in WINDOWED or len(steps) < 2 or lengths.empty:
            return 1
        stride = float(np.median(np.diff(steps.to_numpy())))
        return max(1, math.ceil(WINDOW * float(lengths.median()) / max(stride, 1.0)))

    @property
    def has_ended(self) -> bool:
        """True if the run is over: by the user's word, or else by its plan or record; False if unknown."""
        told = self.setting(FINISHED)
        if isinstance(told, bool):
            return told
        done = self.history.last_iteration + self.history.unrecorded
        return self.history.has_ended or (self.planned is not None and done >= self.planned)

    @cached_property
    def is_ours(self) -> bool:
        """True if our own learner made the run, so that each metric's meaning and usual size is known."""
        return self.history.program == OURS and self.planned is not None

    @property
    def is_measured_by_us(self) -> bool:
        """True if our learner, or our logger in another program's loop, measured the run's metrics."""
        return self.is_ours or self.history.probed != ""

    # Settings

    def setting(self, path: str, default: Any = None) -> Any:
        """Return the value of the run's setting at a dotted path such as `ppo.lr`; `default` if not recorded."""
        return self.history.setting(path, default)

    def read_number(self, path: str) -> float | None:
        """Return a setting as a float; None if the setting is not recorded or not a number."""
        value = self.setting(path)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def returns_normalised(self) -> bool | None:
        """True if the run normalises returns, so the critic's targets have standard deviation 1; None if unknown."""
        value = self.setting("ppo.normalize_returns")
        return None if value is None else value not in (False, "none", "False")

    @property
    def steps_are_independent(self) -> bool | None:
        """True if successive observations are independent draws in the run's environment; None if unknown."""
        if not self.is_triage:
            return False if "env.id" in self.history.settings else None
        order = self.setting("data.order")
        return None if order is None else order == "shuffled"

    @property
    def is_triage(self) -> bool:
        """True if the run's task is triage of network flows, judged by settings or names of actions."""
        return "Triage" in str(self.setting("env.id", "")) or set(metrics.ACTIONS) <= set(self.actions)

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions in the run, from recorded action shares or from the settings."""
        return tuple(self.history.family(metrics.ACTION_PREFIX)) or tuple(self.setting("env.actions") or ())

    @cached_property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """Names of the actions in groups: one group, or one for each part if an action has several parts.

        A name "i.j" is option j of choice i, as of Gymnasium's MultiDiscrete. The shares of each group sum to 1.
        """
        groups: dict[str, list[str]] = {}
        combined = all(_OPTION.fullmatch(name) for name in self.actions)
        for name in self.actions:
            groups.setdefault(name.partition(".")[0] if combined else "", []).append(name)
        return tuple(map(tuple, groups.values()))

    # Behaviour

    @cached_property
    def action_kind(self) -> ActionKind:
        """Kind of the run's actions (discrete or continuous), from action names, policy std, task or entropy."""
        entropy, task = self.select_finite(metrics.ENTROPY), find_task(self.setting("env.id"))
        if len(self.actions) > 1:
            fits = (
                self.is_measured_by_us or entropy.empty or float(entropy.max()) <= self._named_range * BITS + ROUNDING
            )
            return ActionKind.DISCRETE if fits else ActionKind.UNKNOWN  # names of a part of what the policy draws
        if self.has(POLICY_STD):
            return ActionKind.CONTINUOUS
        if task is not None and task.actions is None:
            return ActionKind.CONTINUOUS
        if task is not None and task.actions is not None:
            fits = entropy.empty or float(entropy.max()) <= math.log(task.actions) + ROUNDING
            return ActionKind.DISCRETE if fits else ActionKind.UNKNOWN  # of another unit, or summed
        if entropy.empty:
            return ActionKind.UNKNOWN
        if float(entropy.min()) < -ROUNDING:
            return ActionKind.CONTINUOUS
        late = entropy.iloc[-max(_FEW, math.ceil(LATE_SHARE * len(entropy))) :]
        gone = len(late) >= _FEW and min(float(late.median()), float(entropy.median())) < GONE
        return ActionKind.DISCRETE if gone or self._guessed_range is not None else ActionKind.UNKNOWN

    @cached_property
    def entropy_range(self) -> float | None:
        """Largest possible entropy of the run's policy, ln n for n discrete actions; None if n is unknown.

        An action of several choices has the sum of their entropies.

        Without names of actions n is told from the start: an untrained policy is nearly uniform, so an entropy up to 2
        % below ln 2, ln 3, ... ln 8 gives the number of actions, unless a later entropy is larger.
        """
        task = find_task(self.setting("env.id"))
        if self.action_kind is not ActionKind.DISCRETE:
            return None
        if len(self.actions) > 1:
            return self._named_range if self._is_within(self._named_range) else None  # in bits, perhaps
        if task is not None and task.actions:
            return math.log(task.actions)
        return self._guessed_range

    @property
    def _named_range(self) -> float:
        """Largest entropy of the actions that are named: the sum of ln n over an action's choices."""
        return math.fsum(math.log(len(names)) for names in self.choices)

    def _is_within(self, most: float) -> bool:
        """True unless another program's entropy exceeds a bound, which is then none of its policy's."""
        entropy = self.select_finite(metrics.ENTROPY)
        return self.is_measured_by_us or entropy.empty or float(entropy.max()) <= most + ROUNDING

    @cached_property
    def _guessed_range(self) -> float | None:
        """Guess the largest possible entropy from the first recorded entropy; None if no number of actions fits."""
        start, entropy = self.select_first(metrics.ENTROPY, 1), self.select_finite(metrics.ENTROPY)
        if start is None or self.history.unrecorded:
            return None
        sizes = (math.log(number) for number in range(2, MOST_GUESSED + 1))
        most = next((size for size in sizes if NEARLY_UNIFORM * size <= start.mean <= size + ROUNDING), None)
        return most if most is not None and float(entropy.max()) <= most + ROUNDING else None

    @cached_property
    def entropy_reference(self) -> float | None:
        """Entropy to compare a fall of the entropy with: the largest possible, or the first recorded, or ln 2."""
        start = self.select_first(metrics.ENTROPY)
        if self.entropy_range is not None or self.action_kind is not ActionKind.DISCRETE or start is None:
            return self.entropy_range
        return max(start.mean, math.log(2))

    @cached_property
    def rate(self) -> float | None:
        """Learning rate from the settings, or else the largest one logged; None if neither has it."""
        logged = self.select_finite(metrics.LR)
        wanted = self.read_number("ppo.lr")
        return wanted if wanted or logged.empty else float(logged.max())

    @cached_property
    def rate_follows_kl(self) -> bool:
        """True if the logged learning rate goes up and down as one does that is set by the KL of updates, or may be."""
        return follows_kl(self.select_finite(metrics.LR).to_numpy(), self.history.program)

    @cached_property
    def rate_is_annealed(self) -> bool:
        """True if the learning rate has fallen far by a schedule, and not after KL, by logged rates or settings."""
        rate, wanted = self.select_last(metrics.LR, share=0.0, least=1), self.read_number("ppo.lr")
        schedule = self.setting("ppo.lr_schedule")
        if rate is None or schedule == "constant" or (self.is_ours and schedule is None) or self.rate_follows_kl:
            return False
        most = max(float(self.select_finite(metrics.LR).max()), wanted or 0.0 if schedule else 0.0)
        return rate.mean < ANNEALED * most

    @cached_property
    def kl_is_signed(self) -> bool:
        """True if recorded KL values are clearly negative, so that the logged estimate can have either sign."""
        kl = self.select_finite(metrics.APPROX_KL)
        return not kl.empty and float(kl.min()) < SIGNED

    @cached_property
    def kl_is_cut_off(self) -> bool:
        """True if KL was printed with four digits behind the point or fewer, so that a KL of 0 is a small one."""
        kl = self.select_finite(metrics.APPROX_KL).abs().to_numpy() / LAST_DIGIT
        above = kl[kl > 0]
        if self.is_measured_by_us or not 0 < len(above) < len(kl) or above.min() < 1 - ROUNDING:
            return False
        return bool(np.allclose(kl, np.round(kl), rtol=0.0, atol=ROUNDING))

    @cached_property
    def kl_precedes_step(self) -> bool:
        """True if every recorded KL is 0 though the policy changes, as KL was taken before an update's only step.

        The ratio of the first gradient step is 1, so with one step an update KL and clip fraction tell nothing.
        """
        kl = self.select_all(metrics.APPROX_KL)
        if kl is None or len(kl.values) < QUARTERS or max(map(abs, kl.values)) > STILL_KL:
            return False
        pairs = [(self.select_first(name), self.select_last(name)) for name in (metrics.ENTROPY, POLICY_STD)]
        return any(first and last and abs(last.mean - first.mean) > CHANGED * abs(first.mean) for first, last in pairs)

    def shares(self, prefix: str) -> pd.DataFrame:
        """Return the shares of sampled or greedy actions as a table: rows are iterations, columns are actions.

        Only iterations at which all shares were recorded have a row.
        """
        found = self._shares.get(prefix)
        if found is None:
            found = self._shares[prefix] = _tabulate(self.history.family(prefix))
        return found

    def group_shares(self, prefix: str) -> list[list[str]]:
        """Return the names of the actions with recorded shares under a prefix, in groups for each part of an action."""
        recorded = list(self.shares(prefix).columns)
        groups = [[name for name in names if name in recorded] for names in self.choices]
        return [names for names in groups if names] or ([recorded] if recorded else [])

    def compute_dominance(self, prefix: str) -> "pd.Series[float]":
        """Compute the most frequent action's share by iteration; the smallest one if an action has several parts.

        A policy does the same all the time only where each of its choices does.
        """
        found = self._dominance.get(prefix)
        if found is None:
            shares = self.shares(prefix)
            most = [select_columns(shares, names).max(axis=1) for names in self.group_shares(prefix)]
            found = pd.Series(np.min(most, axis=0), shares.index) if most else pd.Series(dtype=float)
            self._dominance[prefix] = found
        return found

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """Table of confusion counts (columns tp, tn, fp, fn) by iteration; empty if one count is not recorded."""
        names = (metrics.TRUE_POSITIVES, metrics.TRUE_NEGATIVES, metrics.FALSE_POSITIVES, metrics.FALSE_NEGATIVES)
        if not self.has(*names):
            return pd.DataFrame()
        counts = _tabulate({name.rpartition("/")[2]: self.history.curve(name) for name in names})
        judged: pd.DataFrame = counts[counts.to_numpy().sum(axis=1) > 0]
        return judged

    @cached_property
    def threats_judged(self) -> float | None:
        """Share of threats among the network flows of all evaluations; None without confusion counts."""
        counts = self.confusion
        if counts.empty:
            return None
        return float(select_columns(counts, ("tp", "fn")).sum() / counts.to_numpy().sum())

    @cached_property
    def trivial_f1(self) -> Mapping[str, float]:
        """F1 of policies that have learned nothing, by policy name; from confusion counts if not recorded."""
        recorded = {name: self.select_last(name) for name in metrics.TRIVIAL}
        if all(recorded.values()):
            return {name.removeprefix(f"{metrics.F1}_"): window.mean for name, window in recorded.items() if window}
        threats = self.threats_judged
        if threats is None:
            return {}
        return {
            "flag_all": 2 * threats / (1 + threats),
            "flag_none": 0.0,
            "random": 1.5 * threats / (0.75 + threats) if len(self.actions) == len(metrics.ACTIONS) else 0.0,
        }

    def seeds(self, name: str, evaluations: int = FINAL_EVALUATIONS) -> Mapping[int, float]:
        """Return the mean of a metric's last evaluations by seed number; empty if only means were recorded."""
        curves = self.history.seeds(name)
        return {seed: float(curve.to_numpy()[-evaluations:].mean()) for seed, curve in curves.items() if len(curve)}


def select_columns(table: pd.DataFrame, names: Iterable[str]) -> npt.NDArray[np.float64]:
    """Return columns of a table as an array `[rows, names]`; by a list of names pandas takes ten times as long."""
    return np.column_stack([table[name].to_numpy(dtype=np.float64) for name in names])


def _tabulate(curves: "Mapping[str, pd.Series[float]]") -> pd.DataFrame:
    """Make a table of curves, a column each, with a row for each iteration at which all of them are finite."""
    if not curves:
        return pd.DataFrame()
    index = reduce(_intersect, (curve.index for curve in curves.values()))
    columns = [curve if len(curve) == len(index) else curve.loc[index] for curve in curves.values()]
    values = np.column_stack([column.to_numpy(dtype=np.float64) for column in columns])
    whole = np.flatnonzero(np.isfinite(values).all(axis=1))
    return pd.DataFrame(values[whole], index[whole], list(curves))


def _intersect(one: "pd.Index[Any]", other: "pd.Index[Any]") -> "pd.Index[Any]":
    return one if one.equals(other) else one.intersection(other)


def format_shares(shares: Sequence[float]) -> str:
    """Format shares of actions as percentages, such as `27.8 / 21.9 %`.

    >>> format_shares([0.278, 0.219])
    '27.8 / 21.9 %'
    """
    return " / ".join(f"{100 * share:.1f}" for share in shares) + " %"


def format_setting(value: Any) -> str:
    """Format a setting's value as text, with floats at a few significant digits."""
    return number(value) if isinstance(value, float) else str(value)
