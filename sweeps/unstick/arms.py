"""Build the arms of an unstick: what the diagnosis prescribes, single changes of three coefficients, and one's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.proposals import Part, Proposal, Start, complete_proposal, propose_arms
from unstuck.records.errors import SweepError
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import ANEW, PRESCRIBED, SweepConfig
from unstuck.sweeps.search.parse import parse_point
from unstuck.sweeps.search.space import read_setting
from unstuck.sweeps.trainers.kinds import explain_limit, explain_unreached, find_trainer
from unstuck.sweeps.trainers.protocol import TrainerKind
from unstuck.sweeps.unstick.arm import PARENT, RESET, START, ArmRecord

FACTORS: Mapping[str, tuple[float, ...]] = {
    "ppo.value_coef": (2.0, 10 / 3),
    "ppo.lr": (5 / 3, 10 / 3),
    "ppo.entropy_coef": (1 / 2.5, 1 / 5),
}
"""Single changes of coefficients, as factors: what the stuck run's owner meant to try."""

COMBINED = {"ppo.value_coef": 10 / 3, "ppo.lr": 5 / 3, "ppo.entropy_coef": 1 / 2.5}
"""Factors of the combined change that the stuck run's owner meant to try last."""

_NEARLY = 0.05
"""Relative distance from a number of one digit within which that number is taken."""


def build_arms(config: SweepConfig, diagnosis: Diagnosis) -> list[ArmRecord]:
    """Build the first round of arms (branches of the stuck run), the unchanged control first, from `arms`.

    Args:
        config: Configuration of the unstick's control, with `arms` and `unstick` as composed.
        diagnosis: Diagnosis of the run at the checkpoint.

    Returns:
        The control and at most `unstick.max_arms` arms, none of them twice.

    Raises:
        SweepError, ConfigError: An arm of the user's own cannot run.
    """
    arms = [_make_control(config)]
    room = config.unstick.max_arms - sum(isinstance(item, Mapping) for item in config.arms)
    for position, item in enumerate(config.arms):
        if isinstance(item, Mapping):  # an arm of the user's own is never cut off
            arms += [arm for arm in [_read_own(config, item, f"arms[{position}]")] if _is_new(arm, arms, config)]
            continue
        proposals = propose_arms(diagnosis) if item == PRESCRIBED else list_single_changes(config)
        for arm in (_from_proposal(proposal, config) for proposal in proposals):
            if room > 0 and _is_new(arm, arms, config) and not _explain_unfit(arm.values, config):
                arms.append(arm)
                room -= 1
    return arms


def explain_left_out(config: SweepConfig, diagnosis: Diagnosis) -> str:
    """Explain which suggested changes to a stuck run its trainer cannot train; empty if it can train all."""
    proposals = propose_arms(diagnosis) if PRESCRIBED in config.arms else []
    records = [_from_proposal(proposal, config) for proposal in proposals]
    return "; ".join(dict.fromkeys(filter(None, (_explain_trainer(arm.values, config) for arm in records))))


def list_single_changes(config: SweepConfig) -> Iterator[Proposal]:
    """Yield a proposed change for each factor in `FACTORS`, times the stuck run's value; skip values of 0."""
    for path, factors in FACTORS.items():
        value = read_setting(config, path)
        for factor in factors if value > 0 else ():
            name = path.rpartition(".")[2]
            words = f"times {factor:.2g}" if factor > 1 else f"divided by {1 / factor:.2g}"
            yield complete_proposal({path: scale(value, factor)}, f"{name} {words}: a usual first guess")


def combine_changes(config: SweepConfig) -> dict[str, Any]:
    """Return a combined change of several settings, `COMBINED` times the stuck run's values, by path."""
    values = {path: read_setting(config, path) for path in COMBINED}
    return {path: scale(value, COMBINED[path]) for path, value in values.items() if value > 0}


