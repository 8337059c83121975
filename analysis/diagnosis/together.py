"""Read the seeds of a trial together: what most seeds show, and what all show a little of, are the trial's.

Seeds of one configuration are alike in more than chance: they share settings, data and bugs, so a rule that is wrong
about one of them may be wrong about the others for the same reason. What is combined here needs no independence:

- A vote. If a rule accuses a healthy seed with probability p, more than half of k seeds are accused with a probability
  below 2 p, however the seeds depend on one another (Markov's inequality; Rueger 1978, Das maximale Signifikanzniveau
  des Tests: lehne H0 ab, wenn k unter n gegebenen Tests zur Ablehnung fuehren, Metrika 25), with 3 p^2 of three
  independent ones, and with p of seeds that are all the same. Any seed of k would give up to k p.
- The rule on the mean over seeds, whose noise is smaller, so that what is too weak in one seed and the same in all
  counts. One odd seed can bring about any mean, so seeds that the rule accuses alone are left out, and the rule must
  hold as well without any one of the others (the jackknife: Quenouille 1956).

What few seeds show alone is a statement on these seeds, never a fault of the trial.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from unstuck.analysis.diagnosis.examining import examine_rule
from unstuck.analysis.diagnosis.finding import Agreement, Cause, Evidence, Finding, Kind, Rule, Sureness, Unexamined
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import join_words, pluralize

LEAST = 3
"""Seeds of which a mean without any one is a mean: without one of two, a single seed is left."""

Answer = Finding | Unexamined | None
"""What a rule says of a run: a finding, what the rule lacks, or nothing."""

_WEIGHT = {Kind.FAULT: 2, Kind.SUSPECT: 1}


def read_together(trial: Signals, answers: Mapping[Rule, Answer]) -> dict[Rule, Answer]:
    """Return each rule's finding on a trial, combined from single seeds' findings; unchanged without such seeds.

    Args:
        trial: Trial, as the mean over its seeds.
        answers: What each rule says of the mean.
    """
    seeds = {seed: Signals(history) for seed, history in trial.history.split_seeds().items()}
    if not seeds:
        return dict(answers)
    means = _Means(trial)
    return {rule: _hear_seeds(rule, mean, seeds, means) for rule, mean in answers.items()}


class _Means:
    """Cache of a trial's metrics averaged over some of the seeds.

    Args:
        trial: Trial.
    """

    def __init__(self, trial: Signals) -> None:
        self._trial = trial
        self._made: dict[frozenset[int], Signals] = {}

    def weigh_without_one(self, rule: Rule, seeds: Collection[int]) -> int:
        """Return the mildest answer over means that each leave one seed out: 2 a fault, 1 a suspect, else 0."""
        if len(seeds) < LEAST:
            return 0
        return min(_weigh(examine_rule(self._average(frozenset(seeds) - {left}), rule)) for left in seeds)

    def _average(self, seeds: frozenset[int]) -> Signals:
        if seeds not in self._made:
            self._made[seeds] = Signals(self._trial.history.average_seeds(seeds))
        return self._made[seeds]


def _hear_seeds(rule: Rule, mean: Answer, seeds: Mapping[int, Signals], means: _Means) -> Answer:
    """Return what a rule says of a trial: the finding on the mean, corrected by what most single seeds show."""
    heard = {seed: examine_rule(run, rule) for seed, run in seeds.items()}
    found = {seed: one for seed, one in heard.items() if not isinstance(one, Unexamined)}
    if len(found) < 2:
        return mean
    for kind in (Kind.FAULT, Kind.SUSPECT):
        holding = {seed: one for seed, one in found.items() if one and _weigh(one) >= _WEIGHT[kind]}
        if 2 * len(holding) > len(found):
            return _tell_majority(kind, mean, holding, found)
        if not isinstance(mean, Finding) or _weigh(mean) < _WEIGHT[kind]:
            continue
        if means.weigh_without_one(rule, found.keys() - holding.keys()) >= _WEIGHT[kind]:
            return replace(mean, kind=kind, seeds=Agreement(_list_wrong(found), tuple(found), pooled=True))
    odd = {seed: one for seed, one in found.items() if one and one.kind is Kind.FAULT}
    if odd:
        return _tell_few(odd, found)
    return None if _weigh(mean) else mean


def _tell_majority(
    kind: Kind, mean: Answer, holding: Mapping[int, Finding], found: Mapping[int, Finding | None]
) -> Finding:
    """Return the finding of most seeds, with the mean's numbers if the mean shows it too."""
    seeds = Agreement(_list_wrong(found), tuple(found))
    if isinstance(mean, Finding) and _weigh(mean) >= _WEIGHT[kind]:
        sureness = max(mean.sureness, min(one.sureness for one in holding.values()))
        return replace(mean, kind=kind, sureness=sureness, seeds=seeds)
    return replace(_tell_typical(holding), kind=kind, seeds=seeds)


def _tell_few(odd: Mapping[int, Finding], found: Mapping[int, Finding | None]) -> Finding:
    """Return a finding about a few seeds only, which blames the trial for nothing and changes no setting."""
    one, rest = _tell_typical(odd), len(found) - len(odd)
    named = join_words([str(seed) for seed in odd])
    shows = f"seed {named} shows" if len(odd) == 1 else f"seeds {named} show"
    cause = Cause(
        f"chance, which one of {pluralize(len(found), 'seed')} had",
        "run ten more seeds: the share that shows it stays small",
    )
    return replace(
        one.without_changes(),
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"{shows} it, and {pluralize(rest, 'other seed')} of the same configuration "
        f"{'does' if rest == 1 else 'do'} not: a statement on the {'seed' if len(odd) == 1 else 'seeds'}, and no fault "
        "of the trial",
        causes=(cause, *one.causes),
        seeds=Agreement(tuple(odd), tuple(found)),
    )


def _tell_typical(holding: Mapping[int, Finding]) -> Finding:
    """Return the finding of the seed in which it is most certain, with the seed named."""
    seed = max(holding, key=lambda one: (holding[one].sureness, -one))
    named = Evidence(f"the numbers are those of seed {seed}")
    return replace(holding[seed], evidence=(*holding[seed].evidence, named))


def _list_wrong(found: Mapping[int, Finding | None]) -> tuple[int, ...]:
    return tuple(seed for seed, one in found.items() if _weigh(one))


def _weigh(answer: Answer) -> int:
    """Return how bad a rule's answer is: 2 for a fault, 1 for a suspect, 0 for anything else."""
    return _WEIGHT.get(answer.kind, 0) if isinstance(answer, Finding) else 0
