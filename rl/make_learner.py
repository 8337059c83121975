"""Make a learner from settings: the common part of a trial, a champion's run and a benchmark."""

from collections.abc import Sequence

from numpy.random import SeedSequence
from unstuck.rl.budget import Budget
from unstuck.rl.config import TRIAGE, EnvConfig, PPOConfig
from unstuck.rl.data.types import FlowData
from unstuck.rl.envs import list_action_names, make_evaluator, make_vec
from unstuck.rl.learner import Learner, Member
from unstuck.rl.seeding import derive_child, derive_int


def make_learner(
    config: PPOConfig,
    env: EnvConfig,
    seeds: Sequence[SeedSequence],
    evaluation_seed: SeedSequence,
    data: FlowData | None = None,
    budget: Budget | None = None,
) -> Learner:
    """Make an untrained learner with one member (policy and critic) for each seed, all with one configuration.

    Args:
        config: Settings of PPO.
        env: The environment.
        seeds: Seeds of the members, one each.
        evaluation_seed: Seed of the episodes that evaluations play; triage judges given flows instead.
        data: Flows for triage: the training part trains, the validation part evaluates.
        budget: Budget of the members; None: as `config` says.
    """
    members = [Member(config, seed) for seed in seeds]
    lanes = [seed for member in members for seed in member.lane_seeds()]
    vector = make_vec(env, lanes, data)
    flows, trained_on = None, None
    if env.id == TRIAGE and data is not None:
        flows = data.validation
        trained_on = data.train.select_evenly(len(flows))
    episodes = [derive_int(derive_child(evaluation_seed, episode)) for episode in range(env.eval_episodes)]
    evaluator = make_evaluator(env, flows, episodes, trained_on)
    return Learner(members, vector, evaluator, list_action_names(env, vector.single_action_space), budget)
