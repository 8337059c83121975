"""A PPO loop of its owner's, on CartPole, with the lines that hand it to the probe; the defaults learn.

`python benchmarks/own_loop.py --folder runs/mine`, then `unstuck diagnose runs/mine`. `benchmarks.probe` times the loop
with and without the probe, and tests plant faults in it.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise

import gymnasium
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor, nn
from torch.distributions import Categorical

import unstuck


@dataclass(frozen=True)
class Settings:
    """Settings of the loop, and faults to plant: observations times `obs_scale`, another action's log-probability."""

    env_id: str = "CartPole-v1"
    total_timesteps: int = 24_576
    num_envs: int = 8
    num_steps: int = 64
    minibatch_size: int = 128
    update_epochs: int = 4
    learning_rate: float = 2.5e-3
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    shared_trunk: bool = False
    seed: int = 1
    obs_scale: float = 1.0
    wrong_logprob: bool = False


def _layers(inputs: int, outputs: int, last_gain: float) -> nn.Sequential:
    sizes, gains = (inputs, 64, 64, outputs), (2**0.5, 2**0.5, last_gain)
    linear = [nn.Linear(*pair) for pair in pairwise(sizes)]
    for layer, gain in zip(linear, gains, strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(linear[0], nn.Tanh(), linear[1], nn.Tanh(), linear[2])


class Agent(nn.Module):
    """Actor and critic, in one network (`shared`) or in two."""

    def __init__(self, inputs: int, actions: int, shared: bool) -> None:
        super().__init__()
        actor, critic = _layers(inputs, actions, 0.01), _layers(inputs, 1, 1.0)
        self.trunks = nn.ModuleList([actor[:-1]] if shared else [actor[:-1], critic[:-1]])
        self.actor, self.critic = actor[-1], critic[-1]

    def get_action_and_value(self, obs: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return an action (drawn, if none is given), its log-probability, the entropy and the value."""
        chosen = Categorical(logits=self.actor(self.trunks[0](obs)))
        action = chosen.sample() if action is None else action
        return action, chosen.log_prob(action), chosen.entropy(), self.critic(self.trunks[-1](obs)).squeeze(-1)


def estimate_advantages(args: Settings, rewards: Tensor, values: Tensor, begins: Tensor) -> Tensor:
    """Compute generalised advantages `[T, N]` from rewards; values and beginnings of episodes have a row more."""
    advantages, later = torch.zeros_like(rewards), torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        going_on = 1 - begins[step + 1]
        delta = rewards[step] + args.gamma * going_on * values[step + 1] - values[step]
        advantages[step] = later = delta + args.gamma * args.gae_lambda * going_on * later
    return advantages


def update(
    args: Settings,
    agent: Agent,
    optimizer: torch.optim.Optimizer,
    rollout: Sequence[Tensor],
    probe: unstuck.Probe | None = None,
) -> None:
    """Take the gradient steps of one iteration.

    Args:
        args: Settings of the loop.
        agent: Networks to improve.
        optimizer: Optimiser of the networks.
        rollout: Observations, actions, log-probabilities, advantages and returns, each `[B, ...]`.
        probe: Probe to hand each minibatch to.
    """
    for _ in range(args.update_epochs):
        for rows in torch.randperm(args.num_steps * args.num_envs).split(args.minibatch_size):
            b_obs, b_actions, b_logprobs, b_advantages, b_returns = (part[rows] for part in rollout)
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs, b_actions)
            logratio = newlogprob - b_logprobs
            normalised = (b_advantages - b_advantages.mean()) / (b_advantages.std() + 1e-8)
            clipped = logratio.exp().clamp(1 - args.clip_coef, 1 + args.clip_coef)
            pg_loss = -torch.min(logratio.exp() * normalised, clipped * normalised).mean()
            v_loss = 0.5 * (newvalue - b_returns).square().mean()
            loss = pg_loss - args.ent_coef * entropy.mean() + args.vf_coef * v_loss
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
            optimizer.step()
            if probe:
                probe.minibatch(
                    logratio=logratio, entropy=entropy, policy_loss=pg_loss,
                    values=newvalue, returns=b_returns, grad_norm=norm,
                )  # fmt: skip


def train(args: Settings, folder: str | None = None, probed: bool = True) -> Agent:
    """Train an agent; its probe logs to `folder`."""
    *_, agent = iterate(args, folder, probed)
    return agent


def iterate(args: Settings, folder: str | None = None, probed: bool = True) -> Iterator[Agent]:
    """Train an agent, and yield the agent after each iteration."""
    torch.manual_seed(args.seed)
    make = [lambda: gymnasium.make(args.env_id)] * args.num_envs
    envs = SyncVectorEnv(make, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = Agent(envs.single_observation_space.shape[0], int(envs.single_action_space.n), args.shared_trunk)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    probe = None
    if probed:
        actions = envs.single_action_space
        probe = unstuck.Probe(folder, agent, asdict(args), optimizer=optimizer, actions=actions, program="cleanrl")

    shape = (args.num_steps, args.num_envs)
    obs = torch.zeros((*shape, *envs.single_observation_space.shape))
    actions, logprobs, rewards, dones, values = (torch.zeros(shape) for _ in range(5))
    seen, _ = envs.reset(seed=args.seed)
    next_obs, next_done = torch.as_tensor(seen * args.obs_scale), torch.zeros(args.num_envs)
    for _ in range(args.total_timesteps // (args.num_steps * args.num_envs)):
        for step in range(args.num_steps):
            obs[step], dones[step] = next_obs, next_done
            with torch.no_grad():
                action, logprob, _, values[step] = agent.get_action_and_value(next_obs)
                if args.wrong_logprob:
                    logprob = agent.get_action_and_value(next_obs, action.roll(1))[1]
            actions[step], logprobs[step] = action, logprob
            seen, reward, terminated, truncated, _ = envs.step(action.numpy())
            rewards[step] = torch.as_tensor(reward)
            next_obs = torch.as_tensor(seen * args.obs_scale)
            next_done = torch.as_tensor(terminated | truncated).float()

        with torch.no_grad():
            following = agent.get_action_and_value(next_obs)[3]
            begins = torch.cat([dones, next_done[None]])
            advantages = estimate_advantages(args, rewards, torch.cat([values, following[None]]), begins)
            returns = advantages + values
        if probe:
            probe.rollout(
                obs=obs, actions=actions, logprobs=logprobs, rewards=rewards, dones=dones, next_done=next_done,
                values=values, advantages=advantages, returns=returns,
            )  # fmt: skip

        flat = [part.flatten(0, 1) for part in (obs, actions, logprobs, advantages, returns)]
        update(args, agent, optimizer, flat, probe)
        if probe:
            probe.end_iteration()
        yield agent
    envs.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train once, with the settings given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", required=True, help="where the probe logs")
    for field in fields(Settings):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    given = vars(parser.parse_args(arguments))
    train(Settings(**{name: value for name, value in given.items() if name != "folder"}), given["folder"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
