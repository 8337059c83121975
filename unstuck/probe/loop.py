"""The probe of a PPO loop: called after a rollout, at a minibatch and after the update, it logs what the rules read."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from unstuck.analysis.history.record import ENV_STEPS, EVAL_LENGTH, PARAMETER_NORM, POLICY_STD
from unstuck.probe.arrays import Rollout, RolloutArrays, read_rollout
from unstuck.probe.dynamics import measure_dynamics
from unstuck.probe.episodes import EpisodeReturns, EpisodeStarts
from unstuck.probe.log import NAMES, ProbeLog
from unstuck.probe.measuring import Agent, Critic, measure_observations, measure_rollout, use_one_thread
from unstuck.probe.options import (
    Options,
    check_measured,
    check_options,
    find_agent,
    find_bounds,
    find_choices,
    join_modules,
    read_networks,
    read_settings,
)
from unstuck.probe.update import UpdateMeasures
from unstuck.rl import metrics
from unstuck.rl.estimates import Weights

SAMPLES_A_LOOK = 6_144
"""Samples of the run for each look at networks and critic, unless `every` says otherwise."""

EARLY_LOOKS = 5
"""Looks of the pace above that are all taken; later on every second one is, unless `every` says otherwise."""

LOOKS_A_REGRESSION = 4
"""Looks for each measurement of how actions, observations and rewards belong together."""

_MINIBATCH = 256
"""Samples at which gradients are measured where the minibatch's size is not among the settings."""

_GAUSSIAN = 0.5 * math.log(2 * math.pi * math.e)
"""Entropy of a normal number of spread 1, in nats."""


