"""Derive, from the raw files alone, the numbers with which every case of strangers' runs must be read.

The script imports nothing of this project, so that a mistake in the project's reader cannot hide in it. Signs and
factors come from the public sources of the trainers, named beside each table. For each file it says the last iteration,
the rows (iterations with a number) and, for each metric, how many iterations hold a value, the first, the last and the
mean value.

    python benchmarks/wild_expected.py [FOLDER]        # $UNSTUCK_CASES, or ../shared/cases beside the repository

The folder holds `wild/` and `formats/`; nothing of it is in the repository.
"""

import csv
import json
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RETURN, LENGTH = "train/episode_return", "train/episode_length"
EVAL, EVAL_LENGTH = "eval/episode_return", "eval/episode_length"
VALUE, POLICY, ENTROPY = "train/value_loss", "train/policy_loss", "train/entropy"
KL, CLIPPED, EXPLAINED, LR = "train/approx_kl", "train/clip_fraction", "train/explained_variance", "train/lr"
STD, CLIP_RANGE, ENTROPY_COEF = "train/policy_std", "train/clip_range", "train/entropy_coef"
GRADIENT, SUCCESS, EVAL_SUCCESS = "train/grad_norm", "train/success_rate", "eval/success_rate"

Columns = dict[str, tuple[str, float]]
Points = list[tuple[float, float]]
"""Values of one column, each behind the counter of its row or its logged step."""


@dataclass(frozen=True)
class Form:
    """Names that one training program writes, with our metrics and factors, and the columns that count iterations.

    Attributes:
        columns: Our metric and the factor to our unit, by the trainer's name.
        counter: Column that counts iterations; empty: rows with a value in `pace` are counted.
        steps: Column of environment steps; empty for event files, whose steps are logged beside each value.
        pace: Column that has a value once an iteration; empty: every row is an iteration.
    """

    columns: Columns
    counter: str = ""
    steps: str = ""
    pace: str = ""


# stable_baselines3/ppo/ppo.py, train(): F.mse_loss(returns, values) for the value loss, -mean(entropy) as entropy_loss;
# common/on_policy_algorithm.py, dump_logs(): time/iterations counts rollouts, time/total_timesteps environment steps.
_SB3: Columns = {
    "rollout/ep_rew_mean": (RETURN, 1),
    "rollout/ep_len_mean": (LENGTH, 1),
    "rollout/success_rate": (SUCCESS, 1),
    "eval/mean_reward": (EVAL, 1),
    "eval/mean_ep_length": (EVAL_LENGTH, 1),
    "eval/success_rate": (EVAL_SUCCESS, 1),
    "train/value_loss": (VALUE, 1),
    "train/policy_gradient_loss": (POLICY, 1),
    "train/entropy_loss": (ENTROPY, -1),
    "train/approx_kl": (KL, 1),
    "train/clip_fraction": (CLIPPED, 1),
    "train/explained_variance": (EXPLAINED, 1),
    "train/learning_rate": (LR, 1),
    "train/std": (STD, 1),
    "train/clip_range": (CLIP_RANGE, 1),
}
SB3 = Form(_SB3, "time/iterations", "time/total_timesteps")
SB3_ROWS = Form(_SB3, "", "time/total_timesteps")
SB3_EVENTS = Form(_SB3, pace="rollout/ep_rew_mean")
SB3_HISTORY = Form(_SB3, "time/iterations", "global_step")
SB3_CHART = Form(_SB3, "", "Step")

