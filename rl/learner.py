"""A learner: P members, each a seed and a configuration, trained together and measured once per iteration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import SeedSequence
from torch import Tensor
from unstuck.rl import estimates, metrics, ppo
from unstuck.rl import measures as diagnostics
from unstuck.rl.adam import Adam
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig, require
from unstuck.rl.distributions import distribution_over
from unstuck.rl.dynamics import Bounds
from unstuck.rl.envs import Actions, Evaluator, LaneEnv
from unstuck.rl.envs.lanes import LaneVectorEnv
from unstuck.rl.gae import Discounts, generalized_advantages
from unstuck.rl.learner_state import LANE_ARRAY, Arrays, load_generator, require_alike, resume_lanes
from unstuck.rl.machine import require_machine, torch_device, use_one_thread
from unstuck.rl.networks import ActorCritic
from unstuck.rl.normalize import ObservationNormalizer, ReturnNormalizer
from unstuck.rl.ppo import Batch, Hyperparameters
from unstuck.rl.progress import Progress
from unstuck.rl.rollout import Rollout, Steps
from unstuck.rl.seeding import derive_child, derive_int
from unstuck.rl.value_probe import ValueFloor

Metrics = dict[str, npt.NDArray[np.float64]]
"""Metrics by name, one value a member: float64 `[P]`."""

_INIT, _ACT, _SHUFFLE, _LANES, _LATER_LANES = range(5)
"""Purposes of a member's seed."""

_EVALUATED_AT_ONCE = 512
"""Observations of a member that go through the layers together: what the layers hold in memory stays small."""


@dataclass(frozen=True)
class Member:
    """Configuration and random seed of one member, one of the policies that a learner trains together."""

    config: PPOConfig
    seed: SeedSequence

    def lane_seeds(self, iteration: int = 0) -> list[int]:
        """Return the random seeds of the member's parallel environments (lanes), one for each.

        Args:
            iteration: Iterations done; above 0 after a resume, where lanes that cannot restore their state restart from
                other seeds.
        """
        first, later = derive_child(self.seed, _LANES), derive_child(self.seed, _LATER_LANES)
        lanes = derive_child(later, iteration) if iteration else first
        return [derive_int(derive_child(lanes, lane)) for lane in range(self.config.num_envs)]

    def generator(self, purpose: int) -> np.random.Generator:
        """Make the member's random generator for one purpose: initial parameters, actions or sample order."""
        return np.random.default_rng(derive_child(self.seed, purpose))


