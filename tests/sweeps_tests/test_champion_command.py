"""What users read of a champion, on a sweep of commit 3fefaf5: 4 trials, of which 1 is the best and has been judged."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps_tests.flows_file import shuffle_labels


def lead(command: Any, ended: Path) -> str:
    """The first sentence of the sweep's report."""
    assert command.analysis("report", "ended", "--folder", str(ended.parent)).code == 0
    return (ended / "report" / "report.md").read_text().split("**")[1]


def test_one_fresh_seed_has_no_interval_and_beats_nothing(command: Any, ended: Path) -> None:
    (ended / "report" / "champion.json").unlink()
    done = command.sweeps("champion", str(ended), "--seeds", "1")
    assert (done.code, done.err) == (0, "")
    assert "95 % interval" not in done.out
    assert "(one seed: no interval): trial 1 cannot be judged against the control by one seed; take at least 3" in (
        done.out
    )
    assert lead(command, ended).startswith(
        "Trial 1 cannot be judged against the control by one seed: eval/f1 0.3333 on"
    )


def test_a_judgement_on_another_trial_leaves_the_headline_to_the_best(command: Any, ended: Path) -> None:
    before = lead(command, ended)
    # By the seeds in the old file: their percentile interval was -0.0204 to 0.0378.
    assert before.startswith(
        "Trial 1 cannot be told from the control: eval/f1 0.3583 on 3 fresh seeds and unseen data, "
        "+0.0087 (95 % interval -0.0417 to 0.0591) against the control"
    )
    done = command.sweeps("champion", str(ended), "--seeds", "1", "--trial", "0", "--json")
    assert "reading 2 of the test part; so far: trial 1 on 3 seeds (not recorded)\n" in done.err
    told = json.loads(done.out)
    assert (told["schema"], told["sweep"], [one["trial"] for one in told["judgements"]]) == (1, "ended", [1, 0])
    assert lead(command, ended).startswith(before.partition(" against the control")[0])
    text = (ended / "report" / "report.md").read_text()
    assert "\n| trial 0 | 2" in text
    assert "The test part has been read 2 times, for trials 1 and 0: what is chosen by these figures is" in text


def test_a_judgement_of_what_is_no_longer_the_best_hides_nothing(command: Any, ended: Path) -> None:
    file = ended / "report" / "champion.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "trial": 0}))  # as if it had been the best then
    said = lead(command, ended)
    assert said.startswith("Trial 1 is the best of 4 trials: eval/f1 0.38")
    assert "trial 1 has not been judged, others have: Trial 0 cannot be told from the control: eval/f1 0.3583" in said
    assert f"/sweeps champion ended --folder {ended.parent}\n" in (ended / "report" / "report.md").read_text()


def test_a_control_that_was_stopped_is_not_compared_as_if_it_had_run_to_its_end(command: Any, ended: Path) -> None:
    (ended / "report" / "champion.json").unlink()
    with sqlite3.connect(ended.parent / "optuna.db") as ledger:
        ledger.execute(
            "UPDATE trial_user_attributes SET value_json = '\"stuck\"' WHERE key = 'outcome' AND trial_id IN "
            "(SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = 'ended' AND number = 0)"
        )
    said = lead(command, ended)
    assert "; no verdict against the control, which did not run to its end (stuck: " in said
    assert "interval" not in said


@pytest.mark.slow
def test_the_choice_of_the_best_is_paid_for(command: Any, ended: Path) -> None:
    (ended / "report" / "champion.json").unlink()
    assert "95 % interval for 3 comparisons at once" in lead(command, ended)


def test_other_labels_are_refused(command: Any, ended: Path) -> None:
    shuffle_labels(ended.parents[1] / "flows.csv")
    done = command.sweeps("champion", str(ended), "--seeds", "1")
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(
        rf"sweeps: error: the data \({ended.parents[1]}/flows.csv\) must be those that the sweep was started with, "
        r"fingerprint [0-9a-f]{12}, got fingerprint [0-9a-f]{12}: results on other flows do not compare; put the data "
        r"back as it was, or start a new sweep on these flows .*\n",
        done.err,
    )
