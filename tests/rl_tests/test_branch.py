"""Branches of a run: what goes on as saved, what starts anew, and that settings and schedules are the branch's own."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from unstuck.rl import checkpoint, metrics
from unstuck.rl.branch import Part, carry_over, start_branch
from unstuck.rl.branch_point import read_branch_point
from unstuck.rl.budget import Budget
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Learner, Metrics
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import PARTS

DONE, MORE = 4, 6
CONFIG = PPOConfig(
    num_iterations=DONE,
    num_envs=3,
    num_steps=20,
    minibatch_size=15,
    num_epochs=2,
    lr=3e-3,
    target_kl=0.01,
    normalize_returns="running",
    normalize_observations=True,
    hidden_sizes=(24, 20),
    eval_every=2,
)
BATCH = 60
ENV = EnvConfig(flows_per_episode=50, eval_episodes=2)
CARTPOLE, ACROBOT = (dataclasses.replace(ENV, id=name, eval_episodes=1) for name in ("CartPole-v1", "Acrobot-v1"))


@functools.cache
def flows() -> FlowData:
    return load_flows(DataConfig(num_flows=2000))


def learner_of(
    config: PPOConfig = CONFIG,
    env: EnvConfig = ENV,
    members: int = 2,
    seed: int = 3,
    budget: Budget | None = None,
) -> Learner:
    data = flows() if env.id == TRIAGE else None
    return make_learner(config, env, make_member_seeds(seed, members), make_evaluation_seed(3), data, budget)


def trained(learner: Learner, iterations: int = DONE) -> Learner:
    for _ in range(iterations):
        learner.iterate()
    return learner


def curve(learner: Learner, iterations: int = MORE) -> list[Metrics]:
    return [learner.iterate() for _ in range(iterations)]


def budget_of(steps: int = MORE * BATCH, done: int = DONE * BATCH, planned: int = 0) -> Budget:
    return Budget(steps, CONFIG.eval_every * BATCH, done, planned)


def branch(
    file: Path, config: PPOConfig = CONFIG, env: EnvConfig = ENV, reset: Sequence[Part] = (), **other: Any
) -> Learner:
    learner = learner_of(config, env, budget=other.pop("budget", budget_of()), **other)
    start_branch(file, learner, reset)
    return learner


def arrays_of(learner: Learner) -> dict[str, Any]:
    return learner.state()[0]


def assert_same(ours: list[Metrics], theirs: list[Metrics]) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a triage run at its last iteration."""
    file = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    checkpoint.save(file, trained(learner_of()), [{"iteration": 1}])
    return file


@pytest.fixture(scope="module")
def saved_cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    checkpoint.save(file, trained(learner_of(env=CARTPOLE)))
    return file


@pytest.mark.parametrize("env", [ENV, CARTPOLE], ids=["triage", "cartpole"])
def test_a_branch_that_changes_nothing_is_the_run_with_a_longer_budget_bit_for_bit(
    env: EnvConfig, saved: Path, saved_cartpole: Path
) -> None:
    longer = trained(learner_of(dataclasses.replace(CONFIG, num_iterations=DONE + MORE), env))
    arm = branch(saved if env is ENV else saved_cartpole, env=env)
    assert (arm.iteration, arm.last_iteration, arm.resumed_exactly) == (0, MORE, True)
    assert_same(curve(arm), curve(longer))
    ours, theirs = arrays_of(arm), arrays_of(longer)
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"value_floor.measured_at"}:
        assert ours[name].tobytes() == theirs[name].tobytes(), name
    assert ours["value_floor.measured_at"] == theirs["value_floor.measured_at"] - DONE


def test_the_floor_of_the_value_loss_is_measured_when_the_run_would_have_measured(tmp_path: Path) -> None:
    """At iterations 2 and 14 of the run, so at 10 of a branch from 4; counted anew, it would be at 2 again."""
    longer = trained(learner_of(dataclasses.replace(CONFIG, num_iterations=DONE + 10)))
    checkpoint.save(tmp_path / "c", longer)
    arm = branch(tmp_path / "c", budget=budget_of(10 * BATCH))
    assert_same(curve(arm, 10), curve(longer, 10))
    assert arrays_of(arm)["value_floor.measured_at"] == 10
    other = branch(tmp_path / "c", dataclasses.replace(CONFIG, gamma=0.5), budget=budget_of(10 * BATCH))
    assert arrays_of(other)["value_floor.measured_at"] == -np.inf  # the targets are others


