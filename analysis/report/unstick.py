"""Report of an unstick: the verdict, what was wrong, what was tried beside the control, milestones, and what to run."""

import math
from collections.abc import Sequence
from dataclasses import replace

from unstuck.analysis.comparison import describe_difference, describe_interval
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.document import Bullets, Commands, Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.overrides import format_point
from unstuck.analysis.programs import sweep_program
from unstuck.analysis.report.arms import describe_change, quote_command
from unstuck.analysis.report.diagnosis import fault_blocks, fine_blocks, limit_blocks, list_tests
from unstuck.analysis.report.expected import expected_blocks
from unstuck.analysis.report.go_on import LONGER, describe_go_on, make_go_on_command
from unstuck.analysis.report.run import fold_blocks
from unstuck.analysis.report.sweep import Findings, trial_blocks
from unstuck.analysis.report.unstick_figures import arm_curve_blocks
from unstuck.analysis.report.unstick_verdict import (
    describe_arm,
    find_best_arm,
    get_arm,
    name_arm,
    unstick_verdict,
)
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.sweep.cost import estimate_training
from unstuck.analysis.sweep.readings import format_time
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.sweep.unstick import Arm, Unstick, name_parts
from unstuck.analysis.sweep.verdicts import Answer, Verdict
from unstuck.analysis.words import format_uncertain, number, pluralize
from unstuck.records.outcome import Outcome
from unstuck.records.unstick import MilestoneRecord


def unstick_document(found: Findings, unstick: Unstick) -> Document:
    """Return the report on a stuck run as a document: result, diagnosis, branches tried, milestones, next runs."""
    sweep, before = found.sweep, found.before
    curves = arm_curve_blocks(found, unstick)
    blocks: list[Block] = [
        Paragraph(unstick_verdict(sweep, unstick), lead=True),
        *curves[:1],
        *(fine_blocks(before, "What worked") if before else []),
        *_run_blocks(found, unstick),
        *_arm_blocks(sweep, unstick),
        *_verdict_blocks(sweep, unstick),
        *unstick_next_blocks(found, unstick),
        *(expected_blocks(before.signals, "Expected of the run, against actual") if before else []),
        *_milestone_blocks(sweep),
        *_diagnosis_blocks(before),
        *_reason_blocks(sweep, unstick),
        *([Heading("More curves", folded=True), *curves[1:]] if curves[1:] else []),
        *fold_blocks(_stage_blocks(sweep, unstick)),
        *fold_blocks(_start_blocks(sweep)),
        *_repeat_blocks(sweep, unstick),
        *trial_blocks(sweep),
    ]
    return Document(f"Report of the unstick {sweep.name}: {unstick.name}", tuple(blocks))


def _run_blocks(found: Findings, unstick: Unstick) -> list[Block]:
    """Return report blocks with the stuck run's diagnosis in brief: what was wrong."""
    blocks: list[Block] = [Heading("What was wrong")]
    steps, run = unstick.run.get("env_steps"), unstick.run.get("mlflow_run")
    where = f"Branched from {unstick.branched_from}"
    where += f", after {int(steps):,} environment steps of each seed" if steps else ""
    where += f" (MLflow run `{str(run)[:8]}`)" if run else ""
    if found.before is None:
        text = f"{where}. Its checkpoint cannot be read here, so it is not diagnosed again."
        return [*blocks, Paragraph(text)]
    blocks.append(Paragraph(f"{where}. {state_verdict(found.before)}"))
    basic = [ranked.finding for ranked in found.before.findings if not ranked.follows_from]
    told = tuple(f"{one.kind}: {one.headline}." for one in basic if one.kind is not Kind.FINE)
    return [*blocks, *([Bullets(told)] if told else [])]


def _diagnosis_blocks(before: Diagnosis | None) -> list[Block]:
    """Return report blocks with the stuck run's diagnosis in full, in a folded section."""
    if before is None:
        return []
    basic = replace(before, findings=tuple(ranked for ranked in before.findings if not ranked.follows_from))
    inner = [*fault_blocks(basic), *limit_blocks(basic)]
    blocks: list[Block] = [block for block in inner if not isinstance(block, Heading) or block.level > 2]
    follow = [ranked.finding for ranked in before.findings if ranked.follows_from]
    if follow:
        blocks.append(Paragraph("What may follow from that:"))
        blocks.append(Bullets(tuple(f"{finding.kind}: {finding.headline}." for finding in follow)))
    return [Heading("What was wrong, in full", folded=True), *blocks] if blocks else []


