"""An unstick of two stages is killed in the second and resumed, beside the same one left alone; real Ray, kill -9."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.names import STAGES
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep

from tests.conftest import Command
from tests.sweeps_tests.conftest import FinishedSweep
from tests.sweeps_tests.real import finish, runs_of, start, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(400)]

WORDS = (
    *("+experiment=unstick", "run=finished/0", "arms=[{ppo: {lr: 1e-2}}, {ppo: {value_coef: 5.0}}]"),
    *(
        "unstick.iterations=8",
        "unstick.repeats=3",
        "milestones.checks=[{metric: eval/f1, above: 2, iterations: [1, null]}]",
    ),
    "milestones.name=out_of_reach",
)


@pytest.fixture(scope="module")
def folder(finished_sweep: FinishedSweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sweep `killed`, killed in its second stage and resumed by Ray, and `alone`, without Ray."""
    from benchmarks.in_process import no_ray

    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(finished_sweep.runs, folder / "runs")
    killed = start(folder, *WORDS, "sweep.name=killed", "resources.cpus=2")
    try:
        wait_for(lambda: (folder / "runs/killed/trials/0003/checkpoint.npz").exists())
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    finally:
        killed.kill()
    assert not (folder / "runs/killed/report/verdicts.json").exists()
    (folder / "resumed.txt").write_text(finish(start(folder, "+experiment=unstick", "resume=killed")))
    with no_ray():
        done = Command(folder)(*WORDS, "sweep.name=alone")
    assert done.code == 0, done.err
    return folder


def entries(folder: Path, name: str) -> list[Entry]:
    return Ledger.open_sweep(find_sweep(name, folder / "runs").reference).entries()


def test_both_ran_the_same_arms_to_the_same_values(folder: Path) -> None:
    killed, alone = entries(folder, "killed"), entries(folder, "alone")
    assert [(entry.number, entry.values, entry.value, entry.curve) for entry in killed] == [
        (entry.number, entry.values, entry.value, entry.curve) for entry in alone
    ]
    assert {str(entry.outcome) for entry in killed} == {"completed"}
    assert [entry.milestones for entry in killed] == [entry.milestones for entry in alone]
    assert all(not one.passed for entry in killed for one in entry.milestones)


def test_the_second_stage_started_once_from_the_best_arm(folder: Path) -> None:
    killed = find_sweep("killed", folder / "runs")
    stages = Ledger.open_sweep(killed.reference).attributes[STAGES]
    assert [stage["stage"] for stage in stages] == [1, 2]
    first = {entry.number: entry.value or 0.0 for entry in entries(folder, "killed")[:3]}
    best = max(first, key=first.__getitem__)
    assert stages[1]["parent"] == best
    later = entries(folder, "killed")[3:]
    assert [entry.number for entry in later] == stages[1]["arms"]
    assert all(entry.values["branch.parent"] == best for entry in later)


def test_the_verdict_was_given_once_and_is_the_same(folder: Path) -> None:
    (killed,), (alone,) = (
        json.loads((folder / "runs" / name / "report" / "verdicts.json").read_text()) for name in ("killed", "alone")
    )
    assert {**killed, "at": ""} == {**alone, "at": ""}
    assert len(killed["arm"]) == 3
    assert "repeat 3 of 3" in (folder / "resumed.txt").read_text()


def test_all_records_agree_and_the_lineage_is_in_mlflow(folder: Path) -> None:
    found = audit_sweep(find_sweep("killed", folder / "runs"))
    assert found.is_clean, found.describe()
    client, parent, children = runs_of(folder, "killed")
    assert children[0].data.tags["branched_from"].startswith("finished/0 at iteration")
    assert children[3].data.tags["branched_from"].startswith("trial ")
    assert children[0].data.tags["milestone_1"].startswith("missed: F1 ")
    origin = client.get_run(parent.data.tags["branched_from_run"])
    assert (origin.data.tags["sweep"], origin.data.tags["trial"]) == ("finished", "0")