def test_a_branch_of_a_branch_goes_on_alike(saved: Path, tmp_path: Path) -> None:
    whole = branch(saved)
    expected = curve(whole)
    first = branch(saved, budget=budget_of(2 * BATCH))
    assert_same(curve(first, 2), expected[:2])
    checkpoint.save(tmp_path / "c", first)
    point = read_branch_point(tmp_path / "c")
    assert (point.iteration, point.env_steps) == (2, (DONE + 2) * BATCH)
    second = branch(tmp_path / "c", budget=budget_of(4 * BATCH, point.env_steps))
    assert_same(curve(second, 4), expected[2:])


def test_arms_with_other_learning_rates_meet_the_same_first_rollout(saved: Path) -> None:
    slow, fast = (branch(saved, dataclasses.replace(CONFIG, lr=lr)) for lr in (1e-4, 1e-2))
    first, second = curve(slow, 1)[0], curve(fast, 1)[0]
    for name in ("raw_observations", "actions", "rewards"):
        assert torch.equal(getattr(slow.rollout, name), getattr(fast.rollout, name)), name
    assert (first[metrics.UPDATE_NORM] < 0.5 * second[metrics.UPDATE_NORM]).all()
    assert not torch.equal(slow.networks.parameters, fast.networks.parameters)


def test_changed_settings_are_in_force_after_the_branch(saved: Path) -> None:
    changes = {"lr": 1e-2, "entropy_coef": 0.05, "value_coef": 3.3, "gamma": 0.5, "adam_eps": 1e-7, "target_kl": None}
    in_force = branch(saved, dataclasses.replace(CONFIG, **changes)).read_effective()
    for name, value in changes.items():
        np.testing.assert_allclose(in_force[name], np.inf if value is None else value, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(in_force["clip_range"], 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (Part.ADAM, {"adam.exp_avg", "adam.exp_avg_sq", "adam.steps"}),
        (Part.OBSERVATION_NORMALIZER, {"observations.mean", "observations.squares", "observations.count"}),
        (
            Part.RETURN_NORMALIZER,
            {"returns.mean", "returns.std", *(f"returns.moments.{name}" for name in ("mean", "squares", "count"))},
        ),
        (Part.POLICY_HEAD, set()),
        (Part.VALUE_HEAD, set()),
    ],
)
@pytest.mark.parametrize("shared_trunk", [False, True])
def test_reset_parts_are_the_untrained_learners_and_the_rest_is_as_saved(
    part: Part, names: set[str], shared_trunk: bool, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, shared_trunk=shared_trunk)
    run = trained(learner_of(config), 2)
    checkpoint.save(tmp_path / "c", run)
    untrained = learner_of(config, seed=8, budget=budget_of())
    own, kept = arrays_of(untrained), arrays_of(run)
    arm = branch(tmp_path / "c", config, reset=[part], seed=8)
    found = arrays_of(arm)
    for name in found.keys() - {"adam.parameters", "value_floor.measured_at", "value_floor.unforeseen"}:
        assert found[name].tobytes() == (own if name in names else kept)[name].tobytes(), name
        assert name not in names or own[name].tobytes() != kept[name].tobytes()
    heads = {
        Part.POLICY_HEAD: [networks.policy_head() for networks in (arm.networks, untrained.networks)],
        Part.VALUE_HEAD: [networks.value_head() for networks in (arm.networks, untrained.networks)],
    }.get(part, [[], []])
    for ours, theirs in zip(*heads, strict=True):
        assert torch.equal(ours, theirs)
        ours.zero_()
    if heads[0]:  # beside the head nothing differs from the run
        for view in run.networks.policy_head() if part is Part.POLICY_HEAD else run.networks.value_head():
            assert view.abs().sum() > 0
            view.zero_()
    assert torch.equal(arm.networks.parameters, run.networks.parameters)


def test_the_heads_are_what_policy_and_critic_give_out() -> None:
    """With a head of zeros the policy is uniform, or the critic silent, and the other one as before."""
    seen = torch.randn(2, 5, 20, generator=torch.Generator().manual_seed(0))
    for shared_trunk in (False, True):
        for silent in (Part.POLICY_HEAD, Part.VALUE_HEAD):
            networks = learner_of(dataclasses.replace(CONFIG, shared_trunk=shared_trunk)).networks
            before = [tensor.clone() for tensor in networks(seen)]
            for view in networks.policy_head() if silent is Part.POLICY_HEAD else networks.value_head():
                view.zero_()
            for tensor, first, is_silent in zip(
                networks(seen), before, (silent is Part.POLICY_HEAD, silent is Part.VALUE_HEAD), strict=True
            ):
                assert first.abs().max() > 0
                assert torch.equal(tensor, torch.zeros_like(first) if is_silent else first)