# cleanrl/ppo.py: v_loss = 0.5 * v_loss_max.mean(), so the mean squared error is twice the logged value; the returns of
# single episodes are logged at the environment step at which each ended.
CLEANRL = Form(
    {
        "charts/episodic_return": (RETURN, 1),
        "charts/episodic_length": (LENGTH, 1),
        "charts/learning_rate": (LR, 1),
        "losses/value_loss": (VALUE, 2),
        "losses/policy_loss": (POLICY, 1),
        "losses/entropy": (ENTROPY, 1),
        "losses/approx_kl": (KL, 1),
        "losses/clipfrac": (CLIPPED, 1),
        "losses/explained_variance": (EXPLAINED, 1),
    },
    pace="losses/value_loss",
)
# pufferlib/pufferl.py: v_loss = 0.5 * torch.max(v_loss_unclipped, v_loss_clipped).mean().
PUFFERLIB = Form({**CLEANRL.columns, "environment/episode_return": (RETURN, 1)}, "", "global_step")
# baselines/ppo2/model.py and stable_baselines/ppo2/ppo2.py: vf_loss = .5 * mean(max(...)), and
# policy_entropy is the entropy.
_PPO2 = {"policy_loss": (POLICY, 1), "value_loss": (VALUE, 2), "policy_entropy": (ENTROPY, 1)}
_PPO2 |= {"approxkl": (KL, 1), "clipfrac": (CLIPPED, 1)}
BASELINES = Form(
    {
        **{f"loss/{name}": unit for name, unit in _PPO2.items()},
        "eprewmean": (RETURN, 1),
        "eplenmean": (LENGTH, 1),
        "misc/explained_variance": (EXPLAINED, 1),
    },
    "misc/nupdates",
    "misc/total_timesteps",
)
SB2 = Form(
    {
        **_PPO2,
        "ep_reward_mean": (RETURN, 1),
        "ep_len_mean": (LENGTH, 1),
        "explained_variance": (EXPLAINED, 1),
    },
    "n_updates",
    "total_timesteps",
)
# rsl_rl/algorithms/ppo.py: value_loss is the mean of squared errors without a half, entropy is the mean entropy;
# rsl_rl/runners/on_policy_runner.py: losses stand at the learning iteration, which goes on from a checkpoint's.
RSL_RL = Form(
    {
        "Train/mean_reward": (RETURN, 1),
        "Train/mean_episode_length": (LENGTH, 1),
        "Loss/value_function": (VALUE, 1),
        "Loss/surrogate": (POLICY, 1),
        "Loss/entropy": (ENTROPY, 1),
        "Loss/learning_rate": (LR, 1),
        "Policy/mean_noise_std": (STD, 1),
    },
    "Step",
    pace="Loss/value_function",
)
RSL_RL_TEXT = Form(
    {
        "Mean reward": (RETURN, 1),
        "Mean value_function loss": (VALUE, 1),
        "Mean surrogate loss": (POLICY, 1),
        "Mean entropy loss": (ENTROPY, 1),
        "Mean action noise std": (STD, 1),
    },
    "iteration",
)
# mlagents/trainers/ppo/optimizer_torch.py: value_loss is a mean squared error, abs(policy_loss) is logged.
ML_AGENTS = Form(
    {
        "Environment/Cumulative Reward": (RETURN, 1),
        "Environment/Episode Length": (LENGTH, 1),
        "Losses/Value Loss": (VALUE, 1),
        "Policy/Entropy": (ENTROPY, 1),
        "Policy/Learning Rate": (LR, 1),
        "Policy/Epsilon": (CLIP_RANGE, 1),
        "Policy/Beta": (ENTROPY_COEF, 1),
    },
    "",
    "Step",
    pace="Losses/Value Loss",
)
# rllib/algorithms/ppo/ppo_torch_policy.py and torch/ppo_torch_learner.py: vf_loss is a squared error, cut off at
# vf_clip_param; kl and entropy are means.
_LEARNER: Columns = {
    "policy_loss": (POLICY, 1),
    "vf_loss": (VALUE, 1),
    "vf_explained_var": (EXPLAINED, 1),
    "kl": (KL, 1),
    "mean_kl_loss": (KL, 1),
    "entropy": (ENTROPY, 1),
    "cur_lr": (LR, 1),
    "default_optimizer_learning_rate": (LR, 1),
    "entropy_coeff": (ENTROPY_COEF, 1),
}
_OLD = "info/learner/default_policy/"
_PLACES = (_OLD, f"{_OLD}learner_stats/", "learners/default_policy/")
RLLIB = Form(
    {
        **{place + name: unit for place in _PLACES for name, unit in _LEARNER.items()},
        "episode_reward_mean": (RETURN, 1),
        "env_runners/episode_return_mean": (RETURN, 1),
        "episode_len_mean": (LENGTH, 1),
    },
    "training_iteration",
)
# spinup/algos/pytorch/ppo/ppo.py: LossV is a mean squared error, KL is mean(logp_old - logp); Epoch counts from 0.
SPINNING_UP = Form(
    {
        "AverageEpRet": (RETURN, 1),
        "EpLen": (LENGTH, 1),
        "LossPi": (POLICY, 1),
        "LossV": (VALUE, 1),
        "Entropy": (ENTROPY, 1),
        "KL": (KL, 1),
        "ClipFrac": (CLIPPED, 1),
    },
    "Epoch",
)
# skrl/agents/torch/ppo/ppo.py: the value loss is value_loss_scale (1 unless set) times F.mse_loss; "Entropy loss" is
# -entropy_loss_scale times the entropy, whose scale these files do not hold, so no entropy is expected.
SKRL = Form(
    {
        "Reward / Total reward (mean)": (RETURN, 1),
        "Loss / Policy loss": (POLICY, 1),
        "Loss / Value loss": (VALUE, 1),
        "Policy / Standard deviation": (STD, 1),
        "Learning / Learning rate": (LR, 1),
    },
    "",
    "Step",
)
# torchrl/objectives/ppo.py: loss_entropy is -entropy_coeff times the entropy (see skrl).
TORCHRL = Form(
    {
        "train/reward": (RETURN, 1),
        "eval/reward": (EVAL, 1),
        "train/loss_critic": (VALUE, 1),
        "train/loss_objective": (POLICY, 1),
        "train/lr": (LR, 1),
        "train/clip_fraction": (CLIPPED, 1),
    },
    "",
    "step",
)
# tianshou/policy/modelfree/ppo.py: vf_loss = (returns - value).pow(2).mean(), ent_loss = dist.entropy().mean().
TIANSHOU = Form(
    {
        "train/reward": (RETURN, 1),
        "train/length": (LENGTH, 1),
        "test/reward": (EVAL, 1),
        "loss/clip": (POLICY, 1),
        "loss/vf": (VALUE, 1),
        "loss/ent": (ENTROPY, 1),
    },
    "",
    "env_step",
)
# brax/training/agents/ppo/losses.py: v_loss = mean(v_error^2) * 0.5 * 0.5; entropy_loss is -entropy_cost times the
# entropy (see skrl).
BRAX = Form(
    {"eval/episode_reward": (EVAL, 1), "training/policy_loss": (POLICY, 1), "training/v_loss": (VALUE, 4)},
    "",
    "num_steps",
)
# rl_games/common/common_losses.py: c_loss is a squared error without a half; a2c_common.py: steps are frames.
RL_GAMES = Form(
    {
        "rewards/step": (RETURN, 1),
        "episode_lengths/step": (LENGTH, 1),
        "losses/a_loss": (POLICY, 1),
        "losses/c_loss": (VALUE, 1),
        "losses/entropy": (ENTROPY, 1),
        "info/last_lr": (LR, 1),
        "info/kl": (KL, 1),
    },
    "",
    "step",
)


