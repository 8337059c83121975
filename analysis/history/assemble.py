"""Put a history together from the numbers of a run's files: names, units, time, and words on how it was read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.align import count_unrecorded
from unstuck.analysis.history.derive import derive_metrics
from unstuck.analysis.history.dialects.cleanrl import CLEANRL
from unstuck.analysis.history.dialects.dialect import Dialect, make_canonical
from unstuck.analysis.history.dialects.plain import ENTROPY_LOSS, LOG_STD, PLAIN
from unstuck.analysis.history.dialects.sb3 import SB3
from unstuck.analysis.history.forms.tables import TAG_UNKNOWN
from unstuck.analysis.history.misnamed import reread_table
from unstuck.analysis.history.names import DIALECTS, UNSTUCK, is_ours, recognise_dialect
from unstuck.analysis.history.probed import PROGRAM
from unstuck.analysis.history.raw import Raw
from unstuck.analysis.history.record import ENTROPY_BONUS, ENV_STEPS, EVAL_LENGTH, TOTAL_LOSS, History
from unstuck.analysis.history.settings import translate_comments, translate_settings
from unstuck.analysis.history.several import refuse_several
from unstuck.analysis.history.timeline import Track, make_table, make_track
from unstuck.rl import metrics

_LISTED = 8  # names that a message lists at most
_NUMERAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LEFT_OUT = 20  # columns left out that a remark names at most
_UNUSED = re.compile(
    r"(^|/)(time|perf|performance|timers|sampler_perf|perf_stats|timer|system|speed|_runtime|_timestamp|wall_time|hist_stats)"
    r"(/|$)|fps|sps|time|elapsed|(^|/)(n_updates|seed|done|date|pid|hostname|iterations_since_restore)$|_max$|_min$|^(max|min)_"
)
"""Columns of time and machine, of extremes and counts: not worth a remark."""

_WEIGHTED = (
    "what is logged as the entropy is 0 or too small for one: taken for the entropy times its coefficient; give "
    "that with --set ppo.entropy_coef=NUMBER, and the entropy is known unless it is 0"
)

_SOUNDS = {
    metrics.TRAIN_RETURN: re.compile(r"reward|return|(^|_)rew(_|$)|score"),
    metrics.VALUE_LOSS: re.compile(r"(value|critic|vf|baseline).*(loss|mse|error)|(loss|mse).*(value|critic|vf)"),
    metrics.POLICY_LOSS: re.compile(r"(policy|actor|surrogate|pi_|pg_).*loss|loss.*(policy|actor|surrogate)"),
    metrics.ENTROPY: re.compile(r"entropy"),
    metrics.APPROX_KL: re.compile(r"(^|_|/)kl(_|/|$)|kullback"),
    metrics.CLIP_FRACTION: re.compile(r"clip.*frac|frac.*clip"),
    metrics.EXPLAINED_VARIANCE: re.compile(r"expl.*var"),
}
"""What a name looks like whose column may be one of our metrics."""

_UNTAGGED = "(no tag in the file's name: the values were taken for the return)"
_SPEEDS = frozenset(
    (
        "time/fps",
        "fps",
        "charts/sps",
        "sps",
        "perf/total_fps",
        "performance/step_inference_rl_update_fps",
        "steps_per_second",
    )
)
"""Columns, in canonical form, of environment steps in a second: SB3, Baselines, CleanRL, RSL-RL, rl_games."""

_CLOCKS = frozenset(("time/time_elapsed", "time_elapsed", "time_total_s", "total_time"))
"""Columns of seconds since the start: SB3, Baselines, RLlib, Spinning Up."""

SB3_FORMS = ("monitor file", "monitor files", "evaluations.npz")
"""Ends of the forms of files that Stable-Baselines3 alone writes, whose names of metrics are nobody's."""

_COEFFICIENT = re.compile(r"coef|_std|std_|stddev|target|_max|_min|max_|min_|count|step")


@dataclass
class Found:
    """Contents of a run's files (metrics, settings, texts) under the files' own names, before translation to ours."""

    raws: list[Raw] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Return the names of all columns and tags in the run's files."""
        return {name for raw in self.raws for name in raw.columns}

    @property
    def files(self) -> list[Path]:
        """Files that hold the run's metrics, all of which were read."""
        return [raw.file for raw in self.raws if raw.file]


