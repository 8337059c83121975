"""The estimate beside what processes take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEASURE = """
import json, sys
from dataclasses import replace
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.envs import make_vec
from unstuck.rl.memory import learner_bytes
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.rl.make_learner import make_learner

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

def run(config, env, members, data):
    learner = make_learner(config, env, make_member_seeds(0, members), make_evaluation_seed(0), data)
    learner.iterate()

def config_of(settings):
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return replace(PPOConfig(num_iterations=1, eval_every=1, num_epochs=1), **settings)

flows, ratios, before = load_flows(DataConfig()), [], 0
for members, env_id, settings in json.loads(sys.argv[1]):  # each takes more than those before
    env, config = EnvConfig(id=env_id), config_of(settings)
    data = flows if env_id == EnvConfig.id else None
    if not before:
        run(replace(config, num_envs=1, num_steps=8, minibatch_size=8), env, 1, data)  # loads what is late
        before = peak()
    run(config, env, members, data)
    evaluated = len(data.validation) if data else env.eval_episodes
    ratios.append(learner_bytes(config, make_vec(env, [0], data), members, evaluated) / (peak() - before))
print(json.dumps(ratios))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_estimate_is_right_within_a_factor_of_two() -> None:
    triage = "unstuck/Triage-v0"
    learners = [
        (32, triage, {}),
        (16, "CartPole-v1", {"num_steps": 512}),
        (6, triage, {"hidden_sizes": [512, 512], "num_steps": 32}),
    ]
    command = [sys.executable, "-c", MEASURE, json.dumps(learners)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ratios = json.loads(done.stdout)
    assert len(ratios) == 3
    assert all(0.5 <= ratio <= 2 for ratio in ratios), ratios