def own(counter: str = "", steps: str = "", **columns: str) -> Form:
    """Return the form of a table with the author's own column names; in arguments `_` stands for any symbol."""
    return Form(
        {name.removeprefix("minus_"): (ours, -1 if name.startswith("minus_") else 1) for name, ours in columns.items()},
        counter,
        steps,
    )


def column_of(header: str, form: Form) -> tuple[str, float] | None:
    """Return our metric and the factor for a column; characters that a Python name cannot have count as `_`."""
    plain = re.sub(r"[^A-Za-z0-9]", "_", header)
    return form.columns.get(header) or form.columns.get(plain)


def rows_of(file: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Read the rows of a table file; drop the field in which an incomplete last line was cut."""
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = list(csv.DictReader(lines, delimiter=delimiter))
    if not text.endswith("\n") and len(next(csv.reader([lines[-1]], delimiter=delimiter))) < len(rows[0]):
        last = max(index for index, value in enumerate(rows[-1].values()) if value is not None)
        rows[-1][list(rows[-1])[last]] = ""
    return rows


def number(text: str | float | None) -> float:
    """Parse a number from text; return NaN if the text is no number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def flatten(tree: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Return a nested result of RLlib as a flat one, with nested keys joined by `/`."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}/") if isinstance(value, dict) else {prefix + key: str(value)}
    return flat


def sb3_console(text: str) -> list[dict[str, str]]:
    """Read the tables that Stable-Baselines3 prints, one row for each table."""
    rows: list[dict[str, str]] = []
    group = ""
    for line in text.splitlines():
        if line.startswith("---"):
            continue
        name, value = (part for part in line.split("|")[1:3])
        if name.startswith("    "):
            rows[-1][group + name.strip()] = value.strip()
        else:
            if name.strip() == "rollout/":
                rows.append({})
            group = name.strip()
    return rows


def markdown(text: str) -> list[dict[str, str]]:
    """Read a Markdown table; remove letters after numbers, as in `72.8x`."""
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if line]
    return [dict(zip(lines[0], (cell.rstrip("x") for cell in line), strict=True)) for line in lines[2:]]


