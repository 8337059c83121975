"""Put a diagnosis into the words of the program that made the run: its names of settings and metrics.

Rules speak of our settings (`entropy_coef`, `normalize_returns=batch`). A user of another program has never seen these,
and cannot branch a run from a checkpoint, so every text of the diagnosis is put into words that the user can type.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from unstuck.analysis.diagnosis.finding import Cause, Diagnosis, Evidence, Finding, Ranked, Remedy
from unstuck.analysis.diagnosis.language import LANGUAGES, OURS, OWN_LOOPS, Language
from unstuck.analysis.history.names import DIALECTS

_VALUES = "=batch|=false|=true| off"
"""Values that a rule gives a setting, within a word of its own in most programs."""


def translate_diagnosis(diagnosis: Diagnosis) -> Diagnosis:
    """Replace our names of settings and metrics in a diagnosis by those of the program that made the run."""
    history = diagnosis.signals.history
    if history.program == OURS:
        return diagnosis
    translate = make_translator(history.program, history.dialect)
    return replace(
        diagnosis,
        findings=tuple(
            Ranked(one.rule, _finding(one.finding, translate), one.follows_from) for one in diagnosis.findings
        ),
        unexamined=tuple(replace(one, why=translate(one.why)) for one in diagnosis.unexamined),
        questions={name: translate(text) for name, text in diagnosis.questions.items()},
    )


def find_setting_name(path: str, dialect: str) -> str:
    """Return the name that a program uses for one of our settings, given by dotted path or last part."""
    name = path.rpartition(".")[2]
    language = LANGUAGES.get(dialect)
    return name if language is None else language.settings.get(name, name)


def find_metric_name(ours: str, dialect: str) -> str:
    """Return the name that a program uses for one of our metrics; our own name if the program has none."""
    return _metric_names(dialect).get(ours, ours)


@cache
def _metric_names(dialect: str) -> Mapping[str, str]:
    """Return a program's names for our metrics, by our name; its first name if it has several."""
    known = None if dialect in OWN_LOOPS else DIALECTS.get(dialect)
    names: dict[str, str] = {}
    for theirs, (ours, _) in known.metrics.items() if known else ():
        if "*" not in theirs:
            names.setdefault(ours, theirs)
    return names


def convert_setting(path: str, value: float, dialect: str) -> float:
    """Convert the value of a setting from our unit to the unit of the program that made the run."""
    language = LANGUAGES.get(dialect)
    return value * language.value_coef if language and path.endswith("value_coef") else value


@cache
def make_translator(program: str, dialect: str | None = None) -> Callable[[str], str]:
    """Make a function that replaces our names of settings and metrics in a text by the program's names.

    Args:
        program: Program whose names the settings get.
        dialect: Program whose names the metrics get, if another one wrote the log.
    """
    language = LANGUAGES.get(program, Language({}))
    names = "|".join(sorted(map(re.escape, language.settings), key=len, reverse=True)) or r"(?!)"
    setting = re.compile(rf"(?<![\w./-])({names})({_VALUES})?(?![\w=])")
    weight = re.compile(r"(?<=value_coef )(\d[\d.]*(?:e-?\d+)?)")
    theirs = _metric_names(dialect or program)
    metric = re.compile(rf"(?<![\w/])({'|'.join(map(re.escape, theirs)) or '(?!)'})(?![\w/])")

    def replace_setting(match: re.Match[str]) -> str:
        """Return the program's word for a matched setting, with any value in the word (`norm_reward=True`)."""
        return language.settings[match[1]] + (" off" if match[2] == " off" else "")

    def translate(text: str) -> str:
        """Return a text with the program's names of settings and metrics, and its scale of value coefficients."""
        text = weight.sub(lambda match: f"{float(match[1]) * language.value_coef:g}", text)
        text = metric.sub(lambda match: theirs[match[1]], text)
        return setting.sub(replace_setting, _BRANCH.sub("run again", text))

    return translate


_BRANCH = re.compile(r"\bbranch(?: the run)?(?= (?:with|at)\b)")
"""Advice to branch from a checkpoint, which other programs do not do."""


def _finding(finding: Finding, translate: Callable[[str], str]) -> Finding:
    return replace(
        finding,
        headline=translate(finding.headline),
        why=translate(finding.why),
        evidence=tuple(_evidence(fact, translate) for fact in finding.evidence),
        causes=tuple(_cause(cause, translate) for cause in finding.causes),
        unsupported=tuple(_cause(cause, translate) for cause in finding.unsupported),
        remedies=tuple(_remedy(remedy, translate) for remedy in finding.remedies),
    )


def _evidence(fact: Evidence, translate: Callable[[str], str]) -> Evidence:
    return replace(fact, text=translate(fact.text))


def _cause(cause: Cause, translate: Callable[[str], str]) -> Cause:
    return replace(cause, what=translate(cause.what), test=translate(cause.test), why=translate(cause.why))


def _remedy(remedy: Remedy, translate: Callable[[str], str]) -> Remedy:
    return replace(remedy, why=translate(remedy.why), watch=translate(remedy.watch))