def test_fresh_seeds_give_other_actions_and_episodes_from_the_same_weights(saved: Path) -> None:
    run = trained(learner_of())
    arms = [learner_of(seed=seed, budget=budget_of()) for seed in (8, 8, 9)]
    for arm in arms:
        start_branch(saved, arm, fresh=True)
        assert torch.equal(arm.networks.parameters, run.networks.parameters)
        assert torch.equal(arm.adam.exp_avg_sq, run.adam.exp_avg_sq)
    curves = [curve(arm, 2) for arm in arms]
    assert_same(curves[0], curves[1])
    for name in ("raw_observations", "actions"):
        assert torch.equal(getattr(arms[0].rollout, name), getattr(arms[1].rollout, name))
        assert not torch.equal(getattr(arms[0].rollout, name), getattr(arms[2].rollout, name)), name
    carried = branch(saved)
    curve(carried, 2)
    assert not torch.equal(carried.rollout.actions, arms[0].rollout.actions)


def test_repeats_side_by_side_are_what_each_would_be_alone(saved: Path) -> None:
    """Two saved members, three repeats: member 1 of repeat 2 is row 5, with seed 5."""
    seeds = make_member_seeds(8, 6)
    together = make_learner(CONFIG, ENV, seeds, make_evaluation_seed(3), flows(), budget_of())
    start_branch(saved, together, fresh=True)
    measured = curve(together, 2)
    for repeat in range(3):
        alone = make_learner(
            CONFIG, ENV, seeds[2 * repeat : 2 * repeat + 2], make_evaluation_seed(3), flows(), budget_of()
        )
        start_branch(saved, alone, fresh=True)
        for ours, theirs in zip(measured, curve(alone, 2), strict=True):
            for name in theirs:
                np.testing.assert_array_equal(ours[name][2 * repeat : 2 * repeat + 2], theirs[name], err_msg=name)