def early_stops(text: str) -> list[dict[str, str]]:
    """Read one update for each printed line with a KL; the lines that follow belong to the same update."""
    rows: list[dict[str, str]] = []
    for line in text.splitlines():
        if "KL divergence:" in line:
            rows.append({"KL": line.rpartition(":")[2]})
        elif ":" in line:
            rows[-1][line.partition(":")[0].strip()] = line.partition(":")[2]
    return rows


def assignments(text: str) -> list[dict[str, str]]:
    """Read one printed block of lines `name = value` as a single row."""
    return [dict(map(str.strip, line.split("=")) for line in text.splitlines() if "=" in line)]


def ml_agents_console(text: str) -> list[dict[str, str]]:
    """Read the summary lines that ML-Agents prints."""
    found = re.findall(r"Step: (\d+).*?Mean Reward: ([-\d.]+)\. Std", text)
    return [{"Step": step, "Environment/Cumulative Reward": value} for step, value in found]


def table(rows: list[dict[str, str]], form: Form) -> dict[str, object]:
    """Summarise a table: the number of iterations, and for each metric the values' count, ends and mean."""
    ends = [row for row in rows if not form.pace or row.get(form.pace)] or rows
    counts = [number(row.get(form.counter)) for row in ends]
    counts = [count for count in counts if count == count] or [float(row + 1) for row in range(len(ends))]
    if counts[0] == 0:  # counted from 0
        counts = [count + 1 for count in counts]
    found: dict[str, object] = {"iterations": int(counts[-1]), "rows": len(counts)}
    for header in rows[0] | (rows[-1] if len(rows) > 1 else {}):
        unit = column_of(header, form)
        if unit:
            values = [number(row.get(header)) * unit[1] for row in rows]
            summarise(found, unit[0], values)
    return found


def summarise(found: dict[str, object], metric: str, values: list[float]) -> None:
    """Add to `found` a summary of one metric's values, without values that are no number."""
    kept = [value for value in values if value == value]
    if kept:
        finite = float(np.mean(kept))
        found[metric] = {"count": len(kept), "first": kept[0], "last": kept[-1], "mean": finite}


def events(files: list[Path], form: Form) -> dict[str, object]:
    """Summarise one run's event files; an iteration ends at each step at which the metric `pace` was logged."""
    scalars: dict[str, dict[float, list[float]]] = {}
    for file in files:
        fresh: dict[str, dict[float, list[float]]] = {}
        for tag, step, value in scalars_of(file.read_bytes()):
            fresh.setdefault(tag, {}).setdefault(step, []).append(value)
        for tag, points in fresh.items():
            scalars[tag] = scalars.get(tag, {}) | points  # of a step in two files, the later file's
    ends = sorted(scalars[form.pace])
    found: dict[str, object] = {"iterations": len(ends), "rows": len(ends)}
    for tag, points in scalars.items():
        if tag in form.columns:
            metric, factor = form.columns[tag]
            bins: dict[int, list[float]] = {}
            for step in sorted(points):
                bins.setdefault(int(np.searchsorted(ends, step)), []).extend(points[step])
            summarise(found, metric, [float(np.mean(values)) * factor for values in bins.values()])
    return found


def scalars_of(data: bytes) -> Iterator[tuple[str, float, float]]:
    """Yield (tag, step, value) for each scalar in an event file's bytes (tensorflow/core/util/event.proto)."""
    position = 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        event = fields(data[position + 12 : position + 12 + length])
        position += length + 16
        step = event[2][0] if 2 in event else 0
        for summary in event.get(5, []):
            for raw in fields(summary).get(1, []):
                value = fields(raw)
                tag = value[1][0].decode()
                if 2 in value:
                    yield tag, float(step), struct.unpack("<f", value[2][0])[0]
                elif 8 in value:
                    tensor = fields(value[8][0])
                    content = next((tensor[key][0] for key in (5, 4) if key in tensor), b"")
                    if len(content) == 4:
                        yield tag, float(step), struct.unpack("<f", content)[0]


def fields(message: bytes) -> dict[int, list[bytes | int]]:
    """Return the fields of a protocol-buffer message by field number."""
    found: dict[int, list[bytes | int]] = {}
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position, value, shift = position + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            found.setdefault(key >> 3, []).append(varint())
            continue
        length = {1: 8, 5: 4}.get(key & 7) or varint()
        found.setdefault(key >> 3, []).append(message[position : position + length])
        position += length
    return found


