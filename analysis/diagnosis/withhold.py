"""Withhold remedies that cannot help: those of findings beside a fault that no setting mends.

Labels that are wrong end in an entropy that is gone, and no learning rate brings either back.
"""

from collections.abc import Sequence
from dataclasses import replace

from unstuck.analysis.diagnosis.finding import Finding, Kind, Ranked, Stage


def withhold_remedies(findings: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Return findings without remedies that cannot help, if the run also has a fault that no setting can mend.

    What follows from such a fault offers no change, and a limit no remedy: what the task allows is not what holds the
    run back. Nor does a suspect beside a fault that makes all numbers doubtful: a bug, or wrong data or rewards.
    """
    unmended = [one for one in findings if is_unmended(one)]
    return tuple(replace(one, finding=_withhold(one, unmended)) for one in findings)


def is_unmended(one: Ranked) -> bool:
    """True for a fault that no setting can mend (it has no remedy, or its rule says so), and that is no consequence.

    A fault of a few seeds is left out: it says nothing of the trial.
    """
    finding = one.finding
    is_basic = finding.kind is Kind.FAULT and not one.follows_from and not finding.is_of_few_seeds
    return is_basic and not (one.rule.curable and finding.remedies)


def _withhold(one: Ranked, unmended: Sequence[Ranked]) -> Finding:
    finding = one.finding
    if any(other.rule.name in one.follows_from for other in unmended):
        why = f"{finding.why}; no setting cures what it follows from" if finding.remedies else finding.why
        return replace(finding.without_changes(), why=why)
    doubtful = any(other.rule.stage is Stage.BUG or not other.rule.curable for other in unmended)
    if unmended and (finding.kind is Kind.LIMIT or (finding.kind is Kind.SUSPECT and doubtful)):
        return replace(finding, remedies=())
    return finding