@pytest.mark.parametrize(
    ("planned", "rates"),
    [
        # 4 iterations are done, 6 follow, and the run was planned for 4: 4/10 are done at the branch.
        (4, [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        # The run was planned for 16 iterations: a branch that changes nothing goes on as the run would have.
        (16, [12 / 16, 11 / 16, 10 / 16, 9 / 16, 8 / 16, 7 / 16]),
    ],
)
def test_schedules_go_on(planned: int, rates: list[float], tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, lr=0.01, lr_schedule="linear", num_iterations=planned)
    run = trained(learner_of(config))
    checkpoint.save(tmp_path / "c", run)
    point = read_branch_point(tmp_path / "c")
    assert (point.env_steps, point.planned_steps) == (4 * BATCH, planned * BATCH)
    arm = branch(tmp_path / "c", config, budget=budget_of(done=point.env_steps, planned=point.planned_steps))
    measured = curve(arm)
    found = [float(one[metrics.LR][0]) for one in measured]
    assert found == pytest.approx([0.01 * rate for rate in rates], rel=1e-6)
    if planned > DONE:
        for one, other in zip(curve(run), measured, strict=True):
            np.testing.assert_array_equal(one[metrics.VALUE_LOSS], other[metrics.VALUE_LOSS])
    restarted = branch(tmp_path / "c", config, budget=budget_of(done=0))  # the wrong variant
    assert restarted.read_effective()["lr"][0] == pytest.approx(0.01)


def test_another_number_of_lanes_starts_the_lanes_anew_and_carries_the_rest(saved: Path) -> None:
    run = trained(learner_of())
    arm = branch(saved, dataclasses.replace(CONFIG, num_envs=6))
    assert not arm.resumed_exactly
    ours, theirs = arrays_of(arm), arrays_of(run)
    for name in theirs:
        if not name.startswith(("rollout.", "lanes.", "value_floor.")):
            assert ours[name].tobytes() == theirs[name].tobytes(), name
    assert ours["rollout.observations"].shape == (2, 6, 20)
    assert not ours["rollout.running_returns"].any()
    assert np.isfinite(curve(arm, 1)[0][metrics.VALUE_LOSS]).all()


def test_episodes_of_another_length_start_the_lanes_anew(saved: Path) -> None:
    arm = branch(saved, env=dataclasses.replace(ENV, flows_per_episode=60))
    assert not arm.resumed_exactly
    assert arm.iterate()[metrics.VALUE_LOSS].shape == (2,)


def test_lanes_that_cannot_be_saved_start_other_episodes_than_the_run_began_with(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, eval_every=DONE)
    run = learner_of(config, ACROBOT)
    first = run.rollout.raw_observations[:, -1].clone()
    checkpoint.save(tmp_path / "c", trained(run))
    arms = [branch(tmp_path / "c", config, ACROBOT) for _ in range(2)]
    starts = [arm.rollout.raw_observations[:, -1].clone() for arm in arms]
    assert torch.equal(*starts)
    assert not torch.equal(starts[0], first)
    assert not arms[0].resumed_exactly
    resumed = learner_of(dataclasses.replace(config, num_iterations=DONE + MORE), ACROBOT)
    checkpoint.load(tmp_path / "c", resumed)
    assert torch.equal(resumed.rollout.raw_observations[:, -1], starts[0])  # as the run itself would go on


def test_a_branch_point_says_what_the_run_was(saved: Path) -> None:
    point = read_branch_point(saved)
    assert (point.iteration, point.env_steps, point.planned_steps, point.members) == (4, 240, 240, 2)
    assert [config["lr"] for config in point.configs] == [3e-3, 3e-3]
    assert point.history == [{"iteration": 1}]
    assert point.describe_misfit(dataclasses.replace(CONFIG, lr=1.0, gamma=0.0, num_envs=6)) == ""
    assert point.describe_misfit(dataclasses.replace(CONFIG, hidden_sizes=(20, 24))) == (
        "ppo.hidden_sizes must be [24, 20], as in the checkpoint, got [20, 24]"
    )


def test_a_checkpoint_from_before_runs_were_branched_is_a_branch_point(old_sweeps: Path) -> None:
    point = read_branch_point(old_sweeps / "runs" / "stopped" / "trials" / "0001" / "checkpoint.npz")
    batch = point.configs[0]["num_envs"] * point.configs[0]["num_steps"]
    assert point.iteration > 0
    assert point.env_steps == point.iteration * batch
    assert point.planned_steps == point.configs[0]["num_iterations"] * batch


def state_of(learner: Learner) -> tuple[dict[str, bytes], str]:
    arrays, rest = learner.state()
    return {name: array.tobytes() for name, array in arrays.items()}, repr(rest)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: learner_of(dataclasses.replace(CONFIG, hidden_sizes=(20, 24))), r"must be \[24, 20\], got \[20, 24\]"),
        (lambda: learner_of(dataclasses.replace(CONFIG, shared_trunk=True)), "shared_trunk must be False, got True"),
        (lambda: learner_of(dataclasses.replace(CONFIG, normalize_observations=False)), "observations must be True"),
        (lambda: learner_of(env=CARTPOLE), r"features must be \d+, got 4"),
        (lambda: learner_of(members=4), "members must be 2, as many as were saved, got 4"),
        (lambda: trained(learner_of(), 1), "a learner that branches must be untrained, got 1 iterations"),
    ],
    ids=["layers", "trunk", "normalisation", "environment", "members", "trained"],
)
def test_a_learner_that_cannot_go_on_is_refused_unchanged(saved: Path, make: Any, match: str) -> None:
    learner = make()
    before = state_of(learner)
    with pytest.raises(CheckpointError, match=match) as caught:
        start_branch(saved, learner, [Part.VALUE_HEAD, Part.ADAM])
    assert str(caught.value).startswith(f"{saved} must be a checkpoint that the learner can go on from: ")
    assert state_of(learner) == before


def test_a_number_of_members_between_repeats_is_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="members must be 2 or a multiple, as many as were saved, got 3"):
        start_branch(saved, learner_of(members=3), fresh=True)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("iteration,lr\n1,0.1\n")
    with pytest.raises(CheckpointError, match="must be a checkpoint, got a file of another kind"):
        start_branch(tmp_path / "c", learner_of())
    with pytest.raises(CheckpointError, match="got no file to read"):
        read_branch_point(tmp_path / "none")
    snapshot = checkpoint.take_snapshot(learner_of())
    with pytest.raises(ValueError, match="'optimizer' is not a valid Part"):
        carry_over(snapshot, learner_of(), ["optimizer"])  # type: ignore[list-item]


def test_settings_name_the_parts() -> None:
    assert tuple(Part) == PARTS
