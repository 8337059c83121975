"""Blocks on the search: what was searched, which settings matter, and which result was to be expected."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.rewards import compute_rewards
from unstuck.analysis.diagnosis.rules.value_floor import describe_loss_and_floor
from unstuck.analysis.document import Bullets, Figure, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.floor import compute_explainable_share
from unstuck.analysis.plots.settings import Axis, Bar, plot_bars, plot_parallel, plot_scatter
from unstuck.analysis.report.figures import make_figure
from unstuck.analysis.sweep.importance import DASHBOARD_SHARE, PER_SETTING, TOP_SHARE, Importance
from unstuck.analysis.sweep.interactions import compute_interactions
from unstuck.analysis.sweep.judgements import FILE
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.words import number, percent, pluralize
from unstuck.records.outcome import Outcome
from unstuck.rl import metrics

_SPACE = "space."

NOT_TOLD = "too few trials, or too few different settings, to say which setting matters"

OVER_DRAWS = "draws of two thirds of the trials"


def searched_blocks(sweep: Sweep) -> list[Block]:
    """Return report blocks on the search: ranges, best values, sampler, scheduler and time."""
    best, rows = sweep.best, []
    for path in sweep.searched:
        rows.append(
            (
                f"`{path}`",
                _describe_range(sweep, path),
                format_value(sweep.settings.get(path)),
                format_value(best.values.get(path)) if best else "",
            )
        )
    blocks: list[Block] = [Table("", ("setting", "range", "control", "best trial"), tuple(rows))]
    setting = sweep.settings.get
    seconds = sum(trial.seconds for trial in sweep.trials)
    seeds = pluralize(int(setting("sweep.seeds", 1)), "seed")
    items = [
        f"{pluralize(len(sweep.feasible), 'trial')} of {seeds}, {sweep.axis.describe_length(sweep.length)} "
        f"each unless stopped; sampler {setting('sampler.name')}, scheduler {setting('scheduler.name')}.",
        f"Environment {setting('env.id')}"
        + (
            f", data {setting('data.source')}, order {setting('data.order')}"
            if "Triage" in str(setting("env.id"))
            else ""
        )
        + f"; objective {sweep.metric}, {setting('sweep.mode', 'max')}.",
    ]
    if seconds:
        spent = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
        items.append(f"{spent} of trials, added up.")
    return [*blocks, Bullets(tuple(items))]


def _describe_range(sweep: Sweep, path: str) -> str:
    """Format a setting's range in the search space, or its values in a list of points, as text."""
    prefix = f"{_SPACE}{path}."
    kinds = {name.removeprefix(prefix): value for name, value in sweep.settings.items() if name.startswith(prefix)}
    if kinds:
        return ", ".join(f"{kind} {format_value(value)}" for kind, value in kinds.items())
    values = list(dict.fromkeys(format_value(trial.values.get(path)) for trial in sweep.trials if path in trial.values))
    return f"the values {', '.join(values[:8])}"


def describe_main_setting(found: Sequence[Importance]) -> str:
    """Return a phrase on the most important setting (by PED-ANOVA), or on why none stands out.

    A setting stands out if its interval lies above all others'.

    Args:
        found: Importances, the most important first.
    """
    if not found:
        return NOT_TOLD
    first, *rest = found
    if not rest:
        return f"{shorten_path(first.path)} is the only setting that differs between trials"
    share = f"{percent(first.ped_anova)} of the importance ({format_percents(first.ped_range)} over {OVER_DRAWS}"
    if first.ped_range[0] > max(other.ped_range[1] for other in rest):
        return f"what sets good trials apart is {shorten_path(first.path)}, with {share})"
    words = f"no single setting clearly stands out: {shorten_path(first.path)} comes first with {share})"
    other = max(found, key=lambda one: one.fanova)
    return words if other is first else f"{words}, and by fANOVA {shorten_path(other.path)} does"


def explain_dashboard_differences(sweep: Sweep, shown: Mapping[str, float], about: str, trials: int) -> str:
    """Return a text on why Optuna's dashboard shows other importances than the report; "" if it shows none.

    Args:
        sweep: The sweep.
        shown: Importances on the dashboard, by setting, the most important first.
        about: Subject of the report's importances, in words.
        trials: Number of trials behind the report's importances; 0 where the report has none.

    Returns:
        Empty where the dashboard shows none.
    """
    if not shown:
        return ""
    completed = len(sweep.rank_trials(Outcome.COMPLETED))
    told = ", ".join(f"{shorten_path(path)} {share:.2f}" for path, share in shown.items())
    words = (
        f"Optuna's dashboard shows other importances: {told}. It takes PED-ANOVA as well, but of "
        f"{_best_of(DASHBOARD_SHARE, completed, 'completed trial')}, and says nothing of how sure it is."
    )
    if completed < (least := PER_SETTING * len(shown)):
        words += f" With fewer than {least} it can point at a setting to look at; it cannot rank them."
    if not trials:
        return f"{words} To the report these are too few trials for importances."
    return (
        f"{words} The report's are of {_best_of(TOP_SHARE, trials, 'trial')} ({about}), and computed on {OVER_DRAWS} "
        "to see whether the order holds: go by them."
    )


