"""PPO in one file with the flags and the log of CleanRL's scripts: `python ppo.py --env-id CartPole-v1`."""

import argparse
import csv
from pathlib import Path

import gymnasium
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Categorical


def read_flags() -> argparse.Namespace:
    """Parse the command-line flags of the script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env-id", default="CartPole-v1")
    for name, default in {
        **{
            "seed": 1,
            "total-timesteps": 50_000,
            "num-envs": 4,
            "num-steps": 128,
            "num-minibatches": 4,
            "update-epochs": 4,
        },
        **{"learning-rate": 2.5e-4, "gamma": 0.99, "gae-lambda": 0.95, "clip-coef": 0.2, "ent-coef": 0.01},
        **{"vf-coef": 0.5, "max-grad-norm": 0.5, "target-kl": None},
    }.items():
        parser.add_argument(f"--{name}", type=type(default or 0.0), default=default)
    for name, default in {"anneal-lr": True, "norm-adv": True, "clip-vloss": True}.items():
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=default)
    return parser.parse_args()


def make_network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    """Make a network of two tanh layers, whose last layer starts with weights of size `gain`."""
    layers = [nn.Linear(inputs, 64), nn.Linear(64, 64), nn.Linear(64, outputs)]
    for layer, scale in zip(layers, (2**0.5, 2**0.5, gain), strict=True):
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


def estimate_advantages(args, rewards, values, dones, next_value, next_done):
    """Compute the generalised advantages (GAE) of a rollout, shape (steps, environments)."""
    advantages, later = torch.zeros_like(rewards), 0.0
    for t in reversed(range(args.num_steps)):
        after, done = (next_value, next_done) if t == args.num_steps - 1 else (values[t + 1], dones[t + 1])
        delta = rewards[t] + args.gamma * after * (1 - done) - values[t]
        advantages[t] = later = delta + args.gamma * args.gae_lambda * (1 - done) * later
    return advantages


def update(args, actor, critic, optimizer, batch):
    """Train actor and critic on one rollout; return the losses of the last minibatch, by CleanRL's names."""
    parameters = [*actor.parameters(), *critic.parameters()]
    for _ in range(args.update_epochs):
        for rows in torch.randperm(len(batch[0])).chunk(args.num_minibatches):
            obs, actions, logprobs, advantages, values, returns = (part[rows] for part in batch)
            policy, value = Categorical(logits=actor(obs)), critic(obs).squeeze(-1)
            logratio = policy.log_prob(actions) - logprobs
            ratio, entropy = logratio.exp(), policy.entropy().mean()
            if args.norm_adv:
                advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
            policy_loss = -torch.min(ratio * advantages, clipped * advantages).mean()
            errors = (value - returns) ** 2
            if args.clip_vloss:
                near = values + (value - values).clamp(-args.clip_coef, args.clip_coef)
                errors = torch.max(errors, (near - returns) ** 2)
            value_loss = 0.5 * errors.mean()
            optimizer.zero_grad()
            (policy_loss - args.ent_coef * entropy + args.vf_coef * value_loss).backward()
            nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)
            optimizer.step()
        approx_kl = ((ratio - 1) - logratio).mean().item()
        if args.target_kl is not None and approx_kl > args.target_kl:
            break
    losses = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy, "approx_kl": approx_kl}
    losses["clipfrac"] = ((ratio - 1).abs() > args.clip_coef).float().mean()
    return {f"losses/{name}": float(torch.as_tensor(loss).detach()) for name, loss in losses.items()}


def main() -> None:
    """Train once, and log each iteration to progress.csv in the current folder."""
    args = read_flags()
    torch.manual_seed(args.seed)
    envs = SyncVectorEnv([lambda: gymnasium.make(args.env_id)] * args.num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    inputs, actions_to_choose = envs.single_observation_space.shape[0], envs.single_action_space.n
    actor, critic = make_network(inputs, actions_to_choose, 0.01), make_network(inputs, 1, 1.0)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=args.learning_rate, eps=1e-5)
    shape = (args.num_steps, args.num_envs)
    obs = torch.zeros((*shape, inputs))
    actions, logprobs, rewards, dones, values = (torch.zeros(shape) for _ in range(5))
    next_obs, next_done = torch.tensor(envs.reset(seed=args.seed)[0]), torch.zeros(args.num_envs)
    returns_so_far, lengths_so_far = torch.zeros(args.num_envs), torch.zeros(args.num_envs)
    ended, lengths = [0.0], [0.0]
    size = args.num_steps * args.num_envs
    iterations = args.total_timesteps // size
    with Path("progress.csv").open("w", newline="") as file:
        log = None
        for iteration in range(1, iterations + 1):
            if args.anneal_lr:
                optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - (iteration - 1) / iterations)
            for t in range(args.num_steps):
                obs[t], dones[t] = next_obs, next_done
                with torch.no_grad():
                    policy, values[t] = Categorical(logits=actor(next_obs)), critic(next_obs).squeeze(-1)
                    action = policy.sample()
                    logprobs[t], actions[t] = policy.log_prob(action), action
                seen, reward, terminated, truncated, _ = envs.step(action.numpy())
                next_obs, next_done = torch.tensor(seen), torch.tensor(terminated | truncated).float()
                rewards[t] = torch.tensor(reward)
                returns_so_far += rewards[t]
                lengths_so_far += 1
                ended += returns_so_far[next_done.bool()].tolist()
                lengths += lengths_so_far[next_done.bool()].tolist()
                returns_so_far *= 1 - next_done
                lengths_so_far *= 1 - next_done
            with torch.no_grad():
                next_value = critic(next_obs).squeeze(-1)
            advantages = estimate_advantages(args, rewards, values, dones, next_value, next_done)
            batch = [p.flatten(0, 1) for p in (obs, actions, logprobs, advantages, values, advantages + values)]
            row = {"global_step": iteration * size, "charts/learning_rate": optimizer.param_groups[0]["lr"]}
            row |= update(args, actor, critic, optimizer, batch)
            row["losses/explained_variance"] = float(1 - advantages.var() / (advantages + values).var())
            row["charts/episodic_return"] = sum(ended[-20:]) / len(ended[-20:])
            row["charts/episodic_length"] = sum(lengths[-20:]) / len(lengths[-20:])
            if log is None:
                log = csv.DictWriter(file, row)
                log.writeheader()
            log.writerow(row)
            file.flush()
            print(f"global_step={row['global_step']}, episodic_return={row['charts/episodic_return']:.1f}", flush=True)
    envs.close()


if __name__ == "__main__":
    main()
