"""Proposals of a diagnosis: arms that branch a run from its checkpoint, with what each carries over and what it resets.

A change of settings meets weights that were trained under other settings. So a proposal says where the arm starts (the
run's checkpoint, or anew), which parts of the saved state start anew all the same, and why.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from unstuck.analysis.diagnosis.arms import Arm, rank_arms, read_settings, select_consistent
from unstuck.analysis.diagnosis.finding import Diagnosis, Kind
from unstuck.analysis.diagnosis.remedies import list_unusual
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import join_words
from unstuck.rl import metrics


class Start(StrEnum):
    """State that a stuck run's proposed branch starts from: the checkpoint, or newly initialised weights."""

    CHECKPOINT = "checkpoint"
    ANEW = "anew"


class Part(StrEnum):
    """Parts of a checkpoint's state that can be reset to untrained while the rest is kept; names as in `rl.branch`."""

    POLICY_HEAD = "policy_head"
    VALUE_HEAD = "value_head"
    ADAM = "adam"
    RETURN_NORMALIZER = "return_normalizer"
    OBSERVATION_NORMALIZER = "observation_normalizer"


@dataclass(frozen=True)
class Proposal:
    """Proposed branch of a stuck run (an arm): changed settings, the state to start from, and the reason.

    Attributes:
        change: Settings by dotted path; empty if the arm resets parts alone.
        start: State that the arm starts from.
        reset: Parts of the run's state that start anew; none for an arm that starts anew as a whole.
        why: Reason for the change.
        rule: Name of the rule that proposes the change, several for a combined arm, `UNUSUAL` for a setting far from
            usual; empty for a change that somebody asked for.
        watch: Metric and deadline by which the change must show an effect.
        carried: Sentences on what is carried over from the run and what is not, and why.
    """

    change: Mapping[str, Any]
    start: Start
    reset: tuple[Part, ...]
    why: str
    rule: str
    watch: str
    carried: str


@dataclass(frozen=True)
class _Loss:
    """Parts of a stuck run's saved state that a changed run cannot use, and the reason as a clause.

    Attributes:
        parts: Parts that can start anew while the rest goes on.
        why: Reason, as a clause.
        in_hidden: True if hidden layers are of no use either, which no arm from the checkpoint can start anew.
    """

    parts: tuple[Part, ...]
    why: str
    in_hidden: bool = False


_DAMAGE = {
    "entropy_collapsed": _Loss(
        (Part.POLICY_HEAD, Part.ADAM), "the policy has collapsed: its head prefers one action whatever is observed"
    ),
    "units_saturated": _Loss(
        (Part.POLICY_HEAD, Part.VALUE_HEAD, Part.ADAM),
        "hidden units are saturated, and the heads have adapted to them",
        in_hidden=True,
    ),
    "updates_too_large": _Loss(
        (Part.POLICY_HEAD, Part.VALUE_HEAD, Part.ADAM),
        "updates were too large: they have thrown the heads about, and Adam's moments hold their size",
        in_hidden=True,
    ),
    "value_explosion": _Loss(
        (Part.VALUE_HEAD, Part.RETURN_NORMALIZER, Part.ADAM),
        "the critic has exploded, and its gradients with it",
    ),
}
"""Damage to the weights that a fault leaves behind, by the rule that finds the fault."""

_TARGETS = _Loss(
    (Part.VALUE_HEAD, Part.RETURN_NORMALIZER, Part.ADAM), "{} changes the scale or the horizon of the critic's targets"
)
_OF_TARGETS = ("ppo.gamma", "ppo.gae_lambda", "ppo.normalize_returns")

_OTHER_NETWORKS = {
    "ppo.hidden_sizes": "hidden_sizes gives the networks another shape",
    "ppo.shared_trunk": "shared_trunk gives the networks another shape",
    "ppo.normalize_observations": "normalize_observations shows the networks other inputs than they were trained on",
}
"""Settings whose change leaves no weight usable, each with the reason."""

_LANES = {"ppo.num_envs": "num_envs sets another number of them"}
"""Settings that need other lanes, each with the reason."""

