"""Names, signs and factors of each trainer, and the names that tell the trainer, in tables written here."""

from pathlib import Path

import pytest
from unstuck.analysis.history import ENV_STEPS, History, load
from unstuck.analysis.history.dialects.dialect import find_first, make_canonical
from unstuck.analysis.history.dialects.plain import find_plain_name
from unstuck.analysis.history.names import DIALECTS, recognise_dialect
from unstuck.analysis.history.record import (
    CLIP_RANGE,
    ENTROPY_BONUS,
    ENTROPY_COEF,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    EVAL_SUCCESS_RATE,
    POLICY_STD,
    SUCCESS_RATE,
    TOTAL_LOSS,
)
from unstuck.rl import metrics

RETURN, EVAL, VALUE, POLICY = metrics.TRAIN_RETURN, metrics.EVAL_RETURN, metrics.VALUE_LOSS, metrics.POLICY_LOSS
ENTROPY, KL, CLIPPED, LR = metrics.ENTROPY, metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.LR
EXPLAINED, GRADIENT = metrics.EXPLAINED_VARIANCE, metrics.GRAD_NORM

TRAINERS = [  # trainer, its names, and what a 2 under each of them is in our unit
    ("sb3", {"time/total_timesteps": 0, "rollout/ep_rew_mean": (RETURN, 2), "train/entropy_loss": (ENTROPY, -2),
             "train/value_loss": (VALUE, 2), "train/std": (POLICY_STD, 2), "train/ent_coef": (ENTROPY_COEF, 2)}),
    ("cleanrl", {"global_step": 0, "charts/episodic_return": (RETURN, 2), "losses/value_loss": (VALUE, 4),
                 "losses/entropy": (ENTROPY, 2), "charts/learning_rate": (LR, 2)}),
    ("pufferlib", {"agent_steps": 0, "environment/score": (RETURN, 2), "losses/value_loss": (VALUE, 4),
                   "losses/clipfrac": (CLIPPED, 2), "losses/importance": None}),
    ("baselines", {"misc/nupdates": 1, "eprewmean": (RETURN, 2), "loss/value_loss": (VALUE, 4),
                   "loss/policy_entropy": (ENTROPY, 2), "loss/approxkl": (KL, 2)}),
    ("sb2", {"n_updates": 1, "ep_reward_mean": (RETURN, 2), "value_loss": (VALUE, 4), "policy_entropy": (ENTROPY, 2),
             "approxkl": (KL, 2)}),
    ("rsl_rl", {"Step": 1, "Train/mean_reward": (RETURN, 2), "Loss/value_function": (VALUE, 2),
                "Loss/surrogate": (POLICY, 2), "Loss/entropy": (ENTROPY, 2), "Policy/mean_noise_std": (POLICY_STD, 2)}),
    ("skrl", {"Step": 0, "Reward / Total reward (mean)": (RETURN, 2), "Loss / Value loss": (VALUE, 2),
              "Loss / Entropy loss": (ENTROPY_BONUS, -2), "Policy / Standard deviation": (POLICY_STD, 2)}),
    ("rl_games", {"frame": 0, "rewards/step": (RETURN, 2), "rewards/iter": None, "losses/a_loss": (POLICY, 2),
                  "losses/c_loss": (VALUE, 2), "info/e_clip": (CLIP_RANGE, 2), "info/kl": (KL, 2)}),
    ("brax", {"num_steps": 0, "eval/episode_reward": (EVAL, 2), "training/v_loss": (VALUE, 8),
              "training/policy_loss": (POLICY, 2), "training/entropy_loss": (ENTROPY_BONUS, -2)}),
    ("rllib", {"training_iteration": 1, "episode_reward_mean": (RETURN, 2),
               "info/learner/main/learner_stats/vf_loss": (VALUE, 2),
               "info/learner/main/learner_stats/entropy_coeff": (ENTROPY_COEF, 2)}),
    ("rllib", {"training_iteration": 1, "env_runners/episode_return_mean": (RETURN, 2),
               "learners/main/vf_loss_unclipped": (VALUE, 2), "learners/main/mean_kl_loss": (KL, 2),
               "evaluation/env_runners/episode_return_mean": (EVAL, 2)}),
    ("mlagents", {"Step": 0, "Environment/Cumulative Reward": (RETURN, 2), "Losses/Value Loss": (VALUE, 2),
                  "Policy/Epsilon": (CLIP_RANGE, 2), "Policy/Beta": (ENTROPY_COEF, 2)}),
    ("torchrl", {"collected_frames": 0, "train/reward": (RETURN, 2), "train/loss_critic": (VALUE, 2),
                 "train/loss_objective": (POLICY, 2), "train/loss_entropy": (ENTROPY_BONUS, -2)}),
    ("tianshou", {"env_step": 0, "train/returns_stat/mean": (RETURN, 2), "update/vf_loss/mean": (VALUE, 2),
                  "update/ent_loss/mean": (ENTROPY, 2), "test/reward": (EVAL, 2)}),
    ("spinning_up", {"Epoch": 1, "AverageEpRet": (RETURN, 2), "LossV": (VALUE, 2), "ClipFrac": (CLIPPED, 2),
                     "MaxEpRet": None}),
    ("trl", {"episode": 1, "objective/rlhf_reward": (RETURN, 2), "objective/scores": None, "loss/value_avg": (VALUE, 4),
             "policy/approxkl_avg": (KL, 2), "policy/entropy_avg": (ENTROPY, 2), "objective/kl": None}),
    ("chainerrl", {"steps": 0, "episodes": None, "elapsed": None, "mean": (EVAL, 2), "median": None, "stdev": None,
                   "average_loss_policy": (POLICY, 2), "average_loss_value_func": (VALUE, 2)}),
    ("torch_ac", {"update": 1, "frames": 0, "return_mean": (RETURN, 2), "num_frames_mean": (EPISODE_LENGTH, 2),
                  "value_loss": (VALUE, 2), "grad_norm": (GRADIENT, 2)}),
]  # fmt: skip