def _best_of(share: float, trials: int, noun: str) -> str:
    """Describe the group of best trials that PED-ANOVA compares with all, e.g. `the best 3 of 30 trials`."""
    return f"the best {math.ceil(share * trials)} of {pluralize(trials, noun)}"


@dataclass(frozen=True)
class ImportanceView:
    """Importances of the searched settings, as a report shows them.

    Attributes:
        found: Importances, the most important first.
        about: Subject of the importances, in words.
        trials: Number of trials behind the importances.
        elsewhere: Text on the importances shown in another place, and the reason for the difference; may be empty.
    """

    found: Sequence[Importance]
    about: str
    trials: int
    elsewhere: str = ""

    @property
    def enough(self) -> int:
        """Number of trials from which importances of that many settings can be told apart."""
        return PER_SETTING * len(self.found)


def importance_blocks(sweep: Sweep, view: ImportanceView) -> list[Block]:
    """Return report blocks on which settings matter: a sentence, a figure, and a warning if trials are few."""
    told = describe_main_setting(view.found)
    blocks: list[Block] = [Heading("What matters"), Paragraph(f"{told[0].upper()}{told[1:]}.")]
    if view.found and view.trials < view.enough:
        blocks.append(
            Paragraph(
                f"Warning: {pluralize(view.trials, 'trial')} for {pluralize(len(view.found), 'setting')} are too few "
                f"(at least {view.enough} are needed to tell importances apart); take order and intervals as a hint."
            )
        )
    return [*blocks, *([_bars_blocks(sweep, view.found)] if view.found else [])]


def importance_detail_blocks(sweep: Sweep, view: ImportanceView) -> list[Block]:
    """Return report blocks on importances in numbers, interactions, and the settings of good trials."""
    elsewhere = [Paragraph(view.elsewhere)] if view.elsewhere else []
    if not view.found:
        return [Heading("What matters, elsewhere"), *elsewhere] if elsewhere else []
    rows = tuple(
        (
            f"`{one.path}`",
            percent(one.ped_anova),
            format_percents(one.ped_range),
            percent(one.fanova),
            format_percents(one.fanova_range),
        )
        for one in view.found
    )
    header = ("setting", "PED-ANOVA", "middle 80 %", "fANOVA", "middle 80 %")
    over = f"over {pluralize(view.trials, 'trial')}: median and range over {OVER_DRAWS}"
    return [
        Heading("What matters, in numbers"),
        Table(f"Shares of importance for {view.about}, {over}", header, rows, frozenset({1, 2, 3, 4})),
        Paragraph(
            "PED-ANOVA asks where good trials (the best quarter) lie apart from all; fANOVA how much of the variance "
            "each setting explains by itself. A setting that the search soon left in a good range looks unimportant."
        ),
        *elsewhere,
        *_lines_blocks(sweep),
        *_pairs_blocks(sweep, view.found),
    ]


def format_percents(ends: tuple[float, float]) -> str:
    """Format a range of shares in percent, e.g. `10 to 25 %`."""
    return f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f} %"


def _bars_blocks(sweep: Sweep, found: Sequence[Importance]) -> Figure:
    rows = [
        (shorten_path(one.path), [Bar(one.ped_anova, *one.ped_range, 0), Bar(one.fanova, *one.fanova_range, 1)])
        for one in found
    ]
    canvas = plot_bars(rows, ("PED-ANOVA", "fANOVA"), "share of importance")
    told = "; ".join(f"{shorten_path(one.path)} {percent(one.ped_anova)} and {percent(one.fanova)}" for one in found)
    caption = f"Importance of the searched settings; whiskers span the middle 80 % over {OVER_DRAWS}"
    return make_figure(f"{sweep.name}-importance", canvas, caption, f"PED-ANOVA and fANOVA: {told}")


def _lines_blocks(sweep: Sweep) -> list[Block]:
    """Plot each trial with a value as a line across all searched settings; return report blocks."""
    trials = sweep.rank_trials()
    paths = [path for path in sweep.searched if len({str(trial.values.get(path)) for trial in trials}) > 1]
    if len(trials) < 3 or not paths:
        return []
    axes = [make_axis(sweep, path, trials) for path in paths]
    scores = [sweep.sign * (trial.value or 0.0) for trial in trials]
    axes.append(Axis(sweep.metric, [trial.value or 0.0 for trial in trials]))
    best = [trials.index(trial) for trial in sweep.rank_trials(Outcome.COMPLETED)[:3]]
    canvas = plot_parallel(axes, scores, best, [_describe_trial(sweep, trial) for trial in trials])
    names = ", ".join(str(trials[place].number) for place in best)
    caption = (
        f"All trials across their settings, the better the more solid; in colour the three best completed: {names}"
    )
    alt = "; ".join(_describe_trial(sweep, trials[place]) for place in best)
    return [make_figure(f"{sweep.name}-parallel", canvas, caption, alt)]


