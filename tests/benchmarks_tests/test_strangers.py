import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from unstuck.analysis.diagnosis.rules import RULES
from unstuck.analysis.history import load
from unstuck.rl import metrics

pytest.importorskip("stable_baselines3", reason="it comes with the extra `bench`")
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from benchmarks import other_observations, wild
from benchmarks.causes import LABELS
from benchmarks.depot_and_chase import Chase, Depot
from benchmarks.diagnosis.faults import FAULTS as OURS
from benchmarks.diagnosis.harm import Harm
from benchmarks.diagnosis.split import Half
from benchmarks.environments import Courier, Reach, Shop, Small, Tank
from benchmarks.more_environments import Battery, Fans, Lake
from benchmarks.other_observations import Catch, make_row_catch
from benchmarks.seeds_together import ALONE, MEAN, TOGETHER, together_table
from benchmarks.strangers import __main__, plants, plants_in_model, split
from benchmarks.strangers.environments import Desk, Lander
from benchmarks.strangers.faults import FAULTS
from benchmarks.strangers.healthy import VARIANTS
from benchmarks.strangers.scoring import Answer, Counts, LogForm, find_place, judge, judge_together, look_at
from benchmarks.strangers.script import script
from benchmarks.strangers.training import (
    EVALUATIONS,
    Arm,
    Run,
    arms,
    choose_policy,
    list_runs,
    make_evaluation_lanes,
    make_training_lanes,
    train,
    train_script,
)
from benchmarks.strangers.worlds import WORLDS
from tests.analysis_tests.runs import healthy
from unstuck.probe.sb3_settings import read_settings

Step = tuple[np.ndarray, float, bool, bool]


def steps(env: gymnasium.Env, actions: list, seed: int = 1) -> list[Step]:
    """The first observation of an episode as a step, then a step for each action."""
    taken = [(env.reset(seed=seed)[0], 0.0, False, False)]
    return [*taken, *(env.step(np.asarray(action, np.float32))[:4] for action in actions)]


def test_the_benchmark_holds_what_it_promises() -> None:
    assert len(FAULTS) >= 15
    assert sum(not fault.ours for fault in FAULTS.values()) >= 8
    assert {fault.ours for fault in FAULTS.values() if fault.ours} <= OURS.keys()
    assert len(VARIANTS) >= 15
    spaces = [world.make().action_space for world in WORLDS.values()]
    assert len(WORLDS) >= 4
    assert sum(isinstance(space, gymnasium.spaces.Box) for space in spaces) >= 2
    assert all(any(arm.world == world and arm.is_healthy for arm in arms()) for world in WORLDS)


def test_each_right_answer_is_a_rule_or_a_label() -> None:
    known = {rule.name for rule in RULES} | set(wild.LABELS.values()) | LABELS.keys()
    assert {answer for fault in FAULTS.values() for answer in fault.answers} <= known


def test_the_committed_halves_are_those_that_were_drawn() -> None:
    halves = split.read(arms())
    listed = {half: [pair for pair in halves if halves[pair] is half] for half in Half}
    assert listed == split.draw(arms(), listed[Half.CALIBRATION])


@pytest.mark.parametrize(
    "make",
    [Reach, Tank, Courier, Shop, Lander, Desk, Lake, Battery, Fans, other_observations.Arm, Catch, Depot, Chase],
)
def test_environments_keep_to_their_spaces_and_lengths(make: Callable[[], Small]) -> None:
    env = make()
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    again, _ = make().reset(seed=0)
    np.testing.assert_equal(seen, again)
    for step in range(1, env.length + 1):
        assert env.observation_space.contains(seen)
        seen, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(reward)
        assert truncated == (step == env.length)
        if terminated:
            assert make in (Tank, Courier, Lander, Lake, other_observations.Arm, Catch, Depot, Chase)
            break


def test_reach_costs_the_distance_and_never_ends() -> None:
    taken = steps(Reach(), [[1, 0]] * 25)
    assert all(reward == pytest.approx(-np.linalg.norm(seen[2:]), abs=1e-6) for seen, reward, *_ in taken[1:])
    assert [over for *_, over in taken[1:]] == [False] * 24 + [True]
    assert not any(terminated for _, _, terminated, _ in taken)


