"""Something was learned and lost again: the return rose clearly, and fell back, and has stayed down since.

What happened about the fall tells why: updates that were too large, an entropy that was gone, one that was pushed up
again, or a critic that went astray.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import (
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.remedies import change_rate
from unstuck.analysis.diagnosis.rules.reward_sparse import find_seldom_met
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_CLIP, LARGE_KL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

POINTS, EVALUATIONS = 20, 12
"""Returns of training on record before anything is said; evaluations, where fewer of training are."""

LOST, MOSTLY = 0.5, 0.75
"""Share of the gain that is lost again: from the first on a doubt, from the second a fault."""

CLEAR = 6.0
"""Changes from one smoothed return to the next that rise and fall must exceed."""

LASTS = 0.1
"""Share of the run, and `LEAST` returns, for which the return must have stayed below half of its gain."""

FOR_LONG = 0.2
"""Share of the returns for which the fall must have lasted to be a fault: healthy runs recover sooner."""

LEAST = 5

SMOOTHED, STAY = 3, 2
"""Returns of training that are averaged at least, and evaluations that must have stayed down: each of these is a mean
over episodes of one policy already."""

GONE, PUSHED = 0.1, 0.1
"""Share of the largest entropy below which exploration was over when the return fell, and by which a bonus that pushes
the policy back has raised entropy since."""

SPIKE = 3.0
"""Factor of its usual size that KL about the fall must reach to be a reason for it, with `LARGE_KL` / 2 at least."""


@dataclass(frozen=True)
class _Fall:
    """Rise and fall of a return (`metric`), with the iterations of the peak and of the loss of half of the gain."""

    metric: str
    first: float
    best: float
    last: float
    peak: int
    fell: int

    @property
    def lost(self) -> float:
        """Share of the gained return that was lost again."""
        return (self.best - self.last) / (self.best - self.first)


def examine(run: Signals) -> Finding | None:
    """Return a finding if the return rose clearly and then lost half of the gain or more; None otherwise."""
    fall = find_fall(run)
    if fall is None or judge_standing(run).state is State.RISING:
        return None
    text = (
        f"return {number(fall.first, 3)} at first, {number(fall.best, 3)} at iteration {fall.peak}, "
        f"{number(fall.last, 3)} in the end"
    )
    gone, pushed = _gone(run, fall), _pushed(run, fall)
    causes = (_steps(run, fall), gone, pushed, _critic(run, fall), _OTHER)
    supported = [cause for cause in causes if cause.support is Support.SUPPORTED]
    return Finding(
        headline=f"Learned and lost again: {text}",
        kind=Kind.FAULT if fall.lost >= MOSTLY and _is_settled(run, fall) else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"{percent(fall.lost)} of the gain is lost, since iteration {fall.fell}"
        + (f"; {supported[0].why}" if supported else ""),
        evidence=(Evidence(text, (fall.metric,), (fall.peak, run.history.last_iteration)),),
        causes=causes,
        remedies=_remedies(run, gone in supported, pushed in supported),
        since=fall.fell,
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.STATE,
    )


def find_fall(run: Signals) -> _Fall | None:
    """Find a clear rise and lasting fall of the return of training, else of evaluations; return None without one."""
    curve = _select_return(run)
    if curve is None or find_seldom_met(run) is not None:
        return None  # a mean over episodes of which few meet a reward goes up and down by chance
    if judge_standing(run).frozen and judge_standing(run).at_best:
        return None
    is_trained = curve.name == metrics.TRAIN_RETURN
    size = max(SMOOTHED if is_trained else 1, len(curve) // 10)
    smooth = curve.rolling(size).mean().dropna()
    values = np.asarray(smooth, dtype=np.float64)
    top = int(values.argmax())
    first, best, last = float(values[: top + 1].min()), float(values[top]), float(values[-1])
    clear = CLEAR * max(_usual_change(np.asarray(curve, dtype=np.float64), size), 1e-12)
    if best - first <= clear or best - last <= clear or best - last < LOST * (best - first):
        return None
    half = (best + first) / 2
    below = smooth.iloc[top:] < half
    stays = int(below[::-1].cumprod().sum())
    if stays < max(LEAST if is_trained else STAY, LASTS * len(curve)):
        return None
    return _Fall(str(curve.name), first, best, last, int(smooth.index[top]), int(smooth.index[-stays]))


def _select_return(run: Signals) -> "pd.Series[float] | None":
    """Return the curve of training returns; of evaluations where few of training are on record; None if both are few.

    Of our own learner training is always on record.
    """
    trained, evaluated = run.select_finite(metrics.TRAIN_RETURN), run.select_finite(metrics.EVAL_RETURN)
    if len(trained) >= POINTS:
        return trained.rename(metrics.TRAIN_RETURN)
    if len(evaluated) >= EVALUATIONS and len(trained) < len(evaluated) and not run.is_ours:
        return evaluated.rename(metrics.EVAL_RETURN)
    return None


def _is_settled(run: Signals, fall: _Fall) -> bool:
    """True if the fall has lasted, and greedy evaluations, where recorded, have fallen as well."""
    returns, greedy = run.select_finite(fall.metric), run.select_finite(metrics.EVAL_RETURN)
    if len(returns.loc[fall.fell :]) < FOR_LONG * len(returns):
        return False
    if len(greedy) < LEAST:
        return True
    first, best, last = float(greedy.iloc[0]), float(greedy.max()), float(greedy.iloc[-3:].mean())
    return best <= first or last < (best + first) / 2


def _usual_change(values: npt.NDArray[np.float64], size: int) -> float:
    """Estimate the standard deviation of a mean of `size` returns, from differences of neighbouring returns."""
    return 1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2 * size)


def _about(curve: "pd.Series[float]", fall: _Fall) -> "pd.Series[float]":
    """Return a metric's values from the peak of the return to the iteration at which half of the gain was lost."""
    return curve.loc[fall.peak : fall.fell]


