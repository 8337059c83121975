"""Apply a rule to a run: check what the rule needs, examine, and weaken what is not known of another learner."""

from dataclasses import replace

from unstuck.analysis.diagnosis.finding import Blind, Finding, Ground, Kind, Rule, Sureness, Unexamined
from unstuck.analysis.diagnosis.signals import OURS, Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import ENV_STEPS, FINISHED, OF_MONITORS, PROBED
from unstuck.analysis.words import pluralize

ENDED = 0.5
"""Share of its plan from which on a run of another learner that has nothing to show is late."""

FEW_ITERATIONS, FEW_STEPS = 16, 65_536
"""Iterations and environment steps, of which a run that has fewer of both was too short for a fault of its pace: ten
iterations of Blackjack, whose returns are mostly chance, show no rise in a run that learns."""

_OFFER = f" (of a run that has ended, say so: --set {FINISHED}=true)"


def examine_rule(run: Signals, rule: Rule) -> Finding | Unexamined | None:
    """Apply a rule to a run; return the finding, or what the rule lacks to judge, or None for nothing to report.

    A rule of numbers that our learner never logs has nothing to say of our learner's runs.
    """
    missing = tuple(group for group in rule.needs if not any(is_recorded(run, name) for name in group))
    if missing:
        return None if run.history.program == OURS and any(map(_is_of_others, missing)) else Unexamined(rule, missing)
    found = rule.examine(run)
    if isinstance(found, Blind):
        return Unexamined(rule, found.missing, found.why)
    return weigh_finding(run, found) if found else None


def _is_of_others(group: tuple[str, ...]) -> bool:
    """True if only a probe (logger in another program's loop), or files of episodes, tell the metrics."""
    return all(name in PROBED or name in OF_MONITORS for name in group)


def is_recorded(run: Signals, name: str) -> bool:
    """True if the run recorded a metric, or one metric of a pattern such as `train/action/<action>`."""
    if name.endswith("/seed_<member>"):
        return bool(run.history.seeds(name.removesuffix("/seed_<member>")))
    return bool(run.history.family(name.removesuffix("<action>"))) if name.endswith("<action>") else run.has(name)


def weigh_finding(run: Signals, finding: Finding) -> Finding:
    """Weaken a finding's kind and certainty where the run is not from our own learner, so that less is known.

    Sizes and paces are known of our own learner. Of another one only a proof is sure; what a run does not suffer from
    is no fault, unless it was measured beyond doubt; and that nothing was learned so far is one only if the run has
    ended, or was planned to by now, and was no short one.
    """
    if run.is_ours or finding.ground is Ground.PROOF or finding.kind not in (Kind.FAULT, Kind.SUSPECT):
        return finding
    kind, why, standing = finding.kind, finding.why, judge_standing(run)
    if finding.ground is Ground.MEASURED:
        pass
    elif kind is Kind.FAULT and (standing.has_learned or standing.may_have_learned):
        kind, why = Kind.SUSPECT, why or standing.brief
    elif kind is Kind.FAULT and finding.ground is Ground.PACE and _is_short(run):
        count = pluralize(run.history.last_iteration, "iteration")
        kind, why = Kind.SUSPECT, f"{why}; {count} are too few to tell: train longer"
    elif kind is Kind.FAULT and finding.ground is Ground.PACE and not _is_over(run):
        kind, why = Kind.SUSPECT, f"{why}; how long this task takes is not known{_OFFER if run.planned is None else ''}"
    return replace(finding, kind=kind, why=why, sureness=min(finding.sureness, Sureness.LIKELY))


def _is_short(run: Signals) -> bool:
    """True if a run has few iterations and, as far as recorded, few environment steps; False if these are unknown."""
    steps = run.select_last(ENV_STEPS, share=0.0, least=1)
    return run.history.last_iteration < FEW_ITERATIONS and steps is not None and steps.values[-1] < FEW_STEPS


def _is_over(run: Signals) -> bool:
    """True if a run has ended, or is at least half done by its plan and not said to go on."""
    half_done = run.planned is not None and run.compute_progress(run.history.last_iteration) >= ENDED
    return run.has_ended or (half_done and run.setting(FINISHED) is not False)
