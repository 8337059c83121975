"""Worlds to train in: twelve environments and four data sets, each with settings under which a run learns."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig

ITERATIONS = 120
EVERY = 4
"""Iterations between evaluations: a run is diagnosed at each, as a sweep's live diagnosis would."""

_COMMON: Mapping[str, Any] = {
    "num_iterations": ITERATIONS,
    "eval_every": EVERY,
    "num_envs": 8,
    "num_steps": 64,
    "minibatch_size": 128,
}


@dataclass(frozen=True)
class World:
    """Setup for training runs: environment, data, healthy PPO settings, and the score by which runs are judged.

    Attributes:
        name: Short.
        ppo: Healthy settings.
        env: The environment.
        data: The flows; not read where the environment is another one.
        score: The metric that says what a policy is worth.
        learned: A healthy run must end above this, or it has not learned and does not count as healthy.
        worst: The score of a run whose numbers are no longer finite.
    """

    name: str
    ppo: PPOConfig
    env: EnvConfig
    score: str
    learned: float
    worst: float
    data: DataConfig = field(default_factory=DataConfig)

    @property
    def is_triage(self) -> bool:
        """True if the world's environment is the triage of flows."""
        return self.env.id == TRIAGE

    def changed(self, settings: Mapping[str, Any]) -> "World":
        """Return a copy of the world with some settings changed; keys are dotted paths such as `ppo.lr`."""
        parts: dict[str, dict[str, Any]] = {"ppo": {}, "env": {}, "data": {}}
        for path, value in settings.items():
            part, _, name = path.partition(".")
            parts[part][name] = value
        return replace(self, **{part: replace(getattr(self, part), **own) for part, own in parts.items()})

    def settings(self) -> dict[str, Any]:
        """Return all settings of the world by dotted path, e.g. `ppo.lr`, in the form of a tracked run's settings."""
        parts = {"ppo": self.ppo, "env": self.env, "data": self.data}
        return {f"{part}.{name}": value for part, config in parts.items() for name, value in asdict(config).items()}


_SHORT = {"flows_per_episode": 100}


def _small(name: str, learned: float, worst: float, module: str = "environments", **settings: Any) -> World:
    """Return a world of one of the benchmarks' own environments, by the name of its module."""
    ppo = PPOConfig(**{**_COMMON, "lr": 1e-3, "num_epochs": 6, "normalize_returns": "running", **settings})
    env = EnvConfig(id=f"benchmarks.{module}:{name.capitalize()}-v0", eval_episodes=5)
    return World(name, ppo, env, metrics.EVAL_RETURN, learned, worst)


WORLDS = {
    world.name: world
    for world in (
        World(
            "cartpole",
            PPOConfig(**_COMMON, lr=5e-4, normalize_returns="running"),
            EnvConfig(id="CartPole-v1", eval_episodes=5),
            metrics.EVAL_RETURN,
            learned=150.0,
            worst=8.0,
        ),
        World(
            "acrobot",
            PPOConfig(**_COMMON, lr=1e-3, normalize_returns="running", normalize_observations=True),
            EnvConfig(id="Acrobot-v1", eval_episodes=3),
            metrics.EVAL_RETURN,
            learned=-200.0,
            worst=-500.0,
        ),
        World(
            "shuffled",
            PPOConfig(**_COMMON, lr=1e-3, gamma=0.9, normalize_returns="batch"),
            EnvConfig(**_SHORT),  # type: ignore[arg-type]
            metrics.F1,
            learned=0.6,
            worst=0.0,
            data=DataConfig(num_flows=8000, eval_flows=800),
        ),
        World(
            "stream",
            PPOConfig(**_COMMON, lr=1e-3, gamma=0.95, normalize_returns="running"),
            EnvConfig(**_SHORT, reward_benign=(1.0, -2.0, -1.5, -1.0), reward_threat=(-3.0, 3.0, 2.0, 1.0)),  # type: ignore[arg-type]
            metrics.F1,
            learned=0.8,
            worst=0.0,
            data=DataConfig(
                num_flows=8000, eval_flows=800, num_features=10, threat_share=0.4, difficulty=0.3, order="stream"
            ),
        ),
        World(
            "wide",
            PPOConfig(**_COMMON, lr=7e-4, gamma=0.5, normalize_returns="batch", entropy_coef=0.005),
            EnvConfig(**_SHORT, reward_benign=(0.5, -1.0, -1.0, -1.0), reward_threat=(-2.0, 2.0, 1.0, 0.5)),  # type: ignore[arg-type]
            metrics.F1,
            learned=0.6,
            worst=0.0,
            data=DataConfig(num_flows=8000, eval_flows=800, num_features=40, threat_share=0.25, difficulty=0.4, seed=5),
        ),
        World(
            "bursts",
            PPOConfig(**_COMMON, lr=1e-3, gamma=0.8, normalize_returns="running", hidden_sizes=(32, 32)),
            EnvConfig(**_SHORT),  # type: ignore[arg-type]
            metrics.F1,
            learned=0.6,
            worst=0.0,
            data=DataConfig(
                num_flows=10_000,
                eval_flows=1000,
                num_features=25,
                threat_share=0.2,
                order="stream",
                burst_length=8,
                seed=9,
            ),
        ),
        _small("reach", learned=-8.0, worst=-40.0, gamma=0.95),
        _small("tank", learned=80.0, worst=0.0, gamma=0.97, normalize_observations=True),
        _small("courier", learned=0.5, worst=0.0, gamma=0.97, num_envs=16),
        _small("shop", learned=2500.0, worst=-10_000.0, gamma=0.9, normalize_observations=True),
        _small("lake", learned=0.5, worst=0.0, module="more_environments", gamma=0.97),
        _small(
            "battery",
            learned=1000.0,
            worst=-10_000.0,
            module="more_environments",
            gamma=0.97,
            normalize_observations=True,
        ),
        _small("arm", learned=-5.0, worst=-60.0, module="other_observations", gamma=0.95),
        _small("catch", learned=5.0, worst=0.0, module="other_observations", gamma=0.97),
        _small("depot", learned=30.0, worst=-40.0, module="depot_and_chase", gamma=0.97, normalize_observations=True),
        _small("chase", learned=2.0, worst=-5.6, module="depot_and_chase", gamma=0.97),
    )
}
"""`shuffled`: independent flows, one in nine a threat. `stream`: flows in their order, threats in bursts, two in five,
under another reward table. `wide`: independent flows again, one in four a threat, forty columns, a short horizon.
`bursts`: short bursts of threats, one flow in five, and narrow networks. The last ten are of other kinds:
`reach`, `tank`, `battery` and `arm` have continuous actions, `reach` negative rewards and episodes of 25 steps that no
state ends, `courier` and `lake` one reward at the end of an episode, `shop` two actions at a time, `battery` costs that
pay off; `arm` shows a dictionary, and `catch` a frame, here as a row of shares of white; what is done in `depot`
arrives days later, and `chase` shows a part of the state alone."""

NEW = ("depot", "chase")
"""Worlds that no rule had seen a run of our own learner in before the seventh draw; later draws have none."""

LATER = ("lake", "battery", "arm", "catch", *NEW)
"""Worlds of the fifth draw and of later ones."""

SMALL = ("reach", "tank", "courier", "shop", *LATER)
"""Worlds of the benchmarks' own environments; the first three draws held none of them."""
