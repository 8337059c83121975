"""Remedies that several rules propose: from what was logged, never from a default."""

from collections.abc import Sequence

from unstuck.analysis.diagnosis.finding import Remedy
from unstuck.analysis.diagnosis.signals import Signals

LARGEST_RATE = 3e-2
"""Learning rate above which none is proposed."""


def change_rate(run: Signals, factors: Sequence[float], why: str, watch: str) -> tuple[Remedy, ...]:
    """Propose multiples of the run's learning rate as remedies; none if the run did not record the rate.

    Args:
        run: The run.
        factors: Factors from the rate on record to the rates to try.
        why: Reason for the change.
        watch: Effect to watch for.
    """
    rate = run.rate
    if rate is None:
        return ()
    rates = sorted({float(f"{min(rate * factor, LARGEST_RATE):.1g}") for factor in factors}, reverse=factors[0] < 1)
    return (Remedy({"ppo.lr": rates if len(factors) > 1 else rates[0]}, why, watch),)
