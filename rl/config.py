"""Settings of data, environment and PPO: frozen, checked when made, documented field by field.

The comment behind each field gives its meaning and a typical range. Hydra's schema is derived from the classes here
(`sweeps.config.schema`), so no setting is declared in a second place.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from unstuck.rl.errors import ConfigError
from unstuck.rl.metrics import ACTIONS
from unstuck.rl.wording import find_near

SOURCES = ("synthetic", "nsl_kdd", "csv")
OTHER_SOURCES: list[Callable[[], Iterable[str]]] = []
"""Functions that list names of other packages' data sources, each asked when a name is none of ours."""

ORDERS = ("shuffled", "stream")
DECIMALS = (".", ",")
THOUSANDS = (",", ".", "'", " ")
RETURN_NORMALIZATIONS = ("none", "running", "batch")
SCHEDULES = ("constant", "linear")
TRIAGE = "unstuck/Triage-v0"
DEVICES = ("cpu", "cuda")
PER_MEMBER = (
    *("lr", "adam_eps", "gamma", "gae_lambda", "clip_range", "clip_range_vf", "entropy_coef", "value_coef"),
    *("max_grad_norm", "target_kl"),
)
"""Settings of PPO that members of one learner may have differently (`rl.ppo.Hyperparameters`), and that a schedule, an
optimiser or a restored state may change behind one's back."""

MODULE_AND_ID = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):[^:]+")
FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
VECTORIZATIONS = ("sync", "async")


def require(holds: bool, message: str) -> None:
    """Raise `ConfigError(message)` if `holds` is False; comparisons with NaN are False, so NaN is always refused."""
    if not holds:
        raise ConfigError(message)


