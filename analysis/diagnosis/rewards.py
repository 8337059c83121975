"""Mean rewards under the triage reward table: of constant policies, and of the best policy."""

from dataclasses import dataclass

from unstuck.analysis.diagnosis.finding import Support
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import number
from unstuck.rl.metrics import ACTIONS


@dataclass(frozen=True)
class Rewards:
    """Mean reward for each network flow that constant, uniform and perfect policies earn under a reward table.

    Attributes:
        constant: Mean reward of always taking one action, by action name.
        uniform: Mean reward of drawing actions evenly.
        perfect: Mean reward of the best action for benign flows and the best action for threats.
        best_benign: Name of the best action for benign flows.
        best_threat: Name of the best action for threats.
        certainty: Probability of a threat above which the best action for threats pays more than the one for benign
            flows; above 1 if that never happens.
    """

    constant: dict[str, float]
    uniform: float
    perfect: float
    best_benign: str
    best_threat: str
    certainty: float

    @property
    def best_constant(self) -> float:
        """Mean reward for each network flow of the best policy that takes the same action for all flows."""
        return max(self.constant.values())

    def compute_gain(self, reward: float, start: float) -> float | None:
        """Compute where a reward lies from `start` (0) to a perfect policy's (1); None if perfect is no better."""
        return (reward - start) / (self.perfect - start) if self.perfect > start else None


def compute_rewards(run: Signals) -> Rewards | None:
    """Compute simple policies' mean rewards from the reward table and the share of threats; None if not recorded.

    The settings of a sweep hold a table whatever the environment is; only the triage of flows pays by the table.
    """
    if run.setting("env.id") is not None and not run.is_triage:
        return None
    benign, threat = run.setting("env.reward_benign"), run.setting("env.reward_threat")
    share = compute_threat_share(run)
    rows = [row for row in (benign, threat) if isinstance(row, tuple | list) and len(row) == len(ACTIONS)]
    if len(rows) < 2 or share is None:
        return None
    pays = {name: ((1 - share) * b + share * t) for name, b, t in zip(ACTIONS, *rows, strict=True)}
    best_benign = max(range(len(ACTIONS)), key=rows[0].__getitem__)
    best_threat = max(range(len(ACTIONS)), key=rows[1].__getitem__)
    loss = rows[0][best_benign] - rows[0][best_threat]
    gain = rows[1][best_threat] - rows[1][best_benign]
    return Rewards(
        constant=pays,
        uniform=sum(pays.values()) / len(pays),
        perfect=(1 - share) * rows[0][best_benign] + share * rows[1][best_threat],
        best_benign=ACTIONS[best_benign],
        best_threat=ACTIONS[best_threat],
        certainty=loss / (loss + gain) if loss + gain > 0 else 2.0,
    )


def compute_threat_share(run: Signals) -> float | None:
    """Compute the share of threats among evaluated network flows from confusion counts, or else from a setting.

    None if neither confusion counts nor the setting were recorded.
    """
    return run.read_number("data.threat_share") if run.threats_judged is None else run.threats_judged


def judge_constant_policies(run: Signals) -> tuple[Support, str]:
    """Judge if one action pays most for benign and threat flows alike; return yes, open or no, and the reason."""
    rewards = compute_rewards(run)
    if rewards is None:
        return Support.OPEN, ""
    best = max(rewards.constant, key=rewards.constant.__getitem__)
    why = (
        f"always {best} earns {number(rewards.constant[best], 3)} a flow, a perfect policy {number(rewards.perfect, 3)}"
    )
    same = rewards.best_benign == rewards.best_threat
    return Support.SUPPORTED if same else Support.RULED_OUT, why
