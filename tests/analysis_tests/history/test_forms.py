"""Each form in which people have their numbers: printed text, tables, results, monitor files, downloads."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import ENV_STEPS, History, load
from unstuck.analysis.history.record import (
    CLIP_RANGE,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    EVAL_MISSED,
    EVAL_STEP_PAY,
    POLICY_STD,
    RETURN_VALUES,
    REWARD_AFTER,
    STEP_PAY,
    SUCCESS_RATE,
)
from unstuck.rl import metrics

RETURN, VALUE, ENTROPY, KL = metrics.TRAIN_RETURN, metrics.VALUE_LOSS, metrics.ENTROPY, metrics.APPROX_KL

SB3_BOXES = """\
Using cpu device
-----------------------------
| rollout/           |      |
|    ep_len_mean     | 20.5 |
|    ep_rew_mean     | 20.5 |
| time/              |      |
|    iterations      | 1    |
|    total_timesteps | 2048 |
-----------------------------
Eval num_timesteps=4000, episode_reward=31.00 +/- 2.00
------------------------------------------
| eval/                   |              |
|    mean_ep_length       | 31           |
|    mean_reward          | 31           |
| time/                   |              |
|    total_timesteps      | 4000         |
------------------------------------------
-----------------------------------------
| rollout/                |             |
|    ep_rew_mean          | 2.5e+01     |
| time/                   |             |
|    iterations           | 2           |
|    total_timesteps      | 4096        |
| train/                  |             |
|    approx_kl            | 0.008       |
|    clip_range           | 0.2         |
|    entropy_loss         | -0.69       |
|    std                  | 0.9         |
|    value_loss           | 50.1        |
-----------------------------------------
"""
RSL_RL_BLOCKS = """\
################################################################################
                      \x1b[1m Learning iteration 40/1500 \x1b[0m

                       Computation: 73021 steps/s (collection: 1.10s, learning 0.24s)
             Mean action noise std: 0.95
          Mean value_function loss: 0.0213
               Mean surrogate loss: -0.0041
                 Mean entropy loss: 16.2311
                       Mean reward: 12.30
               Mean episode length: 910.22
--------------------------------------------------------------------------------
                   Total timesteps: 14745600
                               ETA: 00:30:11

################################################################################
                      \x1b[1m Learning iteration 41/1500 \x1b[0m

             Mean action noise std: 0.94
          Mean value_function loss: 0.0200
                       Mean reward: 13.10
"""
TABLES_OF_ISAAC_LAB = """\
|---------------------------------------------------------------------|
| Driver Version: 580.126.16    | Graphics API: Vulkan
|=====================================================================|
+-------------------------------------+
|       Active Reward Terms           |
+-------+----------------+------------+
| Index | Name           |     Weight |
+-------+----------------+------------+
|   0   | joint_pos      |         12 |
|   1   | action_rate_l2 |      -0.01 |
+-------+----------------+------------+
"""
TUNE_RESULTS = """\
Result for PPO_CartPole-v1_00000:
  episode_len_mean: 20.0
  episode_reward_mean: 20.0
  info:
    learner:
      default_policy:
        learner_stats:
          entropy: 0.66
          vf_loss: 8.5
  training_iteration: 1
Result for PPO_CartPole-v1_00000:
  episode_reward_mean: 40.0
  info:
    learner:
      default_policy:
        learner_stats:
          entropy: 0.6
          vf_loss: 9.5
  training_iteration: 2
"""


def read(folder: Path, text: str, name: str = "log.txt") -> History:
    file = folder / name
    file.write_text(text)
    return load(str(file))


def test_boxes_of_stable_baselines_are_read_with_evaluations_between(tmp_path: Path) -> None:
    run = read(tmp_path, SB3_BOXES)
    assert run.dialect == "sb3"
    assert run.curve(RETURN).to_dict() == {1: 20.5, 2: 25.0}
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {2: 31.0}
    assert run.curve(EVAL_LENGTH).to_dict() == {2: 31.0}
    assert run.curve(ENTROPY).to_dict() == {2: 0.69}
    assert run.curve(POLICY_STD).to_dict() == {2: 0.9}
    assert run.curve(CLIP_RANGE).to_dict() == {2: 0.2}
    assert run.curve(ENV_STEPS).to_dict() == {1: 2048, 2: 4096}
    assert run.read_as.startswith("Read as Stable-Baselines3's, console text: 2 iterations (time/iterations counts")
    assert "entropy = -train/entropy_loss" in run.read_as
    assert run.unrecognised == ()


def test_what_a_pipe_brings_is_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SB3_BOXES))
    run = load("-")
    assert run.name == run.source == "standard input"
    assert run.curve(RETURN).to_dict() == {1: 20.5, 2: 25.0}
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    with pytest.raises(AnalysisError, match="standard input must hold a run's metrics, and is empty"):
        load("-")


def test_blocks_of_isaac_lab_are_read_from_a_resumed_run(tmp_path: Path) -> None:
    run = read(tmp_path, RSL_RL_BLOCKS)
    assert run.dialect == "rsl_rl"
    assert run.curve(RETURN).to_dict() == {1: 12.3, 2: 13.1}
    assert run.curve(VALUE).tolist() == [0.0213, 0.02]
    assert run.curve(ENTROPY).tolist() == [16.2311]
    assert run.curve(POLICY_STD).tolist() == [0.95, 0.94]
    assert run.curve(EPISODE_LENGTH).tolist() == [910.22]
    assert "iterations are counted from 1; in the files they begin at 40, as of a resumed run" in run.remarks


def test_tables_of_other_things_above_the_blocks_are_no_runs_form(tmp_path: Path) -> None:
    run = read(tmp_path, TABLES_OF_ISAAC_LAB + RSL_RL_BLOCKS)
    assert run.dialect == "rsl_rl"
    assert run.curve(RETURN).to_dict() == {1: 12.3, 2: 13.1}
    episodes = "".join(f"Episode {n} reward: {n}.5\n" for n in range(30))
    assert VALUE in read(tmp_path, episodes + SB3_BOXES).table  # though there are more lines of episodes than boxes
    markdown = "| episode | reward |\n|---|---|\n| 1 | 5.0 |\n| 2 | 6.0 |\n| 3 | 7.0 |\n"
    run = read(tmp_path, TABLES_OF_ISAAC_LAB + markdown)
    assert run.curve(RETURN).to_dict() == {1: 5.0, 2: 6.0, 3: 7.0}


def test_what_ray_tune_prints_is_read(tmp_path: Path) -> None:
    run = read(tmp_path, TUNE_RESULTS)
    assert run.dialect == "rllib"
    assert run.curve(RETURN).to_dict() == {1: 20.0, 2: 40.0}
    assert run.curve(VALUE).tolist() == [8.5, 9.5]
    assert run.curve(ENTROPY).tolist() == [0.66, 0.6]


def test_summaries_of_ml_agents_are_read(tmp_path: Path) -> None:
    line = "[INFO] Ball. Step: {}. Time Elapsed: 9.9 s. Mean Reward: {}. Std of Reward: 0.1. Training.\n"
    run = read(tmp_path, "".join(line.format(step, value) for step, value in ((12000, -0.5), (24000, 1.25))))
    assert run.dialect == "mlagents"
    assert run.curve(RETURN).to_dict() == {1: -0.5, 2: 1.25}
    assert run.curve(ENV_STEPS).tolist() == [12000, 24000]


def test_lines_of_the_starter_files_are_read(tmp_path: Path) -> None:
    line = (
        "U {} | F 00{} | FPS 0815 | D 1 | rR:μσmM 0.10 0.2 0.0 1.0 | F:μσmM 200.0 9.9 1 256 | H 1.940 | V 0.010 | "
        "pL -0.012 | vL 0.004 | ∇ 0.05\n"
    )
    run = read(tmp_path, line.format(1, 2048) + line.format(2, 4096))
    assert run.dialect == "torch_ac"
    assert run.curve(RETURN).to_dict() == {1: 0.1, 2: 0.1}
    assert run.curve(ENTROPY).tolist() == [1.94, 1.94]
    assert run.curve(EPISODE_LENGTH).tolist() == [200.0, 200.0]
    assert run.curve(ENV_STEPS).tolist() == [2048, 4096]


@pytest.mark.parametrize(
    "text",
    [
        "update: 1\nmean reward: 3.5\nvalue loss: 0.5\n\nupdate: 2\nmean reward: 4.5\nvalue loss: 0.25\n",
        "Update 1 | Mean Reward: 3.5 | Value Loss: 5e-1\nUpdate 2 | Mean Reward: 4.5 | Value Loss: 0.25\n",
        "[2026-01-01 10:00:00,123] INFO - update 1/9: reward=3.5, value_loss=0.5\n"
        "[2026-01-01 10:00:01,123] INFO - update 2/9: reward=4.5, value_loss=0.25\n",
        "| Update | Reward (mean) | Value Loss |\n|---:|---:|:---|\n| 1 | 3.5 | 0.5x |\n| 2 | 4.5 | 0.25x |\n",
        "update 1, mean reward 3.5, value loss 0.5\nupdate 2, mean reward 4.5, value loss 0.25\n",
        "started at 10:31\nreward = 3.5; value_loss = 0.5\nreward = 4.5; value_loss = 0.25\n",
        "{'reward': 3.5, 'value_loss': 0.5}\n{'reward': 4.5, 'value_loss': 0.25}\n",
        "epoch: 1/9 frames: 512\nsaving next best rewards:  [3.5]\ncritic loss 0.5\n"
        "epoch: 2/9 frames: 1024\nsaving next best rewards:  [4.5]\ncritic loss 0.25\n",
        "Step 1: reward=3.5 value_loss=0.5\nStep 2: reward=4.5 value_loss=0.25\n",
        "| Update 1 | Mean Reward 3.5 | Value Loss 0.5 |\n| Update 2 | Mean Reward 4.5 | Value Loss 0.25 |\n",
        "Update 1 reward 3.5, value loss 0.5\nUpdate 2 reward 4.5, value loss 0.25\n",
    ],
    ids=[
        "key: value",
        "pairs in a line",
        "a logger's lines",
        "Markdown",
        "words",
        "key = value",
        "dictionaries",
        "brackets",
        "a count and a colon",
        "bars",
        "a count and words",
    ],
)
def test_own_prints_are_read(tmp_path: Path, text: str) -> None:
    run = read(tmp_path, text)
    assert run.dialect == "plain"
    assert run.curve(RETURN).to_dict() == {1: 3.5, 2: 4.5}
    assert run.curve(VALUE).to_dict() == {1: 0.5, 2: 0.25}


@pytest.mark.parametrize(
    "text",
    [
        "--------------------------\n| ep_reward_mean | 3.5   |\n| n_updates      | 1     |\n"
        "| policy_entropy | 0.5   |\n--------------------------\n--------------------------\n"
        "| ep_reward_mean | 4.5   |\n| n_updates      | 2     |\n| policy_entropy | 0.25  |\n"
        "--------------------------\n",
        "-----------------------\n|        Epoch |    0 |\n| AverageEpRet |  3.5 |\n|      Entropy |  0.5 |\n"
        "-----------------------\nEarly stopping at step 3 due to reaching max kl.\n-----------------------\n"
        "|        Epoch |    1 |\n| AverageEpRet |  4.5 |\n|      Entropy | 0.25 |\n-----------------------\n",
        "Updates 1, num timesteps 512, FPS 9\n Last 10 training episodes: mean/median reward 3.5/3.0, min/max reward "
        "1/9\n\nUpdates 2, num timesteps 1024, FPS 9\n Last 10 training episodes: mean/median reward 4.5/3.0\n",
        "+-------+------+--------+\n| Trial | iter | reward |\n|-------+------+--------|\n"
        "| PPO_1 |    1 |    3.5 |\n+-------+------+--------+\n| Trial | iter | reward |\n|-------+------+--------|\n"
        "| PPO_1 |    2 |    4.5 |\n",
        "[2025-07-01 15:07:04,200][43] Fps is (10 sec: nan). Total num frames: 0. Throughput: 0: nan. Samples: 0.\n"
        "[2025-07-01 15:07:07,709][43] Fps is (10 sec: 0.0). Total num frames: 512. Throughput: 0: 34.2.\n"
        "[2025-07-01 15:07:07,710][43] Avg episode reward: [(0, '3.500')]\n"
        "[2025-07-01 15:07:12,735][43] Fps is (10 sec: 0.0). Total num frames: 1024. Throughput: 0: 34.2.\n"
        "[2025-07-01 15:07:12,735][43] Avg episode reward: [(0, '4.500')]\n",
    ],
    ids=["Stable-Baselines 2", "Spinning Up", "pytorch-a2c-ppo-acktr", "Ray Tune's status", "Sample Factory"],
)
def test_other_prints_of_trainers_are_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).curve(RETURN).to_dict() == {1: 3.5, 2: 4.5}


@pytest.mark.parametrize(
    "text",
    [
        "# update,reward\n1,3.5\n2,4.5\n",
        "# a note\nupdate,reward\n1,3.5\n2,4.5\n",
        "update;reward\r\n1;3.5\r\n2;4.5\r\n",
        "\ufeffupdate,reward\n1,3.5\n2,4.5\n",
        "run,key,value,step\na,reward,3.5,1\na,reward,4.5,2\na,entropy,0.5,1\n",
    ],
    ids=["numpy's header", "a comment", "semicolons", "a mark of UTF-8", "a long table"],
)
def test_tables_of_other_makes_are_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text, "log.csv").curve(RETURN).to_dict() == {1: 3.5, 2: 4.5}


def test_a_line_each_update_and_a_block_now_and_then_are_one_curve(tmp_path: Path) -> None:
    stop = "  Early stopping at epoch {}/10 due to high KL divergence: {}\n"
    block = "Episode {}/60\n  Team 0 Reward: {}\n  Win Rate: 25.00%\n"
    text = stop.format(3, 0.5) + stop.format(1, 0.25) + block.format(20, 48.5) + stop.format(1, 0.125)
    run = read(tmp_path, text)
    assert run.curve(KL).to_dict() == {1: 0.5, 2: 0.25, 3: 0.125}
    assert run.curve(RETURN).to_dict() == {2: 48.5}
    assert run.curve(SUCCESS_RATE).to_dict() == {2: 0.25}


def test_evaluations_that_are_printed_alone_are_read(tmp_path: Path) -> None:
    line = "Eval num_timesteps={}, episode_reward={} +/- 9.00\nNew best mean reward!\n"
    run = read(tmp_path, line.format(10000, 200.5) + line.format(20000, 300.5))
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {1: 200.5, 2: 300.5}
    assert run.curve(ENV_STEPS).tolist() == [10000, 20000]


def test_a_text_without_numbers_by_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"must be a CSV with a header|must hold metrics under known names"):
        read(tmp_path, "nothing was printed here\nat all\n")


def test_results_in_json_are_read_with_their_settings_but_for_a_last_line_cut_off(tmp_path: Path) -> None:
    learner = {"info": {"learner": {"default_policy": {"learner_stats": {"vf_loss": 8.0, "cur_lr": 5e-5}}}}}
    rows = [
        {"episode_reward_mean": value, "training_iteration": place, "config": {"gamma": 0.9}, **learner}
        for place, value in ((1, 20.0), (2, float("nan")), (3, 40.0))
    ]
    run = read(tmp_path, "\n".join(json.dumps(row) for row in rows) + '\n{"episode_rew', "result.json")
    assert run.dialect == "rllib"
    assert run.curve(RETURN).to_dict() == {1: 20.0, 3: 40.0}
    assert run.curve(metrics.LR).tolist() == [5e-5] * 3
    assert run.settings["ppo.gamma"] == 0.9
    with pytest.raises(AnalysisError, match=r"line 2 of .*bad.jsonl must be JSON"):
        read(tmp_path, '{"reward": 1}\n{"reward": 2,}\n{"reward": 3}\n', "bad.jsonl")


def monitor(folder: Path, name: str, start: float, *episodes: tuple[float, int, float]) -> None:
    lines = "".join(f"{each[0]},{each[1]},{each[2]}\n" for each in episodes)
    (folder / name).write_text(f'#{{"t_start": {start}, "env_id": "CartPole-v1"}}\nr,l,t\n{lines}')


def test_monitor_files_and_evaluations_of_rl_zoo_are_one_run(tmp_path: Path) -> None:
    monitor(tmp_path, "0.monitor.csv", 100.0, (10.0, 10, 1.0), (30.0, 30, 3.0))
    monitor(tmp_path, "1.monitor.csv", 101.0, (20.0, 20, 1.0))
    results = np.array([[40.0, 60.0]])
    np.savez(tmp_path / "evaluations.npz", timesteps=[60], results=results, ep_lengths=results.astype(int))
    (tmp_path / "config.yml").write_text("n_steps: 64\nvf_coef: 0.25\n")
    run = load(str(tmp_path))
    assert (run.setting("ppo.num_steps"), run.setting("ppo.value_coef")) == (64, 0.25)
    assert run.curve(RETURN).to_dict() == {1: 10.0, 2: 20.0, 3: 30.0}  # by the time at which they ended
    assert run.curve(ENV_STEPS).tolist() == [10, 30, 60]
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {3: 50.0}
    assert run.curve(EVAL_LENGTH).to_dict() == {3: 50.0}
    assert run.setting("env.id") == "CartPole-v1"  # the monitors' first line
    alone = load(str(tmp_path / "evaluations.npz"))
    assert alone.curve(metrics.EVAL_RETURN).to_dict() == {1: 50.0}


def test_a_monitor_file_with_a_mark_of_its_bytes_is_one(tmp_path: Path) -> None:
    """Spreadsheets save it so."""
    monitor(tmp_path, "0.monitor.csv", 100.0, (10.0, 10, 1.0), (30.0, 30, 3.0))
    file = tmp_path / "0.monitor.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load(str(file)).curve(RETURN).tolist() == [10.0, 30.0]


def test_a_spread_of_rewards_is_not_the_policys(tmp_path: Path) -> None:
    lines = (
        "ep=1/2 reward=3.5 kl=0.01\n  {}: mean=-16.9, std=12.5\nep=2/2 reward=4.5 kl=0.01\n  {}: mean=-16.9, std=12.5\n"
    )
    run = read(tmp_path, lines.replace("{}", "Rewards"))
    assert run.curve(RETURN).tolist() == [3.5, 4.5]
    assert not run.has(POLICY_STD)
    assert read(tmp_path, lines.replace("{}", "Policy")).curve(POLICY_STD).tolist() == [12.5, 12.5]


def test_monitor_files_that_were_joined_are_read_by_the_clock_of_each(tmp_path: Path) -> None:
    monitor(tmp_path, "first.csv", 100.0, (10.0, 10, 1.0), (30.0, 30, 3.0))
    monitor(tmp_path, "second.csv", 101.0, (20.0, 20, 1.0))
    first, second = ((tmp_path / name).read_text() for name in ("first.csv", "second.csv"))
    for joined in (first + second, first + second.partition("\n")[2].replace(",1.0", ",2.0")):
        file = tmp_path / "joined" / "monitor.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(joined)
        run = load(str(file.parent))
        assert run.curve(RETURN).tolist() == [10.0, 20.0, 30.0]
        assert run.curve(ENV_STEPS).tolist() == [10, 30, 60]


SB3_HEAD = "time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/value_loss\n"


def test_different_returns_of_the_last_hundred_episodes_are_counted(tmp_path: Path) -> None:
    early, late = [(0.1 * turn, 10, turn) for turn in range(50)], [(turn % 2, 10, 50.0 + turn) for turn in range(100)]
    monitor(tmp_path, "0.monitor.csv", 0.0, *early, *late)
    assert load(str(tmp_path)).curve(RETURN_VALUES).to_dict() == {150: 2.0}
    (tmp_path / "progress.csv").write_text(f"{SB3_HEAD}1,500,0.5,0.3\n2,1500,0.7,0.2\n")
    beside = load(str(tmp_path))  # the program's own mean counts before single episodes
    assert beside.dialect == "sb3"
    assert beside.curve(RETURN).to_dict() == {1: 0.5, 2: 0.7}
    assert beside.curve(RETURN_VALUES).to_dict() == {2: 2.0}
    (tmp_path / "progress.csv").unlink()
    monitor(tmp_path, "0.monitor.csv", 0.0, *late[1:])
    assert not load(str(tmp_path)).has(RETURN_VALUES)  # 99 of them


@pytest.mark.parametrize(
    ("episodes", "after"),
    [
        ([(turn % 2, 4 + 4 * (turn % 4), turn) for turn in range(120)], 12.0),  # 8 and 16 where they are paid
        ([(turn % 2, 10, turn) for turn in range(120)], None),  # all are as long: nothing tells when they are paid
        ([(turn % 3, 4 + 4 * (turn % 4), turn) for turn in range(120)], None),  # paid this or that
        ([(turn % 12 == 1, 4 + 4 * (turn % 8), turn) for turn in range(120)], None),  # ten that are paid are too few
    ],
)
def test_episodes_that_a_goal_ends_tell_when_it_is_reached(
    tmp_path: Path, episodes: list[tuple[float, int, float]], after: float | None
) -> None:
    monitor(tmp_path, "0.monitor.csv", 0.0, *[(float(paid), *others) for paid, *others in episodes])
    (tmp_path / "progress.csv").write_text(f"{SB3_HEAD}1,500,0.5,0.3\n2,1500,0.7,0.2\n")
    told = load(str(tmp_path)).curve(REWARD_AFTER).to_dict()
    assert told == ({} if after is None else {2: after})


def test_what_a_step_more_brings_is_read_from_single_episodes(tmp_path: Path) -> None:
    monitor(
        tmp_path,
        "0.monitor.csv",
        0.0,
        *[(-1.875 * (8 + 8 * (turn % 4)) - 1, 8 + 8 * (turn % 4), turn) for turn in range(40)],
    )
    (tmp_path / "progress.csv").write_text(f"{SB3_HEAD}1,500,-16,0.3\n2,800,-16,0.2\n")
    lengths = np.array([[8, 16, 8], [8, 48, 8]] * 2)
    np.savez(
        tmp_path / "evaluations.npz", timesteps=[200, 400, 600, 800], results=lengths / 8 - 1.0, ep_lengths=lengths
    )
    run = load(str(tmp_path))
    assert run.curve(STEP_PAY).to_dict() == {2: -1.875}
    assert run.curve(EVAL_STEP_PAY).to_dict() == {2: 0.125}
    np.savez(tmp_path / "evaluations.npz", timesteps=[200, 400, 600, 800], results=lengths / 8 - 1.0)
    assert not load(str(tmp_path)).has(EVAL_STEP_PAY)


def test_evaluations_that_go_worse_than_training_are_counted_where_both_are_there(tmp_path: Path) -> None:
    monitor(tmp_path, "0.monitor.csv", 0.0, *[(6.0 + turn / 200, 20, turn) for turn in range(400)])
    (tmp_path / "progress.csv").write_text(f"{SB3_HEAD}1,4000,7,0.3\n2,8000,8,0.2\n")
    returns, at = np.array([[2.0, 8, 8, 8, 8, 8, 8, 8, 8, 8]] * 4), [1000, 3000, 5000, 7000]
    np.savez(tmp_path / "evaluations.npz", timesteps=at, results=returns, ep_lengths=np.full((4, 10), 20))
    assert load(str(tmp_path)).curve(EVAL_MISSED).to_dict() == {2: 0.1}
    np.savez(tmp_path / "evaluations.npz", timesteps=at, results=returns)
    assert not load(str(tmp_path)).has(EVAL_MISSED)


def test_lines_of_a_monitor_file_that_are_no_episodes_are_left_out_and_told(tmp_path: Path) -> None:
    whole = [f"{turn}.0,{turn},{turn}.5" for turn in range(1, 21)]
    damaged = ["--9.0,10,22.02-8-869-7-4.1,10,3.5", "5.0,10,2.5,7.0,10,2.5", "r,l,t", "3.0,4"]
    start = '#{"t_start": 0.0, "env_id": "None"}'
    rows = [*whole[:10], *damaged, *whole[10:]]
    (tmp_path / "monitor.csv").write_text("\n".join([start, "r,l,t", *rows]) + "\n" + "\0" * 8)

    run = load(str(tmp_path / "monitor.csv"))

    assert run.curve(RETURN).tolist() == [float(turn) for turn in range(1, 21)]
    assert any("4 lines of monitor.csv are no episodes" in remark for remark in run.remarks)


def test_empty_files_of_other_workers_are_no_part_of_a_run(tmp_path: Path) -> None:
    rows = [f"{turn},{turn * 100},{turn}.0" for turn in range(1, 21)]
    (tmp_path / "progress.csv").write_text("\n".join(["iteration,total_timesteps,episode_return", *rows]) + "\n")
    (tmp_path / "progress-rank001.csv").touch()
    (tmp_path / "1.monitor.csv").touch()

    run = load(str(tmp_path))

    assert len(run.curve(RETURN)) == 20
    assert any("progress-rank001.csv" in remark for remark in run.remarks)


def test_what_claims_to_be_of_rl_zoo_and_is_not_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "evaluations.npz").open("wb") as opened:
        np.save(opened, np.zeros(3))  # an array alone
    with pytest.raises(AnalysisError, match=r"must be an evaluations.npz of Stable-Baselines3's"):
        load(str(tmp_path / "evaluations.npz"))
    (tmp_path / "evaluations.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(AnalysisError, match=r"must be an evaluations.npz of Stable-Baselines3's"):
        load(str(tmp_path / "evaluations.npz"))
    (tmp_path / "evaluations.npz").write_bytes(b"")
    with pytest.raises(AnalysisError, match=r"must be an evaluations.npz of Stable-Baselines3's: No data left"):
        load(str(tmp_path / "evaluations.npz"))
    for steps, results in (([1, 2], [[3.0], [np.nan], [5.0]]), ([], []), ([1, 2], [[np.nan], [np.nan]])):
        np.savez(tmp_path / "evaluations.npz", timesteps=np.array(steps), results=np.array(results))
        with pytest.raises(AnalysisError, match=r"must be an evaluations.npz of Stable-Baselines3's"):
            load(str(tmp_path / "evaluations.npz"))
    (tmp_path / "monitor.csv").write_text('#{"t_start": 1}\nr,l\n1,2\n')
    with pytest.raises(AnalysisError, match=r"monitor.csv must be a monitor file of Stable-Baselines3's"):
        load(str(tmp_path / "monitor.csv"))


def test_a_download_of_tensorboards_is_read_by_the_tag_in_its_name(tmp_path: Path) -> None:
    text = "Wall time,Step,Value\n1.0,2048,5.5\n2.0,4096,6.5\n"
    named = read(tmp_path, text, "run-PPO_1-tag-train_approx_kl.csv")
    assert named.curve(KL).to_dict() == {1: 5.5, 2: 6.5}
    assert named.curve(ENV_STEPS).tolist() == [2048, 4096]
    unnamed = read(tmp_path, text, "download.csv")
    assert unnamed.curve(RETURN).to_dict() == {1: 5.5, 2: 6.5}
    assert "(no tag in the file's name: the values were taken for the return)" in unnamed.read_as


def test_a_chart_of_weights_and_biases_is_read_without_its_extremes(tmp_path: Path) -> None:
    header = "Step,calm-sea-1 - train/value_loss,calm-sea-1 - train/value_loss__MIN,calm-sea-1 - train/value_loss__MAX"
    run = read(tmp_path, f"{header},calm-sea-1 - rollout/ep_rew_mean\n2048,8,1,9,3\n4096,6,1,9,4\n", "chart.csv")
    assert run.dialect == "sb3"
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 6.0}
    assert run.curve(RETURN).to_dict() == {1: 3.0, 2: 4.0}
    with pytest.raises(AnalysisError, match="must hold one run, and holds 2: a, b; export the chart of one run"):
        read(tmp_path, "Step,a - train/value_loss,b - train/value_loss\n1,2,3\n2,3,4\n", "both.csv")


def test_a_table_with_tabs_and_epochs_from_0_is_read(tmp_path: Path) -> None:
    rows = "Epoch AverageEpRet EpLen TotalEnvInteracts LossV KL\n0 -5.0 20 4000 9.0 -0.001\n1 7.0 30 8000 8.0 0.01\n"
    run = read(tmp_path, rows.replace(" ", "\t"), "progress.txt")
    assert run.dialect == "spinning_up"
    assert run.curve(RETURN).to_dict() == {1: -5.0, 2: 7.0}
    assert run.curve(KL).tolist() == [-0.001, 0.01]
    assert run.curve(ENV_STEPS).tolist() == [4000, 8000]


def test_a_last_line_that_is_cut_off_loses_the_field_it_was_cut_in(tmp_path: Path) -> None:
    run = read(tmp_path, "iteration,reward,value_loss\n8,1.5,3\n9,2.5,2\n10,3", "log.csv")
    assert run.curve(RETURN).tolist() == [1.5, 2.5]
    whole = read(tmp_path, "iteration,reward,value_loss\n8,1.5,3\n9,2.5,2\n10,3.5,1", "log.csv")
    assert whole.curve(RETURN).tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    "line",
    [
        "  Iteration {:>3}/20 | Mean Reward: {:>7.1f} | Value Loss: {:>8.3f}\n",
        "Iteration {:>3}/ 20  Mean Reward   {:>7.1f}  Value Loss   {:>8.3f}\n",
        "Iteration: \t {}\nMean Reward: \t {}\nValue Loss \t {}\n-----\n",
        "iteration    : {}\nmean reward  : {}\nvalue loss   : {}\n\n",
        "iteration\t{}\treward\t{}\tvalue loss\t{}\n",
    ],
    ids=["right-aligned", "words in columns", "tabs", "aligned colons", "tabs between all"],
)
def test_blanks_that_align_numbers_shift_no_row(tmp_path: Path, line: str) -> None:
    run = read(tmp_path, "".join(line.format(*row) for row in ((1, 20.5, 3.0), (7, 196.5, 2.0), (13, 410.0, 1.0))))
    assert run.curve(RETURN).to_dict() == {1: 20.5, 7: 196.5, 13: 410.0}
    assert run.curve(VALUE).to_dict() == {1: 3.0, 7: 2.0, 13: 1.0}


CUT = "as in a text that was cut there: left out"


def test_a_block_whose_heading_was_cut_off_is_in_no_other_iteration(tmp_path: Path) -> None:
    block = "Learning iteration {}/9\n\n  Mean value loss: {}\n  Mean reward: {}\n-----\n"
    text = "  Mean value loss: 8.0\n-----\n" + block.format(1, 4.0, 1.5) + block.format(2, 2.0, 2.5)
    run = read(tmp_path, text)
    assert run.curve(VALUE).to_dict() == {1: 4.0, 2: 2.0}
    assert run.curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}
    assert f"the first block has no count of its own, {CUT}" in run.remarks
    whole = read(tmp_path, text.partition("-----\n")[2])
    assert whole.curve(VALUE).to_dict() == {1: 4.0, 2: 2.0}
    assert not [text for text in whole.remarks if CUT in text]


@pytest.mark.parametrize(
    "block", ["update: {}\nvalue loss: {}\nreward: {}\n\n", "Update {}/9: value loss={}, reward={}\n"]
)
def test_own_blocks_cut_at_the_top_are_not_shifted(tmp_path: Path, block: str) -> None:
    rest = "value loss: 8.0\nreward: 0.5\n\n"
    run = read(tmp_path, rest + "".join(block.format(*row) for row in ((2, 4.0, 1.5), (3, 2.0, 2.5))))
    assert run.curve(VALUE).tolist() == [4.0, 2.0]
    assert run.curve(RETURN).tolist() == [1.5, 2.5]


def test_a_count_that_ends_its_block_stays_with_it_and_a_block_cut_before_it_is_left_out(tmp_path: Path) -> None:
    block = "value loss: {}\nreward: {}\n\nUpdate {}/9 done\n"
    text = block.format(4.0, 1.5, 1) + block.format(2.0, 2.5, 2)
    assert read(tmp_path, text).curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}
    run = read(tmp_path, text + "value loss: 9.0\n")
    assert run.curve(VALUE).to_dict() == {1: 4.0, 2: 2.0}
    assert f"the last block has no count of its own, {CUT}" in run.remarks


def test_results_of_tune_without_their_first_and_last_lines_are_not_mixed(tmp_path: Path) -> None:
    learner = "info:\n  default:\n    cur_lr: {}\n    kl: 0.01\n    vf_explained_var: {}\n    vf_loss: 9.0\n"
    result = "episode_len_mean: {}\nepisode_reward_mean: {}\n" + learner + "timesteps_total: {}\n"
    text = result.partition("\n")[2].format(-8.0, 5e-5, 0.5, 400) + "training_iteration: 3\n\n"
    run = read(tmp_path, text + "done: false\n" + result.format(52.0, -6.0, 1e-5, 0.25, 500).partition("timesteps")[0])
    assert run.dialect == "rllib"
    assert run.curve(RETURN).to_dict() == {3: -8.0}
    assert len(run.curve(EPISODE_LENGTH)) == 0
    assert run.curve(metrics.EXPLAINED_VARIANCE).to_dict() == {3: 0.5}
    assert run.curve(metrics.LR).to_dict() == {3: 5e-5}
    assert f"the last block has no count of its own, {CUT}" in run.remarks


def test_boxes_whose_groups_became_headings_are_those_of_stable_baselines(tmp_path: Path) -> None:
    text = "#### time:\n|    iterations   | 245   |\n\n#### train\n|    entropy_loss | -21.8 |\n"
    run = read(tmp_path, text + "|    value_loss   | 0.5   |\n--------\n", "README.md")
    assert run.dialect == "sb3"
    assert run.curve(ENTROPY).to_dict() == {245: 21.8}


def test_settings_printed_above_the_first_block_are_no_block_cut_off(tmp_path: Path) -> None:
    run = read(tmp_path, "lr: 0.001\ngamma: 0.9\n\nUpdate 1: reward=3.5, lr=0.001\nUpdate 2: reward=4.5, lr=0.001\n")
    assert run.curve(RETURN).to_dict() == {1: 3.5, 2: 4.5}
    assert run.curve(metrics.LR).to_dict() == {1: 0.001, 2: 0.001}
    assert not [text for text in run.remarks if CUT in text]


def test_boxes_cut_at_both_ends_are_in_no_other_iteration(tmp_path: Path) -> None:
    box = "| rollout/ |  |\n|    ep_rew_mean | {} |\n| time/ |  |\n|    iterations | {} |\n| train/ |  |\n"
    box += "|    value_loss | {} |\n|    entropy_loss | -0.5 |\n--------\n"
    text = "| train/ |  |\n|    value_loss | 9.0 |\n--------\n" + box.format(1.5, 2, 4.0) + box.format(2.5, 3, 2.0)
    run = read(tmp_path, text + "| rollout/ |  |\n|    ep_rew_mean | 8.0 |\n")
    assert run.curve(VALUE).tolist() == [4.0, 2.0]
    assert run.curve(RETURN).tolist() == [1.5, 2.5]
    assert len([text for text in run.remarks if CUT in text]) == 2


def test_tuples_that_python_2_prints_are_read(tmp_path: Path) -> None:
    lines = [f"('Episode #', {100 * n}, '\\tfinished with reward', {-90.5 + n}, '\\tNoise', 0.02)" for n in range(5)]
    run = read(tmp_path, "\n".join(["Using TensorFlow backend.", *lines]))
    assert run.curve(RETURN).tolist() == [-90.5, -89.5, -88.5, -87.5, -86.5]
    assert run.table.index.tolist() == [1, 101, 201, 301, 401]  # the first one is 0


PPO1 = """\
********** Iteration {n} ************
Optimizing...
     pol_surr |    pol_entpen |       vf_loss |            kl |           ent
      0.00021 |       0.00000 |      61.23100 |       0.00012 |       2.83700
     -0.00310 |       0.00000 |      55.10200 |       0.50180 |       2.83500
Evaluating losses...
     -0.00900 |       0.00000 |      {loss}    |       4.0{n}000 |       2.83100
"""


def test_tables_of_ppo1_tell_where_each_update_ended(tmp_path: Path) -> None:
    run = read(tmp_path, "".join(PPO1.format(n=n, loss=50.5 - n) for n in range(3)))
    assert run.curve(VALUE).tolist() == [50.5, 49.5, 48.5]
    assert run.curve(KL).tolist() == [4.0, 4.01, 4.02]
    assert run.curve(ENTROPY).tolist() == [2.831] * 3


TRAINED = "".join(f"Episode: {n} Reward: {10.0 * n} Loss: 0.3\n" for n in range(1, 6))


def test_a_test_behind_a_training_is_left_out(tmp_path: Path) -> None:
    tested = "".join(f"Episode: {n} Reward: 90.0\n" for n in range(1, 4))
    run = read(tmp_path, f"{TRAINED}Testing the trained agent\n{tested}")
    assert run.curve(RETURN).tolist() == [10, 20, 30, 40, 50]
    assert "a test behind the training is left out, from line 6 on" in run.remarks


def test_counts_that_begin_anew_without_a_word_of_a_test_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="must not go back"):
        read(tmp_path, TRAINED + TRAINED)


def test_a_test_between_parts_of_a_training_is_left_in_peace(tmp_path: Path) -> None:
    more = "".join(f"Episode: {n} Reward: {10.0 * n} Loss: 0.3\n" for n in range(6, 9))
    run = read(tmp_path, f"{TRAINED}Testing the agent\n{more}")
    assert run.curve(RETURN).tolist() == [10, 20, 30, 40, 50, 60, 70, 80]


def test_a_number_of_episodes_within_a_name_is_no_counter(tmp_path: Path) -> None:
    """The last words of such a name, `4 episodes`, stand before a number as a counter does."""
    lines = "".join(f"Average Reward after 4 episodes: {r}\nAverage Len after 4 episodes: 755.25\n" for r in (3.5, 4.5))
    assert read(tmp_path, lines).curve(RETURN).tolist() == [3.5, 4.5]
