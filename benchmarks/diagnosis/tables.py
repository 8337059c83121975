"""Tables of results in Markdown: faults found, false alarms, and fault forms that are left out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.diagnosis.faults import FAULTS, OF_STRANGERS
from benchmarks.diagnosis.harm import Harm, clopper_pearson
from benchmarks.diagnosis.scoring import THREE, Found, Verdict, find_place, is_right
from benchmarks.diagnosis.training import Arm
from benchmarks.diagnosis.worlds import NEW

Judged = Mapping[Arm, Sequence[Verdict]]
Counted = list[tuple[Any, Any]]
Count = Callable[[Counted], str]


def found_table(judged: Judged, harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of faults found and of right causes: by harmful fault, form, world, and overall."""
    rows = [
        "| fault | worlds | runs | recall | right cause first | among three | found after |",
        "|---|---|---|---|---|---|---|",
    ]
    counted = list_harmed(judged, harms)
    rows += list_fault_rows(counted, FAULTS, lambda own: _found(Found.of(own)))
    rows.append(f"| **all** | | {_found(Found.of(counted))} |")
    for words, is_of in (("known", False), ("strangers'", True)):
        own = [one for one in counted if (one[0].name in OF_STRANGERS) == is_of]
        rows.append(f"| {words} kinds | | {_found(Found.of(own))} |")
    for words, is_new in (("known", False), ("new", True)):
        own = [one for one in counted if (one[0].world in NEW) == is_new]
        rows.append(f"| all in {words} worlds | | {_found(Found.of(own))} |")
    for form in ("mild", "strong"):
        rows.append(f"| {form} forms | | {_found(Found.of([one for one in counted if one[0].form == form]))} |")
    rows += list_world_rows(counted, lambda own: _found(Found.of(own)))
    return "\n".join(rows)


def list_fault_rows(counted: Counted, faults: Iterable[str], count: Count) -> list[str]:
    """Return a Markdown row for each fault that was scored: name, worlds, and the cells of its runs.

    Args:
        counted: Arms and verdicts.
        faults: Names of the faults, in the order of the rows.
        count: Function that makes the cells of some arms and verdicts.
    """
    rows = []
    for name in faults:
        own = [(arm, one) for arm, one in counted if arm.name == name]
        if own:
            worlds = ", ".join(dict.fromkeys(arm.world for arm, _ in own))
            rows.append(f"| {name} | {worlds} | {count(own)} |")
    return rows


def list_world_rows(counted: Counted, count: Count) -> list[str]:
    """Return a Markdown row for each world; arguments as of `list_fault_rows`."""
    worlds = dict.fromkeys(arm.world for arm, _ in counted)
    return [f"| all in {world} | | {count([one for one in counted if one[0].world == world])} |" for world in worlds]


def _found(found: Found) -> str:
    if not found.runs:
        return "0 | | | | "
    shares = (share(part, found.runs) for part in (found.detected, found.right, found.third))
    return f"{found.runs} | {' | '.join(shares)} | {100 * found.delay:.1f} %"


def list_harmed(judged: Mapping[Any, Sequence[Any]], harms: Mapping[Any, Harm]) -> Counted:
    """Return each verdict with its arm, of the faults that hurt: no other need be found."""
    return [(arm, one) for arm, all_of in judged.items() if arm in harms and harms[arm].hurts for one in all_of]


def cause_table(judged: Judged, harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of right causes where suspects, which are listed behind the faults, count as well."""
    counted = list_harmed(judged, harms)
    places = [find_place(FAULTS[arm.name].is_named_by, one.listed) for arm, one in counted]
    rows = ["| faults and suspects, as listed | share |", "|---|---|"]
    if counted:
        hits = {
            "something is listed": sum(bool(one.listed) for _, one in counted),
            "right cause first": sum(place == 1 for place in places),
            "right cause among three": sum(0 < place <= THREE for place in places),
        }
        rows += [f"| {words} | {share(count, len(counted))} |" for words, count in hits.items()]
    return "\n".join(rows)


def share(part: int, whole: int) -> str:
    """Format `part / whole` with the exact 95 % interval (Clopper-Pearson), e.g. `0.90 (0.81 to 0.96)`."""
    low, high = clopper_pearson(part, whole)
    return f"{part / whole:.2f} ({low:.2f} to {high:.2f})"


def alarm_table(judged: Judged, look: str = "evaluation") -> str:
    """Return a Markdown table of false alarms in healthy runs that have learned: at any look, and at the end.

    Args:
        judged: Verdicts by arm.
        look: What a look is called.
    """
    healthy = [(arm, one) for arm, all_of in judged.items() if arm.is_healthy for one in all_of]
    learned = [(arm, one) for arm, one in healthy if has_learned(arm, one)]
    count = len(learned)
    ever, final = sum(bool(one.alarms) for _, one in learned), sum(bool(one.faults) for _, one in learned)
    rows = ["| healthy runs | false alarms | share (exact 95 %) |", "|---|---|---|"]
    if count:
        for words, hits in ((f"at any {look}", ever), ("at the end", final)):
            low, high = clopper_pearson(hits, count)
            rows.append(f"| {count}, {words} | {hits} | {hits / count:.3f} ({low:.3f} to {high:.3f}) |")
    left = len(healthy) - count
    rows.append(f"\n{left} of {len(healthy)} runs did not learn, and do not count as healthy.")
    return "\n".join(rows)


def has_learned(arm: Arm, one: Verdict) -> bool:
    """True if a healthy run's score is above `learned`, the least score that counts as learned in the run's world."""
    return one.score > arm.setting.learned


def harmless_table(harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of faults (by form) that do not lower the score, and so are left out of recall."""
    rows = ["| does not hurt | form | score, healthy | score, faulty | difference (95 %) |", "|---|---|---|---|---|"]
    rows += [
        f"| {arm.pair} | {arm.form} | {harm.healthy:.3g} | {harm.faulty:.3g} | {harm.low:+.3g} to {harm.high:+.3g} |"
        for arm, harm in harms.items()
        if not harm.hurts
    ]
    return "\n".join(rows)


def missed_table(judged: Judged, harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of arms whose fault was missed or not ranked first, with the rules ranked first."""
    rows = ["| not found, or another cause first | form | not found | first in its place |", "|---|---|---|---|"]
    for arm, all_of in judged.items():
        if arm not in harms or not harms[arm].hurts:
            continue
        wrong = [one for one in all_of if not is_right(arm, one)]
        first = ", ".join(one.faults[0] for one in wrong if one.faults)
        if wrong:
            rows.append(f"| {arm.pair} | {arm.form} | {sum(not one.faults for one in wrong)} | {first} |")
    return "\n".join(rows)


def false_table(judged: Judged) -> str:
    """Return a Markdown table of healthy runs with a false alarm: score, first iteration, rules of the alarm."""
    rows = ["| false alarm | score | since | raised by | at the end |", "|---|---|---|---|---|"]
    rows += [
        f"| {arm.pair} | {one.score:.3g} | {one.since} | {', '.join(one.alarms)} | {', '.join(one.faults)} |"
        for arm, all_of in judged.items()
        if arm.is_healthy
        for one in all_of
        if one.alarms
    ]
    return "\n".join(rows)