def test_lander_is_paid_for_a_soft_touch_near_the_pad() -> None:
    env = Lander()
    env.reset(seed=1)
    env.place, env.speed = np.array([0.5, 0.01]), np.array([0.0, -0.1])
    seen, reward, terminated, truncated, _ = env.step(np.array([0.0, 0.5]))  # 0.5 of 2 m/s² holds it against gravity
    assert (terminated, truncated) == (True, False)
    assert seen == pytest.approx([0.5, -0.005, 0, -0.1])
    assert reward == pytest.approx(10 * np.exp(-0.6))


def test_desk_costs_who_waits_after_one_queue_was_served() -> None:
    env = Desk()
    env.reset(seed=1)
    env.waiting, env.coming = np.array([5.0, 2.0, 4.0]), np.zeros(3)
    seen, reward, *_ = env.step(2)
    assert seen == pytest.approx([5, 2, 1, 0, 0, 0])
    assert reward == pytest.approx(-(2.5 + 2 + 3) / 10)


def test_lake_pays_at_the_goal_alone_and_a_hole_ends_the_episode_unpaid() -> None:
    env = Lake()
    env.reset(seed=1)
    env.slips = 0.0
    env.place = np.array([5, 3])
    seen, *rest = env.step(0)[:4]
    assert (int(seen.argmax()), float(seen.sum()), rest) == (5 * 6 + 4, 1.0, [0.0, False, False])
    assert env.step(0)[1:3] == (1.0, True)
    env.place = np.array([4, 3])
    assert env.step(0)[1:3] == (0.0, True)  # the hole at (4, 4)
    env.place, env.slips = np.array([2, 2]), 1.0
    env.step(0)
    reached = set()
    for _ in range(60):
        env.place = np.array([2, 2])
        env.step(0)
        reached.add(tuple(env.place.tolist()))
    assert reached == {(2, 3), (3, 2), (2, 1), (1, 2)}  # who slips goes anywhere


def test_battery_pays_for_what_is_bought_and_no_more_than_fits() -> None:
    env = Battery()
    env.reset(seed=1)
    env.charge, env.hour, env.drift = 9.0, 18, 0.0
    assert env.price == pytest.approx(60.0)
    seen, reward, *_ = env.step(np.array([1.0]))  # 1 of 2 kWh fits
    assert reward == pytest.approx(-60 / 0.95)
    assert seen[0] == pytest.approx(10.0)
    env.hour, env.drift = 6, 0.0
    seen, reward, *_ = env.step(np.array([-0.5]))
    assert reward == pytest.approx(20 * 0.95)
    assert seen == pytest.approx([9.0, 40 - 20 * 0.965926 + env.drift, 0.965926, -0.258819], rel=1e-5)


def test_fans_cool_less_the_more_of_them_run() -> None:
    env = Fans()
    env.reset(seed=1)
    env.heat, env.warming = np.array([3.0, 3.0, 0.0, -1.0]), np.full(4, 0.5)
    seen, reward, *_ = env.step(np.array([1, 1, 0, 0]))
    warmed = np.array([3.0, 3.0, 0.0, -1.0]) + env.warming - np.array([2, 2, 0, 0]) / 1.2
    assert seen == pytest.approx([*warmed, *env.warming])
    assert reward == pytest.approx(-(np.abs(warmed).mean() + 0.3))


def test_arm_costs_the_distance_and_a_touch_pays_and_ends() -> None:
    env = other_observations.Arm()
    env.reset(seed=1)
    env.joints, env.speeds, env.goal = np.zeros(3), np.array([0.2, 0.0, 0.0]), np.array([0.0, 1.0])
    assert env.tip == pytest.approx([1.2, 0.0])
    seen, reward, terminated, *_ = env.step(np.array([0.0, 2.0, 0.0]))  # the first joint coasts, the second is driven
    angles = np.array([0.1, 0.25, 0.25])
    tip = [0.5 * np.cos(0.1) + 0.7 * np.cos(0.25), 0.5 * np.sin(0.1) + 0.7 * np.sin(0.25)]
    assert seen["speeds"] == pytest.approx([0.1, 0.15, 0.0])
    assert seen["joints"] == pytest.approx([*np.sin([0.1, 0.15, 0.0]), *np.cos([0.1, 0.15, 0.0])])
    assert env.links @ np.cos(angles) == pytest.approx(tip[0])
    assert seen["way"] == pytest.approx([-tip[0], 1 - tip[1]])
    assert (reward, terminated) == (pytest.approx(-np.hypot(tip[0], 1 - tip[1])), False)
    env.joints, env.speeds, env.goal = np.zeros(3), np.zeros(3), np.array([1.15, 0.0])
    _, reward, terminated, *_ = env.step(np.zeros(3))
    assert (reward, terminated) == (pytest.approx(9.95), True)


