"""Why is a run stuck? One rule a file, each with its evidence, its causes and the tests that tell them apart."""

from collections.abc import Sequence

from analysis.diagnosis import (
    advantage_scale,
    bug_gate,
    critic_underfits,
    entropy_collapsed,
    entropy_pinned,
    greedy_collapsed,
    greedy_vs_sampled,
    inputs_unscaled,
    learns_backwards,
    normaliser_cold_start,
    oscillating,
    overfitting,
    policy_frozen,
    policy_starved,
    reward_misspecified,
    reward_not_found,
    seeds_bimodal,
    signal_lost,
    targets_beyond,
    units_saturated,
    updates_too_large,
    updates_too_small,
    value_explosion,
    value_floor,
)
from analysis.diagnosis.finding import Diagnosis, Kind, Ranked, Rule, Unexamined
from analysis.diagnosis.questions import WOULD_TELL
from analysis.diagnosis.signals import Signals
from analysis.history import History

__all__ = ["RULES", "Diagnosis", "diagnose"]

RULES: tuple[Rule, ...] = (
    bug_gate.RULE,
    learns_backwards.RULE,
    reward_misspecified.RULE,
    reward_not_found.RULE,
    value_floor.RULE,
    inputs_unscaled.RULE,
    units_saturated.RULE,
    advantage_scale.RULE,
    policy_starved.RULE,
    normaliser_cold_start.RULE,
    policy_frozen.RULE,
    updates_too_large.RULE,
    updates_too_small.RULE,
    entropy_pinned.RULE,
    entropy_collapsed.RULE,
    seeds_bimodal.RULE,
    value_explosion.RULE,
    critic_underfits.RULE,
    signal_lost.RULE,
    greedy_collapsed.RULE,
    greedy_vs_sampled.RULE,
    oscillating.RULE,
    overfitting.RULE,
    targets_beyond.RULE,
)
"""In the order in which they are looked at, by stage."""

_ORDER = {Kind.FAULT: 0, Kind.SUSPECT: 1, Kind.LIMIT: 2, Kind.FINE: 3}


def diagnose(history: History) -> Diagnosis:
    """What all rules say about a run, the most basic cause first."""
    run = Signals(history)
    ranked, unexamined = [], []
    for rule in RULES:
        missing = tuple(group for group in rule.needs if not any(_recorded(run, name) for name in group))
        if missing:
            unexamined.append(Unexamined(rule, missing))
        elif finding := rule.examine(run):
            ranked.append(Ranked(rule, finding))
    findings = _ranked(ranked)
    return Diagnosis(run, findings, tuple(unexamined), _questions(findings, unexamined))


def _recorded(run: Signals, name: str) -> bool:
    """Whether a metric was recorded, or one of a family: `train/action/<action>`, `eval/f1/seed_<member>`."""
    if name.endswith("/seed_<member>"):
        return bool(run.history.seeds(name.removesuffix("/seed_<member>")))
    return bool(run.history.family(name.removesuffix("<action>"))) if name.endswith("<action>") else run.has(name)


def _ranked(found: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Faults first, by stage; a finding that explains another stands above it, and is named there."""
    left = sorted(found, key=lambda one: (_ORDER[one.finding.kind], one.rule.stage, -one.finding.sureness))
    result: list[Ranked] = []
    while left:
        one = next((one for one in left if not _explained(one, left)), left[0])
        left.remove(one)
        result.append(Ranked(one.rule, one.finding, tuple(above.rule.name for above in _explained(one, result))))
    return tuple(result)


def _explained(one: Ranked, others: Sequence[Ranked]) -> list[Ranked]:
    """Those among the others, no less wrong, that may be the cause of this one."""
    wrong = (Kind.FAULT, Kind.SUSPECT)
    if one.finding.kind not in wrong:
        return []
    worse = [other for other in others if _ORDER[other.finding.kind] <= _ORDER[one.finding.kind]]
    return [other for other in worse if one.rule.name in other.rule.explains]


def _questions(findings: Sequence[Ranked], unexamined: Sequence[Unexamined]) -> dict[str, str]:
    """What was not recorded and would decide: first for what is wrong, then for what could not be looked at."""
    wanted: dict[str, None] = {}
    for one in findings:
        if one.finding.kind is not Kind.FINE:
            wanted |= dict.fromkeys(one.finding.missing)
    for blind in unexamined:
        wanted |= dict.fromkeys(name for group in blind.missing for name in group)
    return {name: WOULD_TELL[name] for name in wanted if name in WOULD_TELL}
