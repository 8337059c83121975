"""Made-up diagnoses and sweeps, as reports are given them."""

from collections.abc import Mapping, Sequence
from typing import Any

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Finding, Kind, Ranked, Rule, Stage, Sureness, Unexamined
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.document import Bullets, Commands, Figure, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.history import History
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.rl import metrics

from tests.analysis_tests.runs import healthy

SETTINGS = {
    **{"sweep.metric": "eval/f1", "sweep.mode": "max", "sweep.seeds": 3, "ppo.num_iterations": 100, "ppo.lr": 3e-4},
    **{"sampler.name": "tpe", "scheduler.name": "asha", "env.id": "unstuck/Triage-v0", "format": 2},
    **{"data.source": "synthetic", "data.order": "shuffled", "space.ppo.lr.log": (1e-5, 1e-2)},
}


def ranked(
    kind: Kind, headline: str = "something: with numbers", after: tuple[str, ...] = (), name: str = "", **parts: Any
) -> Ranked:
    """A finding of a rule that is named after its kind."""
    name = name or str(kind)
    rule = Rule(name, f"Rule {name}", Stage.STEP, (), "a paper", lambda run: None)
    finding = Finding(headline, kind, parts.pop("sureness", Sureness.LIKELY), **parts)
    return Ranked(rule, finding, after)


def diagnosed(
    *findings: Ranked,
    run: History | None = None,
    blind: tuple[str, ...] = (),
    questions: Mapping[str, str] | None = None,
) -> Diagnosis:
    """A diagnosis of these findings, of a healthy run unless another one is given."""
    rules = [Rule(name, name, Stage.STEP, (), "a paper", lambda run: None) for name in blind]
    unexamined = tuple(Unexamined(rule, (("train/approx_kl",),)) for rule in rules)
    return Diagnosis(Signals(run or healthy()), findings, unexamined, questions or {})


def summarize(seeds: Sequence[float], iterations: int, seconds: float) -> dict[str, float]:
    """What is written at the end of a trial."""
    members = {metrics.seed_metric(metrics.FINAL_VALUE, member): value for member, value in enumerate(seeds)}
    return {**members, metrics.FINAL_ITERATIONS: iterations, metrics.FINAL_SECONDS: seconds}


def trial(number: int, value: float | None, outcome: str = "completed", **changed: Any) -> Trial:
    """A trial of three seeds, around its value, over lr."""
    seeds = () if value is None else (value - 0.01, value, value + 0.01)
    summary = summarize(seeds, changed.pop("iterations", 100), changed.pop("seconds", 60.0))
    known: dict[str, Any] = {
        **{"number": number, "outcome": outcome, "reason": "", "values": {"ppo.lr": 3e-4 * (number + 1)}, "raw": {}},
        **{"value": value, "summary": summary, "started": None, "state": "COMPLETE", "is_control": number == 0},
        "curve": {10: 0.1, 50: 0.4, 100: value} if value is not None else {},
    }
    return Trial(**{**known, **changed})


def sweep(*trials: Trial, **settings: Any) -> Sweep:
    """A sweep over lr, of up to 100 iterations a trial."""
    return Sweep("made", {**SETTINGS, **settings}, trials)


def headings(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Heading)]


def paragraphs(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Paragraph)]


def tables(blocks: list[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def bullets(blocks: list[Block]) -> list[Any]:
    return [item for block in blocks if isinstance(block, Bullets) for item in block.items]


def commands(blocks: list[Block]) -> list[str]:
    return [line for block in blocks if isinstance(block, Commands) for line in block.lines]


def figures(blocks: list[Block]) -> dict[str, Figure]:
    return {block.name: block for block in blocks if isinstance(block, Figure)}
