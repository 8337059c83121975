"""Members that take turns: a trainer of one's own, taken to a whole trial, with checkpoints, branches and verdicts."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unstuck.records.errors import SweepError
from unstuck.records.files import branch_file, checkpoint_file, read_records, trials_folder
from unstuck.rl import checkpoint, metrics
from unstuck.rl.branch_point import read_branch_point
from unstuck.rl.budget import Budget
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import CheckpointError, ConfigError
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import CHECKPOINT, BranchConfig, StudyConfig, SweepConfig, TrainerConfig
from unstuck.sweeps.run.preparation import require_limits
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.trainers import kinds
from unstuck.sweeps.trainers.members import MembersInTurn, MemberSpec, Settings
from unstuck.sweeps.trainers.protocol import RANDOMNESS, TrainerKind, TrialSpec
from unstuck.sweeps.trainers.sb3 import SB3
from unstuck.sweeps.worker.assignment import Assignment
from unstuck.sweeps.worker.training import Training

from tests.test_layering import loaded

CONFIG = SweepConfig(
    sweep=StudyConfig(name="mine", seeds=2, metric=metrics.EVAL_RETURN),
    env=EnvConfig(id="CartPole-v1", eval_episodes=3),
    ppo=PPOConfig(num_iterations=4, eval_every=2, num_envs=1, num_steps=8, minibatch_size=8, lr_schedule="linear"),
)


class Climber:
    """Climbs a hill by noisy steps of size lr: a weight, a generator, and nothing else."""

    def __init__(self, spec: MemberSpec) -> None:
        self.spec, self.lr, self.weight = spec, 0.0, 0.0
        self.draws = np.random.default_rng(spec.seed)

    def iterations(self, done: int) -> Iterator[Mapping[str, float]]:
        while True:
            self.weight += self.lr * self.draws.random()
            done += 1
            measured = {metrics.VALUE_LOSS: -self.weight}
            if self.spec.evaluates_after(done):
                measured[metrics.EVAL_RETURN] = self.weight
            yield measured

    def state(self) -> bytes | None:
        return json.dumps([self.weight, self.draws.bit_generator.state]).encode()

    def load_state(self, state: bytes) -> bool:
        self.weight, self.draws.bit_generator.state = json.loads(state)
        return True

    def apply(self, settings: Settings) -> None:
        self.lr = settings["lr"]

    def effective(self) -> Mapping[str, float]:
        return {"lr": self.lr}

    def reset(self, parts: Collection[str]) -> None:
        if "value_head" in parts:
            self.weight = 0.0
        if RANDOMNESS in parts:
            self.draws = np.random.default_rng(self.spec.seed)


class Forgetful(Climber):
    def state(self) -> bytes | None:
        return None


def trainer_of(config: SweepConfig = CONFIG, member: type[Climber] = Climber, block: str = "search") -> MembersInTurn:
    seeds = make_member_seeds(config.sweep.seed, config.sweep.seeds, block)
    spec = TrialSpec(config, seeds, make_evaluation_seed(0), None, Budget.from_config(config.ppo))
    return MembersInTurn("climber", spec, member)


@pytest.fixture(params=[Climber, Forgetful], ids=["keeps_state", "keeps_none"])
def member(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Climber]:
    """A kind of trainer in place of ours."""
    kind = TrainerKind(
        title="a climber",
        make=lambda spec: MembersInTurn("climber", spec, request.param),
        check=lambda config, data: None,
        estimate_memory=lambda config, data: lambda members: members,
        keeps_state=request.param is Climber,
        proves=("lr",),
        limits={"ppo.shared_trunk": (False,)},
    )
    monkeypatch.setattr(kinds, "TRAINERS", {"ppo": kind})
    return request.param  # type: ignore[no-any-return]


def test_a_setting_that_reaches_no_trainer_is_explained_in_the_words_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = replace(SB3, title="a climber", list_reached=lambda config: ("ppo.lr",))
    told = replace(plain, explain_way=lambda path: f"only Acme's file has {path}; edit that")
    monkeypatch.setattr(kinds, "TRAINERS", {"ppo": plain, "sb3": told})
    own, theirs = CONFIG, replace(CONFIG, trainer=TrainerConfig(name="sb3"))
    assert [kinds.explain_unreached(own, path) for path in ("ppo.lr", "sweep.seeds")] == ["", ""]
    assert kinds.explain_unreached(own, "ppo.gamma") == (
        "ppo.gamma must reach a climber, and the trainer takes no such setting; choose another trainer, or leave the "
        "setting out"
    )
    assert kinds.explain_unreached(theirs, "ppo.gamma") == (
        "ppo.gamma must reach a climber, and only Acme's file has ppo.gamma; edit that, or leave the setting out"
    )


def test_members_train_in_turn_by_seeds_of_their_own_and_a_schedule() -> None:
    trainer = trainer_of()
    measured = [trainer.iterate()[metrics.VALUE_LOSS] for _ in range(4)]
    for number, seed in enumerate(make_member_seeds(0, 2)):
        steps = np.random.default_rng(seed).random(4) * 3e-4 * np.array([1, 0.75, 0.5, 0.25])
        assert [-one[number] for one in measured] == pytest.approx(np.cumsum(steps))
    with pytest.raises(ConfigError, match=r"must not train beyond its budget of 4 iterations"):
        trainer.iterate()


def test_a_member_that_ends_too_soon_is_an_error() -> None:
    class Short(Climber):
        def iterations(self, done: int) -> Iterator[Mapping[str, float]]:
            yield {metrics.VALUE_LOSS: 1.0}

    trainer = trainer_of(member=Short)
    trainer.iterate()
    with pytest.raises(ConfigError, match=r"each member must train for 4 iterations, and member 0 ended after 1"):
        trainer.iterate()


def test_a_worker_goes_on_where_it_was_if_the_state_is_kept_and_else_anew(tmp_path: Path, member: type) -> None:
    trials_folder(tmp_path).mkdir()
    whole = trainer_of()
    expected = [{name: value.tolist() for name, value in whole.iterate().items()} for _ in range(4)]
    first = Training(Assignment(0, CONFIG, tmp_path), None)
    before = first.next_period()
    second = Training(Assignment(0, CONFIG, tmp_path), None)
    notes = second.take_notes()
    if member is Forgetful:
        assert "keeps no state to go on from; train from the start" in notes["checkpoint"]
    else:
        assert notes == {"resumed_from": "2"}
        assert second.next_period() == before  # as saved, to catch up
    records = [*before, *second.next_period()]
    if member is Forgetful:
        assert [record.iteration for record in records] == [1, 2, 1, 2]
        records = [*before, *second.next_period()]
    assert [[record.metrics[f"{metrics.VALUE_LOSS}/seed_{n}"] for n in range(2)] for record in records] == [
        one[metrics.VALUE_LOSS] for one in expected
    ]
    assert [record.metrics.get("effective/lr") for record in before] == [3e-4, None]
    assert [record.iteration for record in read_records(tmp_path, 0)] == [1, 2, 3, 4]


@pytest.mark.parametrize("member", [Climber], indirect=True)
def test_an_arm_goes_on_from_the_state_with_its_own_settings(tmp_path: Path, member: type) -> None:
    folder = tmp_path / "mine"
    trials_folder(folder).mkdir(parents=True)
    run = trainer_of()
    for _ in range(4):
        run.iterate()
    branch_file(folder).parent.mkdir()
    checkpoint.write_snapshot(branch_file(folder), run.take_snapshot())
    assert read_branch_point(branch_file(folder)).env_steps == 32
    study = replace(CONFIG.sweep, folder=str(tmp_path))
    arm = replace(
        CONFIG, sweep=study, run="x/0", branch=BranchConfig(start=CHECKPOINT), ppo=replace(CONFIG.ppo, lr=0.5)
    )
    training = Training(Assignment(1, arm, folder), None)
    period = training.next_period()
    assert [record.iteration for record in period] == [1, 2]
    assert period[0].metrics["effective/lr"] == pytest.approx(0.5 * 0.5)  # half of 64 steps are left
    draws = np.random.default_rng(make_member_seeds(0, 2)[0]).random(6)
    climbed = run.members[0].weight + 0.25 * draws[4] + 0.5 * 3 / 8 * draws[5]  # type: ignore[attr-defined]
    assert period[1].metrics["eval/episode_return/seed_0"] == pytest.approx(climbed)
    assert checkpoint_file(folder, 1).exists()


def test_fresh_repeats_go_on_from_one_state_by_randomness_of_their_own() -> None:
    run = trainer_of()
    run.iterate()
    four = trainer_of(replace(CONFIG, sweep=replace(CONFIG.sweep, seeds=4)), block="verdict")
    four.branch(run.take_snapshot(), ["value_head"], fresh=True)
    losses = four.iterate()[metrics.VALUE_LOSS]
    draws = [np.random.default_rng(seed).random() for seed in make_member_seeds(0, 4, "verdict")]
    assert losses == pytest.approx([-3e-4 * draw for draw in draws])
    with pytest.raises(ConfigError, match=r"members must be 2, as many as were saved, got 4"):
        four.branch(run.take_snapshot())


def test_a_state_of_another_trainer_is_refused(tmp_path: Path) -> None:
    snapshot = trainer_of().take_snapshot()
    snapshot.header["layout"]["trainer"] = "sb3"
    with pytest.raises(ConfigError, match=r"the trainer must be sb3, as when saved, got climber; set trainer"):
        trainer_of().restore(snapshot)
    checkpoint.write_snapshot(tmp_path / "a.npz", trainer_of().take_snapshot())
    with pytest.raises(CheckpointError):
        Training(Assignment(0, replace(CONFIG, run="x", branch=BranchConfig(start=CHECKPOINT)), tmp_path), None)


@pytest.mark.parametrize("member", [Climber], indirect=True)
def test_a_setting_that_a_trainer_has_not_is_refused(member: type) -> None:
    require_limits(CONFIG, Space({}))
    shared = replace(CONFIG, ppo=replace(CONFIG.ppo, shared_trunk=True))
    with pytest.raises(SweepError, match=r"ppo.shared_trunk must be false with trainer=ppo, got true: a climber"):
        require_limits(shared, Space({}))
    with pytest.raises(SweepError, match=r"ppo.shared_trunk must be false with trainer=ppo, got true"):
        require_limits(CONFIG, Space({"ppo.shared_trunk": Choice((False, True))}))


def test_all_that_a_trainer_has_not_is_said_at_once_with_what_to_write() -> None:
    stuck = replace(CONFIG, ppo=replace(CONFIG.ppo, shared_trunk=True, normalize_returns="batch"))
    config = replace(stuck, trainer=replace(stuck.trainer, name="sb3"))
    with pytest.raises(SweepError) as refused:
        require_limits(config, Space({}))
    assert str(refused.value) == (
        "ppo.normalize_returns must be none or running with trainer=sb3, got batch: Stable-Baselines3 has nothing "
        "else, and ppo.shared_trunk must be false with trainer=sb3, got true: Stable-Baselines3 has nothing else; "
        "write ppo.normalize_returns=none ppo.shared_trunk=false"
    )
    with pytest.raises(SweepError) as refused:
        require_limits(replace(config, env=EnvConfig()), Space({}))
    assert str(refused.value).endswith(
        ", and env.id must name a Gymnasium environment with trainer=sb3, got unstuck/Triage-v0, which needs flows; "
        "write ppo.normalize_returns=none ppo.shared_trunk=false env.id=CartPole-v1"
    )


def test_a_worker_loads_no_library_that_it_does_not_need() -> None:
    unneeded = {"optuna", "mlflow", "pandas", "stable_baselines3"}
    assert loaded("unstuck.sweeps.worker.training", unneeded) == set()