def monitors(folder: Path, files: list[Path], evaluations: Path | None) -> dict[str, object]:
    """Summarise monitor.csv files of parallel environments, with episodes in the order of ending."""
    episodes: list[tuple[float, float, float]] = []
    for file in files:
        start = json.loads(file.read_text().partition("\n")[0].lstrip("#"))["t_start"]
        episodes += [(start + float(row["t"]), float(row["r"]), float(row["l"])) for row in rows_of(file)]
    episodes.sort()
    found: dict[str, object] = {"iterations": len(episodes), "rows": len(episodes)}
    summarise(found, RETURN, [episode[1] for episode in episodes])
    summarise(found, LENGTH, [episode[2] for episode in episodes])
    if evaluations:
        found |= {name: value for name, value in evaluated(evaluations).items() if name.startswith("eval/")}
    return found


def evaluated(file: Path) -> dict[str, object]:
    """Summarise evaluations.npz of Stable-Baselines3: one row of episode returns for each evaluation."""
    stored = np.load(file)
    found: dict[str, object] = {"iterations": len(stored["timesteps"]), "rows": len(stored["timesteps"])}
    summarise(found, EVAL, [float(row.mean()) for row in stored["results"]])
    summarise(found, EVAL_LENGTH, [float(row.mean()) for row in stored["ep_lengths"]])
    if "successes" in stored:
        summarise(found, EVAL_SUCCESS, [float(row.mean()) for row in stored["successes"]])
    return found


