"""Make the judges of a sweep: ours, and those that other packages add (docs/extending.md)."""

from collections.abc import Callable, Mapping, Sequence

from unstuck.records import extensions
from unstuck.records.axis import Axis
from unstuck.records.extensions import Extension
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.rl.budget import Budget
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.run.settings_in_force import SettingsInForce
from unstuck.sweeps.stopping.asha import Asha
from unstuck.sweeps.stopping.health import HealthRules
from unstuck.sweeps.stopping.judge import Judge, LastStep
from unstuck.sweeps.stopping.live_trial import LiveTrial

JudgeFactory = Callable[[SweepConfig, Axis], Judge | None]
"""Maker of a judge, given the sweep's configuration and the axis that counts trials; None: no judge in this sweep."""

_MAY_SAY = (Outcome.PRUNED, Outcome.STUCK, Outcome.DIVERGED)


def make_settings_in_force(config: SweepConfig, axis: Axis) -> Judge:
    """Make the judge that marks a trial as crashed if the learner uses other settings than recorded."""
    return SettingsInForce(Budget.from_config(config.ppo) if axis.in_env_steps else None)


def make_health(config: SweepConfig, axis: Axis) -> Judge:
    """Make the judge that ends a trial whose losses are not finite or explode, or that makes no progress."""
    return HealthRules(config.health, config.sweep.metric, axis)


def make_asha(config: SweepConfig, axis: Axis) -> Judge | None:
    """Make the judge that prunes trials which do worse than others (ASHA); None unless `scheduler.name` is `asha`."""
    return Asha(config, axis) if config.scheduler.name == "asha" else None


def make_last_step(config: SweepConfig, axis: Axis) -> Judge:
    """Make the judge that ends a trial as completed when the trial has reached the full training length."""
    return LastStep(axis)


JUDGES: Mapping[str, JudgeFactory] = {
    "settings_in_force": make_settings_in_force,
    "health": make_health,
    "asha": make_asha,
    "last_step": make_last_step,
}
"""In the order in which they are asked; those of others come before the last."""


def load_judges() -> tuple[Extension[JudgeFactory], ...]:
    """Load the functions that make judges (early-stopping rules), also from other packages, in the order of asking.

    Raises:
        ExtensionError: An entry point of `unstuck.judges` cannot be used.
    """
    wanted = "a function of SweepConfig and Axis that returns a judge, or None"
    loaded = extensions.load_extensions(extensions.JUDGES, JUDGES, callable, wanted)
    last = len(JUDGES) - 1
    return (*loaded[:last], *loaded[last + 1 :], loaded[last])


def make_judges(config: SweepConfig, axis: Axis) -> tuple[Judge, ...]:
    """Make the judges (early-stopping rules) of a sweep, built-in and from other packages, in the order of asking.

    Args:
        config: Settings of the sweep.
        axis: Axis that the sweep counts trials by.

    Raises:
        ExtensionError: An entry point of `unstuck.judges` cannot be used.
    """
    made = ((one, one.value(config, axis)) for one in load_judges())
    return tuple(judge if one.is_ours else OthersJudge(judge, one) for one, judge in made if judge is not None)


class OthersJudge:
    """Wrapper of another package's judge (early-stopping rule): never stops the control, reports the judge's errors.

    Rule of all judges: nothing stops the control (docs/design.md, D8).

    A judge that fails crashes the trial, with the package's name in the reason: a sweep without its judge would be
    another sweep.

    Args:
        judge: The other package's judge.
        origin: Where the judge comes from.
    """

    def __init__(self, judge: Judge, origin: Extension[JudgeFactory]) -> None:
        self._judge, self._name = judge, f"judge {origin.name} of package {origin.package}"

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Ask another package's judge; return outcome and reason if the trial ends, a crash if the judge fails."""
        if trial.is_control:
            return None
        try:
            verdict = self._judge.judge(trial, period)
        except Exception as error:  # whatever another package may raise
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            return Verdict(Outcome.CRASHED, f"{self._name} failed: {reason}")
        if verdict is None or (isinstance(verdict, Verdict) and verdict.outcome in _MAY_SAY):
            return verdict
        wanted = f"None or a Verdict of {', '.join(_MAY_SAY)}"
        return Verdict(Outcome.CRASHED, f"{self._name} must return {wanted}, got {verdict!r:.100}")