def test_catch_pays_for_a_ball_within_the_bat_and_a_miss_ends_the_episode() -> None:
    env = Catch()
    env.reset(seed=1)
    env.wind, env.row, env.column, env.bat = 0.0, 6, 5, 3
    seen, *rest = env.step(2)[:3]
    assert rest == [0.0, False]
    assert np.argwhere(seen[..., 0] == 255).tolist() == [[7, 5], [8, 3], [8, 4], [8, 5]]
    assert env.step(1)[1:3] == (1.0, False)  # a column beside the bat's middle
    assert env.row == 0
    env.row, env.column, env.bat = 7, 5, 3
    assert env.step(1)[1:3] == (0.0, True)
    env.wind, blown = 1.0, set()
    for _ in range(30):
        env.row, env.column = 3, 2
        env.step(1)
        blown.add(env.column)
    assert blown == {1, 3}


def test_catch_for_policies_without_convolutions_shows_the_same_frame() -> None:
    ours, theirs = make_row_catch(), Catch()
    row, frame = ours.reset(seed=3)[0], theirs.reset(seed=3)[0]
    np.testing.assert_array_equal(row, frame.ravel() / 255)
    assert ours.observation_space.contains(row)


def test_depot_gets_an_order_four_days_later_and_closes_without_goodwill() -> None:
    env = Depot()
    env.reset(seed=1)
    env.stock, env.coming, env.demand = np.array([30.0, 50.0]), np.zeros((4, 2)), np.array([3.0, 3.0])
    seen, reward, *_ = env.step(np.array([0.5, -2.0]))  # a quarter below the most, and nothing
    assert seen[8:10] == pytest.approx([12.0, 0.0])
    assert reward == pytest.approx(1 - 0.01 * seen[:2].sum())  # all that is asked for is there
    arrived = [env.step(np.array([-1.0, -1.0]))[0][2:4].tolist() for _ in range(3)]
    assert arrived == [[0.0, 0.0], [0.0, 0.0], [12.0, 0.0]]
    env.stock, env.coming, env.demand, env.goodwill = np.zeros(2), np.zeros((4, 2)), np.array([12.0, 12.0]), 0.65
    seen, *rest = env.step(np.array([1.0, 1.0]))[:4]
    assert (seen[-1], rest) == (pytest.approx(0.35), [0.0, False, False])
    assert env.step(np.array([1.0, 1.0]))[1:3] == (0.0, False)
    assert env.step(np.array([1.0, 1.0]))[1:3] == (0.0, True)


def test_chase_shows_the_angle_ahead_alone_and_the_catch_pays_and_ends() -> None:
    env = Chase()
    env.reset(seed=1)
    env.place, env.heading, env.prey, env.flight = [0.0, 0.0], 0.0, [2.0, 0.0], 0.0
    env.np_random = np.random.default_rng(0)
    seen, reward, terminated, *_ = env.step(np.array([1, 0]))
    assert seen == pytest.approx([0, 1, 1, 0, 1 / 80], abs=1e-6)
    assert (reward, terminated) == (-0.05, False)
    env.prey = [-2.0, 0.0]
    seen, reward, *_ = env.step(np.array([2, 1]))
    assert seen[:4] == pytest.approx([0, 0, 0, 1])
    assert env.place == pytest.approx([0.1 + 0.25 * np.cos(0.45), 0.25 * np.sin(0.45)])
    assert reward == pytest.approx(-0.07)
    env.prey = [env.place[0] + 0.1 * np.cos(0.45), env.place[1]]
    assert env.step(np.array([1, 0]))[1:3] == (pytest.approx(4.95), True)


