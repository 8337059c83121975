"""Remedies that several rules propose: multiples of what was logged, and usual values in place of unusual ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.diagnosis.finding import Remedy
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import number

LARGEST_RATE = 3e-2
"""Learning rate above which none is proposed."""

USUAL_RATES = (3e-4, 1e-3)
"""Learning rates in place of one that is orders of magnitude off: for long runs, and for short ones."""

RATE = "ppo.lr"

HORIZON = "ppo.gamma"
"""Setting whose usual range depends on the task: where steps are independent, nothing lies ahead."""

TRACES = "ppo.gae_lambda"

LONG_TRACES = 0.99
"""gae_lambda above which advantages look as far ahead as gamma lets them: usual with a usual horizon alone."""


@dataclass(frozen=True)
class Usual:
    """Setting's usual value, and the range outside which the setting alone can keep a run from learning.

    Attributes:
        value: Value to go back to.
        least: Least value that has been seen to train.
        most: Largest value that has been seen to train.
    """

    value: Any
    least: float
    most: float


HEAVY = 2.0
"""Weight of the value loss (value_coef) above which the critic may take a shared trunk for itself."""

USUAL: Mapping[str, Usual] = {
    RATE: Usual(3e-4, 2e-5, 5e-3),
    "ppo.clip_range": Usual(0.2, 0.05, 0.5),
    "ppo.target_kl": Usual(None, 3e-3, float("inf")),
    "ppo.max_grad_norm": Usual(0.5, 0.05, float("inf")),
    "ppo.adam_eps": Usual(1e-5, 0.0, 1e-4),
    "ppo.num_epochs": Usual(4, 2, 15),
    "ppo.clip_range_vf": Usual(None, 0.05, float("inf")),
    "ppo.entropy_coef": Usual(0.01, 0.0, 0.1),
    "ppo.value_coef": Usual(0.5, 0.05, 5.0),
    HORIZON: Usual(0.99, 0.9, 0.998),
    TRACES: Usual(0.95, 0.8, 1.0),
}
"""Usual values and wide ranges about them, by setting: Huang et al. 2022 (37 details), Andrychowicz et al. 2021 (What
matters in on-policy RL, ranges swept), Stable-Baselines3's defaults."""

FEW_UNITS, FEW_SAMPLES = 8, 16
"""Units of a layer, and samples of a minibatch, below which either can keep a run from learning."""

_MINIBATCHES = (256, 128, 64, 32, 16)
"""Usual sizes of a minibatch, the most usual first."""

_STEP_LIMITS = ("ppo.target_kl", "ppo.clip_range", "ppo.max_grad_norm", "ppo.num_epochs")
"""Settings beside the learning rate that limit an update if they are small, the most frequent fault first."""


def find_unusual(run: Signals, path: str) -> float | None:
    """Return the recorded value of a setting if it lies outside the usual range; None if usual or not recorded."""
    usual, value = USUAL[path], run.rate if path == RATE else run.read_number(path)
    least = 0.0 if path == HORIZON and run.steps_are_independent else usual.least
    return None if value is None or least <= value <= usual.most else value


def restore_usual(run: Signals, paths: Iterable[str], watch: str, side: int = 0) -> tuple[Remedy, ...]:
    """Propose the usual values of settings whose recorded values lie far outside the usual range, as remedies.

    Args:
        run: The run.
        paths: Settings of `USUAL` by dotted path.
        watch: Effect to watch for.
        side: 1 for values that are too large alone, -1 for values that are too small alone, 0 for both.
    """
    remedies = []
    for path in paths:
        value, usual = find_unusual(run, path), USUAL[path]
        if value is None or side * (value - usual.least) < 0:
            continue
        far = "above" if value > usual.most else "below"
        why = f"{path.rpartition('.')[2]} {number(value)} is far {far} what is usual"
        remedies.append(Remedy({path: _list_usual_rates(value)[0] if path == RATE else usual.value}, why, watch))
    return tuple(remedies)


