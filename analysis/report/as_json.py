"""A diagnosis for programs: the findings and numbers of the text."""

from typing import Any

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.arms import list_arms
from unstuck.analysis.diagnosis.finding import Agreement, Cause, Evidence, Ranked
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.report.arms import describe_change
from unstuck.analysis.report.verdict import SURENESS, state_verdict


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as a dict for JSON: main sentence, findings, unrecorded metrics, changes to try."""
    history, standing = diagnosis.signals.history, judge_standing(diagnosis.signals)
    return {
        "run": history.name,
        "source": history.source,
        "iterations": history.last_iteration,
        "verdict": state_verdict(diagnosis),
        "standing": {
            "score": standing.score,
            "value": standing.level.mean if standing.level else None,
            "state": standing.state,
            "trivial": standing.trivial,
            "learned": standing.has_learned,
            "frozen": standing.frozen,
        },
        "findings": [_finding_to_json(ranked) for ranked in diagnosis.findings],
        "unexamined": [
            {"rule": one.rule.name, "missing": [name for group in one.missing for name in group], "why": one.why}
            for one in diagnosis.unexamined
        ],
        "not_recorded": dict(diagnosis.questions),
        "arms": [
            {
                "change": dict(arm.change),
                "in_words": describe_change(arm.change, history.program),
                "why": arm.why,
                "watch": arm.watch,
            }
            for arm in list_arms(diagnosis)
        ],
        "read_as": history.read_as,
        "unrecognised": list(history.unrecognised),
        "remarks": list(history.remarks),
    }


def _finding_to_json(ranked: Ranked) -> dict[str, Any]:
    finding = ranked.finding
    return {
        "rule": ranked.rule.name,
        "kind": finding.kind,
        "sureness": SURENESS[finding.sureness],
        "headline": finding.headline,
        "why": finding.why,
        "since": finding.since,
        "follows_from": list(ranked.follows_from),
        "seeds": _seeds_to_json(finding.seeds),
        "evidence": [_fact_to_json(fact) for fact in finding.evidence],
        "causes": [_cause_to_json(cause) for cause in finding.causes],
        "not_supported": [_cause_to_json(cause) for cause in finding.unsupported],
        "remedies": [
            {"change": dict(remedy.change), "why": remedy.why, "watch": remedy.watch} for remedy in finding.remedies
        ],
        "missing": list(finding.missing),
        "source": ranked.rule.source,
    }


def _seeds_to_json(agreement: Agreement | None) -> dict[str, Any] | None:
    """Return in which seeds of a trial a finding holds, as a dict for JSON; None if seeds were not judged."""
    if agreement is None:
        return None
    return {
        "holding": list(agreement.holding),
        "judged": list(agreement.judged),
        "pooled": agreement.pooled,
        "compared": agreement.compared,
        "text": str(agreement),
    }


def _fact_to_json(fact: Evidence) -> dict[str, Any]:
    return {"text": fact.text, "metrics": list(fact.metrics), "iterations": fact.iterations}


def _cause_to_json(cause: Cause) -> dict[str, Any]:
    return {"cause": cause.what, "support": cause.support, "why": cause.why, "test": cause.test}