_NAMES = {
    Part.POLICY_HEAD: "the policy's head",
    Part.VALUE_HEAD: "the critic's head",
    Part.ADAM: "Adam's moments",
    Part.RETURN_NORMALIZER: "the normaliser of returns",
    Part.OBSERVATION_NORMALIZER: "the normaliser of observations",
}

UNUSUAL = "unusual_setting"
"""In place of a rule's name: the setting alone is the reason, far from any usual value."""

_FROM_THE_START = "the arm shows whether the settings train well from the start"
"""Reason of an arm that starts anew though nothing is damaged."""

_FINITE = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM)
"""Metrics that tell, by their last values, whether the weights are numbers at all."""


def propose_arms(diagnosis: Diagnosis) -> list[Proposal]:
    """Return all branches of a stuck run (arms) that a diagnosis proposes, the most promising first.

    The first remedy of the most basic cause comes first. Several causes may hide each other, so a combined arm mends
    all of them at once. Then come usual values of settings that are far from usual, each alone, and all remedies. A
    run whose weights are damaged gets two arms for each change: one goes on from the checkpoint with the damaged
    parts reset, one starts anew. Where hidden layers are damaged the one that starts anew comes first, since the other
    keeps them. Without damage only the widest change starts anew as well. Changes of the rewards or the environment are
    left out: no arm's result could be compared with another's.
    """
    run = diagnosis.signals
    found = {ranked.rule.name for ranked in diagnosis.select_findings(Kind.FAULT)}
    unusual = [Arm(remedy.change, remedy.why, remedy.watch, UNUSUAL) for remedy in list_unusual(run)]
    ranked = select_consistent([*rank_arms(diagnosis), *unusual], read_settings(run))
    singles = [arm for arm in ranked if not arm.changes_objective]
    far_off = [arm for arm in singles if arm.change in [one.change for one in unusual]]
    together = _combine(diagnosis, singles, far_off)
    proposals: list[Proposal] = []
    for arm in [*singles[:1], *together, *far_off, *singles]:
        damage = _list_damage(run, found, arm.rule)
        widest = arm is (together or singles)[0]
        for proposal in (_propose(arm, start, damage) for start in _choose_starts(run, damage, widest)):
            if not any(_is_same_arm(proposal, other) for other in proposals):
                proposals.append(proposal)
    return proposals


def _choose_starts(run: Signals, damage: Sequence[_Loss], widest: bool) -> tuple[Start, ...]:
    """Choose the states (checkpoint or fresh weights) to try a change of a stuck run from, best first.

    Args:
        run: The run.
        damage: Damage to the run's weights.
        widest: True for the change that is tried from the start even if nothing is damaged.
    """
    if _is_broken(run):
        return (Start.ANEW,)
    if any(loss.in_hidden for loss in damage):
        return (Start.ANEW, Start.CHECKPOINT)
    return (Start.CHECKPOINT, Start.ANEW) if damage or widest else (Start.CHECKPOINT,)


def _list_damage(run: Signals, found: Collection[str], suspected: str) -> list[_Loss]:
    """List the parts of the saved state that faults have damaged, also a shared network's layers.

    Args:
        run: The run.
        found: Rules that found a fault.
        suspected: Rule that an arm mends; without a fault its damage is in doubt, so hidden layers count as whole.
    """
    shared = run.setting("ppo.shared_trunk") is True
    return [
        replace(loss, in_hidden=rule in found and (loss.in_hidden or (shared and Part.VALUE_HEAD in loss.parts)))
        for rule, loss in _DAMAGE.items()
        if rule in found or rule == suspected
    ]


def _is_same_arm(one: Proposal, other: Proposal) -> bool:
    return (one.change, one.start, one.reset) == (other.change, other.start, other.reset)