def test_wrappers_of_observations() -> None:
    moves = [[1, 0.5]] * 8
    plain = [seen for seen, *_ in steps(Reach(), moves)]

    def shown(plant: plants.ScaledObservations) -> list[np.ndarray]:
        return [seen for seen, *_ in steps(plant(Reach()), moves)]

    np.testing.assert_allclose(shown(plants.ScaledObservations(1000.0)), 1000 * np.array(plain), rtol=1e-6)
    hidden = np.array(shown(plants.HiddenColumns((2, 3))))
    assert not hidden[:, 2:].any()
    np.testing.assert_array_equal(hidden[:, :2], np.array(plain)[:, :2])
    np.testing.assert_array_equal(shown(plants.WholeNumbers()), np.trunc(plain))
    np.testing.assert_array_equal(shown(plants.ClippedObservations(0.2)), np.clip(plain, -0.2, 0.2))
    late = shown(plants.LateObservations(6))
    np.testing.assert_array_equal(late, [*[plain[0]] * 6, *plain[1:4]])


def test_wrappers_of_actions() -> None:
    def way(plant: plants.ClippedActions | plants.ScaledActions) -> np.ndarray:
        before, after = (seen[:2] for seen, *_ in steps(plant(Reach()), [[-1, 0.5]]))
        return after - before

    np.testing.assert_allclose(way(plants.ClippedActions()), [0, 0.075], atol=1e-6)
    np.testing.assert_allclose(way(plants.ScaledActions(0.01)), [-0.0015, 0.00075], atol=1e-6)
    np.testing.assert_allclose(way(plants.FirstActionForAll()), [-0.15, -0.15], atol=1e-6)


def test_late_actions_are_those_of_some_steps_before() -> None:
    late = plants.LateActions(2)(Reach())
    for _ in range(2):  # an episode begins with its own first action
        places = np.array([seen[0] for seen, *_ in steps(late, [[0.1, 0], [0.2, 0], [0.3, 0], [0.4, 0], [0.5, 0]])])
        np.testing.assert_allclose(np.diff(places), 0.15 * np.array([0.1, 0.1, 0.1, 0.2, 0.3]), atol=1e-6)


def test_wrappers_of_rewards() -> None:
    def paid(plant: Callable[[gymnasium.Env], gymnasium.Env]) -> np.ndarray:
        return np.array([reward for _, reward, *_ in steps(plant(Reach()), [[1, 0.5]] * 20)[1:]])

    true = paid(lambda env: env)
    np.testing.assert_allclose(paid(plants.ScaledRewards(-1.0)), -true)
    np.testing.assert_array_equal(paid(plants.ClippedRewards()), np.zeros(20))
    np.testing.assert_allclose(paid(plants.CostlyActions(5.0)), true - 5 * 1.25)
    np.testing.assert_allclose(paid(plants.PaidByTheStep(2.0)), true + 2)
    centred = paid(plants.CentredRewards())
    assert centred[:2] == pytest.approx([0.0, np.sign(true[1] - true[0])], abs=1e-4)  # half of the way over the spread
    assert centred[-1] == pytest.approx((true[-1] - true.mean()) / true.std(), rel=1e-5)
    noise = paid(plants.NoisyRewards(3.0)) - true
    assert 1.5 < noise.std() < 4.5
    assert len(set(noise)) == 20


def test_wrappers_of_ends_and_resets() -> None:
    fall = [*[[1]] * 20]  # the valve opens wide, and the tank runs empty
    *_, (_, _, terminated, truncated) = steps(Tank(), fall)
    assert (terminated, truncated) == (True, False)
    *_, (_, _, terminated, truncated) = steps(plants.EndsAsTruncations()(Tank()), fall)
    assert (terminated, truncated) == (False, True)
    early = plants.EarlyEnds(3)(Reach())
    assert [over for *_, over in steps(early, [[0, 0]] * 3)[1:]] == [False, False, True]
    unending = plants.CounterNeverReset(4)(Reach())
    lengths = [[over for *_, over in steps(unending, [[0, 0]] * 3)[1:]] for _ in range(2)]
    assert lengths == [[False, False, False], [True, True, True]]
    alike = plants.ResetsAlike()(Tank())
    np.testing.assert_array_equal(
        [seen for seen, *_ in steps(alike, fall[:3], seed=1)], [seen for seen, *_ in steps(alike, fall[:3], seed=2)]
    )


def test_the_monitor_logs_the_rewards_inside_of_it() -> None:
    world = WORLDS["reach"]
    lanes = make_training_lanes(world, world.script.changed(script(unwatched=(plants.ClippedRewards(),))))
    assert isinstance(lanes, DummyVecEnv)
    lanes.reset()
    for _ in range(Reach.length):
        _, rewards, _, infos = lanes.step(np.zeros((8, 2), np.float32))
        assert not rewards.any()
    assert infos[0]["episode"]["r"] < -1