def _arm_blocks(sweep: Sweep, unstick: Unstick) -> list[Block]:
    """Return a table of a stuck run's branches: changed settings, and the result of each."""
    numbers = [trial.number for trial in sweep.trials]
    unborn = [place for place in range(len(unstick.arms)) if place not in numbers]
    rows = [_arm_row(sweep, trial) for trial in sweep.trials]
    rows += [(str(place), describe_arm(unstick.arms[place]), "", "", "", "", "not started") for place in unborn]
    header = ("trial", "what is changed", "starts from", sweep.metric, "minus control", "milestones", "ended")
    length = sweep.axis.describe_length(sweep.length)
    caption = f"Arms of {length} each beside the untouched control; {sweep.metric}: mean of the last evaluations"
    start = "anew, since the trainer keeps no state to go on from, by the same seeds"
    if not sweep.starts_anew:
        start = "from the same state and meet the same random numbers"
    return [
        Heading("What was tried, beside the untouched control"),
        Paragraph(
            f"All arms start {start}, so an arm differs from the control by its change alone. The best arm is chosen "
            "by these figures; the verdict rests on others."
        ),
        Table(caption, header, tuple(rows), frozenset({3, 4})),
    ]


def _reason_blocks(sweep: Sweep, unstick: Unstick) -> list[Block]:
    """Return a table of why each branch of a stuck run was tried, and which state it kept, folded away."""
    numbers = [trial.number for trial in sweep.trials]
    unborn = [place for place in range(len(unstick.arms)) if place not in numbers]
    rows = tuple(_reason_row(sweep, place) for place in [*numbers, *unborn])
    table = Table("", ("trial", "why", "carried over", "watch for"), rows)
    return [Heading("Why each arm, and what it carried over", folded=True), table]


def _arm_row(sweep: Sweep, trial: Trial) -> tuple[str, ...]:
    arm, control = get_arm(sweep, trial.number), sweep.control
    spread = trial.estimate.spread if trial.estimate else None
    value = "" if trial.value is None else format_uncertain(trial.value, spread)
    known = trial is not control and trial.value is not None and control is not None and control.value is not None
    more = f"{trial.value - control.value:+.3g}" if known else ""  # type: ignore[operator,union-attr]
    passed = sum(one.passed for one in trial.milestones)
    milestones = f"{passed} of {len(trial.milestones)} passed" if trial.milestones else ""
    reason = f": {trial.reason}" if trial.reason and trial.outcome != Outcome.COMPLETED else ""
    named = f"{trial.number} (control)" if trial is control else str(trial.number)
    ended = f"{trial.outcome or 'running'}{reason}"
    return named, describe_change(arm.change) or "nothing", _describe_start(sweep, arm), value, more, milestones, ended


def _describe_start(sweep: Sweep, arm: Arm) -> str:
    if arm.is_anew or sweep.starts_anew:
        return "fresh weights"
    where = "the checkpoint" if arm.parent is None else f"the end of trial {arm.parent}"
    return f"{where}, {name_parts(arm.reset)} reset" if arm.reset else where


def _reason_row(sweep: Sweep, place: int) -> tuple[str, ...]:
    arm = get_arm(sweep, place)
    why = f"{arm.why} (`{arm.rule}`)" if arm.rule and arm.why else arm.why
    return str(place), why, arm.carried, arm.watch


def _milestone_blocks(sweep: Sweep) -> list[Block]:
    """Return a table of milestones (bounds on metrics): rows are a stuck run's branches, columns milestones."""
    demands: dict[int, MilestoneRecord] = {
        one.number: one for trial in reversed(sweep.trials) for one in trial.milestones
    }
    if not demands:
        name = sweep.settings.get("milestones.name")
        none = name in (None, "none")
        why = "No milestones were set (milestones=none)" if none else f"No milestone of {name} was decided"
        return [Heading("Milestones"), Paragraph(f"{why}, so none was passed or missed.")]
    columns = sorted(demands)
    header = tuple(f"{demands[place].demand} in {demands[place].first} to {demands[place].last}" for place in columns)
    rows = []
    for trial in sweep.trials:
        decided = {one.number: one for one in trial.milestones}
        cells = [_format_milestone(decided.get(place)) for place in columns]
        rows.append((_name_trial(sweep, trial), *cells, _pass_word(list(decided.values()), len(columns))))
    passed = [trial for trial in sweep.trials if _has_passed(trial, len(columns))]
    names = ", ".join(_name_trial(sweep, trial) for trial in passed)
    told = f"All milestones were passed by {names}." if passed else "No arm passed all milestones."
    caption = "Iterations count from the branch; a milestone is decided at the last evaluation of its window"
    return [Heading("Milestones"), Paragraph(told), Table(caption, ("arm", *header, "all"), tuple(rows))]


def _name_trial(sweep: Sweep, trial: Trial) -> str:
    return "the control" if trial is sweep.control else name_arm(sweep, trial.number)


def _format_milestone(one: MilestoneRecord | None) -> str:
    if one is None:
        return "not decided"
    value = "" if one.value is None else f", {number(one.value, 3)} at {one.iteration}"
    return f"{one.outcome}{value}"