def chart(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a chart exported from W&B, without the run's name and columns of minima and maxima."""
    return [
        {name.rpartition(" - ")[2]: value for name, value in row.items() if not name.endswith(("__MIN", "__MAX"))}
        for row in rows
    ]


def json_lines(text: str) -> list[dict[str, str]]:
    """Read a result.json of RLlib, one result on each line."""
    return [flatten(json.loads(line)) for line in text.splitlines()]


TABLES: dict[str, Form] = {
    **dict.fromkeys((f"wild/{case}/progress.csv" for case in ("07", "17", "25", "27", "28", "30")), SB3),
    **dict.fromkeys((f"wild/{case}/progress.csv" for case in ("04", "06", "11", "12")), SB3_ROWS),
    "wild/15/44-cut-progress.csv": Form(_SB3, pace="rollout/ep_rew_mean"),  # its last count of iterations is cut off
    "wild/03/progress.csv": own("update", approx_kl=KL, episode_reward=RETURN, policy_loss=POLICY),
    "wild/05/progress.csv": own(
        "update",
        **{"policy_loss": POLICY, "value_loss": VALUE, "entropy": ENTROPY, "approx_kl": KL},
        **{"explained_variance": EXPLAINED, "episode_return": RETURN},
    ),
    "wild/08/progress.csv": RSL_RL_TEXT,
    "wild/09/progress.csv": own("epoch", **{"return": RETURN}),
    "wild/10/progress.csv": own("batch", reward=RETURN),
    "wild/13/progress.csv": own(
        "update", value_loss=VALUE, explained_variance=EXPLAINED, entropy=ENTROPY, grad_norm=GRADIENT, approx_kl=KL
    ),
    "wild/16/run.csv": own(
        steps="total timesteps",
        ep_rew_mean=RETURN,
        value_loss=VALUE,
        minus_entropy_loss=ENTROPY,  # Stable-Baselines3's names and sign
        policy_gradient_loss=POLICY,
    ),
    "wild/19/progress.csv": own(
        mean_100_episode_reward=RETURN, entropy_loss=ENTROPY, kl=KL, policy_loss=POLICY, value_loss=VALUE
    ),
    "wild/22/progress.csv": RLLIB,
    "formats/baselines_openai_progress.csv": BASELINES,
    "formats/baselines_progress.csv": BASELINES,
    "formats/brax_tags.csv": BRAX,
    "formats/history.csv": SB3_HISTORY,
    "formats/mlagents_tags.csv": ML_AGENTS,
    "formats/own_capital.csv": own(
        "Iteration", Mean_Reward=RETURN, Policy_Loss=POLICY, Value_Loss=VALUE, Entropy=ENTROPY, KL=KL
    ),
    "formats/own_simple.csv": own(
        "episode", **{"return": RETURN, "actor_loss": POLICY, "critic_loss": VALUE, "entropy": ENTROPY}
    ),
    "formats/pufferlib_tags.csv": PUFFERLIB,
    "formats/rlgames_tags.csv": RL_GAMES,
    "formats/rllib_new_progress.csv": RLLIB,
    "formats/rllib_old_progress.csv": RLLIB,
    "formats/rslrl_tags.csv": RSL_RL,
    "formats/sb2_baselines_progress.csv": SB2,
    "formats/sb2_progress.csv": SB2,
    "formats/skrl_tags.csv": SKRL,
    "formats/spinningup_progress.csv": SPINNING_UP,
    "formats/tb_download.csv": own(steps="Step", Value=RETURN),
    "formats/tensorboard_download.csv": own(steps="Step", Value=RETURN),
    "formats/tianshou_tags.csv": TIANSHOU,
    "formats/torchrl_tags.csv": TORCHRL,
    "formats/wandb_history_sb3.csv": Form(_SB3, "", "global_step"),
}
TEXTS: dict[str, tuple[Form, Callable[[str], list[dict[str, str]]]]] = {
    "wild/03/log.txt": (own(KL=KL, Team_0_Reward=RETURN, Policy_Loss=POLICY, Entropy_Coef=ENTROPY_COEF), early_stops),
    "wild/05/log.txt": (TABLES["wild/05/progress.csv"], assignments),
    "wild/07/log.txt": (SB3, sb3_console),
    "wild/13/log.txt": (
        own("Batch", Value_Loss=VALUE, Expl_Var=EXPLAINED, Entropy=ENTROPY, Pre_Clip_Grad=GRADIENT),
        markdown,
    ),
    "wild/14/log.txt": (SB3, sb3_console),
    "wild/22/result.json": (RLLIB, json_lines),
    "formats/mlagents_console.txt": (ML_AGENTS, ml_agents_console),
    "formats/result.json": (RLLIB, json_lines),
    "formats/sb3_console.txt": (SB3, sb3_console),
}
EVENTS: dict[str, Form] = {
    **dict.fromkeys((f"wild/{case}" for case in ("01", "18", "29", "30")), SB3_EVENTS),
    "wild/02": Form(
        {
            "Train/policy_loss_team_0": (POLICY, 1),
            "Train/value_loss_team_0": (VALUE, 1),
            "Train/entropy_team_0": (ENTROPY, 1),
            "Episode/team_0_reward": (RETURN, 1),
        },
        pace="Train/value_loss_team_0",
    ),
    "wild/21": RSL_RL,
    "wild/24": ML_AGENTS,
    "wild/26": CLEANRL,
}


def expected(cases: Path) -> dict[str, dict[str, object]]:
    """Return the numbers expected from each file of the cases by path; by folder for a run in several files."""
    found = {name: table(rows_of(cases / name), form) for name, form in TABLES.items()}
    found |= {name: table(parse((cases / name).read_text()), form) for name, (form, parse) in TEXTS.items()}
    for name, form in EVENTS.items():
        files = sorted((cases / name).glob("events.out.tfevents.*"))
        found[name if len(files) > 1 else f"{name}/{files[0].name}"] = events(files, form)
    for name in ("formats/wandb_export.csv", "formats/wandb_sb3.csv"):
        found[name] = table(chart(rows_of(cases / name)), SB3_CHART)
    spinning_up = Form(SPINNING_UP.columns, "Epoch")
    found["wild/23/progress.txt"] = table(rows_of(cases / "wild/23/progress.txt", "\t"), spinning_up)
    several = cases / "wild/20"
    found["wild/20"] = monitors(several, sorted(several.glob("*.monitor.csv")), several / "evaluations.npz")
    one = cases / "formats/0.monitor.csv"
    found["formats/0.monitor.csv"] = monitors(one.parent, [one], None)
    found["formats/evaluations.npz"] = evaluated(cases / "formats/evaluations.npz")
    shifted = found["wild/02/" + next((cases / "wild/02").glob("events*")).name]
    shifted["iterations"] = 5000  # steps 4, 9, ... 4999 count episodes from 0
    return dict(sorted(found.items()))


def main() -> None:
    """Print the expected numbers of all files as JSON."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "cases"
    cases = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("UNSTUCK_CASES", beside))
    if not (cases / "wild").is_dir():
        sys.exit(f"wild_expected: error: no cases in {cases}; set UNSTUCK_CASES")
    print(json.dumps(expected(cases), indent=1))


if __name__ == "__main__":
    main()
