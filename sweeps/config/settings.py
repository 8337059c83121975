"""Define the settings of a sweep: frozen, checked when made, documented field by field (see also `rl.config`)."""

import math
import re
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unstuck.records import extensions
from unstuck.records.outcome import Outcome
from unstuck.records.reference import SweepReference
from unstuck.records.urls import LEDGER_FILE, MLFLOW_FILE, find_ledger_url, find_mlflow_url
from unstuck.rl.config import MODULE_AND_ID, OTHER_SOURCES, DataConfig, EnvConfig, PPOConfig, require, require_one_of
from unstuck.rl.metrics import EVAL, EVAL_RETURN
from unstuck.rl.wording import find_near

OTHER_SOURCES.append(partial(extensions.list_other_names, extensions.DATA_SOURCES))  # `rl` imports no room of ours

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TAKEN = (MLFLOW_FILE, LEDGER_FILE, "mlflow-artifacts")
MODES = ("max", "min")
SAMPLERS = ("tpe", "random", "points")
TRAINERS = ("ppo", "sb3", "command")
FUNCTION = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
SCHEDULERS = ("asha", "none")
CRASHED = str(Outcome.CRASHED)
TRACKERS = ("mlflow", "none")
BESIDE = ("tensorboard", "wandb")
"""Trackers beside MLflow, or without it; `sweeps.trackers` makes them."""

CHECKPOINT, ANEW = STARTS = ("checkpoint", "anew")
PARTS = ("policy_head", "value_head", "adam", "return_normalizer", "observation_normalizer")
"""Parts of a training state that an arm can reset; `rl.branch.Part` says what each is."""

PRESCRIBED, SINGLE_CHANGES = ARM_SETS = ("prescribed", "single_changes")
"""Words in `arms` that stand for arms which Unstuck makes: from the diagnosis, and the three usual coefficients."""

FORMAT = 3
"""Version of what a sweep records and by which rules; 1: up to commit 3fefaf5, which recorded no version;
before 3 MLflow has the learner's names of metrics, and other statuses (docs/mlflow.md)."""


