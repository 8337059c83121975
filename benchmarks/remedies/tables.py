"""Tables of the benchmark in Markdown: the figures, a table by fault, and a table of all cases."""

from collections.abc import Sequence

from benchmarks.diagnosis.tables import share
from benchmarks.remedies.scoring import Case, Effect
from benchmarks.unstick.tables import describe_change, format_share, make_table


def describe_figures(cases: Sequence[Case]) -> str:
    """Describe in sentences how many curable faults the first remedy cures, and what is said of the others."""
    curable = [case for case in cases if case.is_curable]
    others = [case for case in cases if not case.is_curable]
    cured = sum(case.effect is Effect.CURES for case in curable)
    told = sum(case.advice.incurable for case in others)
    silent = sum(case.effect is Effect.NONE for case in others)
    unasked = sum(case.effect is Effect.CURES for case in others)
    lines = [f"{len(cases)} cases that hurt."]
    if curable:
        lines.append(
            f"Of {len(curable)} that a setting can cure, the first remedy cures **{share(cured, len(curable))}**."
        )
    if others:
        lines.append(
            f"Of {len(others)} that none can, the diagnosis says so of {share(told, len(others))}, offers no setting "
            f"at all in {share(silent, len(others))}, and offers one that cures all the same in {unasked}."
        )
    harmful = sum(case.effect is Effect.HARMS for case in cases)
    return " ".join([*lines, f"First remedies that harm: {harmful}."])


def make_fault_table(cases: Sequence[Case]) -> str:
    """Make the table by fault: cases, what can be cured, what first remedies did, and what was said of the rest."""
    header = ("fault", "cases", "curable", *(str(effect) for effect in Effect), "no setting mends it, it says")
    rows = []
    for name in dict.fromkeys(case.arm.name for case in cases):
        own = [case for case in cases if case.arm.name == name]
        counts = [sum(case.effect is effect for case in own) for effect in Effect]
        curable, told = sum(case.is_curable for case in own), sum(case.advice.incurable for case in own)
        rows.append((name, *(str(count or "") for count in (len(own), curable, *counts, told))))
    return make_table(header, rows)


def make_case_table(cases: Sequence[Case]) -> str:
    """Make the table of all cases: scores, the fault found first, the first remedy, and the share that it closed."""
    header = (
        "case",
        "healthy",
        "faulty",
        "found first",
        "first remedy",
        "of",
        "closes",
        "effect",
        "right setting closes",
    )
    rows = [
        (
            f"{case.arm.pair}, {case.arm.form}",
            f"{case.healthy:.3g}",
            f"{case.faulty:.3g}",
            case.advice.fault + (", no setting" if case.advice.incurable else ""),
            describe_change(case.advice.change),
            case.advice.rule,
            format_share(None if case.treated is None else case.close_gap(case.treated)),
            str(case.effect),
            format_share(None if case.right is None else case.close_gap(case.right)),
        )
        for case in cases
    ]
    return make_table(header, rows)