class Probe:
    """Probe: logger that measures a user's own PPO loop for the diagnosis, and changes nothing in the loop.

    Call `rollout` once the advantages are there, `minibatch` at each minibatch and `end_iteration` after the update.

    Args:
        folder: Folder of the run, which `unstuck diagnose FOLDER` reads; None to log nothing and use what
            `end_iteration` returns.
        agent: Networks of the agent: a module, or several.
        settings: Settings of the run, by the names of `program` or by our paths; others than plain values are left out.
        options: See `Options`.

    Attributes:
        iteration: Iterations done.
        env_steps: Environment steps done, in all lanes.

    Raises:
        ValueError: An option or a setting cannot be used, or the folder holds another run's log.

    Example:
        >>> probe = Probe(None, settings={"ppo.gamma": 0.9})
        >>> probe.rollout(rewards=[1.0, 0.0], values=[0.5, 0.5], returns=[1.0, 0.0], dones=[True, True])
        >>> probe.end_iteration()["train/explained_variance"]
        0.0
    """

    NOT_SAVED: ClassVar = ("_agent", "_modules", "_optimizer", "_choices", "_log", "_rollout", "_parameters", "_before")
    """Attributes that are no part of a saved state: links to the loop, and what one iteration alone needs."""

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        agent: nn.Module | Sequence[nn.Module] | None = None,
        settings: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_options(options)
        self._program = options.get("program", "plain")
        self.settings = read_settings(settings or {}, self._program)
        self._agent = find_agent(agent, options.get("evaluate"))
        self._modules = self._agent.modules if self._agent else join_modules(agent)
        self._optimizer = options.get("optimizer")
        self._choices = find_choices(options.get("actions"))
        self._every = options.get("every")
        self.iteration = options.get("iterations_done") or 0
        self.env_steps = 0
        self.settings |= read_networks(self._modules, self._optimizer, self.settings)
        self._bounds = find_bounds(options.get("actions"), self._choices)
        self._log = ProbeLog(Path(folder), options.get("iterations_done")) if folder is not None else None
        if self._log:
            self._log.describe(self._program, self.settings)
        gamma = self._number("ppo.gamma")
        self._critic = Critic(gamma) if gamma is not None else None
        self._update = UpdateMeasures(self._number("ppo.clip_range"), self._number("ppo.max_grad_norm"))
        self._update.expected = self._plan_minibatches()
        self._episodes = EpisodeReturns(scaled=self.settings.get("ppo.normalize_returns") not in (None, False, "none"))
        self._starts = EpisodeStarts()
        self._rollout: Rollout | None = None
        self._parameters: Sequence[Tensor] = ()
        self._before: Tensor | None = None
        self._measured: dict[str, float] = {}

    @property
    def looks(self) -> bool:
        """True if networks and critic are measured in the present iteration."""
        every = self._every or self._choose_pace()
        number, rest = divmod(self.iteration + 1, every)
        is_kept = self._every is not None or number <= EARLY_LOOKS or number % 2 == 1
        return self.iteration == 0 or (rest == 0 and is_kept)

    @property
    def _measures_dynamics(self) -> bool:
        """True if regressions on the environment's dynamics are due, which is at every fourth measurement only."""
        every = self._every or self._choose_pace()
        number, rest = divmod(self.iteration + 1, every)
        return self.iteration == 0 or (rest == 0 and number % LOOKS_A_REGRESSION == 1)

    @property
    def wants_minibatch(self) -> bool:
        """True if the next call of `minibatch` is measured, and not skipped to save time."""
        return self._update.wants

    @property
    def wants_gradient(self) -> bool:
        """True if the next call of `minibatch` uses the argument `grad_norm`."""
        return self._update.is_middle

    def rollout(self, **arrays: Unpack[RolloutArrays]) -> None:
        """Measure a rollout and the agent that acted; call once an iteration, before the optimiser's first step.

        Args:
            arrays: See `RolloutArrays`.

        Raises:
            TypeError: An array has a name that is not known, or is none.
            ValueError: Shapes do not fit together, or the last iteration was not ended.
        """
        if self._rollout is not None:
            raise ValueError(
                "end_iteration must be called after each update, got a second rollout without it; call it once the "
                "update is done"
            )
        lanes = self._number("ppo.num_envs")
        rollout = read_rollout(arrays, int(lanes) if lanes is not None else None)
        self._rollout = rollout
        if self.env_steps == 0:
            self.env_steps = self.iteration * rollout.samples
        with torch.no_grad():
            found = measure_rollout(rollout) | self._count_actions(rollout) | self._starts.add(rollout.unscaled)
            if self.looks or self._measures_dynamics:
                with use_one_thread():
                    found |= self._look_at(rollout)
        if self.looks and self._agent:
            found |= self._measure_agent(self._agent, rollout)
        self._measured = found
        if self._modules is not None:
            self._parameters = [*self._modules.parameters()]
            self._before = _join_numbers(self._parameters)

    def minibatch(
        self,
        *,
        logratio: Tensor | None = None,
        entropy: Tensor | float | None = None,
        policy_loss: Tensor | float | None = None,
        values: Tensor | None = None,
        returns: Tensor | None = None,
        grad_norm: Tensor | float | None = None,
    ) -> None:
        """Measure a minibatch by the numbers in its loss; call before or after the optimiser's step.

        Args:
            logratio: New minus old log-probability of each sample's action.
            entropy: Entropy of each sample's distribution, or their mean.
            policy_loss: The policy's part of the loss, without the entropy bonus.
            values: Predictions of the critic, with `returns`; in the unit of the rollout's values.
            returns: Targets of the critic.
            grad_norm: Norm of the whole gradient before it is clipped, as `clip_grad_norm_` returns.

        Raises:
            ValueError: Shapes do not fit together.
        """
        update = self._update
        if update.begins and self._optimizer is not None:
            self._measured[metrics.LR] = float(self._optimizer.param_groups[0]["lr"])
        if update.wants:
            update.add_ratio(logratio)
            update.add_critic(values, returns)
            update.add(metrics.ENTROPY, entropy)
            update.add(metrics.POLICY_LOSS, policy_loss)
            update.add(metrics.GRAD_NORM, grad_norm)
        update.count()

    def end_iteration(
        self,
        *,
        env_steps: int | None = None,
        episode_returns: Iterable[float] | None = None,
        episode_lengths: Iterable[float] | None = None,
        eval_return: float | None = None,
        eval_length: float | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Measure the effect of the update, and write the iteration's metrics to the log; return them by name.

        Args:
            env_steps: Environment steps done so far, in all lanes; counted by the rollouts, if left out.
            episode_returns: Undiscounted returns of the episodes that ended in this rollout, of raw rewards; summed
                from the rollout's rewards, if left out.
            episode_lengths: Steps of these episodes.
            eval_return: Mean return of an evaluation, if there was one.
            eval_length: Mean steps of the evaluation's episodes.
            measured: Other metrics, by our names (docs/metrics.md); they count instead of the probe's own.

        Raises:
            ValueError: A metric is not known.
        """
        found = self._update.finish()
        deviations = [
            each[metrics.RATIO_DEVIATION] for each in (found, self._measured) if metrics.RATIO_DEVIATION in each
        ]
        found |= self._measured
        if deviations:
            found[metrics.RATIO_DEVIATION] = max(deviations)
        found |= self._measure_spread(found.get(metrics.ENTROPY))
        if metrics.LR not in found and self._optimizer is not None:
            found[metrics.LR] = float(self._optimizer.param_groups[0]["lr"])
        found |= self._measure_change()
        if self._rollout is not None:
            self.env_steps += self._rollout.samples
            if episode_returns is None:
                self._episodes.add(self._rollout)
        self.env_steps = self.env_steps if env_steps is None else int(env_steps)
        found |= self._episodes.finish(episode_returns, episode_lengths)
        evaluated = {metrics.EVAL_RETURN: eval_return, EVAL_LENGTH: eval_length}
        found |= {name: float(value) for name, value in evaluated.items() if value is not None}
        found |= check_measured(measured or {})
        if metrics.VALUE_FLOOR in found and metrics.VALUE_LOSS in found:
            found[metrics.VALUE_LOSS_EXCESS] = found[metrics.VALUE_LOSS] - found[metrics.VALUE_FLOOR]
        self._rollout, self._before, self._measured = None, None, {}
        self.iteration += 1
        row = {**({ENV_STEPS: self.env_steps} if self.env_steps else {}), **found}
        if self._log:
            self._log.write(self.iteration, row, (*NAMES, *map(metrics.action_metric, self._action_names)))
        return found

    def state(self) -> dict[str, Any]:
        """Return the logger's state between two iterations as a dict for JSON, for the loop's own checkpoint."""
        floor = self._critic.floor if self._critic else None
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "unforeseen": floor.unforeseen.tolist() if floor else None,
            "measured_at": float(floor.measured_at) if floor and floor.measured_at.isfinite() else None,
            "last": dict(self._episodes.last),
            "running": self._episodes.running.tolist() if self._episodes.running is not None else None,
            "minibatches": self._update.expected,
            "starts": list(self._starts.marks),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state` returned, so that the logging of metrics continues from there."""
        self.iteration, self.env_steps = int(state["iteration"]), int(state["env_steps"])
        if self._critic and state["unforeseen"] is not None:
            self._critic.floor.unforeseen = torch.tensor(state["unforeseen"], dtype=torch.float64, device="cpu")
            at = -math.inf if state["measured_at"] is None else float(state["measured_at"])
            self._critic.floor.measured_at = torch.tensor(at, dtype=torch.float64, device="cpu")
        self._episodes.last = dict(state["last"])
        running = state["running"]
        self._episodes.running = None if running is None else np.array(running, dtype=np.float64)
        self._update.expected = int(state["minibatches"])
        self._starts.marks = list(state.get("starts", ()))

    def _number(self, path: str) -> float | None:
        value = self.settings.get(path)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def _plan_minibatches(self) -> int:
        """Compute how many minibatches an update has from the settings; 0 if these do not tell."""
        names = ("num_epochs", "num_steps", "num_envs", "minibatch_size")
        epochs, steps, lanes, size = (self._number(f"ppo.{name}") for name in names)
        if epochs is None or steps is None or lanes is None or size is None:
            return 0
        return int(epochs) * math.ceil(steps * lanes / size)

    def _choose_pace(self) -> int:
        samples = self._rollout.samples if self._rollout else 0
        return max(1, round(SAMPLES_A_LOOK / samples)) if samples else 1

    @property
    def _action_names(self) -> Sequence[str]:
        return self._choices[1] if self._choices else ()

    def _count_actions(self, rollout: Rollout) -> dict[str, float]:
        if self._choices is None or rollout.actions is None or not self._choices[1]:
            return {}
        distribution, names = self._choices
        taken = rollout.actions.view(1, rollout.samples, *distribution.action_shape)
        shares = distribution.shares(taken)[0].tolist()
        return {metrics.action_metric(name): share for name, share in zip(names, shares, strict=True)}

    def _look_at(self, rollout: Rollout) -> dict[str, float]:
        """Measure observations, critic and dynamics of a rollout, as far as each is due; return metrics by name."""
        found: dict[str, float] = {}
        if self.looks:
            found |= measure_observations(rollout)
            if self._critic:
                found |= self._critic.measure(self.iteration + 1, rollout)
        if self._measures_dynamics:
            found |= measure_dynamics(rollout.unscaled, self._bounds)
        return found

    def _measure_agent(self, agent: Agent, rollout: Rollout) -> dict[str, float]:
        entropy, value = self._number("ppo.entropy_coef"), self._number("ppo.value_coef")
        known = entropy is not None and value is not None
        weights = Weights(*(torch.tensor([weight], device="cpu") for weight in (entropy, value))) if known else None
        size = int(self._number("ppo.minibatch_size") or _MINIBATCH)
        seen = agent.measure_before_update(rollout, size, weights)
        if seen is None:
            return {}
        if weights is not None and "ppo.shared_trunk" not in self.settings:
            self.settings["ppo.shared_trunk"] = seen.is_shared
            if self._log:
                self._log.describe(self._program, self.settings)
        return seen.measured

    def _measure_spread(self, entropy: float | None) -> dict[str, float]:
        """Compute the spread of continuous actions from their entropy, as for independent normal distributions."""
        actions = self._rollout.actions if self._rollout is not None else None
        if (
            entropy is None
            or actions is None
            or self._action_names  # discrete
            or not actions.is_floating_point()
            or bool((actions == actions.round()).all())
        ):
            return {}
        dimensions = actions[0].numel()
        return {POLICY_STD: math.exp(entropy / dimensions - _GAUSSIAN)}

    def _measure_change(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self._before is not None:
            before, after = self._before, _join_numbers(self._parameters)
            norm = torch.linalg.vector_norm
            found[metrics.UPDATE_NORM] = (norm(after - before) / norm(before)).item()
            found[PARAMETER_NORM] = norm(after).item()
        if self._rollout is not None and self.looks and self._agent:
            found |= self._agent.measure_after_update(self._rollout)
        return found


@torch.no_grad()
def _join_numbers(parameters: Sequence[Tensor]) -> Tensor:
    """Copy all numbers of some parameters to one tensor."""
    return torch.cat([one.reshape(-1) for one in parameters])
