"""Word messages: counts with their nouns, and the known name that a mistyped name most likely means."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def pluralize(count: int, noun: str) -> str:
    """Format a count and a noun, e.g. `1 trial` or `11 trials`.

    >>> pluralize(1, "trial"), pluralize(11, "evaluation")
    ('1 trial', '11 evaluations')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def compute_likeness(name: str, known: str) -> float:
    """Compute how similar two names are, from 0 to 1, ignoring case (Ratcliff and Obershelp 1988)."""
    return SequenceMatcher(None, known.lower(), name.lower()).ratio()


def find_nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most similar to a wrong name; of equals, the last in the alphabet.

    Example:
        >>> find_nearest("cartpole", ["Pendulum-v1", "CartPole-v0", "CartPole-v1"])
        'CartPole-v1'
    """
    return max(known, key=lambda one: (compute_likeness(name, one), one))


def find_near(name: str, known: Iterable[str], least: float) -> str | None:
    """Return the known name most similar to a wrong one; None if no similarity reaches `least`.

    Example:
        >>> find_near("linaer", ["constant", "linear"], 0.7), find_near("cubic", ["constant", "linear"], 0.7)
        ('linear', None)
    """
    close = [one for one in known if compute_likeness(name, one) >= least]
    return find_nearest(name, close) if close else None
