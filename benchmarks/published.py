"""PPO configurations that others publish, in our settings: CleanRL's default one, and RL-Zoo's tuned ones.

Sources: CleanRL, docs/rl-algorithms/ppo.md; RL-Zoo, hyperparams/ppo.yml, which changes Stable-Baselines3's defaults.
"""

from dataclasses import replace

from unstuck.rl.config import PPOConfig


def lasting(steps: int, config: PPOConfig) -> PPOConfig:
    """Return a PPO configuration changed to run at least `steps` steps, in full rollouts, with one final evaluation."""
    iterations = -(-steps // config.batch_size)
    return replace(config, num_iterations=iterations, eval_every=iterations)


CLEANRL = lasting(
    499_712,  # of its 500,000 it leaves out the last, incomplete rollout
    PPOConfig(
        num_envs=4,
        num_steps=128,
        minibatch_size=128,
        lr=2.5e-4,
        lr_schedule="linear",
        clip_range_vf=0.2,
        value_coef=0.25,  # its 0.5 multiplies half the squared error
    ),
)
_SB3 = PPOConfig(num_envs=1, num_steps=2048, minibatch_size=64, num_epochs=10, entropy_coef=0.0)
ZOO = {
    "CartPole-v1": lasting(
        100_000,
        replace(
            _SB3,
            num_envs=8,
            num_steps=32,
            minibatch_size=256,
            num_epochs=20,
            lr=1e-3,
            lr_schedule="linear",
            gamma=0.98,
            gae_lambda=0.8,
            clip_range_schedule="linear",
        ),
    ),
    "Acrobot-v1": lasting(
        1_000_000,
        replace(
            _SB3,
            num_envs=16,
            num_steps=256,
            num_epochs=4,
            gae_lambda=0.94,
            normalize_observations=True,
            normalize_returns="running",  # of the critic's targets; theirs divides the rewards
        ),
    ),
    "LunarLander-v3": lasting(
        1_000_000,
        replace(_SB3, num_envs=16, num_steps=1024, num_epochs=4, gamma=0.999, gae_lambda=0.98, entropy_coef=0.01),
    ),
    "Pendulum-v1": lasting(  # without its state-dependent exploration
        100_000, replace(_SB3, num_envs=4, num_steps=1024, lr=1e-3, gamma=0.9)
    ),
}