def write(folder: Path, names: list[str], *rows: list[float], name: str = "log.csv") -> History:
    """A table with these columns, loaded."""
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return load(str(folder / name))


def test_a_success_rate_is_a_share(tmp_path: Path) -> None:
    names = ["time/total_timesteps", "train/value_loss", "eval/success_rate"]
    run = write(tmp_path, names, [4096, 2.0, 0.5], [8192, 2.0, 1.0])
    assert run.curve(EVAL_SUCCESS_RATE).tolist() == [0.5, 1.0]


def test_a_success_rate_of_a_callback_is_read_and_a_number_of_successes_is_not(tmp_path: Path) -> None:
    names = ["time/total_timesteps", "train/value_loss", "rollout/episode_success"]
    assert write(tmp_path, names, [4096, 2.0, 0.0], [8192, 2.0, 0.5]).curve(SUCCESS_RATE).tolist() == [0.0, 0.5]
    assert not write(tmp_path, names, [4096, 2.0, 0.0], [8192, 2.0, 7.0]).has(SUCCESS_RATE)


@pytest.mark.parametrize("case", ["as it is", "upper", "lower"])
@pytest.mark.parametrize(("dialect", "columns"), TRAINERS, ids=[name for name, _ in TRAINERS])
def test_each_trainers_columns_are_read_in_our_units(tmp_path: Path, dialect: str, columns: dict, case: str) -> None:  # type: ignore[type-arg]
    names = [{"as it is": name, "upper": name.upper(), "lower": name.lower()}[case] for name in columns]
    strides = [{0: 4096.0, 1: 1.0}.get(meaning) for meaning in columns.values()]
    run = write(tmp_path, names, *([stride * row if stride else 2.0 for stride in strides] for row in (1, 2)))
    assert run.dialect == dialect
    for meaning in columns.values():
        if isinstance(meaning, tuple):
            ours, value = meaning
            assert run.curve(ours).tolist() == [value, value], ours
    if 0 in columns.values():
        assert run.curve(ENV_STEPS).tolist() == [4096, 8192]
    assert run.table.index.tolist() == [1, 2]
    assert run.unrecognised == ()


@pytest.mark.parametrize(
    "names",
    [
        ["losses/value_loss"],
        ["losses/entropy", "losses/value_loss"],
        ["train/value_loss", "train/entropy"],
        ["train/reward", "eval/reward", "loss"],
        ["value_loss", "policy_loss", "entropy"],
        ["episode_reward_mean"],
        ["policy_loss", "value_loss", "grad_norm"],
        ["step", "update", "Epoch"],
    ],
)
def test_names_that_several_programs_use_tell_none(names: list[str]) -> None:
    assert recognise_dialect(names).name == "plain"


