"""The first sentences of an unstick's report: does a change fix the run."""

from unstuck.analysis.comparison import describe_scope, describe_verdict
from unstuck.analysis.report.arms import describe_change
from unstuck.analysis.sweep.trials import Sweep, Trial, are_equal_settings, count_outcomes
from unstuck.analysis.sweep.unstick import Arm, Unstick, name_parts
from unstuck.analysis.words import join_words, number, pluralize
from unstuck.records.outcome import Outcome


def unstick_verdict(sweep: Sweep, unstick: Unstick) -> str:
    """Return in words if a stuck run's best branch beats the control, and for which runs, or why unknown."""
    reading = unstick.verdicts.last
    if reading is None:
        return _explain_missing(sweep, unstick)
    found, best = unstick.verdicts.judge(reading, sweep.sign), find_best_arm(sweep)
    sentences = [describe_verdict(found, sweep.metric, name_arm(sweep, reading.trial)), describe_scope(found)]
    judged = next((trial for trial in sweep.trials if trial.number == reading.trial), None)
    if best and best.number != reading.trial and (judged is None or best.value != judged.value):  # else they are tied
        sentences.append(f"The best arm is now {name_arm(sweep, best.number)}, which has no verdict.")
    return " ".join(filter(None, [*sentences, unstick.verdicts.warning]))


def _explain_missing(sweep: Sweep, unstick: Unstick) -> str:
    """Explain why a stuck run's branches have no final comparison, and which branch looks best."""
    best, control = find_best_arm(sweep), sweep.control
    waiting = [trial for trial in sweep.trials if trial.is_open]
    unborn = max(0, len(unstick.arms) - len(sweep.trials))
    if waiting or unborn:
        why = f"No verdict yet: {len(waiting) + unborn} of {pluralize(len(unstick.arms), 'arm')} have not ended"
    elif best is None:
        ended = join_words([f"{count} {outcome}" for outcome, count in count_outcomes(sweep.trials).items()])
        return f"No verdict: no arm beside the control completed ({ended or 'none was started'})."
    elif sweep.settings.get("unstick.repeats") == 0:
        why = "No verdict was asked for (unstick.repeats=0)"
    else:
        why = "No verdict yet: the best arm and the control have not gone on again by fresh randomness"
    if best is None or best.value is None:
        return f"{why}."
    value = f"{sweep.metric} {number(best.value)}"
    beside = f" against {number(control.value)} of the control" if control and control.value is not None else ""
    count = pluralize(len(list_arms_with_values(sweep)), "arm")
    text = f"As the arms saw it, {name_arm(sweep, best.number)} is the best of {count} ({value}{beside})"
    return f"{why}. {text}; the best of several is flattered by the choice."


def list_arms_with_values(sweep: Sweep) -> list[Trial]:
    """List the completed branches of a stuck run that change something, the best first."""
    return [trial for trial in sweep.rank_trials(Outcome.COMPLETED) if changes_something(sweep, trial.number)]


def find_best_arm(sweep: Sweep) -> Trial | None:
    """Find the stuck run's completed branch with the best value that changes something; None if none does."""
    return next(iter(list_arms_with_values(sweep)), None)


def changes_something(sweep: Sweep, number: int) -> bool:
    """True if a stuck run's branch, or one it continues from, differs from the control by more than its length."""
    arms = [get_arm(sweep, one) for one in (number, *trace_parents(sweep, number))]
    return any(arm.change or arm.is_anew or arm.reset for arm in arms)


def trace_parents(sweep: Sweep, number: int) -> list[int]:
    """List the trials that trained the state from which a stuck run's branch starts, the latest first."""
    parents: list[int] = []
    parent = get_arm(sweep, number).parent
    while parent is not None and parent not in parents:
        parents.append(parent)
        parent = get_arm(sweep, parent).parent
    return parents


def get_arm(sweep: Sweep, number: int) -> Arm:
    """Return the record of a stuck run's branch (changed settings, start) that a trial trained.

    Where the record holds no such arm, an arm without reasons is made from the trial's settings.
    """
    arms = sweep.unstick.arms if sweep.unstick else ()
    own = sweep.unstick.find_arm(number) if sweep.unstick else None
    trial = next((trial for trial in sweep.trials if trial.number == number), None)
    if trial is None:
        return own or Arm({})
    found = next((arm for arm in (own, *arms) if arm and _has_values(sweep, trial, arm)), None)
    known = sweep.settings.get
    changed = {path: value for path, value in trial.values.items() if not are_equal_settings(value, known(path))}
    return found or Arm(changed)


def _has_values(sweep: Sweep, trial: Trial, arm: Arm) -> bool:
    """True if a trial has the settings of a stuck run's branch, and no other changed settings."""
    expected = {path: arm.values.get(path, sweep.settings.get(path)) for path in (*arm.values, *trial.values)}
    return all(are_equal_settings(trial.values.get(path, value), value) for path, value in expected.items())


def name_arm(sweep: Sweep, number: int) -> str:
    """Name a stuck run's branch by trial and change, such as `trial 3 (lr 0.001, started anew)`."""
    return f"trial {number} ({describe_arm(get_arm(sweep, number))})"


def describe_arm(arm: Arm) -> str:
    """Describe what a stuck run's branch changes and resets, e.g. `gamma 0.5, value head and adam reset`."""
    words = [describe_change(arm.change)] if arm.change else []
    if arm.parent is not None:
        words.append(f"from trial {arm.parent}")
    if arm.reset:
        words.append(f"{name_parts(arm.reset)} reset")
    if arm.is_anew:
        words.append("started anew")
    return ", ".join(words) or "nothing changed"