def test_a_forgotten_normaliser_leaves_training_as_it_was() -> None:
    world = WORLDS["tank"]
    for forgets in (False, True):
        own = replace(world.script, forgets_normaliser=forgets)
        training, judging = make_training_lanes(world, own), make_evaluation_lanes(world, own, 1, ())
        assert isinstance(training, VecNormalize)
        assert isinstance(judging, VecNormalize)
        assert (training.norm_obs, judging.norm_obs) == (True, not forgets)
        assert not judging.training
        assert not judging.norm_reward


def model(world: str = "courier") -> PPO:
    return PPO("MlpPolicy", make_training_lanes(WORLDS[world], WORLDS[world].script), n_steps=8, seed=0, device="cpu")


def test_frozen_layers_are_those_of_the_policy() -> None:
    frozen = model("reach")
    plants_in_model.FrozenPolicy()(frozen)
    kept = {name.split(".")[0] for name, one in frozen.policy.named_parameters() if one.requires_grad}
    assert kept == {"mlp_extractor", "value_net"}
    assert not any(one.requires_grad for one in frozen.policy.mlp_extractor.policy_net.parameters())


def test_plain_gradient_descent_has_no_epsilon_to_record() -> None:
    world = WORLDS["reach"]
    planted = world.script.changed(FAULTS["plain gradient descent"].planted["reach"])
    descending = PPO("MlpPolicy", make_training_lanes(world, planted), device="cpu", **planted.ppo)
    assert isinstance(descending.policy.optimizer, torch.optim.SGD)
    assert "ppo.adam_eps" not in read_settings(descending)
    assert read_settings(model("reach"))["ppo.adam_eps"] == 1e-5


def test_a_log_probability_of_another_action_is_stored() -> None:
    twice = model()
    seen = torch.rand(512, 7)
    with torch.no_grad():
        twice.policy.action_net.weight *= 300  # else all actions are about as likely as another
        actions, _, told = twice.policy(seen)
        _, true, _ = twice.policy.evaluate_actions(seen, actions)
        assert torch.allclose(told, true)
        plants_in_model.LogProbsOfOtherActions()(twice)
        actions, _, told = twice.policy(seen)
        _, true, _ = twice.policy.evaluate_actions(seen, actions)
    assert not torch.allclose(told, true)
    assert 0 < float((told == true).float().mean()) < 1  # both samples are sometimes the same


def test_advantages_flattened_the_other_way_belong_to_other_steps() -> None:
    mixed = model("reach")
    plants_in_model.FlattenedTwoWays()(mixed)
    buffer = mixed.rollout_buffer
    buffer.rewards[:] = np.arange(64).reshape(8, 8)  # step after step
    buffer.gamma = 0.0  # an advantage is its step's reward
    buffer.compute_returns_and_advantage(torch.zeros(8), np.ones(8))
    np.testing.assert_array_equal(buffer.swap_and_flatten(buffer.advantages).ravel(), np.arange(64))
    np.testing.assert_array_equal(buffer.swap_and_flatten(buffer.returns).ravel(), np.arange(64))
    assert buffer.swap_and_flatten(buffer.rewards).ravel()[:3].tolist() == [0, 8, 16]  # lane after lane


def test_an_end_stored_late_is_paid_by_the_next_episode() -> None:
    late = model("reach")
    buffer = late.rollout_buffer
    buffer.rewards[:], buffer.values[:], buffer.gamma = 0.0, 1.0, 0.5
    buffer.gae_lambda = 0.0  # an advantage is what its step pays, half of the value behind it, less its own value
    buffer.episode_starts[:] = 0
    buffer.episode_starts[4] = 1  # step 3 ended an episode
    dones = np.ones(8, bool)
    buffer.compute_returns_and_advantage(torch.ones(8), dones)
    assert buffer.advantages[:, 0].tolist() == [-0.5, -0.5, -0.5, -1, -0.5, -0.5, -0.5, -1]
    plants_in_model.EndsStoredLate()(late)
    buffer.compute_returns_and_advantage(torch.ones(8), dones)
    assert buffer.advantages[:, 0].tolist() == [-0.5, -0.5, -1, -0.5, -0.5, -0.5, -1, -1]
    assert buffer.episode_starts[4].all()