def scale(value: float, factor: float) -> float:
    """Multiply a setting by a factor, and round to one digit if close to the exact product, else to two digits.

    Example:
        >>> scale(3e-4, 5 / 3), scale(1.5, 10 / 3), scale(0.14, 2)
        (0.0005, 5.0, 0.28)
    """
    exact = value * factor
    short = float(f"{exact:.1g}")
    return short if abs(short - exact) <= _NEARLY * exact else float(f"{exact:.2g}")


def _make_control(config: SweepConfig) -> ArmRecord:
    kind = find_trainer(config.trainer.name)
    carried = "Everything goes on as saved." if kind.keeps_state else _describe_no_state(kind)
    return ArmRecord({}, "the control: nothing is changed", carried=carried)


def _describe_no_state(kind: TrainerKind) -> str:
    return f"Starts anew, as all arms do: {kind.title} keeps no state to go on from."


def _from_proposal(proposal: Proposal, config: SweepConfig) -> ArmRecord:
    values, kind = dict(proposal.change), find_trainer(config.trainer.name)
    if not kind.keeps_state:
        return ArmRecord(values, proposal.why, proposal.rule, proposal.watch, carried=_describe_no_state(kind))
    if proposal.start is Start.ANEW:
        values[START] = ANEW
    elif proposal.reset:
        values[RESET] = tuple(map(str, proposal.reset))
    return ArmRecord(values, proposal.why, proposal.rule, proposal.watch, carried=proposal.carried)


def _read_own(config: SweepConfig, item: Mapping[str, Any], where: str) -> ArmRecord:
    """Read a user's own arm (branch of a stuck run), and find which parts of the saved state to reset."""
    point = parse_point(item, config, where)
    if reason := _explain_unfit(point, config):
        raise ConfigError(f"{where} cannot run: {reason}")
    start, reset = point.pop(START, None), point.pop(RESET, None)
    if (parent := point.pop(PARENT, None)) is not None:
        raise SweepError(f"{where} must leave branch.parent out, since stages set it, got {parent}")
    parts = tuple(Part(part) for part in reset) if reset is not None else None
    proposal = complete_proposal(point, "asked for", Start(start or Start.CHECKPOINT), parts)
    if start == Start.CHECKPOINT and proposal.start is Start.ANEW:
        raise SweepError(
            f"{where} must start anew: {proposal.carried[:1].lower()}{proposal.carried[1:]} "
            "Write branch: {start: anew}, or leave branch out"
        )
    return _from_proposal(proposal, config)


def _is_new(arm: ArmRecord, arms: Sequence[ArmRecord], config: SweepConfig) -> bool:
    """Return True if an arm (branch of a stuck run) would differ from the control and from all other arms."""

    def key(one: ArmRecord) -> dict[str, Any]:
        return {path: value for path, value in one.values.items() if value != read_setting(config, path)}

    return key(arm) not in [key(other) for other in arms]


def _explain_unfit(values: Mapping[str, Any], config: SweepConfig) -> str:
    """Explain which PPO settings of a stuck run's branch contradict each other; empty if it can run."""
    changes = {path.partition(".")[2]: value for path, value in values.items() if path.startswith("ppo.")}
    try:
        replace(config.ppo, **changes)
    except ConfigError as error:
        return str(error)
    return _explain_trainer(values, config)


def _explain_trainer(values: Mapping[str, Any], config: SweepConfig) -> str:
    """Explain why a stuck run's trainer cannot train a branch with the given values; empty if it can."""
    name, kind = config.trainer.name, find_trainer(config.trainer.name)
    reasons = [explain_limit(name, path, value) for path, value in values.items()]
    reasons += [explain_unreached(config, path) for path in values]
    foreign = [part for part in values.get(RESET, ()) if part not in kind.parts]
    reasons += [f"{kind.title} cannot reset {' and '.join(foreign)}"] if foreign else []
    return next(filter(None, reasons), "")