@dataclass(frozen=True)
class Reading:
    """User's choices for reading a run: a mapping file of names, and settings that the run's files lack."""

    mapped: Dialect | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def assemble_history(
    name: str, source: str, found: Found, reading: Reading, tags: Mapping[str, str] | None = None
) -> History:
    """Build a run's history (metrics, settings) from the contents of its files, with names translated to ours.

    Args:
        name: Name of the run.
        source: Place that the run was read from, in words.
        found: Contents of the files.
        reading: Choices of the user.
        tags: MLflow's tags.

    Raises:
        AnalysisError: No column has a known name, or a counter is none.
    """
    dialect = reading.mapped or recognise_dialect(found.names())
    tracks = [track for raw in found.raws if (track := make_track(raw, dialect))]
    tracks = tracks or _assume_return(found.raws)
    if not tracks:
        raise _refuse_names(source, sorted(found.names()))
    tracks = join_parts(tracks, source)
    table, moved = make_table(tracks, dialect)
    probed = str(found.settings.pop(PROGRAM, ""))
    by_sb3 = dialect is PLAIN and any(raw.form.endswith(SB3_FORMS) for raw in found.raws)
    settings = {**translate_settings(found.settings, SB3 if by_sb3 else dialect), **reading.settings}
    borrowed = dialect in (PLAIN, CLEANRL)
    table = derive_metrics(table if dialect.alone else reread_table(table, borrowed), settings)
    left = _list_left_out(found, tracks, dialect)
    return History(
        name=name,
        source=source,
        table=table,
        settings=settings,
        tags={**found.tags, **(tags or {})},
        comments=translate_comments(found.comments, dialect),
        remarks=(*_make_remarks(dialect, tracks, table, moved), *found.remarks, *_describe_lists(found, dialect, left)),
        dialect=dialect.name,
        probed=probed,
        unrecognised=_list_unrecognised(left, table),
        left_out=tuple(left),
        read_as=_describe_probe(probed, table) if dialect is UNSTUCK else _describe_reading(dialect, tracks, table),
        speed=_find_speed(found.raws, table),
        unrecorded=0 if dialect is UNSTUCK else count_unrecorded(table, moved),
    )


def _refuse_names(source: str, names: Sequence[str]) -> AnalysisError:
    """Return the error for a log none of whose names is known: it has none, no line that names them, or others."""
    seen = ", ".join(names[:_LISTED])
    if not names:
        return AnalysisError(f"{source} must hold metrics, got none; name the file that the numbers were logged to")
    if 2 * sum(bool(_NUMERAL.fullmatch(name)) for name in names) > len(names):
        return AnalysisError(
            f"{source} must begin with a line that names its columns, got {seen}; write one above the numbers, such as "
            "iteration,episode_return,policy_loss"
        )
    return AnalysisError(
        f"{source} must hold metrics under known names, got {seen}; say what they are in a mapping file: --names FILE"
    )


def _find_speed(raws: Sequence[Raw], table: pd.DataFrame) -> float | None:
    """Return the environment steps in a second, as logged or computed from time stamps; None if neither is there."""
    columns = {make_canonical(name): points.values for raw in raws for name, points in raw.columns.items()}
    logged = [values[np.isfinite(values) & (values > 0)] for name, values in columns.items() if name in _SPEEDS]
    if speeds := [float(np.median(values)) for values in logged if len(values)]:
        return speeds[0]
    clocks = [float(np.nanmax(values)) for name, values in columns.items() if name in _CLOCKS and len(values)]
    steps = float(table[ENV_STEPS].max()) if ENV_STEPS in table else 0.0
    return steps / clocks[0] if clocks and clocks[0] > 0 and steps > 0 else None


def join_parts(tracks: Sequence[Track], source: str) -> list[Track]:
    """Join files that hold parts of one resumed run; where two files overlap, the later file's values are kept.

    Raises:
        AnalysisError: Two of them begin alike, so they are different runs, which are listed.
    """
    joined: list[Track] = []
    for track in sorted(tracks, key=lambda one: one.span[0]):
        before = next((one for one in joined if one.is_part_of(track)), None)
        if before is None:
            joined.append(track)
        elif before.span[0] == track.span[0]:
            refuse_several(source, [one.raw.place for one in (before, track)])
        else:
            joined[joined.index(before)] = before.join(track)
    return joined


def _assume_return(raws: Sequence[Raw]) -> list[Track]:
    """Return the first TensorBoard download whose metric has no name, as training return; empty if there is none."""
    named = [
        replace(raw, columns={metrics.TRAIN_RETURN: raw.columns[TAG_UNKNOWN]}, form=f"{raw.form} {_UNTAGGED}")
        for raw in raws
        if TAG_UNKNOWN in raw.columns
    ]
    return [track for raw in named[:1] if (track := make_track(raw, PLAIN))]


