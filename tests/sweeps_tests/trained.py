"""Trials by each kind of trainer, for tests that hold for all of them."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig
from unstuck.sweeps.config.settings import SweepConfig, TrainerConfig

SB3 = pytest.param("sb3", marks=pytest.mark.skipif(not find_spec("stable_baselines3"), reason="needs the extra `sb3`"))
KEEP_STATE = (pytest.param("ppo"), SB3)
"""Values of `trainer.name` whose trainers give up the state of a training."""

SCRIPT = Path(__file__).parent / "trained_script.py"
FLAGS: Mapping[str, str] = {
    "lr": "{ppo.lr}",
    "seed": "{seed}",
    "num-envs": "{ppo.num_envs}",
    "num-steps": "{ppo.num_steps}",
    "total-timesteps": "{total_steps}",
    "rest": "{ppo.minibatch_size}/{ppo.num_epochs}/{ppo.hidden_sizes}/{ppo.lr_schedule}/{ppo.gamma}",
}
"""Flags of the script, and what the trainer `command` puts there."""

WORDS = " ".join(["python", shlex.quote(str(SCRIPT)), *(f"--{flag} {value}" for flag, value in FLAGS.items())])


def train_by(name: str, config: SweepConfig) -> SweepConfig:
    """The same trial by another trainer, on CartPole where our learner has flows."""
    if name == "ppo":
        return config
    study = replace(config.sweep, metric=metrics.EVAL_RETURN)
    trainer = TrainerConfig(name=name)
    if name == "command":
        trainer = replace(trainer, command=WORDS, flags="none", patience_s=60)
    return replace(config, sweep=study, env=EnvConfig(id="CartPole-v1", eval_episodes=2), trainer=trainer)
