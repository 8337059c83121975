"""Report of an unstick: verdict first, what was tried beside the control, milestones, and what to run next."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.diagnosis.finding import Cause, Kind, Remedy
from unstuck.analysis.document import Bullets, Document, Figure, Heading, Paragraph
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.document.html import to_html
from unstuck.analysis.document.markdown import to_markdown
from unstuck.analysis.report.notes import format_study_note, format_trial_note
from unstuck.analysis.report.sweep import Findings
from unstuck.analysis.report.sweep_verdict import sweep_verdict
from unstuck.analysis.report.unstick import unstick_document
from unstuck.analysis.report.unstick_verdict import changes_something, describe_arm, find_best_arm, get_arm
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.sweep.unstick import Arm, Unstick, read_unstick
from unstuck.analysis.sweep.verdicts import Reading, Readings
from unstuck.records.unstick import MilestoneRecord, StageRecord

from tests.analysis_tests.report.made import SETTINGS, commands, diagnosed, headings, paragraphs, ranked, tables, trial
from tests.analysis_tests.runs import healthy, untaught

RUN = {"name": "stuck/7", "sweep": "stuck", "trial": 7, "mlflow_run": "ab" * 16, "iteration": 220, "env_steps": 112_640}
OWN = {
    **SETTINGS,
    "unstick.iterations": 50,
    "unstick.repeats": 5,
    "ppo.num_iterations": 50,
    "milestones.name": "improved",
}

ARMS = (
    Arm({}, "the control: nothing is changed", carried="Everything goes on as saved."),
    Arm({"ppo.lr": 1e-3}, "lr is too low", "updates_too_small", "KL rises", carried="Everything goes on as saved."),
    Arm({"ppo.lr": 1e-3, "branch.start": "anew"}, "lr is too low", carried="Nothing is carried over from the run."),
    Arm({"ppo.gamma": 0.5, "branch.reset": ("value_head", "adam")}, "a shorter horizon", "value_floor"),
)


def milestone(number: int, value: float | None, passed: bool, **changed: Any) -> MilestoneRecord:
    whole = {"metric": "train/value_loss", "bound": "below", "limit": 0.5, "first": 10, "last": 30, "iteration": 30}
    return MilestoneRecord(number=number, value=value, passed=passed, **{**whole, **changed})


def arm_trial(number: int, value: float | None, outcome: str = "completed", **changed: Any) -> Trial:
    return trial(number, value, outcome, **{"values": ARMS[number].values if number < 4 else {}, **changed})


def reading(arm: float = 0.9, control: float = 0.2, apart: float = 0.01, **changed: Any) -> Reading:
    """Five repeats of one seed, spread evenly about a value."""

    def side(middle: float) -> tuple[tuple[float, ...], ...]:
        return tuple((middle + apart * step,) for step in range(-2, 3))

    whole: dict[str, Any] = {"trial": 1, "searched": 0.88, "chosen_among": 3, "values": ARMS[1].values}
    return Reading(arm=side(arm), control=side(control), **{**whole, **changed})


FOUR = (arm_trial(0, 0.2), arm_trial(1, 0.8), arm_trial(2, 0.7), arm_trial(3, 0.3))


def made(*trials: Trial, readings: tuple[Reading, ...] = (), **changed: Any) -> Sweep:
    settings = {**OWN, **changed.pop("settings", {})}
    unstick = Unstick(**{"run": RUN, "arms": ARMS, "verdicts": Readings(readings), **changed})
    return Sweep("mend", settings, trials or FOUR, unstick=unstick)


def report(sweep: Sweep, **changed: Any) -> Document:
    assert sweep.unstick is not None
    return unstick_document(Findings(sweep, **{"diagnoses": {}, "folder": Path("/runs"), **changed}), sweep.unstick)


def section(document: Document, title: str) -> list[Block]:
    """Blocks between a heading and the next one of its level."""
    blocks = list(document.blocks)
    start = next(place for place, block in enumerate(blocks) if isinstance(block, Heading) and block.text == title)
    ends = [
        place for place in range(start + 1, len(blocks)) if isinstance(b := blocks[place], Heading) and b.level == 2
    ]
    return blocks[start + 1 : ends[0] if ends else None]


def test_the_report_follows_the_owners_questions_with_the_verdict_first() -> None:
    stages = (StageRecord(stage=1, parent=None, why="First.", arms=(0, 1, 2, 3), env_steps=9), _STAGE_2)
    trials = [replace(one, milestones=(milestone(1, 0.4, True),)) for one in FOUR]
    document = report(made(*trials, readings=(reading(),), stages=stages))
    assert headings(list(document.blocks)) == [
        "What was wrong",
        "What was tried, beside the untouched control",
        "How the verdict was made",
        "What to run next",
        "Milestones",
        "Why each arm, and what it carried over",
        "Stages",
        "Go on, or start anew",
        "The verdict, repeat by repeat",
        "All trials",
    ]
    assert isinstance(document.blocks[0], Paragraph)
    assert document.lead == document.blocks[0].text
    assert document.lead.startswith(
        "Trial 1 (lr 0.001) wins: eval/f1 0.9 against 0.2 of the untouched control, +0.7 (95 %"
    )
    assert "holds for this run alone, with its 1 seed" in document.lead
    assert "stuck/7" in document.title


_STAGE_2 = StageRecord(stage=2, parent=None, why="An arm passed.", arms=(), env_steps=0)


def test_every_arm_stands_beside_the_control_with_start_reason_and_result() -> None:
    (what,) = tables(section(report(made()), "What was tried, beside the untouched control"))
    (why,) = tables(section(report(made()), "Why each arm, and what it carried over"))
    assert what.rows[0][:5] == ("0 (control)", "nothing", "the checkpoint", "0.200 ± 0.010", "")
    assert what.rows[1][1:5] == ("lr 0.001", "the checkpoint", "0.800 ± 0.010", "+0.6")
    assert what.rows[2][2] == "fresh weights"
    assert what.rows[3][1:3] == ("gamma 0.5", "the checkpoint, value head and adam reset")
    assert why.rows[1] == ("1", "lr is too low (`updates_too_small`)", "Everything goes on as saved.", "KL rises")


def test_arms_of_a_trainer_without_state_start_anew_in_every_part_of_the_report() -> None:
    stages = (StageRecord(stage=1, parent=None, why="First.", arms=(0, 1, 2, 3), env_steps=9), _STAGE_2)
    sweep = made(readings=(reading(),), stages=stages, settings={"branch.start": "anew"})
    told = to_markdown(report(sweep))
    for words in (
        "All arms start anew, since the trainer keeps no state to go on from, by the same seeds",
        "| 1 | lr 0.001 | fresh weights |",
        "trained again from fresh weights",
        "Train the winner for longer, from fresh weights, which costs",
        "4 arms from fresh weights",
    ):
        assert words in told
    for words in ("| the checkpoint", "the run's checkpoint", "where its arm ended", "from the same state"):
        assert words not in told


def test_crashed_running_and_unborn_arms_keep_their_rows() -> None:
    trials = (
        arm_trial(0, 0.2),
        arm_trial(1, None, "crashed", reason="out of memory"),
        arm_trial(2, 0.4, state="RUNNING"),
    )
    running = replace(trials[2], outcome=None)
    document = report(made(trials[0], trials[1], running))
    what = tables(section(document, "What was tried, beside the untouched control"))[0]
    assert [row[-1] for row in what.rows] == ["completed", "crashed: out of memory", "running", "not started"]
    assert document.lead.startswith("No verdict yet: 2 of 4 arms have not ended.")
    (command,) = commands(section(document, "What to run next"))
    assert command.endswith("+experiment=unstick resume=mend sweep.folder=/runs")


@pytest.mark.parametrize(
    ("sweep", "lead"),
    [
        (
            made(),
            "No verdict yet: the best arm and the control have not gone on again by fresh randomness. As the arms saw "
            "it, trial 1 (lr 0.001) is the best of 3 arms (eval/f1 0.8 against 0.2 of the control); the best of "
            "several is flattered by the choice.",
        ),
        (
            made(settings={"unstick.repeats": 0}),
            "No verdict was asked for (unstick.repeats=0). As the arms saw it, trial 1",
        ),
        (
            made(arm_trial(0, 0.2), *(arm_trial(number, None, "crashed") for number in (1, 2, 3))),
            "No verdict: no arm beside the control completed (3 crashed and 1 completed).",
        ),
        (
            made(*(arm_trial(number, None, "crashed") for number in range(4))),
            "No verdict: no arm beside the control completed (4 crashed).",
        ),
        (made(arm_trial(0, 0.2), arms=ARMS[:1]), "No verdict: no arm beside the control completed (1 completed)."),
    ],
)
def test_without_a_verdict_the_report_says_why(sweep: Sweep, lead: str) -> None:
    document = report(sweep)
    assert document.lead.startswith(lead)
    assert "How the verdict was made" not in headings(list(document.blocks))


def test_the_verdict_shows_every_repeat_and_what_it_rests_on() -> None:
    document = report(made(readings=(reading(),)))
    (readings,) = tables(section(document, "How the verdict was made"))
    (repeats,) = tables(section(document, "The verdict, repeat by repeat"))
    assert readings.rows[0][2:7] == ("5", "1", "0.88", "0.9", "0.2")
    assert readings.rows[0][-1] == "wins"
    assert [row[1:] for row in repeats.rows][:2] == [("0.88", "0.18"), ("0.89", "0.19")]


def test_a_verdict_over_members_says_so_twice() -> None:
    members = reading(arm=0.0, control=0.0, trial=1)
    rows = tuple(tuple(0.5 + 0.01 * repeat + 0.1 * member for member in range(5)) for repeat in range(3))
    low = tuple(tuple(value - 0.3 - 0.001 * place for place, value in enumerate(row)) for row in rows)
    document = report(made(readings=(replace(members, arm=rows, control=low),)))
    assert "The same holds for runs like this one, of other seeds" in document.lead
    assert paragraphs(section(document, "How the verdict was made"))[-1].startswith(
        "For runs like this one: each seed's"
    )


def test_an_arm_that_is_best_by_now_but_was_not_judged_is_named() -> None:
    lead = report(made(readings=(reading(trial=3, values=ARMS[3].values),))).lead
    assert lead.endswith("The best arm is now trial 1 (lr 0.001), which has no verdict.")
    twice = report(made(readings=(reading(), reading()))).lead
    assert "The test part has been read 2 times" in twice


def test_the_milestones_are_a_checklist() -> None:
    trials = (
        replace(
            FOUR[0], milestones=(milestone(1, 0.9, False), milestone(2, 0.1, False, metric="eval/f1", bound="above"))
        ),
        replace(
            FOUR[1], milestones=(milestone(1, 0.42, True), milestone(2, 0.8, True, metric="eval/f1", bound="above"))
        ),
        replace(FOUR[2], milestones=(milestone(1, None, False, iteration=12),)),
        FOUR[3],
    )
    blocks = section(report(made(*trials)), "Milestones")
    assert paragraphs(blocks) == ["All milestones were passed by trial 1 (lr 0.001)."]
    (table,) = tables(blocks)
    assert table.header == ("arm", "value loss < 0.5 in 10 to 30", "F1 > 0.5 in 10 to 30", "all")
    assert table.rows[0] == ("the control", "missed, 0.9 at 30", "missed, 0.1 at 30", "missed")
    assert table.rows[1] == ("trial 1 (lr 0.001)", "passed, 0.42 at 30", "passed, 0.8 at 30", "passed")
    assert table.rows[2][1:] == ("missed", "not decided", "missed")
    assert table.rows[3][1:] == ("not decided", "not decided", "not decided")
    none = made(settings={"milestones.name": "none"})
    assert paragraphs(section(report(none), "Milestones")) == [
        "No milestones were set (milestones=none), so none was passed or missed."
    ]
    assert "No milestone of improved was decided" in paragraphs(section(report(made()), "Milestones"))[0]


def test_stages_say_where_they_start_and_why() -> None:
    stages = (
        StageRecord(stage=1, parent=None, why="the run is branched", arms=(0, 1, 2), env_steps=76_800),
        StageRecord(stage=2, parent=1, why="no arm passed.", arms=(3,), env_steps=25_600),
        StageRecord(stage=3, parent=None, why="the budget is used up", arms=(), env_steps=0),
    )
    (items,) = [block for block in section(report(made(stages=stages)), "Stages") if isinstance(block, Bullets)]
    assert items.items == (
        "Stage 1: 3 arms from the run's checkpoint, 76,800 environment steps; the run is branched.",
        "Stage 2: 1 arm from the end of trial 1 (lr 0.001), 25,600 environment steps; no arm passed.",
        "Stage 3, not started: the budget is used up.",
    )
    assert "Stages" not in headings(list(report(made()).blocks))


def test_going_on_and_starting_anew_are_compared_where_both_were_tried() -> None:
    blocks = section(report(made()), "Go on, or start anew")
    (table,) = tables(blocks)
    assert table.rows == (("lr 0.001", "0.8", "0.7", "0.433", "0.4", "going on, by 0.1"),)
    assert paragraphs(blocks)[0].startswith("Going on from the checkpoint was ahead in 1 of 1, starting anew in 0")
    lowest = made(settings={"sweep.mode": "min"})
    assert tables(section(report(lowest), "Go on, or start anew"))[0].rows[0][-1] == "anew, by 0.1"
    one_way = report(made(arm_trial(0, 0.2), arm_trial(1, 0.8), arms=ARMS[:2]))
    assert "Go on, or start anew" not in headings(list(one_way.blocks))


def _first_figure(document: Document) -> Figure:
    return next(block for block in document.blocks if isinstance(block, Figure))


def test_curves_hold_all_arms_in_one_picture_counted_from_the_branch() -> None:
    later = arm_trial(4, 0.9, values={"ppo.lr": 2e-3, "branch.parent": 1})
    stages = (StageRecord(stage=2, parent=1, why="", arms=(4,), env_steps=1),)
    arms = (*ARMS, Arm({"ppo.lr": 2e-3, "branch.parent": 1}, stage=2))
    sweep = made(*FOUR, later, arms=arms, stages=stages, run={**RUN, "iteration": 100})
    before = diagnosed(run=healthy())
    figures = [block for block in report(sweep, before=before).blocks if isinstance(block, Figure)]
    (figure,) = figures  # no diagnoses: only the objective is on record
    for words in (
        "trial 0: the control",
        "trial 4: lr 0.002, from trial 1",
        "the run before the branch",
        "stage 2, from",
    ):
        assert words in figure.svg
    assert "iteration, counted from the branch" in figure.svg
    assert ">200<" in figure.svg.replace("</text>", "<")  # trial 1's 100 iterations, then 100 of trial 4
    assert "trial 4: lr 0.002, from trial 1 ends at 0.9" in figure.alt
    many = Arm({f"ppo.setting_{number}": 0.5 for number in range(9)})
    wide = arm_trial(1, 0.8, values=many.values)
    assert (
        "[...]</text>" in _first_figure(report(made(FOUR[0], wide, arms=(ARMS[0], many)))).svg
    )  # a legend as wide as the picture
    with_curves = report(sweep, diagnoses={0: diagnosed(run=healthy()), 1: diagnosed(run=healthy())})
    assert _first_figure(with_curves).name == "mend-arms-eval-f1"
    names = [block.name for block in section(with_curves, "More curves") if isinstance(block, Figure)]
    assert names == ["mend-arms-train-value_loss"]


def test_what_was_wrong_is_the_diagnosis_at_the_branch() -> None:
    fault = ranked(Kind.FAULT, "Updates are too small: KL 1e-9", name="updates_too_small")
    follows = ranked(Kind.SUSPECT, "The return has no trend", after=("updates_too_small",))
    document = report(made(), before=diagnosed(fault, follows, run=untaught()))
    blocks = section(document, "What was wrong")
    assert isinstance(blocks[-1], Bullets)
    assert blocks[-1].items == ("fault: Updates are too small: KL 1e-9.",)
    assert paragraphs(blocks)[0].startswith(
        "Branched from stuck/7 at iteration 220, after 112,640 environment steps of each seed (MLflow run `abababab`). "
        "Stuck: updates are too small"
    )
    full = section(document, "What was wrong, in full")
    assert headings(full) == ["1. Rule updates_too_small (fault, likely)"]
    assert isinstance(full[-1], Bullets)
    assert full[-1].items == ("suspect: The return has no trend.",)
    gone = paragraphs(section(report(made(run={})), "What was wrong"))
    assert gone == ["Branched from a run. Its checkpoint cannot be read here, so it is not diagnosed again."]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (
            (reading(),),
            "run=mend/1 'arms=[]' milestones=none unstick.iterations=200 unstick.repeats=0 sweep.folder=/runs",
        ),
        (
            (reading(0.3, 0.25, 0.05),),
            "run=stuck/7 'arms=[{ppo: {lr: 0.001}}]' unstick.repeats=21 unstick.iterations=50 sweep.folder=/runs",
        ),
    ],
)
def test_the_next_command_goes_on_with_the_winner_or_takes_more_repeats(
    readings: tuple[Reading, ...], expected: str
) -> None:
    (command,) = commands(section(report(made(readings=readings)), "What to run next"))
    assert command.endswith(f"sweep.py +experiment=unstick {expected}")


def test_where_no_arm_fixed_the_run_the_report_sends_to_the_fault_that_no_setting_mends() -> None:
    bug = ranked(Kind.FAULT, name="signal_lost", causes=(Cause("a reward of another step", "act by a rule"),))
    blocks = section(report(made(readings=(reading(0.1, 0.2),)), before=diagnosed(bug)), "What to run next")
    assert paragraphs(blocks)[0].startswith("No arm fixed the run.")
    assert [block.items for block in blocks if isinstance(block, Bullets)] == [("Act by a rule.",)]
    tuned = ranked(Kind.FAULT, remedies=(Remedy({"ppo.lr": 1e-3}, "why", "watch"),))
    blocks = section(report(made(readings=(reading(0.1, 0.2),)), before=diagnosed(tuned)), "What to run next")
    assert not [block for block in blocks if isinstance(block, Bullets)]


def test_hostile_names_and_missing_pieces_still_give_a_report() -> None:
    nasty = "<script>alert(1)</script> & `x` | \n# y"
    arms = (ARMS[0], Arm({"ppo.lr": 1e-3}, nasty, nasty, nasty, carried=nasty))
    sweep = made(arm_trial(0, None, "crashed", reason=nasty), arm_trial(9, 0.4, values={"ppo.lr": 1e-3}), arms=arms)
    sweep = replace(sweep, unstick=Unstick({"name": nasty}, arms))
    document = report(sweep)
    assert "<script" not in to_html(document)
    assert "trial 9 (lr 0.001)" in to_markdown(document)
    assert report(replace(sweep, trials=())).lead.startswith("No verdict yet: 2 of 2 arms")


def test_what_only_goes_on_with_the_control_is_no_arm() -> None:
    arms = (*ARMS, Arm({"branch.parent": 0}, stage=2), Arm({"branch.parent": 1}, stage=2))
    sweep = made(*FOUR, arm_trial(4, 0.99, values={"branch.parent": 0}), arm_trial(5, 0.9), arms=arms)
    assert [changes_something(sweep, number) for number in range(6)] == [False, True, True, True, False, True]
    best = find_best_arm(sweep)
    assert best is not None
    assert best.number == 5


def test_an_arm_is_named_by_what_was_trained_wherever_it_stands_in_the_record() -> None:
    sweep = made(FOUR[0], arm_trial(1, 0.8, values=ARMS[3].values), arm_trial(2, 0.7, values={"ppo.lr": 0.5}))
    assert [get_arm(sweep, number) for number in range(4)] == [
        ARMS[0],
        ARMS[3],  # not the second of the record
        Arm({"ppo.lr": 0.5}),  # not in the record
        ARMS[3],  # not started
    ]


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (ARMS[0], "nothing changed"),
        (ARMS[2], "lr 0.001, started anew"),
        (ARMS[3], "gamma 0.5, value head and adam reset"),
        (Arm({"branch.parent": 3, "ppo.target_kl": None}), "target_kl off, from trial 3"),
    ],
)
def test_an_arm_in_words(arm: Arm, words: str) -> None:
    assert describe_arm(arm) == words


def test_notes_on_the_dashboard_say_the_verdict_too() -> None:
    sweep = made(*(replace(one, milestones=(milestone(1, 0.4, True),)) for one in FOUR), readings=(reading(),))
    note = format_study_note(Findings(sweep, {}, folder=Path("/runs")), "report.html")
    assert note.startswith(f"**{sweep_verdict(sweep, ())}**")
    assert sweep_verdict(sweep, ()).startswith("Trial 1 (lr 0.001) wins")
    assert "which change fixes stuck/7 at iteration 220? 3 arms beside the untouched control" in note
    assert "run=mend/1" in note
    of_arm = format_trial_note(sweep, sweep.trials[1])
    assert "Why: lr is too low" in of_arm
    assert "Milestones: passed: value loss 0.4 < 0.5 at iteration 30" in of_arm


def test_the_record_of_an_unstick_is_read_from_the_study(tmp_path: Path) -> None:
    assert read_unstick({}, tmp_path) is None
    held = {
        "arms": [{"values": {}}, {"values": {"ppo.hidden_sizes": [16, 16], "branch.reset": ["adam"]}, "stage": 2}],
        "parent_run": RUN,
        "stages": [_STAGE_2.to_json()],
    }
    found = read_unstick(held, tmp_path)
    assert found == Unstick(
        RUN, (Arm({}), Arm({"ppo.hidden_sizes": (16, 16), "branch.reset": ("adam",)}, stage=2)), (_STAGE_2,)
    )
    assert read_unstick({"arms": []}, tmp_path) == Unstick({}, ())
