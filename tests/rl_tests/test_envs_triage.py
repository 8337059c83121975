"""Triage: what is judged, how it is rewarded, where flows come from; lanes against single environments."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig
from unstuck.rl.data.types import Flows
from unstuck.rl.envs.triage import TriageEnv, TriageVectorEnv, draw_episode
from unstuck.rl.errors import ConfigError

SHORT = EnvConfig(flows_per_episode=7)


def numbered_flows(count: int, threat_share: float = 0.3) -> Flows:
    """Flows whose first feature is their row number, so that an observation says which flow it is."""
    features = np.zeros((count, 5), dtype=np.float32)
    features[:, 0] = np.arange(count)
    threat = np.zeros(count, dtype=np.bool_)
    threat[: round(threat_share * count)] = True
    np.random.default_rng(3).shuffle(threat)
    return Flows(features, threat)


@pytest.mark.parametrize("order", ["shuffled", "stream"])
def test_each_lane_is_the_single_env_with_its_seed_over_several_episodes(order: str) -> None:
    flows, seeds = numbered_flows(50), [11, 5, 11, 2**31]
    lanes = TriageVectorEnv(4, flows, SHORT, order)
    singles = [TriageEnv(flows, SHORT, order) for _ in seeds]
    observations, _ = lanes.reset(seed=seeds)
    single_observations = [env.reset(seed=seed)[0] for env, seed in zip(singles, seeds, strict=True)]
    np.testing.assert_array_equal(observations, single_observations)
    generator, episodes = np.random.default_rng(0), 0
    for _ in range(40):
        actions = generator.integers(4, size=4)
        observations, rewards, terminated, truncated, infos = lanes.step(actions)
        assert observations.dtype == np.float32
        assert observations.flags.c_contiguous
        for lane, env in enumerate(singles):
            after, reward, ended, cut, info = env.step(actions[lane])
            assert (reward, ended, cut) == (rewards[lane], terminated[lane], truncated[lane])
            assert info["threat"] == infos["threat"][lane]
            if cut:
                episodes += 1
                assert infos["_final_obs"][lane]
                np.testing.assert_array_equal(infos["final_obs"][lane], after)
                after, _ = env.reset()
            np.testing.assert_array_equal(observations[lane], after)
    assert episodes == 4 * (40 // 7)


def test_the_reward_is_that_of_the_flow_judged_never_of_the_next() -> None:
    flows = numbered_flows(60, threat_share=0.4)
    env = EnvConfig(flows_per_episode=30)
    lanes = TriageVectorEnv(3, flows, env)
    observations, _ = lanes.reset(seed=1)
    table = np.array([env.reward_benign, env.reward_threat])
    generator = np.random.default_rng(2)
    total, judged_total, next_total = np.zeros(3), np.zeros(3), np.zeros(3)
    for _ in range(30):
        judged = observations[:, 0].astype(int)
        actions = generator.integers(4, size=3)
        observations, rewards, _, truncated, infos = lanes.step(actions)
        following = infos["final_obs"] if truncated.any() else observations
        np.testing.assert_array_equal(infos["threat"], flows.threat[judged])
        total += rewards
        judged_total += table[flows.threat[judged].astype(int), actions]
        next_total += table[flows.threat[following[:, 0].astype(int)].astype(int), actions]
    np.testing.assert_array_equal(total, judged_total)
    assert (total != next_total).all()  # the wrong variant would be seen


def test_rewards_are_the_table_for_each_action_and_kind_of_flow() -> None:
    features = np.zeros((1, 4), dtype=np.float32)
    for threat, expected in ((False, (0.5, -5.0, -3.0, -1.0)), (True, (-10.0, 8.0, 5.0, 2.0))):
        lanes = TriageVectorEnv(4, Flows(features, np.array([threat])), EnvConfig())
        lanes.reset(seed=0)
        assert tuple(lanes.step(np.arange(4))[1]) == expected


def test_an_episode_is_truncated_never_terminated_and_ends_after_its_flows() -> None:
    lanes = TriageVectorEnv(2, numbered_flows(50), SHORT)
    lanes.reset(seed=0)
    flags = [lanes.step(np.zeros(2, dtype=np.int64))[2:4] for _ in range(15)]
    assert not any(terminated.any() for terminated, _ in flags)
    assert [step for step, (_, truncated) in enumerate(flags, 1) if truncated.all()] == [7, 14]
    assert sum(truncated.sum() for _, truncated in flags) == 4


def test_a_uniformly_random_policy_earns_what_the_table_says() -> None:
    flows, env = numbered_flows(10_000, threat_share=0.109), EnvConfig()
    lanes = TriageVectorEnv(64, flows, env)
    lanes.reset(seed=8)
    generator = np.random.default_rng(9)
    returns = sum(lanes.step(generator.integers(4, size=64))[1] for _ in range(1000))
    expected = 1000 * (0.891 * np.mean(env.reward_benign) + 0.109 * np.mean(env.reward_threat))
    assert expected == pytest.approx(-1757.1, abs=0.1)
    assert np.mean(returns) == pytest.approx(expected, abs=5 * np.std(returns) / 8)


def test_stream_order_is_consecutive_and_reaches_both_ends_of_the_part() -> None:
    generator = np.random.default_rng(0)
    episodes = np.array([draw_episode(generator, 12, 7, "stream") for _ in range(200)])
    assert episodes.shape == (200, 8)
    assert (np.diff(episodes, axis=1) == 1).all()
    assert sorted(set(episodes[:, 0])) == [0, 1, 2, 3, 4]  # 0 .. n - T - 1
    assert episodes.max() == 11


def test_shuffled_order_draws_all_flows_equally_and_with_replacement() -> None:
    rows = draw_episode(np.random.default_rng(0), 10, 9999, "shuffled")
    counts = np.bincount(rows, minlength=10)
    assert rows.shape == (10_000,)
    assert counts == pytest.approx(1000, abs=5 * np.sqrt(900))
    assert (rows[1:] == rows[:-1]).mean() == pytest.approx(0.1, abs=0.015)  # a flow may follow itself


def test_a_part_too_short_for_a_stream_is_refused_and_the_remedy_works() -> None:
    flows = numbered_flows(7)
    for make in (lambda env: TriageEnv(flows, env, "stream"), lambda env: TriageVectorEnv(2, flows, env, "stream")):
        with pytest.raises(ConfigError, match=r"\+ 1 = 8 flows .* got 7; try env.flows_per_episode=6"):
            make(SHORT)
        make(EnvConfig(flows_per_episode=6)).reset(seed=0)
    TriageEnv(flows, SHORT, "shuffled").reset(seed=0)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.order must be one of shuffled, stream, got 'random'"):
        TriageVectorEnv(1, numbered_flows(50), SHORT, "random")


def test_steps_out_of_turn_and_actions_out_of_range_are_refused() -> None:
    single, lanes = TriageEnv(numbered_flows(50), SHORT), TriageVectorEnv(2, numbered_flows(50), SHORT)
    with pytest.raises(ResetNeeded, match="call reset"):
        single.step(0)
    with pytest.raises(ResetNeeded, match="call reset"):
        lanes.step(np.zeros(2, dtype=np.int64))
    single.reset(seed=0)
    for _ in range(7):
        single.step(0)
    with pytest.raises(ResetNeeded, match="has ended"):
        single.step(0)
    lanes.reset(seed=0)
    for wrong in ([0, 4], [-1, 0], [0, 0, 0]):
        with pytest.raises(InvalidAction, match=r"2 integers in 0\.\.3"):
            lanes.step(np.array(wrong))


def test_gymnasiums_own_checker_passes() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(TRIAGE, flows=numbered_flows(50), env=SHORT).unwrapped)
    messages = [str(warning.message) for warning in caught]
    # Scaled features have no bound to declare; nothing else may be said.
    assert all("infinit" in message for message in messages), messages


def test_gymnasium_makes_it_by_name_with_and_without_arguments() -> None:
    flows = numbered_flows(50)
    env = gymnasium.make(TRIAGE, flows=flows, env=SHORT, order="stream")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (5,)
    default = gymnasium.make(TRIAGE)
    observation, _ = default.reset(seed=0)
    assert observation.shape == (DataConfig().num_features,)
