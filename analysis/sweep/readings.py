"""Files of readings: what was read from a data set's test part, each reading appended and none replaced."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.words import join_words
from unstuck.records.files import replace_text

T = TypeVar("T")


def read_list(file: Path, parse: Callable[[Any], T], what: str) -> list[T]:
    """Read a JSON file that holds a list of results; return an empty list if the file is missing.

    Args:
        file: The file.
        parse: Function that makes a reading from what JSON holds of it.
        what: What the file must hold, in words, for the error.

    Raises:
        AnalysisError: The file holds something else.
    """
    return parse_file(file, lambda held: [parse(one) for one in _require_list(held)], what) if file.exists() else []


def append_reading(file: Path, reading: Mapping[str, Any], what: str) -> None:
    """Append a result to the list in a JSON file; create file and folder if missing.

    Args:
        file: The file.
        reading: The reading, as JSON can hold it.
        what: What the file must hold, in words, for the error.

    Raises:
        AnalysisError: The file that is there holds something else.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = parse_file(file, _require_list, what) if file.exists() else []
    replace_text(file, json.dumps([*kept, reading], indent=2) + "\n")


def parse_file(file: Path, parse: Callable[[Any], T], what: str) -> T:
    """Parse a JSON file by the function `parse`; raise `AnalysisError` if the file is not as expected.

    Raises:
        AnalysisError: The file cannot be read, or holds something else.
    """
    try:
        return parse(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AnalysisError(f"{file} must hold {what}, got {error!r}; move it away") from None


def _require_list(held: Any) -> list[Any]:
    if not isinstance(held, list):
        raise ValueError(f"no list: {held!r:.80}")
    return held


def warn_of_reading_again(trials: Sequence[int], configurations: int) -> str:
    """Return a warning if trials were evaluated on the test data more than once; else an empty text.

    Args:
        trials: Number of the tested trial for each reading, the oldest first.
        configurations: Number of different configurations among these.
    """
    if len(trials) < 2:
        return ""
    names = join_words([str(trial) for trial in dict.fromkeys(trials)])
    if configurations == 1:
        why = "it was the same trial each time, so to look until an interval suits is no test"
    else:
        why = "what is chosen by these figures is flattered again"
    plural = "" if configurations == 1 else "s"
    return f"The test part has been read {len(trials)} times, for trial{plural} {names}: {why}."


def format_time(at: str) -> str:
    """Format the time of a recorded result as `YYYY-MM-DD HH:MM`, or as `not recorded`."""
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}" if at else "not recorded"
