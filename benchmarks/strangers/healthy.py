"""Healthy scripts: ways to train that all learn, and that a diagnosis must leave in peace."""

from collections.abc import Mapping

from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from benchmarks.strangers.plants import NoisyRewards
from benchmarks.strangers.script import Change, ppo, script
from benchmarks.strangers.worlds import LATER, NEWEST, WORLDS

VARIANTS: Mapping[str, tuple[tuple[str, ...], Change]] = {
    # By name: in which worlds, and what is changed.
    "base": (tuple(WORLDS), Change()),
    "slow": (("reach", "tank", "acrobot", "lander", "desk", *LATER), ppo(learning_rate=4e-4)),
    "fast": (("reach", "tank", "shop", "acrobot", "lander", "desk", *LATER), ppo(learning_rate=2e-3)),
    "annealed": (
        ("cartpole", "tank", "reach", "lander", "desk", *LATER),
        ppo(learning_rate=LinearSchedule(1.5e-3, 0.0, 1.0)),
    ),
    "not evaluated": (("reach", "tank", "shop", "lander", "desk", *LATER), script(evaluates=False)),
    "few epochs": (("reach", "shop", "lander", "desk", "tank", *LATER), ppo(n_epochs=3)),
    "many epochs": (("reach", "cartpole", "tank", "lander", "desk", *LATER), ppo(n_epochs=15, learning_rate=4e-4)),
    "small minibatches": (("cartpole", "tank", "reach", "acrobot", "desk", *LATER), ppo(batch_size=64, n_epochs=4)),
    "whole rollouts": (("reach", "cartpole", "tank", "acrobot", "lander", *LATER), ppo(batch_size=1024, n_epochs=20)),
    "short traces": (("tank", "shop", "reach", "lander", "desk", *LATER), ppo(gae_lambda=0.8)),
    "defaults of the horizon": (("reach", "cartpole", "courier", "tank", "lander", "desk", *LATER), ppo(gamma=0.99)),
    "no bonus": (("courier", "acrobot"), ppo(ent_coef=0.0)),
    "bonus": (
        ("cartpole", "reach", "tank", "lander", "desk", "lake", "fans", "arm", "catch", *NEWEST),
        ppo(ent_coef=0.01),
    ),
    "tight": (("reach", "tank", "cartpole", "acrobot", "lander", "desk", *LATER), ppo(target_kl=0.02)),
    "narrow": (("reach", "cartpole", "tank", "acrobot", "lander", *LATER), ppo(policy_kwargs={"net_arch": [16, 16]})),
    "wide": (
        ("tank", "courier", "cartpole", "acrobot", "lander", "desk", *LATER),
        ppo(policy_kwargs={"net_arch": [128, 128]}),
    ),
    "rectified": (
        ("courier", "cartpole", "reach", "acrobot", "lander", "desk", *LATER),
        ppo(policy_kwargs={"activation_fn": nn.ReLU}),
    ),
    "all normalised": (
        ("reach", "cartpole", "acrobot", "lander", "lake", "fans", "arm", "depot", "chase"),
        script(normalised=("observations", "rewards")),
    ),
    "one environment": (
        ("reach", "tank", "cartpole", "lander", "desk", *LATER),
        Change({"n_steps": 1024}, {"envs": 1}),
    ),
    "many environments": (
        ("cartpole", "shop", "reach", "acrobot", "lander", "desk", *LATER),
        Change({"n_steps": 32}, {"envs": 32}),
    ),
    "state-dependent exploration": (
        ("pendulum", "reach", "lander", "battery", "arm", "depot"),
        ppo(use_sde=True, sde_sample_freq=4),
    ),
    "clipped critic": (("reach", "tank", "acrobot", "lander", "desk", *LATER), ppo(clip_range_vf=0.5)),
    "some noise": (("reach", "tank", "lander", "fans", "arm", "depot", "chase"), script(training=(NoisyRewards(0.3),))),
    "long": (("reach", "cartpole", "lander", "desk", *LATER), script(steps=50_000)),
}
