"""Two stages of an unstick from the command line, with a death between them; trained in this process."""

import pytest
from unstuck.records.entry import Entry
from unstuck.records.files import branch_file, checkpoint_file, read_records
from unstuck.records.ledger import Ledger
from unstuck.records.names import ARMS, STAGES
from unstuck.rl.branch_point import read_branch_point
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.unstick.stages import Stages

from tests.conftest import Command
from tests.sweeps_tests.killed import Killed

BATCH, ITERATIONS = 4 * 32, 4
STUCK = (
    *("sampler=points", "sampler.points=[{}]", "sweep.num_trials=null", "scheduler=none", "health=none"),
    *("data.num_flows=2000", "ppo.num_envs=4", "ppo.num_steps=32", "ppo.minibatch_size=64", "sweep.seeds=1"),
    *("ppo.num_iterations=6", "ppo.eval_every=3", "ppo.lr=1e-6", "sweep.name=stuck", "tracking=none"),
)
UNSTICK = (
    *("+experiment=unstick", "run=stuck/0", "sweep.name=unstuck", f"unstick.iterations={ITERATIONS}"),
    *("unstick.repeats=0", "arms=[{ppo: {lr: 3e-3}}]"),
)
NEVER = "milestones.checks=[{metric: eval/f1, above: 0.9999, iterations: [1, null]}]"


def open_ledger(command: Command) -> Ledger:
    return Ledger.open_sweep(find_sweep("unstuck", command.folder / "runs").reference)


def entries(command: Command) -> list[Entry]:
    return open_ledger(command).entries()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_a_stage_that_a_dying_process_had_decided_is_run_by_the_resume(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(stages: Stages) -> None:
        if len(stages.records) > 1:
            raise Killed

    assert command(*STUCK).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Stages, "_queue", die)
        with pytest.raises(Killed):
            command(*UNSTICK, NEVER)
    assert [entry.number for entry in entries(command)] == [0, 1]
    attributes = open_ledger(command).attributes
    assert [stage["arms"] for stage in attributes[STAGES]] == [[0, 1], [2, 3]]

    done = command("resume=unstuck")
    assert done.code == 0, done.err
    assert "stage 1: 1 arm beside the untouched control, from stuck/0 at iteration 6\n" in done.out
    assert "stage 2: no arm of stage 1 passed all its milestones; trial 1 (lr 0.003) has the best eval/f1" in done.out
    assert "2 trials have ended, 2 are to come" in done.out
    assert "4 trials: 4 completed" in done.out
    found = entries(command)
    assert [entry.values["branch.parent"] for entry in found] == [None, None, 1, 1]
    assert [len(entry.milestones) for entry in found] == [1] * 4
    assert [stage["arms"] for stage in open_ledger(command).attributes[STAGES]] == [[0, 1], [2, 3]]
    assert [arm["stage"] for arm in open_ledger(command).attributes[ARMS]] == [1, 1, 2, 2]

    own = command.folder / "runs" / "unstuck"
    assert read_branch_point(branch_file(own)).env_steps == 6 * BATCH
    done_steps = [read_branch_point(checkpoint_file(own, number)).env_steps for number in range(4)]
    assert done_steps == [(6 + ITERATIONS) * BATCH] * 2 + [(6 + 2 * ITERATIONS) * BATCH] * 2
    lrs = [read_records(own, number)[0].metrics["effective/lr"] for number in range(4)]
    assert lrs == pytest.approx([1e-6, 3e-3, 3e-3, 3e-3], rel=1e-6)

    audit = command.sweeps("audit", "unstuck")
    assert audit.code == 0, audit.out + audit.err


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["milestones=stuck_run"],
            "milestones.checks[0].iterations must end within unstick.iterations = 4, got [10, 30]; "
            "set unstick.iterations=30",
        ),
        (
            ["milestones.checks=[{metric: eval/f1, over: 0.3, iterations: [1, null]}]"],
            "milestones.checks[0] may hold metric, iterations, above, below, rises_by, falls_by, improves_by, got over",
        ),
        (
            ["unstick.max_env_steps=1000"],
            "unstick.max_env_steps must be at least 1,024, for 2 arms of 1 member, got 1000; raise the budget, or "
            "lower unstick.iterations",
        ),
    ],
)
def test_what_no_arm_could_meet_is_refused_before_anything_starts(
    module_command: Command, words: list[str], said: str
) -> None:
    if not (module_command.folder / "runs").exists():
        assert module_command(*STUCK).code == 0
    done = module_command(*UNSTICK, *words)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (module_command.folder / "runs" / "unstuck").exists()
