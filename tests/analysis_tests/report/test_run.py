"""A run's diagnosis as blocks and for programs: what stands where, and what is left out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Kind, Ranked, Remedy, Support, Sureness
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.report.as_json import diagnosis_json
from unstuck.analysis.report.diagnosis import (
    diagnosis_document,
    fault_blocks,
    fine_blocks,
    limit_blocks,
    missing_metric_blocks,
    next_step_blocks,
)
from unstuck.analysis.report.run import run_document
from unstuck.rl import metrics

from tests.analysis_tests.report.made import bullets, commands, diagnosed, headings, paragraphs, ranked, tables
from tests.analysis_tests.runs import healthy, untaught

FOLDER = Path("/runs")
TESTED = (
    Cause("b", "test b"),
    Cause("a", "test a", Support.SUPPORTED, "a number"),
    Cause("c", "test c", Support.RULED_OUT, "another"),
)
REMEDY = Remedy({"ppo.lr": [1e-4, 3e-5]}, "smaller steps", "KL below 0.02")


def fault(**parts: Any) -> Ranked:
    return ranked(Kind.FAULT, **{"causes": TESTED, "evidence": (Evidence("a fact", ("m",)),), **parts})


def test_findings_are_numbered_and_name_what_they_may_follow_from() -> None:
    blocks = fault_blocks(
        diagnosed(fault(name="one"), ranked(Kind.SUSPECT, name="two", after=("one", "elsewhere")), ranked(Kind.FINE))
    )
    assert headings(blocks) == [
        "What is wrong",
        "1. Rule one (fault, likely)",
        "2. Rule two (suspect, likely)",
    ]
    assert "It may follow from what stands above: rule one." in paragraphs(blocks)
    assert fault_blocks(diagnosed(ranked(Kind.FINE), ranked(Kind.LIMIT))) == []


def test_a_finding_shows_its_reasons_facts_causes_and_source() -> None:
    facts = (
        Evidence("said in the headline", ("m",)),
        Evidence("a fact", ("m", "n")),
        Evidence("from notes"),
        Evidence("many", ("a", "b", "c", "d", "e")),
    )
    one = fault(headline="it is: said in the headline", why="of a number", evidence=facts, since=7)
    blocks = fault_blocks(diagnosed(one))
    assert paragraphs(blocks) == [
        "It is: said in the headline.",
        "Why likely (from iteration 7 on): of a number.",
        "Source: a paper.",
    ]
    assert bullets(blocks) == ["a fact (`m`, `n`)", "from notes", "many (`a`, `b`, `c`, `d`, ...)"]
    (causes,) = tables(blocks)
    assert causes.header == ("cause", "this run", "test that tells")
    assert causes.rows == (
        ("a", "supported: a number", "test a"),
        ("b", "open", "test b"),
        ("c", "ruled out: another", "test c"),
    )


def test_a_limit_says_what_is_blamed_for_it() -> None:
    blamed = (Cause("lr too low", "branch", why="not supported"),)
    blocks = limit_blocks(diagnosed(ranked(Kind.LIMIT, unsupported=blamed), fault()))
    assert headings(blocks) == ["What limits it, and is no fault", "Rule limit (likely)"]
    (table,) = tables(blocks)
    assert table.rows == (("lr too low", "not supported", "branch"),)
    assert limit_blocks(diagnosed(fault())) == []


def test_what_is_in_order_is_listed() -> None:
    assert bullets(fine_blocks(diagnosed(ranked(Kind.FINE, "updates are fine"), fault()))) == ["Updates are fine."]
    assert fine_blocks(diagnosed(fault())) == []


def test_what_was_not_recorded_is_asked_for() -> None:
    blocks = missing_metric_blocks(diagnosed(blind=("Rule A", "Rule B"), questions={"train/approx_kl": "how far"}))
    (table,) = tables(blocks)
    assert table.rows == (("`train/approx_kl`", "how far"),)
    assert paragraphs(blocks) == ["2 rules had nothing to look at: rule a and rule b."]
    assert missing_metric_blocks(diagnosed()) == []
    assert paragraphs(missing_metric_blocks(diagnosed(questions={"m": "q"}))) == []


def test_rules_that_could_not_look_are_listed_beside_an_all_clear_too() -> None:
    blocks = missing_metric_blocks(diagnosed(blind=("Rule A",)))
    assert headings(blocks) == ["What could not be judged"]
    assert paragraphs(blocks) == ["1 rule had nothing to look at: rule a."]


def test_arms_for_the_same_reason_share_a_row_and_have_a_command() -> None:
    blocks = next_step_blocks(diagnosed(fault(remedies=(REMEDY,))), FOLDER)
    (table,) = tables(blocks)
    assert table.header[:3] == ("change", "why", "watch for")
    assert table.rows == (("1. lr 0.0001 or lr 3e-05", "smaller steps", "KL below 0.02", "100 iterations"),)
    (line,) = commands(blocks)
    assert line.startswith("python sweep.py data=csv ")
    assert paragraphs(blocks) == [
        "2 changes and the control, one after another: 300 iterations; not on record: how many environment steps an "
        "iteration has and how fast the run was.",
        "Not on record: num_envs and num_steps. Add what the run had (ppo.num_envs=... ppo.num_steps=...), or the "
        "control is another run, of our defaults.",
    ]
    whole = healthy(settings={"ppo.num_envs": 8, "ppo.num_steps": 256})
    assert paragraphs(next_step_blocks(diagnosed(fault(remedies=(REMEDY,)), run=whole), FOLDER)) == [
        "2 changes and the control, one after another: 614,400 environment steps; not on record: how fast the run was."
    ]


def test_an_environment_that_is_not_here_has_no_command_and_is_named() -> None:
    unnamed = healthy(**{f"action_{n}": None for n in ("allow", "block", "quarantine", "alert")})
    run = replace(unnamed, settings={"env.id": "MyOwnCluster-v3"}, dialect="sb3")
    blocks = next_step_blocks(diagnosed(fault(remedies=(REMEDY,)), run=run), FOLDER)
    assert commands(blocks) == []
    assert paragraphs(blocks)[1:] == [
        "Run each beside an unchanged control. There is no command for it here: MyOwnCluster-v3 is not registered here."
    ]


def test_a_run_of_an_unknown_task_is_told_to_compare_with_a_control() -> None:
    run = replace(healthy(**{f"action_{n}": None for n in ("allow", "block", "quarantine", "alert")}), settings={})
    blocks = next_step_blocks(diagnosed(fault(remedies=(REMEDY,)), run=run), FOLDER)
    assert commands(blocks) == []
    assert paragraphs(blocks)[1:] == ["Run each beside an unchanged control."]


def test_a_change_of_the_rewards_has_a_command_of_its_own() -> None:
    remedies = (REMEDY, Remedy({"env.reward_threat": (1, 2, 3, 4)}, "pays", "F1"))
    whole = healthy(settings={"ppo.num_envs": 8, "ppo.num_steps": 256})
    blocks = next_step_blocks(diagnosed(fault(remedies=remedies), run=whole), FOLDER)
    beside, apart = commands(blocks)
    assert "reward_threat" not in beside
    assert "env.reward_threat=[1,2,3,4]" in apart
    assert paragraphs(blocks)[1:] == [
        "What changes the rewards changes what trials are compared by, so it runs as a sweep of its own:"
    ]


def test_a_fault_that_no_setting_mends_is_tested_first() -> None:
    blocks = next_step_blocks(diagnosed(fault()), FOLDER)
    assert headings(blocks) == ["What to do next"]
    assert paragraphs(blocks) == ["First, since no setting mends it:"]
    assert bullets(blocks) == ["Test b.", "Test a."]  # what is ruled out needs none
    follows = ranked(Kind.FAULT, after=("one",), causes=TESTED)
    assert next_step_blocks(diagnosed(follows), FOLDER) == []
    mended = diagnosed(fault(remedies=(REMEDY,)), fault(name="other"))
    assert bullets(next_step_blocks(mended, FOLDER)) == ["Test b.", "Test a."]
    assert next_step_blocks(diagnosed(ranked(Kind.SUSPECT, causes=TESTED)), FOLDER) == []


def test_a_diagnosis_leads_with_its_verdict_and_says_where_it_was_read() -> None:
    run = replace(healthy(), remarks=("a unit was converted",))
    document = diagnosis_document(diagnosed(fault(), run=run), FOLDER)
    assert document.title == "Diagnosis of made"
    assert document.lead.startswith("Held back: something (likely); ")
    assert "Read from a table made by the test, 100 iterations." in paragraphs(list(document.blocks))
    assert "a unit was converted" in bullets(list(document.blocks))


def parts(run: Any, *findings: Ranked) -> list[Block]:
    return list(run_document(diagnosed(*findings, run=run), FOLDER).blocks)


def test_the_report_of_a_trial_says_how_it_ended_and_lists_its_settings() -> None:
    run = replace(
        healthy(),
        tags={"outcome": "pruned", "reason": "asha rung 1"},
        settings={"ppo.lr": 1e-3, "env.id": "x", "sweep.name": "s", "ppo.gamma": None},
        comments={"ppo.lr": "as in the paper"},
    )
    blocks = parts(run, fault())
    assert "Read from a table made by the test, 100 iterations. It ended as pruned: asha rung 1." in paragraphs(blocks)
    assert headings(blocks) == [
        *("What is wrong", "The evidence", "What may be behind it", "What to do next", "Expected against actual"),
        *("All curves", "Settings on record", "How the run was read"),
    ]
    assert tables(blocks)[-1].rows == (
        ("`env.id`", "x", ""),
        ("`ppo.gamma`", "None", ""),
        ("`ppo.lr`", "0.001", "as in the paper"),
    )


def test_without_settings_there_is_no_table_of_them() -> None:
    assert "Settings on record" not in headings(parts(replace(healthy(), settings={"sweep.name": "s"})))


def test_programs_are_told_the_same() -> None:
    one = fault(
        why="of a number",
        since=7,
        remedies=(REMEDY,),
        unsupported=(Cause("x", "y"),),
        missing=("train/lr",),
        sureness=Sureness.SURE,
        after=("zero",),
    )
    found = diagnosis_json(diagnosed(one, blind=("rule_a",), questions={"train/lr": "the rate"}, run=healthy(f1=0.5)))
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert found["verdict"].startswith("Held back: something (sure)")
    assert found["standing"] == {
        "score": metrics.F1,
        "value": 0.5,
        "state": "rising",
        "trivial": False,
        "learned": True,
        "frozen": 0,
    }
    assert found["unexamined"] == [{"rule": "rule_a", "missing": ["train/approx_kl"], "why": ""}]
    assert found["not_recorded"] == {"train/lr": "the rate"}
    assert [arm["change"] for arm in found["arms"]] == [{"ppo.lr": 1e-4}, {"ppo.lr": 3e-5}]
    (finding,) = found["findings"]
    assert finding == {
        **{"rule": "fault", "kind": "fault", "sureness": "sure", "headline": "something: with numbers"},
        **{"why": "of a number", "since": 7, "follows_from": ["zero"], "missing": ["train/lr"], "source": "a paper"},
        "seeds": None,
        "evidence": [{"text": "a fact", "metrics": ["m"], "iterations": None}],
        "causes": [
            {"cause": "b", "support": "open", "why": "", "test": "test b"},
            {"cause": "a", "support": "supported", "why": "a number", "test": "test a"},
            {"cause": "c", "support": "ruled out", "why": "another", "test": "test c"},
        ],
        "not_supported": [{"cause": "x", "support": "open", "why": "", "test": "y"}],
        "remedies": [{"change": {"ppo.lr": [1e-4, 3e-5]}, "why": "smaller steps", "watch": "KL below 0.02"}],
    }


def test_a_run_without_a_score_has_no_value() -> None:
    nothing = {"f1": None, "eval/episode_return": None, "train/episode_return": None}
    assert diagnosis_json(diagnosed(run=healthy(**nothing)))["standing"]["value"] is None


@pytest.mark.parametrize("run", [healthy(), untaught()], ids=["healthy", "untaught"])
def test_every_finding_of_a_real_diagnosis_is_in_its_report(run: Any) -> None:
    diagnosis = diagnose(run)
    blocks = list(run_document(diagnosis, FOLDER).blocks)
    said = " ".join([*paragraphs(blocks), *map(str, bullets(blocks))]).lower()
    assert all(one.finding.headline.lower() in said for one in diagnosis.findings)