def _pass_word(decided: Sequence[MilestoneRecord], count: int) -> str:
    if any(not one.passed for one in decided):
        return "missed"
    return "passed" if len(decided) == count else "not decided"


def _has_passed(trial: Trial, count: int) -> bool:
    return _pass_word(trial.milestones, count) == "passed"


def _stage_blocks(sweep: Sweep, unstick: Unstick) -> list[Block]:
    """Return a table of the rounds of a stuck run's branches with reasons; empty if there was one round."""
    items: list[str] = []
    for stage in unstick.stages:
        if not stage.is_started:
            items.append(f"Stage {stage.stage}, not started: {stage.why.rstrip('.')}.")
            continue
        start = "fresh weights" if sweep.starts_anew else "the run's checkpoint"
        where = f"the end of {name_arm(sweep, stage.parent)}" if stage.parent is not None else start
        size = f"{pluralize(len(stage.arms), 'arm')} from {where}, {stage.env_steps:,} environment steps"
        items.append(f"Stage {stage.stage}: {size}; {stage.why.rstrip('.')}.")
    return [Heading("Stages"), Bullets(tuple(items))] if items else []


def _start_blocks(sweep: Sweep) -> list[Block]:
    """Return a table of changes tried both from the checkpoint and from fresh weights."""
    pairs: dict[str, dict[bool, Trial]] = {}
    for trial in sweep.rank_trials(Outcome.COMPLETED):  # the best first, where a change was tried with other resets
        arm = get_arm(sweep, trial.number)
        if arm.parent is None and arm.change:
            pairs.setdefault(describe_change(arm.change), {}).setdefault(arm.is_anew, trial)
    rows, won = [], {True: 0, False: 0}
    for change, both in pairs.items():
        if len(both) < 2:
            continue
        on, anew = both[False], both[True]
        gap = sweep.sign * ((on.value or 0.0) - (anew.value or 0.0))
        if gap:
            won[gap < 0] += 1
        winner = "neither" if not gap else f"{'going on' if gap > 0 else 'anew'}, by {abs(gap):.3g}"
        means = [number(_average_evaluations(trial), 3) for trial in (on, anew)]
        rows.append((change, number(on.value or 0.0), number(anew.value or 0.0), *means, winner))
    if not rows:
        return []
    header = ("change", "went on", "started anew", "went on, mean", "anew, mean", "ahead after as many steps")
    caption = f"{sweep.metric} at the end and over all evaluations, at equal environment steps from the branch"
    text = (
        f"Going on from the checkpoint was ahead in {won[False]} of {len(rows)}, starting anew in {won[True]}: per "
        "environment step from the branch, as single arms show it, without a verdict. The steps before the branch are "
        "lost to an arm that starts anew, and cost nothing more to one that goes on."
    )
    table = Table(caption, header, tuple(rows), frozenset(range(1, 5)))
    return [Heading("Go on, or start anew"), Paragraph(text), table]


def _average_evaluations(trial: Trial) -> float:
    """Compute the mean of all evaluations of a stuck run's branch, which is higher if it improved sooner."""
    values = [value for value in trial.curve.values() if math.isfinite(value)]
    return sum(values) / len(values) if values else math.nan


def _verdict_blocks(sweep: Sweep, unstick: Unstick) -> list[Block]:
    """Return report blocks with the values that decided if a stuck run's best branch beats the control."""
    readings = unstick.verdicts.readings
    if not readings:
        return []
    rows = []
    for reading in readings:
        found = unstick.verdicts.judge(reading, sweep.sign)
        row = (name_arm(sweep, reading.trial), format_time(reading.at), str(reading.repeats), str(reading.members))
        values = (number(reading.searched), number(found.arm), number(found.control))
        rows.append(
            (*row, *values, describe_difference(found.this_run.difference, metric=sweep.metric), str(found.answer))
        )
    header = ("", "when", "repeats", "seeds", "among the arms", "judged", "control", "difference", "this run")
    last = unstick.verdicts.judge(readings[-1], sweep.sign)
    start = "from fresh weights" if sweep.starts_anew else "from where the run was branched"
    blocks: list[Block] = [
        Heading("How the verdict was made"),
        Paragraph(
            f"The best arm and the control were trained again {start}, by fresh actions, "
            "shuffles and episodes that no arm had used, and judged by test flows or episodes that no arm saw. So the "
            "choice of the best of several arms does not flatter the arm (docs/unstick.md)."
        ),
        Table(f"{sweep.metric}, mean of the last evaluations", header, tuple(rows), frozenset(range(2, 7))),
    ]
    if last.alike is not None:
        among = pluralize(last.reading.chosen_among, "arm")
        told = describe_difference(last.alike.difference, metric=sweep.metric)
        blocks.append(
            Paragraph(
                f"For runs like this one: each seed's difference from the same seed of the control, "
                f"{told}: {last.alike.answer}. The best of {among} was chosen on "
                "these very seeds, and the interval pays for that."
            )
        )
    return blocks