def check_name(setting: str, name: str) -> None:
    """Raise `ConfigError` for a sweep's name that is not 1 to 100 letters, digits, `.`, `_` or `-`, or is reserved."""
    require(
        NAME.fullmatch(name) is not None,
        f"{setting} must be 1 to 100 letters, digits, '.', '_' or '-', the first a letter or digit; got {name!r}",
    )
    require(name not in TAKEN, f"{setting} must not be {', '.join(TAKEN)}, which hold the records of all; got {name!r}")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Settings of the sweep itself, such as name, number of trials and seeds (`sweep.*`)."""

    name: str | None = None  # name of folder, study and MLflow parent run; null: the experiment and the time
    metric: str = "eval/f1"  # what trials are compared by; eval/episode_return for most environments
    mode: str = "max"  # direction of the metric that is better: max | min
    num_trials: int | None = 48  # trials to run; 8 to 200; null: all points of sampler=points
    seeds: int = 4  # members a trial; 3 to 10
    seed: int = 0  # seed of everything drawn: members, sampler; 0 or more
    control: bool = True  # trial 0 is the unchanged configuration, which nothing stops early
    max_hours: float | None = None  # time budget in hours; 0.1 to 48; null: none
    folder: str = "runs"  # folder for everything that is written

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name("sweep.name", self.name)
        require_one_of("sweep.mode", self.mode, MODES)
        require(
            self.metric.startswith("eval/"),
            f"sweep.metric must be an eval/ metric, got {self.metric!r}; write {find_nearest_metric(self.metric)}",
        )
        require(
            self.num_trials is None or self.num_trials >= 1,
            f"sweep.num_trials must be at least 1, got {self.num_trials}",
        )
        require("://" not in self.folder, f"sweep.folder must be a folder on this machine, got {self.folder}")
        require(self.seeds >= 1, f"sweep.seeds must be at least 1, got {self.seeds}")
        require(self.seed >= 0, f"sweep.seed must not be negative, got {self.seed}")
        require(self.max_hours is None or self.max_hours > 0, f"sweep.max_hours must be positive, got {self.max_hours}")


def find_nearest_metric(name: str) -> str:
    """Return the evaluation metric whose name is most similar to the given wrong name.

    Example:
        >>> find_nearest_metric("train/f1"), find_nearest_metric("reward")
        ('eval/f1', 'eval/episode_return')
    """
    if "reward" in name or "return" in name:
        return EVAL_RETURN
    return find_near(f"eval/{name.rpartition('/')[2]}", EVAL, 0.75) or EVAL[0]


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Settings of the trainer, which trains the members (seeds) of a trial (`trainer.*`)."""

    name: str = "ppo"  # ppo | sb3 | command | one of another package's (docs/trainers.md)
    make: str | None = None  # sb3: MODULE:FUNCTION that makes the PPO from settings; null: one for env.id
    command: str | None = None  # command: what trains one member, such as "python ppo.py"; null: nothing to run
    flags: str = "cleanrl"  # command: flags that are added for settings: cleanrl | none (words in braces alone)
    patience_s: float = 600.0  # command: longest wait for the log's next iteration, in seconds; 60 to 3600

    def __post_init__(self) -> None:
        if self.name not in TRAINERS:
            require_one_of("trainer.name", self.name, (*TRAINERS, *extensions.list_other_names(extensions.TRAINERS)))
        require(
            self.make is None or FUNCTION.fullmatch(self.make) is not None,
            f"trainer.make must be MODULE:FUNCTION, a function that Python can import, got {self.make!r}; write "
            "trainer.make=my_script:make",
        )
        require_one_of("trainer.flags", self.flags, ("cleanrl", "none"))
        require(self.patience_s > 0, f"trainer.patience_s must be above 0, got {self.patience_s}; write 600")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Settings of the sampler, which proposes the configurations to try (`sampler.*`)."""

    name: str = "tpe"  # tpe | random | points | one of another package's (docs/extending.md)
    num_startup_trials: int = 10  # tpe: random draws before the model; 5 to 20
    points: tuple[dict[str, Any], ...] = ()  # changes to the configuration, one trial each, before any is proposed

    def __post_init__(self) -> None:
        if self.name not in SAMPLERS:
            require_one_of("sampler.name", self.name, (*SAMPLERS, *extensions.list_other_names(extensions.SAMPLERS)))
        require(
            self.num_startup_trials >= 1,
            f"sampler.num_startup_trials must be at least 1, got {self.num_startup_trials}",
        )
        require(
            len(self.points) > 0 or self.name != "points",
            "sampler.points must list at least one point for sampler=points, got none; "
            "add 'sampler.points=[{}]' for the configuration itself",
        )


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """Settings of the scheduler, which stops trials early that do worse than others (`scheduler.*`)."""

    name: str = "asha"  # asha | none
    grace_iterations: int = 60  # asha: iteration of the first rung; 20 to 40 % of ppo.num_iterations
    reduction_factor: int = 3  # asha: one in this many passes a rung, and rungs grow by it; 2 to 4
    spared_share: float = 0.1  # asha: share never pruned, to measure what pruning costs: enough of 40 trials; 0 to 0.2

    def __post_init__(self) -> None:
        require_one_of("scheduler.name", self.name, SCHEDULERS)
        require(
            self.grace_iterations >= 1,
            f"scheduler.grace_iterations must be at least 1, got {self.grace_iterations}",
        )
        require(
            self.reduction_factor >= 2,
            f"scheduler.reduction_factor must be at least 2, got {self.reduction_factor}",
        )
        require(0 <= self.spared_share <= 1, f"scheduler.spared_share must lie in 0..1, got {self.spared_share}")


@dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """Settings of the health rules, which stop a trial for faults of its own, without comparing trials (`health.*`)."""

    enabled: bool = True  # false: no rule stops a trial, but a loss that is not finite still ends it as diverged
    explosion_factor: float = 100.0  # diverged: value loss beyond this many times its own start; 10 to 1000
    stuck_grace_iterations: int = 80  # stuck: first iteration that is judged; 20 to 50 % of ppo.num_iterations
    stuck_value_loss: float = 0.9  # stuck: value loss still above this share of its own start; 0.8 to 1
    stuck_f1_margin: float = 0.01  # stuck: and F1 at most this much above the best trivial policy's; 0 to 0.05

    def __post_init__(self) -> None:
        require(
            self.explosion_factor > 1,
            f"health.explosion_factor must be greater than 1, got {self.explosion_factor}",
        )
        require(
            self.stuck_grace_iterations >= 1,
            f"health.stuck_grace_iterations must be at least 1, got {self.stuck_grace_iterations}",
        )
        for name in ("stuck_value_loss", "stuck_f1_margin"):
            value = getattr(self, name)
            require(value >= 0 and math.isfinite(value), f"health.{name} must be finite and not negative, got {value}")


@dataclass(frozen=True, kw_only=True)
class ResourcesConfig:
    """Settings of the CPU cores or the Ray cluster that a sweep uses, and of workers' failures (`resources.*`)."""

    cpus: int | None = None  # cores for all trials together; 1 or more; null: all that were granted
    cpus_per_trial: int = 1  # cores kept for a trial, whose training uses one of them; 1 to 4
    max_failures: int = 2  # times that a trial's worker may die before the trial counts as crashed; 0 to 5
    ray_address: str | None = (
        None  # HOST:PORT of an existing cluster, or auto; null: one on loopback, for this sweep alone
    )

    def __post_init__(self) -> None:
        require(self.cpus is None or self.cpus >= 1, f"resources.cpus must be at least 1, got {self.cpus}")
        require(self.cpus_per_trial >= 1, f"resources.cpus_per_trial must be at least 1, got {self.cpus_per_trial}")
        require(
            self.cpus is None or self.cpus_per_trial <= self.cpus,
            f"resources.cpus_per_trial must not exceed resources.cpus = {self.cpus}, got {self.cpus_per_trial}",
        )
        require(
            self.ray_address is None or re.fullmatch(r"auto|[^/:]+:\d+|\[[^/\]]+\]:\d+", self.ray_address) is not None,
            f"resources.ray_address must be HOST:PORT, or auto for the cluster that this machine is a node of, got "
            f"{self.ray_address}",
        )
        require(self.max_failures >= 0, f"resources.max_failures must not be negative, got {self.max_failures}")