def restore_step_limits(run: Signals, watch: str) -> tuple[Remedy, ...]:
    """Propose usual values of settings, except the learning rate, that keep updates from changing much.

    A large epsilon of Adam shortens every step; the others do so if they are small.
    """
    return (*restore_usual(run, _STEP_LIMITS, watch, -1), *restore_usual(run, ("ppo.adam_eps",), watch, 1))


def list_unusual(run: Signals) -> tuple[Remedy, ...]:
    """Propose the usual value of each setting whose recorded value alone can keep a run from learning, as remedies."""
    watch = "the score above the control's at equal iterations"
    remedies = [*restore_usual(run, USUAL, watch), *_shorten_traces(run, watch)]
    sizes, minibatch = run.setting("ppo.hidden_sizes"), run.read_number("ppo.minibatch_size")
    if isinstance(sizes, tuple | list) and sizes and min(sizes) < FEW_UNITS:
        remedies.append(Remedy({"ppo.hidden_sizes": (64, 64)}, f"{min(sizes)} units hold little of a policy", watch))
    samples = (run.read_number("ppo.num_envs") or 0) * (run.read_number("ppo.num_steps") or 0)
    fitting = [size for size in _MINIBATCHES if samples and samples % size == 0]
    if minibatch is not None and minibatch < FEW_SAMPLES and fitting:
        why = f"minibatches of {number(minibatch)} samples make steps that are mostly noise"
        remedies.append(Remedy({"ppo.minibatch_size": fitting[0]}, why, watch))
    if run.rate_is_annealed:
        remedies.append(Remedy({"ppo.lr_schedule": "constant"}, "the schedule has brought the rate to nothing", watch))
    if run.setting("ppo.normalize_advantage") is False:
        remedies.append(Remedy({"ppo.normalize_advantage": True}, "gives the policy's loss its usual scale", watch))
    return tuple(remedies)


def _shorten_traces(run: Signals, watch: str) -> tuple[Remedy, ...]:
    """Propose the usual gae_lambda if gamma is far too high and gae_lambda is 1 or nearly so, as a remedy."""
    usual, traces, horizon = USUAL[TRACES], run.read_number(TRACES), find_unusual(run, HORIZON)
    if horizon is None or horizon < USUAL[HORIZON].most or traces is None or traces <= LONG_TRACES:
        return ()
    why = f"gae_lambda {number(traces)} with gamma {number(horizon)} sums the noise of all rewards ahead"
    return (Remedy({TRACES: usual.value}, why, watch),)


def change_rate(run: Signals, factors: Sequence[float], why: str, watch: str) -> tuple[Remedy, ...]:
    """Propose multiples of the run's learning rate as remedies; none if the run did not record the rate.

    Where the rate is orders of magnitude off in the direction of the factors, no small factor can cure the run: usual
    rates are then proposed first. A rate above the usual range is never raised.

    Args:
        run: The run.
        factors: Factors from the rate on record to the rates to try.
        why: Reason for the change.
        watch: Effect to watch for.
    """
    rate = run.rate
    if rate is None or (factors[0] > 1 and rate > USUAL[RATE].most):
        return ()
    rates = sorted({float(f"{min(rate * factor, LARGEST_RATE):.1g}") for factor in factors}, reverse=factors[0] < 1)
    multiples = Remedy({RATE: rates if len(factors) > 1 else rates[0]}, why, watch)
    far = restore_usual(run, (RATE,), watch, -1 if factors[0] > 1 else 1)
    usual = tuple(Remedy({RATE: _list_usual_rates(rate)}, remedy.why, watch) for remedy in far)
    return (*usual, multiples)


def _list_usual_rates(rate: float) -> list[float]:
    """Return the usual learning rates, nearest to the run's rate first."""
    return sorted(USUAL_RATES, reverse=rate > USUAL_RATES[0])
