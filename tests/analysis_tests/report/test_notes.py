"""Notes for Optuna's dashboard on made-up sweeps."""

import re
from dataclasses import replace
from pathlib import Path

from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.report.notes import Link, format_study_note, format_trial_note
from unstuck.analysis.report.sweep import Findings
from unstuck.analysis.report.sweep_verdict import sweep_verdict
from unstuck.analysis.sweep.importance import Importance
from unstuck.analysis.sweep.judgements import Judgement, Judgements
from unstuck.analysis.sweep.trials import Sweep

from tests.analysis_tests.report.made import sweep, trial
from tests.analysis_tests.runs import healthy

GAMMA = {"space.ppo.gamma.one_minus_log": (0.9, 0.999), "ppo.gamma": 0.99}
THREE = sweep(
    trial(0, 0.5, values={"ppo.gamma": 0.99}, raw={"ppo.gamma": 0.01}),
    trial(1, 0.9, values={"ppo.gamma": 0.95}, raw={"ppo.gamma": 0.05}),
    trial(2, 0.7, "pruned", values={"ppo.gamma": 0.9}, raw={"ppo.gamma": 0.1}, reason="asha rung 1: 0.7 < 0.8"),
    trial(3, None, "infeasible", values={"ppo.gamma": 0.999}, raw={"ppo.gamma": 0.001}, reason="8 does not divide 12"),
    **GAMMA,
)


def found(of: Sweep = THREE) -> Findings:
    shares = [
        Importance("ppo.gamma", 0.6, (0.5, 0.9), 0.5, (0.4, 0.6)),
        Importance("ppo.lr", 0.4, (0.1, 0.5), 0.5, (0.4, 0.6)),
    ]
    return Findings(of, {1: diagnose(healthy())}, shares, "the final eval/f1", 12, {"ppo.gamma": 1.0}, Path("runs"))


def lines(note: str) -> dict[str, str]:
    """Texts of a note's list, by their titles."""
    return dict(re.findall(r"^- \*\*(.+?):\*\* (.+)$", note, re.M))


def test_the_studys_note_begins_with_the_reports_sentence_and_says_the_rest_in_ten_lines() -> None:
    note = format_study_note(found(), "runs/made/report/report.html", [Link("all trials", "http://here/#/1")])
    first, empty, *rest = note.splitlines()
    assert (first, empty) == (f"**{sweep_verdict(THREE, found().importances)}**", "")
    assert len(rest) == len(lines(note)) == 8
    told = lines(note)
    assert told["Asked"] == (
        "which values of `ppo.gamma` give the highest eval/f1 in unstuck/Triage-v0? 3 trials of 3 seeds, 100 "
        "iterations each unless stopped (sampler tpe, scheduler asha); trial 0 is the control, with nothing changed."
    )
    assert told["Came out"].startswith("2 completed, 1 pruned and 1 infeasible. Best, trial 1: gamma 0.95. ")
    assert told["How sure"].startswith("not yet. The best of 3 noisy values, each over 3 seeds, is flattered")
    assert told["What mattered"] == (
        "gamma 60 % (50 to 90 %), lr 40 % (10 to 50 %): PED-ANOVA of the final eval/f1, median and middle 80 % over "
        "draws of two thirds of 12 trials; to tell 2 settings apart takes about 20."
    )
    assert "it cannot rank them" in told["Optuna's importance chart"]
    assert told["These pages"] == (
        "Optuna files infeasible trials as pruned; the attribute `outcome` and the notes tell them apart; Optuna's "
        "charts plot what is stored, of `ppo.gamma` 1 minus the value; notes, and the pictures by Unstuck, the values; "
        "of a pruned trial they show the last evaluation, notes the mean of the last three."
    )
    assert "`python -m unstuck.sweeps champion made`" in told["Go on"]
    assert told["Read on"] == "the report `runs/made/report/report.html`, [all trials](http://here/#/1)"


def test_what_does_not_apply_is_left_out() -> None:
    plain = sweep(trial(0, 0.5), trial(1, 0.9))
    note = format_study_note(Findings(plain, {}), "report.html")
    assert lines(note).keys() == {"Asked", "Came out", "How sure", "Go on", "Read on"}
    nothing = format_study_note(Findings(sweep(), {}), "report.html")
    assert nothing.startswith("**No trial completed")
    assert lines(nothing)["Asked"].startswith("what gives the highest eval/f1 in ")


def test_a_judgement_is_what_makes_it_sure() -> None:
    judged = Judgement(trial=1, searched=0.9, champion=(0.8, 0.84), control=(0.5, 0.5), values={"ppo.gamma": 0.95})
    note = format_study_note(found(replace(THREE, judgements=Judgements((judged,)))), "report.html")
    assert lines(note)["How sure"].startswith("fresh seeds and unseen data have judged the best trial")


def test_a_trials_note_shows_settings_as_they_are_beside_the_unchanged_and_the_stored_ones() -> None:
    note = format_trial_note(
        THREE, replace(THREE.trials[1], notes={"diagnosis": "fault: too slow"}), [Link("its run", "http://here")]
    )
    assert note.splitlines() == [
        "**Completed; eval/f1 0.900 ± 0.010 over 3 seeds, number 1 of 2 that completed**",
        "",
        "- Diagnosis: fault: too slow",
        "- [its run](http://here)",
        "",
        "| setting | value | unchanged | stored, in Optuna's charts |",
        "| --- | --- | --- | --- |",
        "| `ppo.gamma` | 0.95 | 0.99 | 0.05 |",
    ]
    plain = sweep(trial(0, 0.5, raw={"ppo.lr": 3e-4}))
    assert format_trial_note(plain, plain.trials[0]).splitlines()[-3:] == [
        "| setting | value | unchanged |",
        "| --- | --- | --- |",
        "| `ppo.lr` | 0.0003 | 0.0003 |",
    ]


def test_each_outcome_says_why_and_what_optuna_makes_of_it() -> None:
    control, _, pruned, infeasible = THREE.trials
    assert "- The control: its settings are the unchanged ones" in format_trial_note(THREE, control)
    assert format_trial_note(THREE, pruned).startswith(
        "**Pruned: asha rung 1: 0.7 < 0.8; eval/f1 0.700 ± 0.010 over 3 seeds**\n\n|"
    )
    assert format_trial_note(THREE, infeasible).startswith(
        "**Infeasible: 8 does not divide 12**\n\n- It could not run and does not count; Optuna files it as pruned"
    )
    assert format_trial_note(THREE, replace(control, outcome=None)).startswith(
        "**Running; eval/f1 0.500 ± 0.010 over 3 seeds, number 2 of 2 that completed**"
    )