def _combine(diagnosis: Diagnosis, arms: Sequence[Arm], far_off: Sequence[Arm]) -> list[Arm]:
    """Combine the first remedies of all basic faults, and all usual values, into one change; none if only one changes.

    A fault is basic if no other finding can be its cause.
    """
    basic = [ranked.rule.name for ranked in diagnosis.select_findings(Kind.FAULT) if not ranked.follows_from]
    first = [next((arm for arm in arms if arm.rule == rule), None) for rule in basic]
    parts = [*(arm for arm in first if arm is not None), *far_off]
    change: dict[str, Any] = {}
    for part in parts:
        change = {**part.change, **change}
    if len(change) < 2 or any(change == arm.change for arm in arms):
        return []
    rules = ", ".join(dict.fromkeys(part.rule for part in parts))
    return [Arm(change, "everything that may be wrong at once, as one fault can hide another", parts[0].watch, rules)]


def complete_proposal(
    change: Mapping[str, Any], why: str, start: Start = Start.CHECKPOINT, reset: Sequence[str] | None = None
) -> Proposal:
    """Make a stuck run's branch from a change that somebody asked for, with the state parts to reset.

    Args:
        change: Settings by dotted path.
        why: Reason for the change.
        start: State that the arm starts from; a change of the networks' shape or inputs starts anew in any case.
        reset: Parts to reset; None: those that the change makes useless.
    """
    arm = Arm(change, why, "", "")
    if reset is None:
        return _propose(arm, start, ())
    return _propose(arm, start, (), tuple(Part(part) for part in reset))


def _propose(arm: Arm, start: Start, damage: Sequence[_Loss], asked_for: tuple[Part, ...] | None = None) -> Proposal:
    """Make a stuck run's branch from a change: work out which parts of the saved state can be kept.

    Args:
        arm: The change, with its reason.
        start: State that the arm is to start from.
        damage: Damage to the run's weights.
        asked_for: Parts to reset instead of those that `damage` and the change make useless.
    """
    others = [why for path, why in _OTHER_NETWORKS.items() if path in arm.change]
    targets = [path.rpartition(".")[2] for path in _OF_TARGETS if path in arm.change]
    losses = list(damage)
    if targets:
        losses.append(_Loss(_TARGETS.parts, _TARGETS.why.format(join_words(targets))))
    if others or start is Start.ANEW:
        reasons = others or [loss.why for loss in damage] or [_FROM_THE_START]
        return Proposal(arm.change, Start.ANEW, (), arm.why, arm.rule, arm.watch, _describe_anew(reasons))
    lost = {part for loss in losses for part in loss.parts} if asked_for is None else set(asked_for)
    reset = tuple(part for part in Part if part in lost)
    reasons = [loss.why for loss in losses] if asked_for is None else ["it was asked for"] if reset else []
    lanes = next((why for path, why in _LANES.items() if path in arm.change), "")
    carried = _describe_carried(reset, reasons, lanes)
    if any(loss.in_hidden for loss in losses):
        carried = carried.removesuffix(".") + ", the damaged hidden layers too."
    return Proposal(arm.change, Start.CHECKPOINT, reset, arm.why, arm.rule, arm.watch, carried)


def _describe_anew(reasons: Sequence[str]) -> str:
    because = f": {join_words(reasons)}" if reasons else ""
    return f"Nothing is carried over from the run{because}."


def _describe_carried(reset: Sequence[Part], reasons: Sequence[str], lanes: str) -> str:
    """Describe in a sentence or two which parts of a stuck run's saved state are kept and which reset."""
    carried = "Everything else goes on as saved." if reset or lanes else "Everything goes on as saved."
    anew = [_NAMES[part] for part in reset]
    sentences = []
    if anew:
        because = f": {join_words(reasons)}" if reasons else ""
        verb = "starts" if len(anew) == 1 and reset[0] is not Part.ADAM else "start"
        text = f"{join_words(anew)} {verb} anew{because}."
        sentences.append(text[0].upper() + text[1:])
    if lanes:
        sentences.append(f"Lanes start anew: {lanes}.")
    return " ".join([*sentences, carried])


def _is_broken(run: Signals) -> bool:
    """True if the run's last losses are not finite, so that its weights are not numbers either."""
    curves = [run.history.curve(name) for name in _FINITE]
    return any(not curve.empty and not abs(float(curve.iloc[-1])) < float("inf") for curve in curves)