def test_each_dialect_is_told_by_names_of_its_own() -> None:
    for dialect in DIALECTS.values():
        for group in dialect.must:
            names = [name.replace("*", "default_policy") for name in group]
            assert recognise_dialect(names) is dialect, (dialect.name, group)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("Train/policy_loss_team_0", POLICY),
        ("mean 100 episode reward", RETURN),
        ("Episode Reward (mean)", RETURN),
        ("avg_ep_return", RETURN),
        ("eval/mean_reward", EVAL),
        ("test_reward", EVAL),
        ("loss/value", VALUE),
        ("Loss/Critic", VALUE),
        ("valueLoss", VALUE),
        ("Reward/mean", RETURN),
        ("eval/return/mean", EVAL),
        ("Loss/total", TOTAL_LOSS),
        ("agent_3/entropy", ENTROPY),
        ("ppo/approx_kl", KL),
        ("Expl.Var", EXPLAINED),
        ("Pre-Clip Grad", GRADIENT),
        ("total_loss", TOTAL_LOSS),
        ("policy/mean_action_std", POLICY_STD),
        ("stats/arrival_ratio", SUCCESS_RATE),
        ("win_ratio", SUCCESS_RATE),
        ("train/length", EPISODE_LENGTH),
        ("test/length", EVAL_LENGTH),
        ("Average Reward after 4 episodes", RETURN),
        ("reward over last 100 episodes", RETURN),
    ],
)
def test_names_of_peoples_own_are_understood(name: str, ours: str) -> None:
    found = find_plain_name(name)
    assert found is not None
    assert found[0] == (ours, 1.0)


@pytest.mark.parametrize(
    "name",
    [
        "max_episode_reward",
        "reward_std",
        "Clip Ratio",
        "epsilon",
        "entropy_target",
        "Episode/rew_torques",
        "loudness",
        "snake/length",
    ],
)
def test_names_that_mean_something_else_are_not(name: str) -> None:
    assert find_plain_name(name) is None


def test_of_two_columns_for_one_metric_the_nearer_counts(tmp_path: Path) -> None:
    run = write(tmp_path, ["update", "Episode/team_0_reward", "Episode/team_1_reward", "mean_reward"], [1, 2, 3, 4])
    assert run.curve(RETURN).tolist() == [2.0]
    run = write(tmp_path, ["update", "reward", "episode_reward_mean"], [1, 2, 3])
    assert run.curve(RETURN).tolist() == [3.0]


@pytest.mark.parametrize(("logged", "entropy"), [([-1.4, 0.7], [1.4, -0.7]), ([1.4, -0.7], [1.4, -0.7])])
def test_the_sign_of_an_own_entropy_loss_is_told_by_its_first_value(
    tmp_path: Path, logged: list[float], entropy: list[float]
) -> None:
    run = write(tmp_path, ["update", "entropy_loss"], *([place, value] for place, value in enumerate(logged, 1)))
    assert run.curve(ENTROPY).tolist() == entropy


def test_a_logarithm_of_the_spread_is_a_spread(tmp_path: Path) -> None:
    assert write(tmp_path, ["update", "log_std"], [1, 0.0]).curve(POLICY_STD).tolist() == [1.0]


def test_a_bonus_is_an_entropy_once_its_coefficient_is_known(tmp_path: Path) -> None:
    names = ["step", "train/loss_critic", "train/loss_objective", "train/loss_entropy"]
    run = write(tmp_path, names, [4096, 1, 1, -0.02], [8192, 1, 1, -0.01])
    assert not run.has(ENTROPY)
    assert any("--set ppo.entropy_coef" in remark for remark in run.remarks)
    (tmp_path / "config.yaml").write_text("loss: {entropy_coeff: 0.01}\n")
    assert load(str(tmp_path)).curve(ENTROPY).tolist() == [2.0, 1.0]


def test_columns_that_may_matter_and_were_not_recognised_are_named(tmp_path: Path) -> None:
    run = write(tmp_path, ["update", "entropy", "my_critic_regression_loss", "kl_target", "reward_std", "fps"], [1] * 6)
    assert run.unrecognised == ("my_critic_regression_loss",)
    assert "columns not known and left out: kl_target, my_critic_regression_loss, reward_std" in run.remarks
    known = write(tmp_path, ["update", "value_loss", "my_critic_regression_loss"], [1, 1, 1])
    assert known.unrecognised == ()


def test_names_are_compared_whatever_their_writing() -> None:
    assert make_canonical(" Loss / Value loss ") == make_canonical("loss/valueLoss") == "loss/value_loss"
    assert find_first(["Total Steps", "step"], ["STEP", "total-steps"]) == "total-steps"
    assert find_first(["x"], ["y"]) is None