class Learner:
    """Learner that trains members (one policy for each seed) in one computation, independently of each other.

    Args:
        members: Members, whose settings may differ in `Hyperparameters` alone: shapes and switches are shared.
        env: Environment of `len(members) * num_envs` lanes, a member's lanes side by side. The learner resets it.
        evaluator: Judge of the greedy policies whenever an evaluation is due.
        actions: Names of what may be chosen, for the metrics of their shares; none where actions are numbers.
        budget: Budget of the members; None: `num_iterations` and `eval_every` of their own settings say it.

    Attributes:
        iteration: Iterations done.
        last_iteration: Iterations that use up the budget; no more can be done.
        resumed_exactly: False once lanes had to start anew, or another device or libraries of other versions went on.
    """

    def __init__(
        self,
        members: Sequence[Member],
        env: LaneEnv,
        evaluator: Evaluator,
        actions: Sequence[str],
        budget: Budget | None = None,
    ) -> None:
        self.members, self.env, self.evaluator, self.actions = list(members), env, evaluator, tuple(actions)
        self.config = _shared_config([member.config for member in members])
        self.budget = budget or Budget.from_config(self.config)
        self.last_iteration = self.budget.iterations(self.config.batch_size)
        require_machine(self.config)
        self.device = torch_device(self.config.device)
        self.hyper = Hyperparameters.stack_settings([member.config for member in members]).to_device(self.device)
        self.iteration, self.resumed_exactly = 0, True
        count, features = len(self.members), int(np.prod(env.single_observation_space.shape or (1,)))
        distribution = distribution_over(env.single_action_space)
        self.networks = ActorCritic(
            features,
            distribution,
            self.config.hidden_sizes,
            self.config.shared_trunk,
            [member.generator(_INIT) for member in members],
            self.device,
        )
        self.adam = Adam(self.networks.parameters, self.hyper.adam_eps)
        self.observation_normalizer = (
            ObservationNormalizer(count, features, self.device) if self.config.normalize_observations else None
        )
        self.return_normalizer = ReturnNormalizer(self.config.normalize_returns, count, self.device)
        self.value_floor = ValueFloor(count)
        self.act_generators = [member.generator(_ACT) for member in members]
        self.shuffle_generators = [member.generator(_SHUFFLE) for member in members]
        self.rollout = Rollout(count, self.config, features, distribution)
        self._last_returns: list[float | None] = [None] * count
        self._progress = Progress.start(count)
        self._bounds = Bounds.from_space(getattr(env, "bounded_action_space", env.single_action_space))
        self._start_lanes()

    @use_one_thread()
    def iterate(self) -> Metrics:
        """Train one iteration (rollout, update, evaluation if due); return metrics by name, a value for each seed.

        Returns:
            The metrics of `rl.metrics` that apply, one value a member. `train/episode_return` is absent until every
            member has ended an episode; `eval/` metrics, `metrics.CRITIC` and `metrics.NETWORKS` are there in
            evaluation iterations only.

        Raises:
            ConfigError: The budget is used up.
        """
        require(
            self.iteration < self.last_iteration,
            f"a learner must not train beyond its budget of {self.last_iteration} iterations, which are done; "
            "raise ppo.num_iterations",
        )
        hyper = self._in_force()
        self.rollout.collect(self.env, self.networks, self.observation_normalizer, self.act_generators)
        batch, advantages, measured = self._batch()
        if self._evaluates_after(self.iteration + 1):
            some = batch.minibatches(self.config.minibatch_size)[0]
            measured |= diagnostics.measure_before_update(self.networks, some, hyper)
        dynamics = self._measure_dynamics(batch)
        before = self.networks.parameters.clone()
        measured |= ppo.update(self.networks, self.adam, batch, hyper, self.config, self.shuffle_generators)
        measured[metrics.UPDATE_NORM] = (self.networks.parameters - before).norm(dim=1) / before.norm(dim=1)
        measured[metrics.PARAMETER_NORM] = self.networks.parameters.norm(dim=1)
        if self._evaluates_after(self.iteration + 1):
            measured |= diagnostics.measure_after_update(self.networks, batch, advantages)
        if self.observation_normalizer:
            seen = self.rollout.raw_observations[:, :-1].flatten(1, 2)
            self.observation_normalizer.moments.update(seen.to(self.device))
        self.iteration += 1
        result = {name: value.double().cpu().numpy() for name, value in measured.items()}
        if metrics.VALUE_FLOOR in result:
            result[metrics.VALUE_LOSS_EXCESS] = result[metrics.VALUE_LOSS] - result[metrics.VALUE_FLOOR]
        result[metrics.LR] = hyper.lr[:, 0].double().cpu().numpy()
        result |= dynamics | self._progress.add(self.rollout, result[metrics.EPOCHS_DONE]) | self._rollout_metrics()
        if self._evaluates_after(self.iteration):
            trained_on = self.rollout.raw_observations[:, :-1].flatten(1, 2).numpy()
            shown = diagnostics.ObservationComparer(self.greedy_actions, trained_on)
            result |= self.evaluator.evaluate(shown, len(self.members))
            if metrics.F1 in result:  # elsewhere what is shown depends on what was done
                result[metrics.OBSERVATION_SHIFT] = shown.shift()
            else:
                result |= shown.compare_starts(self._progress)
            result[metrics.OBSERVATION_REPEATS] = estimates.measure_repeats(trained_on)
            result |= diagnostics.measure_alike(self.rollout)
        return result

    @torch.inference_mode()
    def greedy_actions(self, observations: npt.NDArray[np.float32]) -> Actions:
        """Return the most probable action of each member (seed) for each raw observation.

        Returns `[P, B, *action_shape]` for observations float32 `[P, B, F]`.
        """
        parts = []
        for start in range(0, observations.shape[1], _EVALUATED_AT_ONCE):
            some = np.ascontiguousarray(observations[:, start : start + _EVALUATED_AT_ONCE])
            inputs = torch.from_numpy(some).to(self.device)
            if self.observation_normalizer:
                inputs = self.observation_normalizer(inputs)
            parts.append(self.networks.distribution.mode(self.networks.policy(inputs)))
        actions: Actions = torch.cat(parts, dim=1).cpu().numpy()
        return actions

    def read_effective(self) -> Metrics:
        """Return the next update's PPO settings by name, read back from loss, optimiser and schedule.

        Returns:
            Values by the names of `Hyperparameters`, one a member, in the float32 of the update; infinite where a limit
            is off.
        """
        in_force = replace(self._in_force(), adam_eps=self.adam.eps)
        return {field.name: getattr(in_force, field.name)[:, 0].double().cpu().numpy() for field in fields(in_force)}

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Copy the training state: arrays by name, and a dict of other values for JSON."""
        arrays: Arrays = {name: tensor.numpy(force=True).copy() for name, tensor in self._tensors().items()}
        if isinstance(self.env, LaneVectorEnv):
            arrays |= {LANE_ARRAY + name: array for name, array in self.env.get_state().items()}
        rest = {
            "iteration": self.iteration,
            "act_generators": [generator.bit_generator.state for generator in self.act_generators],
            "shuffle_generators": [generator.bit_generator.state for generator in self.shuffle_generators],
            "last_returns": list(self._last_returns),
            "progress": self._progress.state(),
            "running_lengths": self.rollout.running_lengths.tolist(),
        }
        return arrays, rest

    def load_state(self, arrays: Mapping[str, npt.NDArray[Any]], rest: Mapping[str, Any]) -> None:
        """Load a training state that `state` returned; keep the learner's own settings.

        Lanes whose state is missing start anew, from separate seeds for the iteration reached; `resumed_exactly` is
        then False.

        Raises:
            ValueError: The state is not that of such a learner; the learner is then unchanged.
        """
        lanes = {name.removeprefix(LANE_ARRAY): array for name, array in arrays.items() if name.startswith(LANE_ARRAY)}
        saved = {name: array for name, array in arrays.items() if not name.startswith(LANE_ARRAY)}
        live = self._tensors()
        require_alike({name: tensor.numpy(force=True) for name, tensor in live.items()}, saved)
        iteration, most = int(rest["iteration"]), self.last_iteration
        require(iteration <= most, f"ppo.num_iterations must be at least {iteration}, those done, got {most}; raise it")
        last_returns = [None if value is None else float(value) for value in rest["last_returns"]]
        act, shuffle = (
            [load_generator(state) for state in rest[name]] for name in ("act_generators", "shuffle_generators")
        )
        require(
            len(act) == len(shuffle) == len(last_returns) == len(self.members),
            f"generators and returns must be one for each of {len(self.members)} members, "
            f"got {len(act)}, {len(shuffle)} and {len(last_returns)}; make the learner as it was when saved",
        )
        exactly = resume_lanes(self.env, lanes, saved["rollout.observations"])
        for name, tensor in live.items():
            tensor.copy_(torch.from_numpy(saved[name]))
        self.iteration, self.resumed_exactly, self._last_returns = iteration, exactly, last_returns
        self.act_generators, self.shuffle_generators = act, shuffle
        self._progress = Progress.load(rest.get("progress"), len(self.members))
        self.rollout.running_lengths[:] = rest.get("running_lengths", 0)  # 0: a state from before these were kept
        if not exactly:
            self._start_lanes()

    def _tensors(self) -> dict[str, Tensor]:
        """Return the training state's tensors by name, uncopied: writing to one changes the learner."""
        parts = {"adam": self.adam.state(), "returns": self.return_normalizer.state(), "rollout": self.rollout.state()}
        parts["value_floor"] = self.value_floor.state()
        if self.observation_normalizer:
            parts["observations"] = self.observation_normalizer.moments.state()
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def _start_lanes(self) -> None:
        """Start new episodes in all parallel environments; a run branched from another one gets other episodes."""
        done = -(-self.budget.done // self.config.batch_size) + self.iteration
        seeds = [seed for member in self.members for seed in member.lane_seeds(done)]
        first, _ = self.env.reset(seed=seeds)
        started = self.rollout.state()
        started["observations"].copy_(torch.from_numpy(first).view_as(started["observations"]))
        started["running_returns"].zero_()
        self.rollout.running_lengths[:] = 0

    def _evaluates_after(self, iteration: int) -> bool:
        return self.budget.evaluates_after(iteration, self.config.batch_size)

    def _measure_dynamics(self, batch: Batch) -> Metrics:
        """Measure the environment in the first evaluation iteration from 1, 4, 16, 64 ... on; return metrics by name.

        What is measured belongs to the environment, so it changes little, and costs as much as an iteration. A branch
        counts on from the run that it goes on with.
        """
        before = self.budget.done // self.config.batch_size
        if self._bounds is None or not self._evaluates_after(self.iteration + 1):
            return {}
        last = next((one for one in range(self.iteration, 0, -1) if self._evaluates_after(one)), 0)
        if not any(last < 4**power - before <= self.iteration + 1 for power in range(32)):
            return {}
        with torch.no_grad():
            noise = self.networks.distribution.split_noise(self.networks.policy(batch.observations), batch.actions)
        noise = noise.view(*self.rollout.rewards.shape, -1).cpu()
        return diagnostics.measure_dynamics(self.rollout, noise, self._bounds)

    def _in_force(self) -> Hyperparameters:
        """Compute the settings of the next iteration for each seed, e.g. the learning rate after the schedule."""
        left = self.budget.share_left(self.iteration, self.config.batch_size)
        schedules = {"lr": self.config.lr_schedule, "clip_range": self.config.clip_range_schedule}
        decayed = {name: getattr(self.hyper, name) * left for name, kind in schedules.items() if kind == "linear"}
        return replace(self.hyper, **decayed)

    @torch.no_grad()
    def _batch(self) -> tuple[Batch, Tensor, dict[str, Tensor]]:
        """Prepare a rollout for the update: normalised observations, advantages and the critic's targets.

        Returns:
            The batch, its advantages once more `[P, B]`, and metrics of the networks that acted.
        """
        rollout, normalizer = self.rollout.to_device(self.device), self.observation_normalizer
        members, steps, lanes = rollout.rewards.shape
        flat = rollout.raw_observations.flatten(1, 2)
        inputs = normalizer(flat) if normalizer else flat
        outputs, predictions = self.networks(inputs)
        values = self.return_normalizer.to_returns(predictions).view(members, steps + 1, lanes)
        finals = self.rollout.final_values(self.networks, normalizer).to(self.device)
        finals = self.return_normalizer.to_returns(finals.flatten(1))
        next_values = torch.where(rollout.truncated, finals.view(members, steps, lanes), values[:, 1:])
        values = values[:, :-1]
        advantages = generalized_advantages(
            rollout.rewards,
            values,
            next_values,
            rollout.terminated,
            rollout.truncated,
            Discounts(self.hyper.gamma, self.hyper.gae_lambda),
        )
        returns = (advantages + values).flatten(1)
        self.return_normalizer.update(returns)
        samples = steps * lanes
        actions = rollout.actions.flatten(1, 2)
        log_probs, _ = self.networks.distribution.log_probs(outputs[..., :samples], actions)
        batch = Batch(
            observations=inputs[:, :samples],
            actions=actions,
            log_probs=log_probs,
            advantages=advantages.flatten(1),
            targets=self.return_normalizer.to_targets(returns),
            predictions=predictions[:, :samples],
        )
        measured = estimates.describe_rollout(batch.advantages, returns)
        measured |= self._critic_metrics(rollout, batch.observations, values, next_values, returns)
        return batch, batch.advantages, measured

    def _critic_metrics(
        self, rollout: Steps, inputs: Tensor, values: Tensor, next_values: Tensor, returns: Tensor
    ) -> dict[str, Tensor]:
        """Measure how well the critic predicted the rollout's returns; return metrics by name.

        If an evaluation is due, compute as well how well a critic could foresee them.
        """
        result = {metrics.EXPLAINED_VARIANCE: estimates.compute_explained_variance(values.flatten(1), returns)}
        if self._evaluates_after(self.iteration + 1):
            ends = (rollout.terminated, rollout.truncated)
            to_the_end = Discounts(self.hyper.gamma, torch.ones_like(self.hyper.gae_lambda))
            monte_carlo = values + generalized_advantages(rollout.rewards, values, next_values, *ends, to_the_end)
            result[metrics.EXPLAINED_VARIANCE_MC] = estimates.compute_explained_variance(
                values.flatten(1), monte_carlo.flatten(1)
            )
            targets = torch.stack([returns.view_as(values), monte_carlo, rollout.rewards], dim=-1)
            self.value_floor.update(self.iteration + 1, inputs.view(*values.shape, -1), targets)
            result |= self.value_floor.floor_metrics(values, targets[..., 0], self.return_normalizer.std)
        return result

    def _rollout_metrics(self) -> Metrics:
        shares = self.networks.distribution.shares(self.rollout.actions.flatten(1, 2)).numpy()
        result: Metrics = {metrics.action_metric(name): shares[:, i] for i, name in enumerate(self.actions)}
        for member, returns in enumerate(self.rollout.episode_returns):
            if returns:
                self._last_returns[member] = float(np.mean(returns))
        if all(value is not None for value in self._last_returns):
            result[metrics.TRAIN_RETURN] = np.array(self._last_returns, dtype=np.float64)
        return result


def _shared_config(configs: Sequence[PPOConfig]) -> PPOConfig:
    """Return the settings that all members (seeds) share; raise an error if shapes or switches differ."""
    own = {field.name for field in fields(Hyperparameters)}
    first = configs[0]
    for field in fields(PPOConfig):
        values = {getattr(config, field.name) for config in configs}
        require(
            field.name in own or len(values) == 1,
            f"ppo.{field.name} must be the same for all members of a learner, got {sorted(map(str, values))}; "
            "train them in learners of their own",
        )
    return first
