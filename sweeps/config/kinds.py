"""Name the kinds of range that a space may hold (`sweeps.search.kinds` has the ranges)."""

from typing import Any

from unstuck.sweeps.config.effects import format_value

KIND_NAMES = ("float", "log", "int", "pow2", "one_minus_log", "choice")


def explain_missing_kind(where: str, values: Any) -> str:
    """Return an error text: a search range must name a kind, such as `log`; includes what to write instead.

    Example:
        >>> explain_missing_kind("space.ppo.lr", [1e-5, 1e-2]).partition(",")[0]
        'space.ppo.lr must have a kind'
        >>> "write space.ppo.lr.log=[1e-05,0.01]" in explain_missing_kind("space.ppo.lr", [1e-5, 1e-2])
        True
    """
    if values is None:
        return f"{where} must have a kind, got null; ~{where} takes it out of the space"
    listed = list(values) if isinstance(values, list | tuple) else [values]
    numbers = [value for value in listed if isinstance(value, float)]
    likely = "choice" if len(numbers) != 2 else "log" if 0 < 10 * numbers[0] <= numbers[1] else "float"
    body = f"[{','.join(map(format_value, listed))}]"
    others = ", ".join(kind for kind in KIND_NAMES if kind != likely)
    return f"{where} must have a kind, got {format_value(values)}; write {where}.{likely}={body}, or one of {others}"
