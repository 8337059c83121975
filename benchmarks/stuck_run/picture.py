"""The run up to its checkpoint: its picture beside the owner's, which faults it takes, and which form of the third."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from unstuck.rl import metrics
from unstuck.rl.learner import Learner, Metrics
from unstuck.rl.whole_files import replace_file
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.config.flows import load_data
from unstuck.sweeps.trainers.learner_trainer import make_trial_learner

from benchmarks.diagnosis.wrappers import Judge
from benchmarks.in_process import no_ray
from benchmarks.stuck_run.faults import FAULTS, divide_by_nothing, planted
from benchmarks.stuck_run.scale import RUN, Scale, run_command
from benchmarks.value_coef.tables import Table, spread

Array = npt.NDArray[np.float64]

TRUE_FLOWS = "each flow as it is"

FORMS: Mapping[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]] = {
    TRUE_FLOWS: lambda seen: seen,
    "1,000 times too large, as without a scaler": lambda seen: seen * np.float32(1000),
    "the first flow in place of each": lambda seen: np.repeat(seen[:, :1], seen.shape[1], axis=1),
    "zeros": np.zeros_like,
    "divided by a spread of 0": divide_by_nothing,
}
"""What the greedy policy may be shown in place of the flows `[P, B, F]`."""

TRAINED_WITH = ((), ("reward",), ("bonus",))
"""Faults of training, beside both together: evaluation does not change training."""

NEAR = 0.05
"""Distance from 1.0 that the value loss has to keep."""


class Watched:
    """What a training measured for each member, and how its greedy policy judges flows shown in other forms."""

    def __init__(self) -> None:
        self._measured: list[Mapping[str, Array]] = []

    def __call__(self, learner: Learner, measured: Metrics) -> None:
        """Keep the metrics of an iteration; after an evaluation, show the flows to the greedy policy in all forms."""
        row = dict(measured)
        if metrics.F1 in measured:
            greedy = partial(Learner.greedy_actions, learner)  # of the class: nothing is planted there
            for form, show in FORMS.items():
                results = Judge(learner.evaluator, show).evaluate(greedy, len(learner.members))
                row |= {f"{form}: {name}": values for name, values in results.items()}
        self._measured.append(row)

    def trained(self, name: str) -> Array:
        """Return a metric, `[n, members]`, at all n iterations that measured the metric, in order."""
        return np.stack([row[name] for row in self._measured if name in row])

    def judged(self, form: str, name: str) -> Array:
        """Return a metric of evaluations that show the flows in a form, `[evaluations, members]`."""
        return self.trained(f"{form}: {name}")

    def shares(self, iteration: int) -> Array:
        """Return the shares of sampled actions in an iteration, counted from 1, `[members, actions]`."""
        row = self._measured[iteration - 1]
        return np.stack([row[metrics.action_metric(name)] for name in metrics.ACTIONS], axis=1)

    def save(self, file: Path) -> None:
        """Write all that was measured to a file of JSON lines."""
        lines = [json.dumps({name: values.tolist() for name, values in row.items()}) for row in self._measured]
        with replace_file(file) as temporary:
            temporary.write_text("\n".join(lines))

    @classmethod
    def load(cls, file: Path) -> "Watched":
        """Read what `save` wrote."""
        watched = cls()
        for line in file.read_text().splitlines():
            watched._measured.append({name: np.array(values) for name, values in json.loads(line).items()})
        return watched


def train_stuck(scale: Scale, folder: Path) -> Watched:
    """Train the stuck run with all faults, as trial 0 of a sweep in a folder, unless that is done; return figures."""
    file = folder / f"{RUN}.jsonl"
    if not file.exists():
        watched = Watched()
        with planted(tuple(FAULTS), watched):
            run_command(scale.words(), folder, no_ray())
        watched.save(file)
    return Watched.load(file)


def train_with(faults: tuple[str, ...], scale: Scale, folder: Path) -> Watched:
    """Train some members of the stuck run in a folder with other faults, unless that is done; return the figures."""
    file = folder / f"{'-'.join(faults) or 'none'}.jsonl"
    if not file.exists():
        config = find_sweep(RUN, folder)
        watched = Watched()
        with planted(faults, watched):
            few = replace(config, sweep=replace(config.sweep, seeds=scale.few))
            learner = make_trial_learner(few, load_data(config)[0])
            for _ in range(config.ppo.num_iterations):
                learner.iterate()
        watched.save(file)
    return Watched.load(file)


def show_picture(scale: Scale, stuck: Watched, folder: Path) -> list[Table]:
    """Train what the stuck run is compared with; return the tables of the study's first part."""
    others = {faults: train_with(faults, scale, folder) for faults in TRAINED_WITH}
    return [
        beside_the_owner(scale, stuck),
        by_member(scale, stuck),
        forms_of_evaluation(stuck),
        faults_needed(scale, {**others, ("reward", "bonus"): stuck}),
    ]