def _pairs_blocks(sweep: Sweep, found: Sequence[Importance]) -> list[Block]:
    """Plot the two most important settings against each other, and list interactions of pairs; return report blocks."""
    trials = sweep.rank_trials()
    paths = [one.path for one in found]
    if len(paths) < 2 or len(trials) < 5:
        return []
    across, up = (make_axis(sweep, path, trials) for path in paths[:2])
    scores = [sweep.sign * (trial.value or 0.0) for trial in trials]
    best = [trials.index(trial) for trial in sweep.rank_trials(Outcome.COMPLETED)[:3]]
    canvas = plot_scatter(across, up, scores, best, [_describe_trial(sweep, trial) for trial in trials])
    caption = (
        f"{across.name} against {up.name}: a dot a trial, the better the larger; in colour the three best completed"
    )
    blocks: list[Block] = [
        make_figure(
            f"{sweep.name}-pair", canvas, caption, "; ".join(_describe_trial(sweep, trials[place]) for place in best)
        )
    ]
    pairs = compute_interactions({path: make_axis(sweep, path, trials).values for path in paths[:5]}, scores)
    if not pairs:
        blocks.append(
            Paragraph("Too few trials to tell whether pairs of settings do more together than by themselves.")
        )
    else:
        rows = tuple((f"{shorten_path(a)} x {shorten_path(b)}", percent(max(0.0, gain), 1)) for a, b, gain in pairs[:5])
        caption = "What pairs explain beyond their parts: variance of the objective's ranks, on trials left out"
        blocks.append(Table(caption, ("pair", "more explained"), rows, frozenset({1})))
    return blocks


def make_axis(sweep: Sweep, path: str, trials: Sequence[Trial]) -> Axis:
    """Make the plot axis of a searched setting: numbers by value, all else by index."""
    values = [trial.values.get(path) for trial in trials]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = [float(value) for value in values]  # type: ignore[arg-type]
        log = min(numbers) > 0 and max(numbers) > 30 * min(numbers)
        return Axis(shorten_path(path), numbers, log)
    names = tuple(sorted({format_value(value) for value in values}))
    return Axis(shorten_path(path), [float(names.index(format_value(value))) for value in values], False, names)


def _describe_trial(sweep: Sweep, trial: Trial) -> str:
    settings = ", ".join(f"{shorten_path(path)} {format_value(value)}" for path, value in trial.values.items())
    return f"trial {trial.number}, {sweep.metric} {number(trial.value or 0.0)}: {settings}"


def list_expectations(sweep: Sweep, diagnoses: Mapping[int, Diagnosis]) -> list[tuple[str, str, str, str]]:
    """Return table rows of metrics with the values that theory or an untrained policy predicts, and those measured."""
    rows: list[tuple[str, str, str, str]] = []
    best = None if sweep.best is sweep.control else sweep.best
    for trial, who in ((sweep.control, "control"), (best, "best trial")):
        if trial is None or trial.number not in diagnoses:
            continue
        run = diagnoses[trial.number].signals
        floor, loss = run.select_last(metrics.VALUE_FLOOR), run.select_last(metrics.VALUE_LOSS)
        gamma, gae_lambda = run.read_number("ppo.gamma"), run.read_number("ppo.gae_lambda")
        if run.steps_are_independent and run.returns_normalised and floor and loss and gamma is not None:
            low = 1 - compute_explainable_share(gamma, gae_lambda or 0.0)
            rows.append(
                (
                    f"floor of the value loss, {who} ({trial.number})",
                    f"{number(low, 2)} to 1 at gamma {gamma:.3g} on independent flows",
                    describe_loss_and_floor(loss, floor),
                    "analysis/floor.py; `train/value_floor`",
                )
            )
        rewards, returns, flows = (
            compute_rewards(run),
            run.select_last(metrics.EVAL_RETURN, 0.0),
            run.read_number("env.flows_per_episode"),
        )
        if rewards and returns and flows:
            rows.append(
                (
                    f"greedy return of an episode, {who} ({trial.number})",
                    f"{number(rewards.uniform * flows)} by drawing evenly, {number(rewards.perfect * flows)} at best",
                    number(returns.mean),
                    "`env.reward_benign`, `env.reward_threat`; `eval/episode_return`",
                )
            )
    for reading in sweep.judgements.distinct:
        rows.append(
            (
                f"trial {reading.trial} on fresh seeds",
                f"{number(reading.searched)}, as the search saw it",
                number(reading.estimate.mean),
                f"report/{FILE}",
            )
        )
    return rows


def shorten_path(path: str) -> str:
    """Return a setting's name without the group, such as `lr` for `ppo.lr`.

    Example:
        >>> shorten_path("ppo.lr")
        'lr'
    """
    return path.rpartition(".")[2]


def format_value(value: Any) -> str:
    """Format a setting's value as short text: floats to 3 digits, None as empty text."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return "" if value is None else number(value, 3) if isinstance(value, float) else str(value)