@pytest.mark.parametrize("world", ["reach", "arm"])
@pytest.mark.parametrize("late", [0, 1])
def test_observations_written_over_are_those_of_the_next_step(world: str, late: int) -> None:
    def read(seen: Any) -> np.ndarray:
        return torch.as_tensor(seen["way"] if world == "arm" else seen).numpy().copy()

    lanes = make_training_lanes(WORLDS[world], WORLDS[world].script)
    over = PPO(choose_policy(lanes), lanes, n_steps=8, seed=0, device="cpu")
    if late:
        plants_in_model.ObservationsWrittenOver()(over)
    acted, forward = list[np.ndarray](), over.policy.forward
    over.policy.forward = lambda seen: (acted.append(read(seen)), forward(seen))[1]
    _, callback = over._setup_learn(64)
    over.collect_rollouts(lanes, callback, over.rollout_buffer, 8)
    stored = read(over.rollout_buffer.observations)
    np.testing.assert_array_equal(stored[: 8 - late], acted[late:])


def test_targets_as_a_column_make_a_loss_of_all_pairs() -> None:
    pairs = model("reach")
    buffer = pairs.rollout_buffer
    buffer.full = True
    assert next(buffer.get(16)).returns.shape == (16,)
    plants_in_model.TargetsOfAllPairs()(pairs)
    samples = next(buffer.get(16))
    assert (samples.returns - samples.old_values).shape == (16, 16)


def test_a_dictionary_and_a_frame_have_the_policies_that_read_them() -> None:
    for name, policy in (("arm", "MultiInputPolicy"), ("catch", "MlpPolicy")):
        assert choose_policy(make_training_lanes(WORLDS[name], WORLDS[name].script)) == policy


def test_each_script_has_a_folder_of_its_own(tmp_path: Path) -> None:
    places = [run.folder for arm in arms() for run in list_runs(arm, tmp_path)]
    assert len(set(places)) == len(places) == sum(arm.seeds for arm in arms())
    arm = next(arm for arm in arms() if arm.pair == "noisy rewards in reach")
    milder = replace(arm, change=script(training=(plants.NoisyRewards(1.0),)))
    assert list_runs(milder, tmp_path)[0].folder != list_runs(arm, tmp_path)[0].folder


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_run_leaves_both_logs_and_a_score_and_is_trained_once(tmp_path: Path) -> None:
    arm = Arm("base", "reach", True, script(steps=3072))
    run = list_runs(arm, tmp_path)[0]
    train(run)
    assert run.is_finished
    assert -60 < run.score < 0
    plain, probed = load(str(run.log)), load(str(run.probe))
    assert (plain.dialect, plain.last_iteration, probed.last_iteration) == ("sb3", 3, 3)
    assert len(plain.curve(metrics.EVAL_RETURN)) > 0
    monitors = {f"{lane}.monitor.csv" for lane in range(8)}
    assert {path.name for path in run.log.iterdir()} == {"progress.csv", "evaluations.npz", "model.zip", *monitors}
    assert (run.log / "7.monitor.csv").read_text().count("\n") == 2 + 3072 // 8 // Reach.length  # two lines of head
    assert len(np.load(run.log / "evaluations.npz")["timesteps"]) == EVALUATIONS
    assert PPO.load(run.log / "model", device="cpu").num_timesteps == 3072
    (run.folder / "score.json").write_text(json.dumps({"score": -1.0}))
    train(run)
    assert run.score == -1.0


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_frozen_layers_get_no_gradient(tmp_path: Path) -> None:
    world = WORLDS["reach"]
    frozen = replace(world.script, steps=1024, evaluates=False, plants=(plants_in_model.FrozenPolicy(),))
    train_script(world, frozen, 0, tmp_path / "log", tmp_path / "probe")
    table = load(str(tmp_path / "probe")).table
    assert table[metrics.GRAD_NORM_POLICY].tolist() == [0.0]
    assert table[metrics.GRAD_NORM_VALUE].iloc[0] > 0


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_training_that_breaks_off_scores_the_worst(tmp_path: Path) -> None:
    world = WORLDS["courier"]

    def break_off(model: PPO) -> None:
        with torch.no_grad():
            model.policy.action_net.weight.fill_(torch.nan)

    broken = replace(world.script, steps=1024, plants=(break_off,))
    assert train_script(world, broken, 0, tmp_path, tmp_path / "probe") == world.worst
    assert (tmp_path / "model.zip").exists()


