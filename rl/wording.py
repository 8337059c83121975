"""Word messages: counts with their nouns, and the known name that a mistyped name most likely means."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def counted(count: int, noun: str) -> str:
    """Format a count and a noun, with an s for several.

    >>> counted(1, "trial"), counted(11, "evaluation")
    ('1 trial', '11 evaluations')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def likeness(name: str, known: str) -> float:
    """Compute how alike two names are, from 0 to 1, in whatever case (Ratcliff and Obershelp 1988)."""
    return SequenceMatcher(None, known.lower(), name.lower()).ratio()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like a wrong one; among equals, the last in the order of text.

    Example:
        >>> nearest("cartpole", ["Pendulum-v1", "CartPole-v0", "CartPole-v1"])
        'CartPole-v1'
    """
    return max(known, key=lambda one: (likeness(name, one), one))


def near(name: str, known: Iterable[str], least: float) -> str | None:
    """Return the known name that is most like a wrong one; None if none has a likeness of `least`.

    Example:
        >>> near("linaer", ["constant", "linear"], 0.7), near("cubic", ["constant", "linear"], 0.7)
        ('linear', None)
    """
    close = [one for one in known if likeness(name, one) >= least]
    return nearest(name, close) if close else None