def list_trackers() -> tuple[str, ...]:
    """List the names of all trackers that `tracking=` accepts; those from other packages come last."""
    return (*TRACKERS, *BESIDE, *extensions.list_other_names(extensions.TRACKERS))


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Settings that say in which databases (Optuna, MLflow) the trials are recorded (`tracking.*`)."""

    name: str = "mlflow"  # mlflow | none
    also: tuple[str, ...] = ()  # further trackers: tensorboard, wandb, or another package's; tracking=[mlflow,wandb]
    mlflow_url: str | None = None  # URL of the MLflow store; null: sqlite, mlflow.db in sweep.folder
    optuna_url: str | None = None  # URL of Optuna's database; null: sqlite, optuna.db in sweep.folder
    mlflow_experiment: str = "unstuck"  # MLflow experiment that holds the sweeps

    def __post_init__(self) -> None:
        require_one_of("tracking.name", self.name, TRACKERS)
        for name in self.also:
            require(
                name not in TRACKERS,
                f"tracking.also must hold what stands beside MLflow, got {name}; write tracking=[mlflow,tensorboard]",
            )
            if name not in BESIDE:
                require_one_of("tracking.also", name, list_trackers()[len(TRACKERS) :])
        require(
            len(set(self.also)) == len(self.also),
            f"tracking.also must name each tracker once, got {', '.join(self.also)}",
        )


@dataclass(frozen=True, kw_only=True)
class BranchConfig:
    """Settings of where a trial starts: untrained, or from the saved state of another run (`branch.*`)."""

    start: str = ANEW  # what the trial starts from: checkpoint (of the run, or of the parent) | anew (untrained)
    parent: int | None = None  # trial of the sweep whose last state the trial starts from; 0 to 99; null: the run's
    reset: tuple[str, ...] = ()  # parts of the state that start anew, such as policy_head, value_head, adam

    def __post_init__(self) -> None:
        require_one_of("branch.start", self.start, STARTS)
        for part in self.reset:
            require_one_of("branch.reset", part, PARTS)
        require(self.start == CHECKPOINT or not self.reset, f"branch.reset must be [] with branch.start={self.start}")
        require(
            self.start == CHECKPOINT or self.parent is None,
            f"branch.parent must be null with branch.start={self.start}, got {self.parent}",
        )


@dataclass(frozen=True, kw_only=True)
class UnstickConfig:
    """Settings of an unstick sweep: train a stuck run further with changes, and once unchanged (`unstick.*`)."""

    iterations: int = 50  # iterations that each arm trains from the branch on; 20 to 200
    max_arms: int = 12  # arms of the first stage beside the control; 4 to 20
    stages: int = 2  # stages of arms, the next one only while no arm passes its milestones; 1 to 4
    max_env_steps: int | None = None  # budget of all arms in environment steps; 100,000 to 10,000,000; null: none
    repeats: int = 5  # fresh repeats of best arm and control for the verdict; 5 to 20; 0: no verdict
    escalation: tuple[dict[str, Any], ...] = ()  # combined changes for later stages, as in sampler.points

    def __post_init__(self) -> None:
        for name, least, most in (("iterations", 3, 100_000), ("max_arms", 0, 98), ("stages", 1, 10)):
            value = getattr(self, name)
            require(least <= value <= most, f"unstick.{name} must lie in {least}..{most}, got {value}")
        require(
            self.max_env_steps is None or self.max_env_steps >= 1,
            f"unstick.max_env_steps must be at least 1, or null for no budget, got {self.max_env_steps}",
        )
        require(
            self.repeats == 0 or self.repeats >= 3,
            f"unstick.repeats must be at least 3, or 0 for no verdict, got {self.repeats}: fewer have no interval",
        )


@dataclass(frozen=True, kw_only=True)
class MilestonesConfig:
    """Settings of milestones: what a stuck run's branch must reach within which iterations (`milestones.*`)."""

    name: str = "none"  # none | improved | stuck_run | the name of a file of one's own
    checks: tuple[dict[str, Any], ...] = ()  # each {metric, a bound such as above: 0.3, iterations}


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Name of a setting of a script's own."""


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """All settings of a sweep, in groups; `space` holds the range of each searched setting."""

    sweep: StudyConfig = field(default_factory=StudyConfig)
    env: EnvConfig = field(default_factory=EnvConfig)
    data: DataConfig = field(default_factory=DataConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    script: dict[str, Any] = field(default_factory=dict)  # settings of a command's or script's own, by name
    space: dict[str, Any] = field(default_factory=dict)  # what is searched: a range for each setting
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    branch: BranchConfig = field(default_factory=BranchConfig)
    unstick: UnstickConfig = field(default_factory=UnstickConfig)
    milestones: MilestonesConfig = field(default_factory=MilestonesConfig)
    run: str | None = None  # run to branch: SWEEP/7, a checkpoint's folder, an MLflow run id; null: no branching
    arms: tuple[Any, ...] = ARM_SETS  # arms of an unstick: names of sets, and changes such as {ppo: {lr: 1e-3}}
    resume: str | None = None  # name of a sweep to go on with; null: a new one
    retry: str | None = None  # crashed: with resume, trials that crashed run again; null: they stay as they ended
    format: int = FORMAT  # version of the sweep's records, which decides the rules; not to be set
    id: str | None = None  # id by which records know the sweep, made when the sweep starts; not to be set

    def __post_init__(self) -> None:
        require(
            self.resume is None or self.resume == self.sweep.name,
            f"sweep.name must be left out with resume={self.resume}, which says it; got {self.sweep.name}",
        )
        if self.retry is not None:
            require_one_of("retry", self.retry, (CRASHED,))
            require(
                self.resume is not None,
                f"retry={self.retry} is for a sweep on record; say which by resume=NAME",
            )
        require(
            1 <= self.format <= FORMAT,
            f"format must be 1 to {FORMAT}, what this version of Unstuck can go on with, got {self.format}; take the "
            "version that the sweep was made with",
        )
        require(
            self.run != "" or self.resume is not None,
            "run must name the run to branch, got none; add run=SWEEP/7 for trial 7 of a sweep, a checkpoint's folder, "
            "or the id of an MLflow run",
        )
        for name, value in self.script.items():
            require(
                _NAME.fullmatch(str(name)) is not None and isinstance(value, str | int | float | bool | None),
                f"script must hold texts, numbers or booleans by name, got {name}={value!r}; write script.hidden=64",
            )
        for arm in self.arms:
            if not isinstance(arm, dict):
                require_one_of("arms", arm, ARM_SETS)
        module = MODULE_AND_ID.fullmatch(self.env.id)
        require(
            module is None or not _lies_in(module[1], Path(self.sweep.folder)),
            f"env.id must not name a module in sweep.folder, which holds results and no code; got {self.env.id!r}",
        )
        made_by = FUNCTION.fullmatch(self.trainer.make or "")
        require(
            made_by is None or not _lies_in(made_by[1], Path(self.sweep.folder)),
            f"trainer.make must not name a module in sweep.folder, which holds results and no code; got "
            f"{self.trainer.make!r}",
        )

    @property
    def reference(self) -> SweepReference:
        """Reference to the sweep's records: name, id, folder and database URLs; requires that `sweep.name` is set."""
        folder, tracking = Path(self.sweep.folder).absolute(), self.tracking
        return SweepReference(
            name=str(self.sweep.name),
            id=self.id,
            format=self.format,
            folder=folder,
            ledger_url=find_ledger_url(tracking.optuna_url, folder),
            mlflow_url=find_mlflow_url(tracking.mlflow_url, folder),
            mlflow_experiment=tracking.mlflow_experiment,
            is_tracked=tracking.name == "mlflow",
            owns_store=tracking.mlflow_url is None,
        )

    @property
    def own_folder(self) -> Path:
        """Absolute path of the sweep's own folder, `sweep.folder`/`sweep.name`; requires that `sweep.name` is set."""
        return Path(self.sweep.folder).absolute() / str(self.sweep.name)


def _lies_in(module: str, folder: Path) -> bool:
    """Return True if Python would import the named module from the given folder; the module is not imported."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    return any(Path(place, *rest).resolve().is_relative_to(folder.resolve()) for place in places if place)
