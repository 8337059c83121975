"""Compare a sweep on record with the settings of a resume, and refuse differences that make trials incomparable.

A result means something as long as trials compare: same objective, same members, same training, same data. The length
of the sweep, the machine, the sampler and the scheduler may change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unstuck.analysis.programs import sweep_program
from unstuck.records.axis import BATCH
from unstuck.records.entry import Entry
from unstuck.records.errors import SweepError
from unstuck.records.names import CONFIG, DATA, PROVENANCE, flatten
from unstuck.records.redact import redact_value
from unstuck.sweeps.config.flows import require_same_flows
from unstuck.sweeps.config.saved import from_yaml
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.stopping.asha import Asha

_FREE = (
    *("sweep.num_trials", "sweep.max_hours", "sweep.folder", "resources.", "tracking.", "data.fingerprint"),
    "sampler.points",  # `sweeps.run.points` notes a difference
)
"""Settings that may differ without a note from here; a dot at the end stands for the whole group."""

_URLS = ("optuna_url", "mlflow_url")
"""Settings of `tracking` that may hold a password, which no command shows."""

_MEANING = {
    "sweep.control": "that has no effect: trial 0 is what it was, and no control is added",
    "sampler.num_startup_trials": "random draws end after so many trials, those on record included",
    "sampler.": "proposals are drawn by it from here on",
    "scheduler.spared_share": "it decides who is spared at the rungs that are still to come",
    "scheduler.": "trials are stopped by it from here on; those that have ended were not",
    "health.": "trials are stopped by it from here on; those that have ended were not",
}
"""Consequence of a difference, by the start of the name of a setting that may differ."""

_SWITCHED = {
    ("sampler.name", "points"): "nothing is proposed any more",
    ("scheduler.name", "none"): "no trial is stopped by comparison from here on; those that were stay so",
    ("scheduler.name", "asha"): "trials are stopped by it from here on, and compared with those alone that it judged",
    ("health.enabled", False): "only numbers that are not finite end a trial from here on; those that ended stay so",
}
"""Consequence of a difference in a switch, by the name and present value of the switch."""


def find_differences(
    recorded: Mapping[str, Any], config: SweepConfig, now: Mapping[str, Any], entries: Sequence[Entry]
) -> list[str]:
    """List, as lines of text, how a resume's settings, data and versions differ from the record, with consequences.

    Args:
        recorded: Attributes of the sweep in the ledger.
        config: Settings of the resume.
        now: Attributes that a sweep started now would have.
        entries: Trials of the sweep so far.

    Raises:
        SweepError: A difference would make the sweep's result meaningless.
    """
    if CONFIG not in recorded:  # the process died before the sweep had a configuration on record
        return []
    before = from_yaml(str(recorded[CONFIG]))
    same_data = recorded.get(DATA, now.get(DATA)) == now.get(DATA)
    found = [*_compare_settings(before, config, same_data), *_compare_spaces(before, config, entries)]
    if (old := _compute_rungs(before)) != (new := _compute_rungs(config)) and old and new:
        raise _make_refusal(config, "the scheduler's rungs", old, new, "results at other iterations do not compare")
    require_same_flows(config, recorded, now.get(DATA))
    return found + list(_compare_provenance(recorded.get(PROVENANCE, {}), now.get(PROVENANCE, {})))


def _compute_rungs(config: SweepConfig) -> tuple[int, ...]:
    """Compute the ASHA rungs, the steps at which trials are compared; empty if trials are not compared."""
    if config.scheduler.name != "asha":
        return ()
    return Asha(config, build_space(config)[0].axis(config)).rungs


def _compare_settings(before: SweepConfig, after: SweepConfig, same_data: bool) -> Iterator[str]:
    """Yield a line for each setting that a resume changes, with the consequence; leave out the search space."""
    old, new = (flatten({**asdict(config), "space": None, "resume": None, "id": None}) for config in (before, after))
    space = build_space(after)[0]
    searched, counts_env_steps = space.paths, space.axis(after).in_env_steps
    for key in sorted(old.keys() | new.keys()):
        was, is_now = old.get(key), new.get(key)
        if was == is_now or key.startswith(_FREE):
            continue
        meaning = next((text for start, text in _MEANING.items() if key.startswith(start)), None)
        if key == "data.path" and same_data:
            meaning = "it holds the same flows"
        if key in searched and not (key in BATCH and counts_env_steps):
            meaning = (
                "it is searched, so only the control differs, and the one on record had the former value; new points "
                "are completed by it"
            )
        if meaning is None:
            raise _make_refusal(after, key, was, is_now, "trials with another one do not compare")
        yield f"{key} was {was}, is now {is_now}: {_SWITCHED.get((key, is_now), meaning)}"


def _compare_spaces(before: SweepConfig, after: SweepConfig, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a line of text if the search space changed; refuse changes that Optuna or past trials forbid."""
    (old, _), (new, _) = build_space(before), build_space(after)
    if old == new:
        return
    if old.paths != new.paths:
        raise _make_refusal(
            after, "the space", ", ".join(old.paths), ", ".join(new.paths), "trials so far lack what is new in it"
        )
    for path, kind in new.kinds.items():
        was = old.kinds[path]
        if type(was) is not type(kind) or (isinstance(kind, Choice) and kind != was):
            where, why = f"space.{path}", "the ledger cannot hold both: only bounds can be moved"
            if after.sampler.name == "points":
                where, why = f"what sampler.points give {path}", "the ledger cannot hold a value that is new to it"
            raise _make_refusal(after, where, was, kind, why)
    outside = [entry.number for entry in entries if entry.values and not new.contains(entry.values)]
    if outside:
        numbers = ", ".join(map(str, outside))
        raise _make_refusal(
            after,
            "the space",
            _describe_space(old),
            _describe_space(new),
            f"trials so far must lie inside, and {numbers} do not",
        )
    yield f"the space was {_describe_space(old)}, is now {_describe_space(new)}: trials are drawn from it from here on"


def _compare_provenance(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not key.startswith("host."):
            yield (
                f"{key} was {before.get(key, 'unknown')}, is now {after.get(key, 'unknown')}: the same configuration "
                "may give other numbers from here on"
            )


def _make_refusal(config: SweepConfig, what: str, was: object, is_now: object, why: str) -> SweepError:
    from unstuck.analysis.report.arms import quote_command  # late, since the analysis loads pandas

    return SweepError(
        f"{what} must be what the sweep was started with, {was}, got {is_now}: {why}; start a new sweep, or resume "
        f"this one as it was: {quote_command(make_as_recorded_command(config))}"
    )


def make_as_recorded_command(config: SweepConfig) -> list[str]:
    """Return the command, as a list of words, that resumes a sweep with the configuration on record."""
    from unstuck.analysis.report.arms import recorded_words

    urls = {f"tracking.{name}": redact_value(getattr(config.tracking, name) or "") for name in _URLS}
    name = str(config.sweep.name)
    return [*sweep_program(), *recorded_words(urls, name, Path(config.sweep.folder)), f"resume={name}"]


def _describe_space(space: Space) -> str:
    return ", ".join(f"{path}: {kind}" for path, kind in space.kinds.items())
