"""Measure the memory of a trial's process: a Ray worker that trains trials in turn, as in a sweep."""

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from unstuck.records.files import trials_folder
from unstuck.rl.config import PPOConfig
from unstuck.rl.data import load_flows
from unstuck.sweeps.config.settings import ResourcesConfig, StudyConfig, SweepConfig
from unstuck.sweeps.ray_tune.cluster import Cluster
from unstuck.sweeps.ray_tune.stop import StopRequest
from unstuck.sweeps.worker.assignment import ASSIGNMENT, Assignment

TRIALS = 3
"""One worker trains them: what a trial leaves behind counts."""


def peak_mb(members: int, compiles: bool) -> float:
    """Train three trials in one Ray worker; return the worker's peak memory in MB of 2^20 bytes (Linux only).

    Every trial trains to its third evaluation and keeps its checkpoints. Compiled, the worker compiles as well: nothing
    is on disk already. The compiler's own processes do not count.
    """
    ppo = PPOConfig(num_iterations=15, eval_every=5, compile=compiles)
    config = SweepConfig(sweep=StudyConfig(seeds=members), ppo=ppo)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=folder):
        return _train(config, Path(folder))


def _train(config: SweepConfig, folder: Path) -> float:
    cluster = Cluster(ResourcesConfig(cpus=1), 1, folder, StopRequest())
    cluster.begin()
    import ray
    from ray import tune
    from unstuck.sweeps.worker.trainable import TrialTrainable

    trials_folder(folder).mkdir()
    configs = [{ASSIGNMENT: Assignment(number, config, folder)} for number in range(TRIALS)]
    with cluster:
        cluster.wait()
        worker_class: Any = ray.remote(tune.with_parameters(TrialTrainable, data=load_flows(config.data)))
        worker = worker_class.remote(config=configs[0])
        for following in [*configs[1:], None]:
            for _ in range(config.ppo.num_iterations // config.ppo.eval_every):
                process = ray.get(worker.train.remote())["pid"]
            if following:
                ray.get(worker.reset_config.remote(following))
        status = Path(f"/proc/{process}/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