def _steps(run: Signals, fall: _Fall) -> Cause:
    kl, clipped = run.select_finite(metrics.APPROX_KL), _about(run.select_finite(metrics.CLIP_FRACTION), fall)
    about = _about(kl, fall)
    support, why = Support.OPEN, ""
    if len(about):
        most, usual = float(about.max()), float(kl.median())
        large = most > LARGE_KL or (most > SPIKE * usual and most > LARGE_KL / 2)
        large = large or (len(clipped) > 0 and float(clipped.max()) > LARGE_CLIP)
        support = Support.SUPPORTED if large else Support.RULED_OUT
        why = f"KL up to {number(most, 2)} while it fell, {number(usual, 2)} in the median of the run"
    test = "branch from before the fall at a third of the learning rate, and with target_kl 0.02: it does not fall"
    return Cause("steps too large while it fell", test, support, why)


def _gone(run: Signals, fall: _Fall) -> Cause:
    entropy, most = run.select_finite(metrics.ENTROPY).loc[: fall.fell], run.entropy_reference
    support, why = Support.OPEN, ""
    if len(entropy) and most:
        share = float(entropy.iloc[-LEAST:].mean()) / most
        support = Support.SUPPORTED if share < GONE else Support.RULED_OUT
        why = f"entropy {percent(share)} of its maximum when it fell"
    test = "branch from before the fall with three times the entropy_coef"
    return Cause("a policy that no longer explores, and cannot find its way back", test, support, why)


def _pushed(run: Signals, fall: _Fall) -> Cause:
    entropy, most = run.select_finite(metrics.ENTROPY), run.entropy_reference
    support, why = Support.OPEN, ""
    if len(entropy) and most and len(entropy.loc[: fall.peak]):
        then, now = float(entropy.loc[: fall.peak].iloc[-LEAST:].mean()), float(entropy.iloc[-LEAST:].mean())
        support = Support.SUPPORTED if now - then > PUSHED * most else Support.RULED_OUT
        why = f"entropy {number(then, 3)} at the peak, {number(now, 3)} in the end"
    test = "branch from the peak with a tenth of the entropy_coef: entropy stays, and so does the return"
    return Cause("an entropy bonus that outweighs advantages as these shrink", test, support, why)


def _critic(run: Signals, fall: _Fall) -> Cause:
    explained = run.select_finite(metrics.EXPLAINED_VARIANCE)
    before, about = explained.loc[: fall.peak].iloc[-LEAST:], _about(explained, fall)
    support, why = Support.OPEN, ""
    if len(before) and len(about):
        then, least = float(before.median()), float(about.median())
        support = Support.SUPPORTED if then > 0.3 and least < 0 else Support.OPEN
        why = f"explained variance {number(then, 2)} at the peak, {number(least, 2)} while it fell"
    test = "set the value loss beside the return: it rises first"
    return Cause("a critic that went astray first", test, support, why)


_OTHER = Cause(
    "a task that changed: another stage, other data, a normaliser that drifted, a resumed run",
    "play the policy of the peak now: if it earns less than it did, the task is another one",
)


def _remedies(run: Signals, is_gone: bool, is_pushed: bool) -> tuple[Remedy, ...]:
    """Return remedies for a policy that stopped exploring (`is_gone`) or followed the entropy bonus (`is_pushed`)."""
    watch = "the return stays above half of its best to the end"
    weight = run.read_number("ppo.entropy_coef")
    remedies: list[Remedy] = []
    if is_pushed and weight:
        remedies.append(Remedy({"ppo.entropy_coef": float(f"{weight / 10:.1g}")}, "leaves the policy learned", watch))
    if is_gone:
        more = [0.01, 0.03] if not weight or weight < 0.01 else float(f"{weight * 3:.1g}")
        remedies.append(Remedy({"ppo.entropy_coef": more}, "keeps other actions in play", watch))
    smaller = change_rate(run, (1 / 3,), "smaller steps undo less", watch)
    limit = Remedy({"ppo.target_kl": 0.02}, "ends an update before it undoes what was learned", watch)
    return (*remedies, limit, *smaller) if run.setting("ppo.target_kl") is None else (*remedies, *smaller)


RULE = Rule(
    name="learned_and_lost",
    title="Learned and lost again",
    stage=Stage.BEHAVIOUR,
    needs=((metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(metrics.APPROX_KL, metrics.ENTROPY, metrics.EXPLAINED_VARIANCE),
    explains=("oscillating", "return_frozen"),
    says=(
        "the return rose clearly and fell back, and has stayed down; what KL, entropy and critic did about "
        "the fall tells why"
    ),
    threshold=(
        "half of the gain lost for a tenth of the run or more; a fault from three quarters on, for a fifth of"
        " the run, where greedy evaluations have fallen as well; rise and fall each 6 standard errors of the "
        "smoothed return; 20 returns of training, or 12 evaluations where fewer of training are on record"
    ),
    source=("Schulman 2017 (a KL spike is a drastic loss of performance); Dohare et al. 2023 (policy collapse in PPO)"),
    examine=examine,
)
