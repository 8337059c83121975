"""Tables of results in Markdown, beside those that `benchmarks.diagnosis.tables` has for both."""

from collections.abc import Mapping, Sequence

from benchmarks.diagnosis.harm import Harm
from benchmarks.diagnosis.tables import alarm_table, has_learned, list_fault_rows, list_harmed, list_world_rows, share
from benchmarks.strangers.faults import FAULTS
from benchmarks.strangers.scoring import THREE, Answer, Counts, find_place
from benchmarks.strangers.training import Arm

Judged = Mapping[Arm, Sequence[Answer]]


def found_table(judged: Judged, harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of faults found and of right causes: by harmful fault, by world, and overall."""
    rows = [
        "| fault | worlds | runs | recall: a fault | or a suspect | right cause first | among three |",
        "|---|---|---|---|---|---|---|",
    ]
    counted = list_harmed(judged, harms)
    rows += list_fault_rows(counted, FAULTS, lambda own: _counts(Counts.of(own)))
    rows.append(f"| **all** | | {_counts(Counts.of(counted))} |")
    new = [one for one in counted if not FAULTS[one[0].name].ours]
    rows.append(f"| of kinds that our own learner is not given | | {_counts(Counts.of(new))} |")
    rows += list_world_rows(counted, lambda own: _counts(Counts.of(own)))
    return "\n".join(rows)


def _counts(counts: Counts) -> str:
    if not counts.runs:
        return "0 | | | | "
    hits = (counts.accused, counts.found, counts.first, counts.third)
    return " | ".join([str(counts.runs), *(share(hit, counts.runs) for hit in hits)])


def quiet_table(judged: Judged) -> str:
    """Return a Markdown table of false alarms in healthy runs that have learned, suspects counted apart."""
    learned = [one for arm, all_of in judged.items() if arm.is_healthy for one in all_of if has_learned(arm, one)]
    text = alarm_table(judged, "tenth")
    if learned:
        at_end, ever = sum(bool(one.listed) for one in learned), sum(one.suspected for one in learned)
        text += (
            f"\nA fault or a suspect is listed in {share(at_end, len(learned))} at the end, and in "
            f"{share(ever, len(learned))} at any tenth."
        )
    return text


def missed_table(judged: Judged, harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of faults not named first: the place of the right answer, and what is listed, by run."""
    rows = [
        "| not named first | place of the right answer | listed, run by run (a suspect in brackets) |",
        "|---|---|---|",
    ]
    for arm, all_of in judged.items():
        if arm not in harms or not harms[arm].hurts or all(find_place(arm, one) == 1 for one in all_of):
            continue
        places = ", ".join(str(find_place(arm, one) or "none") for one in all_of)
        rows.append(f"| {arm.pair} | {places} | {'; '.join(_list(one) or 'nothing' for one in all_of)} |")
    return "\n".join(rows)


def _list(one: Answer) -> str:
    return ", ".join(rule if rule in one.faults else f"({rule})" for rule in one.listed[:THREE])