def _list_left_out(found: Found, tracks: Sequence[Track], dialect: Dialect) -> list[str]:
    """List the names of columns that were read neither as a metric nor as a counter of steps."""
    used = {name for track in tracks for name in track.renamed}
    counting = {
        make_canonical(name) for name in (*dialect.iteration, *dialect.env_steps, *PLAIN.iteration, *PLAIN.env_steps)
    }
    known = {ours for track in tracks for ours in track.points}
    left = sorted(found.names() - used - {TAG_UNKNOWN})
    return [
        name
        for name in left
        if make_canonical(name) not in counting
        and not _UNUSED.search(make_canonical(name))
        and (dialect.find(name) or (name, 0))[0] not in known
    ]


def _make_remarks(dialect: Dialect, tracks: Sequence[Track], table: pd.DataFrame, moved: int) -> list[str]:
    remarks = [text for name, text in dialect.remarks.items() if name in table]
    if ENTROPY_BONUS in table and ENTROPY_BONUS not in dialect.remarks:
        remarks.append(_WEIGHTED)
    if any("each row was taken" in track.counter for track in tracks):
        place = next(track.raw for track in tracks if "each row was taken" in track.counter)
        remarks.append(
            f"{place.file.name if place.file else 'the text'} counts neither iterations nor steps: each row was "
            "taken for an iteration"
        )
    if moved < 0:
        first = int(table.index[0]) - moved
        remarks.append(f"iterations are counted from 1; in the files they begin at {first}, as of a resumed run")
    remarks += [text for track in tracks for text in track.raw.remarks]
    return remarks


def _describe_lists(found: Found, dialect: Dialect, left: Sequence[str]) -> list[str]:
    missing = sorted({*(dialect.metrics if dialect.alone and dialect is not UNSTUCK else ())} - found.names())
    lists = [f"columns named by --names and not found: {', '.join(missing)}"] if missing else []
    more = f" and {len(left) - _LEFT_OUT} more" if len(left) > _LEFT_OUT else ""
    return lists + ([f"columns not known and left out: {', '.join(left[:_LEFT_OUT])}{more}"] if left else [])


def _list_unrecognised(left: Sequence[str], table: pd.DataFrame) -> tuple[str, ...]:
    """List the unread columns whose names sound like a metric that the run's table lacks."""
    lacking = [sounds for ours, sounds in _SOUNDS.items() if not _is_known(ours, table)]
    names = ((name, make_canonical(name)) for name in left)
    return tuple(
        name
        for name, plain in names
        if not _COEFFICIENT.search(plain) and any(sounds.search(plain) for sounds in lacking)
    )


def _is_known(ours: str, table: pd.DataFrame) -> bool:
    alike = {metrics.TRAIN_RETURN: (metrics.EVAL_RETURN,), metrics.VALUE_LOSS: (TOTAL_LOSS,)}.get(ours, ())
    return any(name in table and bool(table[name].notna().any()) for name in (ours, *alike))


def _describe_probe(probed: str, table: pd.DataFrame) -> str:
    """Describe in one line what a probe (logger in another program's loop) measured; empty if there was none."""
    if not probed:
        return ""
    title = DIALECTS[probed].title if probed in DIALECTS and probed != PLAIN.name else "a loop of its owner's"
    return f"Read as the log of unstuck.Probe in {title}: {len(table):,} iterations, measured as our learner is."


def _describe_reading(dialect: Dialect, tracks: Sequence[Track], table: pd.DataFrame) -> str:
    """Describe in one line of text how the run's files were read, e.g. as which program's."""
    forms = list(dict.fromkeys(track.raw.form for track in tracks))
    counters = list(dict.fromkeys(track.counter for track in tracks))
    names: dict[str, str] = {}
    for track in tracks:
        for theirs, (ours, times) in track.renamed.items():
            factor = "" if times == 1 else "-" if times == -1 else f"{times:g} x "
            names.setdefault(_name_metric(ours), factor + theirs)
    metrics_read = ", ".join(f"{ours} = {theirs}" for ours, theirs in names.items())
    title = dialect.title
    if dialect is not PLAIN and not dialect.alone:
        title += "'" if title.endswith("s") else "'s"
    rows = len(table)
    last = int(table.index[-1]) if rows else 0
    count = f"{rows:,} iterations" if rows == last else f"{rows:,} rows up to iteration {last:,}"
    return f"Read as {title}, {' and '.join(forms)}: {count} ({'; '.join(counters)}); {metrics_read}."


def _name_metric(ours: str) -> str:
    if ours in (ENTROPY_LOSS, LOG_STD):
        return {ENTROPY_LOSS: "entropy", LOG_STD: "policy std"}[ours]
    group, _, rest = ours.partition("/")
    plain = rest.replace("_", " ").replace("episode return", "return")
    return f"evaluated {plain}" if group == "eval" and is_ours(ours) | (ours == EVAL_LENGTH) else plain or ENV_STEPS