def beside_the_owner(scale: Scale, stuck: Watched) -> Table:
    """Set the figures of all members beside those of the owner's run (cases/stuck-run-220)."""
    losses, returns = stuck.trained(metrics.VALUE_LOSS), stuck.trained(metrics.TRAIN_RETURN)
    first = _first_near(losses)
    near = losses[first - 1 :]
    allows = stuck.trained(metrics.greedy_metric("allow")) == 1
    inside = ((returns >= -2074) & (returns <= -1371)).mean()
    early, late = scale.early, scale.late
    rows = [
        ["value loss", ".999 to 1.000, ten readings", f"{_ends(near, 3)}, iterations {first} to {scale.iterations}"],
        ["return of an episode", "-2,074 to -1,371, mean -1,686", f"{_ends(returns)}, mean {returns.mean():,.0f}"],
        ["episodes from -2,074 to -1,371", "ten of ten", f"{100 * inside:.1f} %"],
        [f"sampled shares at {early}", "27.8 / 21.9 / 20.5 / 29.8", _shares(stuck.shares(early))],
        [f"sampled shares at {late}", "27.8 / 23.9 / 22.4 / 25.9", _shares(stuck.shares(late))],
        ["evaluations that allow every flow", "11 of 11", f"{allows.sum()} of {allows.size}"],
        ["greedy F1", "0, always", _ends(stuck.trained(metrics.F1), 3)],
    ]
    return Table("All members beside the owner's run:", ["", "his", f"ours, {allows.shape[1]} members"], rows)


def by_member(scale: Scale, stuck: Watched) -> Table:
    """List the picture's figures member by member."""
    losses, returns = stuck.trained(metrics.VALUE_LOSS), stuck.trained(metrics.TRAIN_RETURN)
    allows, f1 = stuck.trained(metrics.greedy_metric("allow")) == 1, stuck.trained(metrics.F1)
    first, early, late = _first_near(losses), scale.early, scale.late
    before, after = stuck.shares(early), stuck.shares(late)
    rows = [
        [
            str(member),
            _ends(losses[first - 1 :, member], 3),
            f"{_ends(returns[:, member])}, mean {returns[:, member].mean():,.0f}",
            _shares(before[member : member + 1]),
            _shares(after[member : member + 1]),
            f"{100 * np.abs(after[member] - before[member]).max():.1f}",
            f"{allows[:, member].sum()} of {len(allows)}",
            f"{f1[:, member].max():.3f}",
        ]
        for member in range(losses.shape[1])
    ]
    columns = ["member", f"value loss from {first} on", "return of an episode", f"shares at {early}", f"at {late}"]
    columns += ["largest change", "evaluations that allow every flow", "highest F1"]
    return Table("Member by member; shares in %, their change in points:", columns, rows)


def forms_of_evaluation(stuck: Watched) -> Table:
    """Compare what the greedy policy may have been shown: how often each form gives one action for every flow."""
    rows = []
    for form in FORMS:
        shares = np.stack([stuck.judged(form, metrics.greedy_metric(name)) for name in metrics.ACTIONS])
        alike, allows = shares.max(axis=0) == 1, shares[0] == 1
        f1 = stuck.judged(form, metrics.F1)
        count, members = alike.size, alike.shape[1]
        always = allows.all(axis=0).sum()
        rows.append(
            [
                form,
                *(f"{one.sum()} of {count}" for one in (alike, allows)),
                f"{always} of {members}",
                f"{f1.mean():.3f} ({_ends(f1, 3)})",
            ]
        )
    columns = ["the greedy policy is shown", "one action for every flow", "that action is allow"]
    columns += ["members that allow in each evaluation", "F1: mean (ends)"]
    return Table("Evaluations of the same members on the same flows, shown in other forms:", columns, rows)


def faults_needed(scale: Scale, trained: Mapping[tuple[str, ...], Watched]) -> Table:
    """Compare trainings with none, one or both of the faults of training, evaluated on flows as they are."""
    early, late = scale.early, scale.late
    rows = []
    for faults, watched in trained.items():
        f1, some = watched.judged(TRUE_FLOWS, metrics.F1)[:, : scale.few], slice(scale.few)
        rows.append(
            [
                " and ".join(faults) or "none",
                spread(watched.trained(metrics.VALUE_LOSS)[-1, some]),
                *(_shares(watched.shares(iteration)[some]) for iteration in (early, late)),
                spread(watched.trained(metrics.TRAIN_RETURN)[-early:, some].mean(axis=0), 0),
                " / ".join(f"{f1[at].mean():.2f}" for at in (0, len(f1) // 2 - 1, -1)),
            ]
        )
    columns = ["planted in training", f"value loss at {scale.iterations}", f"shares at {early}", f"at {late}"]
    columns += [f"return, last {early}", "greedy F1 on flows as they are: first / middle / last"]
    caption = f"Which faults of training are needed; the first {scale.few} members, mean ± spread:"
    return Table(caption, columns, rows)


def _first_near(losses: Array) -> int:
    """Return the iteration from which on the value loss `[iterations, members]` of all members stays near 1.

    The last iteration, where even that one is not near.
    """
    far = np.flatnonzero((np.abs(losses - 1) > NEAR).any(axis=1))
    return min(int(far[-1]) + 2, len(losses)) if len(far) else 1


def _ends(values: Array, digits: int = 0) -> str:
    """Format the lowest and the highest of some values."""
    return f"{values.min():,.{digits}f} to {values.max():,.{digits}f}"


def _shares(members: Array) -> str:
    """Format shares `[members, actions]` in percent, as means over members."""
    return " / ".join(f"{100 * share:.1f}" for share in members.mean(axis=0))