def require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless `value` is one of `allowed`; the message suggests the most similar name."""
    plain = str(value).lower()
    meant = next((option for option in allowed if plain.startswith(option)), None) or find_near(plain, allowed, 0.7)
    hint = f"; did you mean {meant}?" if meant else ""
    require(value in allowed, f"{name} must be one of {', '.join(allowed)}, got {value!r}{hint}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Settings of the data set: source of the network flows, and how to split them into parts."""

    source: str = "synthetic"  # synthetic | nsl_kdd | csv | one of another package's (docs/extending.md)
    path: str | None = None  # the file, for nsl_kdd and csv; .gz is read as it is
    label: str | None = None  # csv: the column that says what a row is
    benign: tuple[str, ...] = ()  # csv: the values of `label` that are no threat
    drop: tuple[str, ...] = ()  # csv: columns to leave out (identifiers, leaks)
    decimal: str = "."  # csv: sign before decimals: . | ,
    thousands: str | None = None  # csv: sign between thousands: , | . | ' | a space | null: nothing
    threat_share: float | None = 0.109  # share of threats to keep of a file; 0.01 to 0.5; null: the file's own
    order: str = "shuffled"  # shuffled: independent draws | stream: the file's order, split by time
    eval_flows: int = 1600  # flows in validation and in test, each; 200 to a fifth of the flows
    num_flows: int = 20_000  # synthetic: flows generated; 5,000 to 200,000
    num_features: int = 20  # synthetic: columns of a flow; 4 to 200
    difficulty: float = 0.5  # synthetic: how much the classes overlap; 0 (separable) to 1
    burst_length: float = 20.0  # synthetic: mean length of a run of threats in the stream; 1 to 100
    seed: int = 0  # seed of generator and split, the same for every trial of a sweep; 0 or more
    fingerprint: str | None = None  # first digits of the fingerprint that the flows must have; null: any flows

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            require_one_of(
                "data.source", self.source, (*SOURCES, *chain.from_iterable(names() for names in OTHER_SOURCES))
            )
        require_one_of("data.order", self.order, ORDERS)
        if self.source in ("nsl_kdd", "csv"):
            require(self.path is not None, f"data.path must name a file for data={self.source}; add data.path=FILE")
        if self.source == "csv":
            require(bool(self.label), "data.label must name the label column for data=csv; add data.label=COLUMN")
            require(len(self.benign) > 0, "data.benign must list the labels of no threat; add data.benign=[LABEL]")
        require_one_of("data.decimal", self.decimal, DECIMALS)
        require(
            self.thousands in (None, *THOUSANDS) and self.thousands != self.decimal,
            f"data.thousands must be null, or one of {' '.join(map(repr, THOUSANDS))} other than data.decimal = "
            f"{self.decimal!r}, got {self.thousands!r}",
        )
        if self.threat_share is not None:
            require(
                0 < self.threat_share < 1,
                f"data.threat_share must lie between 0 and 1, got {self.threat_share}; null keeps the file's own share",
            )
        elif self.source == "synthetic":
            raise ConfigError("data.threat_share must be a number for data=synthetic, got null; try 0.109")
        require(self.eval_flows >= 20, f"data.eval_flows must be at least 20, got {self.eval_flows}")
        for name, least, most in (("num_flows", 500, 5_000_000), ("num_features", 4, 2_000)):
            value = getattr(self, name)
            require(least <= value <= most, f"data.{name} must lie in {least}..{most}, got {value}")
        require(0 <= self.difficulty <= 1, f"data.difficulty must lie in 0..1, got {self.difficulty}")
        require(self.burst_length >= 1, f"data.burst_length must be at least 1, got {self.burst_length}")
        require(self.seed >= 0, f"data.seed must not be negative, got {self.seed}")
        require(
            self.fingerprint is None or FINGERPRINT.fullmatch(self.fingerprint) is not None,
            f"data.fingerprint must be the first 8 to 64 hex digits of one, got {self.fingerprint!r}; a sweep's "
            "config.yaml holds it, null takes any flows",
        )


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Settings of the environment that the agent acts in: triage of network flows, or any Gymnasium id."""

    id: str = TRIAGE  # unstuck/Triage-v0, or a Gymnasium id such as CartPole-v1
    flows_per_episode: int = 1000  # triage: flows judged in an episode; 100 to 10,000
    reward_benign: tuple[float, ...] = (0.5, -5.0, -3.0, -1.0)  # triage: rewards of the actions on a benign flow
    reward_threat: tuple[float, ...] = (-10.0, 8.0, 5.0, 2.0)  # triage: rewards of the actions on a threat
    eval_episodes: int = 10  # other environments: greedy episodes an evaluation, for each member; 5 to 100
    vectorization: str = "sync"  # other environments: sync | async (a process a lane, for slow ones)

    def __post_init__(self) -> None:
        require_one_of("env.vectorization", self.vectorization, VECTORIZATIONS)
        require(
            ":" not in self.id or MODULE_AND_ID.fullmatch(self.id) is not None,
            f"env.id must be an id, or module:id with a module that Python can import, got {self.id!r}; "
            "write package.module:Name-v0",
        )
        require(self.flows_per_episode >= 1, f"env.flows_per_episode must be at least 1, got {self.flows_per_episode}")
        require(self.eval_episodes >= 1, f"env.eval_episodes must be at least 1, got {self.eval_episodes}")
        for name in ("reward_benign", "reward_threat"):
            row = getattr(self, name)
            require(
                len(row) == len(ACTIONS) and all(math.isfinite(x) for x in row),
                f"env.{name} must hold {len(ACTIONS)} finite rewards, for {', '.join(ACTIONS)}; got {list(row)}",
            )


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of PPO and the networks; seeds trained together may differ in numbers like `lr`, not in shapes."""

    num_iterations: int = 200  # rollouts, each followed by an update; 20 to 2000
    num_envs: int = 8  # lanes of a member that step together; 1 to 64
    num_steps: int = 128  # steps of every lane in a rollout; 16 to 2048
    minibatch_size: int = 256  # samples a gradient step; must divide num_envs * num_steps; 32 to 4096
    num_epochs: int = 4  # passes over a rollout; 1 to 20
    lr: float = 3e-4  # Adam's step size; 1e-5 to 1e-2
    lr_schedule: str = "constant"  # constant | linear (to 0 at num_iterations)
    adam_eps: float = 1e-5  # Adam's epsilon; 1e-8 to 1e-5
    gamma: float = 0.99  # discount of later rewards; 0 (each flow for itself) to 0.999
    gae_lambda: float = 0.95  # how far advantages look ahead; 0 (one step) to 1 (to the end)
    clip_range: float = 0.2  # largest change of an action's probability that counts, as a ratio; 0.1 to 0.3
    clip_range_schedule: str = "constant"  # constant | linear (to 0 at num_iterations)
    clip_range_vf: float | None = None  # largest change of a prediction of the critic; 0.1 to 0.5; null: off
    entropy_coef: float = 0.01  # weight of the entropy bonus; 0 to 0.1
    value_coef: float = 0.5  # weight of the value loss (mean squared error, no 0.5); 0.1 to 5
    max_grad_norm: float = 0.5  # gradient clip, a member's whole gradient; 0.3 to 10
    target_kl: float | None = None  # a member stops its update beyond 1.5 times this; 0.01 to 0.05; null: off
    normalize_advantage: bool = True  # scale advantages to mean 0, spread 1 in each minibatch
    normalize_returns: str = "none"  # critic's targets: none | running | batch (this rollout's mean and spread)
    normalize_observations: bool = False  # scale by running mean and spread; triage scales its features already
    hidden_sizes: tuple[int, ...] = (64, 64)  # units of each tanh layer; 32 to 256
    shared_trunk: bool = False  # one network with two heads, or one network each for policy and value
    eval_every: int = 20  # iterations between greedy evaluations; 1 to 50
    device: str = "cpu"  # cpu | cuda (pays from some 8 members on; environments stay on the CPU)
    compile: bool = False  # the update as a program in C++: faster, after 10 to 20 s of compiling; needs g++

    @property
    def batch_size(self) -> int:
        """Number of samples that one seed collects in a rollout: `num_envs * num_steps`."""
        return self.num_envs * self.num_steps

    def __post_init__(self) -> None:
        for item in fields(self):
            self.check_alone(item.name, getattr(self, item.name))
        require(
            self.batch_size % self.minibatch_size == 0,
            f"minibatch_size must divide num_envs * num_steps = {self.batch_size}, got {self.minibatch_size}; "
            f"try {_nearest_divisors(self.batch_size, self.minibatch_size)}",
        )
        require(
            self.eval_every <= self.num_iterations,
            f"ppo.eval_every must not exceed num_iterations = {self.num_iterations}, got {self.eval_every}: "
            "a run without an evaluation has no value",
        )
        require(
            self.device == "cpu" or not self.compile,
            f"ppo.compile must be false with ppo.device={self.device}, got true: it makes programs for the CPU",
        )

    @staticmethod
    def check_alone(name: str, value: Any) -> None:
        """Raise `ConfigError` if `value` is not allowed for the PPO setting `name`; other settings do not matter."""
        setting = f"ppo.{name}"
        if name in ("num_iterations", "num_envs", "num_steps", "num_epochs", "eval_every"):
            require(value >= 1, f"{setting} must be at least 1, got {value}")
        if name in (most := {"num_envs": 4096, "num_steps": 65_536}):
            require(value <= most[name], f"{setting} must be at most {most[name]}, got {value}")
        if name == "minibatch_size":
            require(value >= 2, f"{setting} must be at least 2, got {value}: advantages need a spread")
        if name in ("lr", "adam_eps", "clip_range", "max_grad_norm"):
            require(value > 0 and math.isfinite(value), f"{setting} must be positive and finite, got {value}")
        if name in ("gamma", "gae_lambda"):
            require(0 <= value <= 1, f"{setting} must lie in 0..1, got {value}")
        if name in ("entropy_coef", "value_coef"):
            require(value >= 0 and math.isfinite(value), f"{setting} must be finite and not negative, got {value}")
        # Below 1e-5 the rounding of float32 alone would end an update before its first step.
        if name in (least := {"clip_range_vf": 0.0, "target_kl": 1e-5}) and value is not None:
            require(value > least[name], f"{setting} must exceed {least[name]:g}, or be null for off; got {value}")
        if name in _NAMES:
            require_one_of(setting, value, _NAMES[name])
        if name == "hidden_sizes":
            require(
                len(value) >= 1 and all(1 <= size <= 4096 for size in value),
                f"{setting} must list at least one layer of 1 to 4096 units, got {list(value)}",
            )


_NAMES = {
    "lr_schedule": SCHEDULES,
    "clip_range_schedule": SCHEDULES,
    "device": DEVICES,
    "normalize_returns": RETURN_NORMALIZATIONS,
}


def _nearest_divisors(total: int, wanted: int) -> str:
    divisors = [d for d in range(2, total + 1) if total % d == 0]
    below = [d for d in divisors if d < wanted][-1:]
    above = [d for d in divisors if d > wanted][:1]
    return " or ".join(str(d) for d in below + above)