def answer(*listed: str, faults: tuple[str, ...] = ()) -> Answer:
    return Answer(0.0, 10, 10, None, (), faults, listed, bool(listed))


def test_counts_by_hand() -> None:
    arm = next(arm for arm in arms() if arm.name == "noisy rewards")
    runs = [
        (arm, answer("signal_lost", "oscillating", faults=("signal_lost",))),
        (arm, answer("oscillating", "critic_underfits", "signal_lost")),
        (arm, answer("oscillating", "critic_underfits", "value_floor", "signal_lost", faults=("oscillating",))),
        (arm, answer()),
    ]
    assert [find_place(*one) for one in runs] == [1, 3, 4, 0]
    assert Counts.of(runs) == Counts(runs=4, accused=2, found=3, first=1, third=2)


def test_a_label_counts_for_the_rule_that_says_it() -> None:
    fault = FAULTS["rewards in the wrong unit"]
    assert fault.is_named_by("reward_scale")
    assert fault.is_named_by("policy_starved")  # by its label, critic_takes_the_gradient
    assert not fault.is_named_by("entropy_collapsed")


def write_log(run: Run, score: float, learns: bool) -> None:
    """Leave what a trained run leaves: a log of 40 iterations that learns, or does not move at all, and the score."""
    run.log.mkdir(parents=True)
    header = "time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/approx_kl,train/entropy_loss"
    gain, kl = (0.01, 0.01) if learns else (0.0, 1e-9)
    rows = [f"{i},{1024 * i},{-20 + 0.1 * (i % 2) + 40 * gain * i},{kl},{-1.38 + gain * i}" for i in range(1, 41)]
    (run.log / "progress.csv").write_text("\n".join([header, *rows]))
    (run.folder / "score.json").write_text(json.dumps({"score": score}))


def test_seeds_are_read_one_by_one_as_a_mean_and_together(tmp_path: Path) -> None:
    arm = next(arm for arm in arms() if arm.pair == "lr too low in reach")
    runs = list_runs(arm, tmp_path)
    for run in runs:
        write_log(run, -10.0 - run.seed, learns=run.seed == 2)
    trial = judge_together(arm, runs, LogForm.FOLDER)
    assert [len(trial.verdicts[way]) for way in (ALONE, MEAN, TOGETHER)] == [3, 1, 1]
    assert [bool(one.faults) for one in trial.verdicts[ALONE]] == [True, True, False]
    assert not trial.verdicts[MEAN][0].faults  # a KL of 0.003, and a return that rises
    (together,) = trial.verdicts[TOGETHER]
    assert (together.score, find_place(arm, together)) == (-11.0, 1)  # two of three seeds, and the mean of scores
    hurt = {arm: Harm(-3.0, -11.0, -9.0, -7.0)}
    last = together_table([trial], hurt, find_place).splitlines()[-1]
    assert last.startswith("| 3 seeds together | 1 | 1.00 (0.03 to 1.00) | 1.00 (0.03 to 1.00) |")


def test_of_a_folder_the_table_can_be_read_alone(tmp_path: Path) -> None:
    run = list_runs(next(arm for arm in arms() if arm.pair == "lr too low in reach"), tmp_path)[0]
    write_log(run, -10.0, learns=True)
    (run.log / "progress.json").write_text("{")  # a file that nobody can read
    shutil.copytree(run.log, run.probe)
    (run.probe / "progress.json").unlink()
    (run.probe / "progress.csv").write_text("\n".join((run.log / "progress.csv").read_text().splitlines()[:-10]))
    assert judge(run, LogForm.CSV).last == 40
    assert judge(run, LogForm.PROBE).last == 30


def test_reading_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["strangers", "--half", "kept-out", "--folder", str(tmp_path)])
    assert __main__.main() == 2
    said = capsys.readouterr()
    assert said.err.startswith("each run of the half must be trained before it is read, got ")
    assert said.err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_run_is_looked_at_whole_and_cut() -> None:
    still = np.where(np.arange(100) < 29, 2e-3, 0.0)  # from iteration 30 on
    found = look_at(healthy(approx_kl=still, entropy=1.2), 0.5, (0.1, 0.2, 0.5))
    assert found.since == 50
    assert found.faults[0] == "policy_frozen"
    assert found.suspected
    sound = look_at(healthy(seeds=1), 0.9, wild.CUTS)
    assert (sound.since, sound.alarms, sound.faults) == (None, (), ())