def _repeat_blocks(sweep: Sweep, unstick: Unstick) -> list[Block]:
    """Return a table of the repeated trainings of a stuck run's best branch and control, folded away."""
    readings = unstick.verdicts.readings
    if not readings:
        return []
    table = _repeat_table(sweep, unstick.verdicts.judge(readings[-1], sweep.sign))
    return [Heading("The verdict, repeat by repeat", folded=True), table]


def _repeat_table(sweep: Sweep, found: Verdict) -> Table:
    rows = []
    for repeat, (ours, theirs) in enumerate(zip(found.reading.arm, found.reading.control, strict=True), start=1):
        means = [sum(side) / len(side) for side in (ours, theirs)]
        rows.append((str(repeat), *(number(mean) for mean in means)))
    caption = f"Each repeat, mean over seeds; {describe_interval(found.this_run.difference, metric=sweep.metric)}"
    return Table(caption, ("repeat", name_arm(sweep, found.reading.trial), "control"), tuple(rows), frozenset({1, 2}))


def unstick_next_blocks(found: Findings, unstick: Unstick) -> list[Block]:
    """Return report blocks on what to run next: continue the winner, repeat more, or look for a fault."""
    sweep, best = found.sweep, find_best_arm(found.sweep)
    reading = unstick.verdicts.last
    blocks: list[Block] = [Heading("What to run next")]
    if any(trial.is_open for trial in sweep.trials) or len(sweep.trials) < len(unstick.arms):
        folder = f"sweep.folder={found.folder.absolute()}"
        words = [*sweep_program(), "+experiment=unstick", f"resume={sweep.name}", folder]
        return [
            *blocks,
            Paragraph("Let the arms end; a resume goes on where they were:"),
            Commands((quote_command(words),)),
        ]
    if reading is None:
        if best is not None:
            blocks += _go_on(found, best.number, "Go on with the best arm, which no verdict has confirmed:")
        return blocks + _mend(found.before) if best is None else blocks
    verdict = unstick.verdicts.judge(reading, sweep.sign)
    if verdict.answer is Answer.WINS:
        return [*blocks, *_go_on(found, reading.trial, f"{describe_go_on(sweep.starts_anew)}:")]
    if verdict.answer is Answer.UNKNOWN and verdict.this_run.more is not None:
        more = reading.repeats + verdict.this_run.more
        return [
            *blocks,
            *_make_repeat_command(found, unstick, get_arm(sweep, reading.trial), more),
            *_mend(found.before),
        ]
    return [
        *blocks,
        Paragraph("No arm fixed the run. Longer arms may (unstick.iterations), or other ones (arms=[...])."),
        *_mend(found.before),
    ]


def _go_on(found: Findings, trial: int, why: str) -> list[Block]:
    sweep = found.sweep
    iterations = int(sweep.settings.get("unstick.iterations") or sweep.length)
    words = make_go_on_command(sweep.name, trial, found.folder, iterations)
    text = f"{why.rstrip(':')}, which costs about {estimate_training(sweep, 1, times=LONGER)}:"
    return [Paragraph(text), Commands((quote_command(words),))]


def _make_repeat_command(found: Findings, unstick: Unstick, arm: Arm, repeats: int) -> list[Block]:
    """Return the command that trains a stuck run's best branch again, more often; none for a later round's."""
    if arm.parent is not None:
        return [Paragraph("More repeats would tell: a new unstick of the run that this arm went on from has them.")]
    had = unstick.verdicts.last.repeats if unstick.verdicts.last else 0
    iterations = f"unstick.iterations={found.sweep.settings.get('unstick.iterations')}"
    words = [*sweep_program(), "+experiment=unstick", f"run={unstick.run.get('reference') or unstick.name}"]
    words += [f"arms=[{format_point(arm.values)}]", f"unstick.repeats={repeats}", iterations]
    words += [f"sweep.folder={found.folder.absolute()}"]
    return [
        Paragraph(
            f"So many repeats would tell a difference of the size seen ({repeats} of each side). The first "
            f"{had} of them are the trainings above once more, the others are new: a second look at "
            "one test, whose interval is a little too narrow:"
        ),
        Commands((quote_command(words),)),
    ]


def _mend(before: Diagnosis | None) -> list[Block]:
    """List tests for faults that no setting can mend, such as bugs; empty if the diagnosis names none."""
    tests = list_tests(before) if before is not None else ()
    return [Paragraph("No setting mends this by the diagnosis; look for the fault:"), Bullets(tests)] if tests else []
