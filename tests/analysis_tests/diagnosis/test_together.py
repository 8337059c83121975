"""Seeds read together: a vote, the mean without any one seed, and what a few seeds show alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.arms import list_arms
from unstuck.analysis.diagnosis.examining import examine_rule
from unstuck.analysis.diagnosis.finding import Agreement, Finding, Kind, Remedy, Rule, Stage, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.together import read_together
from unstuck.analysis.history import History
from unstuck.analysis.history.record import combine_seeds
from unstuck.analysis.report.as_json import diagnosis_json
from unstuck.analysis.report.verdict import state_verdict
from unstuck.rl import metrics

from tests.analysis_tests.runs import healthy

FAULT, SUSPECT = 0.1, 0.05
REMEDY = Remedy({"ppo.lr": 1e-4}, "smaller steps", "KL below 0.05")


def examine(run: Signals) -> Finding | None:
    """Accuse a run whose mean KL is above `FAULT`, and suspect one above `SUSPECT`."""
    kl = run.select_all(metrics.APPROX_KL)
    if kl is None or kl.mean <= SUSPECT:
        return None
    kind = Kind.FAULT if kl.mean > FAULT else Kind.SUSPECT
    return Finding(f"KL is large: {kl.mean:.3f}", kind, Sureness.LIKELY, remedies=(REMEDY,))


RULE = Rule("large_kl", "Large KL", Stage.STEP, ((metrics.APPROX_KL,),), "made", examine)


def one_run(kl: float) -> History:
    table = pd.DataFrame({metrics.APPROX_KL: [kl] * 4}, index=pd.RangeIndex(1, 5))
    return History("made", "a test", table, {"ppo.num_iterations": 4})


def trial(*kls: float) -> History:
    return combine_seeds("made", "a test", {seed: one_run(kl) for seed, kl in enumerate(kls)})


def said(history: History) -> Finding | None:
    run = Signals(history)
    found = read_together(run, {RULE: examine_rule(run, RULE)})[RULE]
    assert found is None or isinstance(found, Finding)
    return found


@pytest.mark.parametrize(
    ("kls", "kind", "words"),
    [
        ((0.2, 0.2, 0.2), Kind.FAULT, "in 3 of 3 seeds"),
        ((0.2, 0.01, 0.2), Kind.FAULT, "in 2 of 3 seeds: 0 and 2"),
        ((0.2, 0.06, 0.2), Kind.FAULT, "in 3 of 3 seeds"),  # the evidence stands in seed 1 too, if weaker
        # The mean is 0.103.
        ((0.099, 0.105, 0.105), Kind.FAULT, "in 3 of 3 seeds"),
        # One seed has made the mean of 0.125.
        ((0.205, 0.085, 0.085), Kind.SUSPECT, "in 3 of 3 seeds"),
        ((0.06, 0.06, 0.06), Kind.SUSPECT, "in 3 of 3 seeds"),
        ((0.06, 0.06, 0.01), Kind.SUSPECT, "in 2 of 3 seeds: 0 and 1"),
        # Odd seeds: the mean is 0.34, and would accuse all three.
        ((0.01, 0.01, 1.0), Kind.SUSPECT, "in 1 of 3 seeds: seed 2 alone"),
        ((0.01, 0.01, 1.0, 1.0), Kind.SUSPECT, "in 2 of 4 seeds: 2 and 3"),
        ((0.2, 0.01), Kind.SUSPECT, "in 1 of 2 seeds: seed 0 alone"),
    ],
)
def test_a_finding_says_in_how_many_seeds_it_stands(kls: Sequence[float], kind: Kind, words: str) -> None:
    found = said(trial(*kls))
    assert found is not None
    assert (found.kind, str(found.seeds)) == (kind, words)


@pytest.mark.parametrize("kls", [(0.01, 0.01, 0.01), (0.06, 0.01, 0.01), (0.06, 0.01)])
def test_what_a_few_seeds_hint_at_is_nothing_of_the_trial(kls: Sequence[float]) -> None:
    assert said(trial(*kls)) is None


def test_evidence_too_weak_in_each_seed_counts_where_the_mean_holds_without_any_of_them() -> None:
    """A sum over seeds of what no seed has half of: the rule asks for a rise that noise hides in each."""

    def rises(run: Signals) -> Finding | None:
        curve = run.select_finite(metrics.APPROX_KL)
        steps = np.diff(curve.to_numpy())
        return Finding("it rises", Kind.FAULT, Sureness.LIKELY) if (steps > 0).all() else None

    rule = replace(RULE, examine=rises)
    values = [[1.0, 2.0, 1.9, 3.0], [1.0, 0.9, 2.0, 3.0], [1.0, 1.9, 3.0, 2.9]]
    runs = {}
    for seed, curve in enumerate(values):
        runs[seed] = replace(one_run(0.0), table=pd.DataFrame({metrics.APPROX_KL: curve}, index=pd.RangeIndex(1, 5)))
        assert examine_rule(Signals(runs[seed]), rule) is None
    run = Signals(combine_seeds("made", "a test", runs))
    found = read_together(run, {rule: examine_rule(run, rule)})[rule]
    assert isinstance(found, Finding)
    assert found.kind is Kind.FAULT
    assert found.seeds == Agreement((), (0, 1, 2), pooled=True)
    assert str(found.seeds) == "in 0 of 3 seeds, and in the mean over them"
    assert not found.is_of_few_seeds


def test_an_odd_seed_changes_no_setting_and_says_whose_numbers_it_has() -> None:
    found = said(trial(0.01, 0.01, 1.0))
    assert found is not None
    assert (found.remedies, found.sureness, found.headline) == ((), Sureness.POSSIBLE, "KL is large: 1.000")
    assert "the numbers are those of seed 2" in [fact.text for fact in found.evidence]
    assert "seed 2 shows it, and 2 other seeds of the same configuration do not" in found.why


def test_seeds_that_are_not_on_record_one_by_one_change_nothing() -> None:
    run = healthy(seeds=3)  # their scores alone are on record
    assert run.split_seeds() == {}
    named = [one.rule.name for one in diagnose(run).findings if one.finding.seeds is not None]
    assert named == ["seeds_bimodal"]  # which compares nothing but scores
    alone = diagnose(trial(1.0))
    assert all(one.finding.seeds is None for one in alone.findings)


def vote(draws: np.ndarray, level: float) -> Mapping[str, float]:
    """Share of trials that are accused, of `draws [trials, seeds]`: in one seed, any seed, and by the vote."""
    shown = draws > level
    return {
        "one": float(shown[:, 0].mean()),
        "any": float(shown.any(axis=1).mean()),
        "vote": float((2 * shown.sum(axis=1) > draws.shape[1]).mean()),
    }


@pytest.mark.parametrize("seeds", [3, 5])
def test_more_healthy_seeds_raise_no_more_false_alarms(seeds: int) -> None:
    """Seeds without anything wrong, of KL 0.08 with a spread of 0.03: one in four has a KL beyond 0.1 by chance.

    The wrong variant, any seed of several, accuses more trials the more seeds there are.
    """
    generator = np.random.default_rng(seeds)
    draws = 0.08 + 0.03 * generator.standard_normal((50, seeds))
    accused = np.mean([(found := said(trial(*row))) is not None and found.kind is Kind.FAULT for row in draws])
    one, any_of = vote(draws, FAULT)["one"], vote(draws, FAULT)["any"]
    assert 0.15 < one < 0.35
    assert accused < one
    assert any_of > 1.4 * one


def test_the_vote_holds_whatever_seeds_have_in_common() -> None:
    """Markov's bound: below twice the share of one seed, at the worst dependence there is, and equal to it at 1."""
    generator = np.random.default_rng(0)
    common, own = generator.standard_normal((4000, 1)), generator.standard_normal((4000, 5))
    for weight in (0.0, 0.5, 0.9, 1.0):
        shares = vote(weight**0.5 * common + (1 - weight) ** 0.5 * own, 1.0)
        assert shares["vote"] < 2 * shares["one"]
    assert vote(np.repeat(common, 5, axis=1), 1.0)["vote"] == vote(common, 1.0)["one"]


def several(*runs: History) -> History:
    return combine_seeds("made/7", "a test", {seed: run for seed, run in enumerate(runs)})


WELL = healthy(seeds=0)


def test_texts_and_json_say_where_seeds_agree() -> None:
    frozen = healthy(seeds=0, approx_kl=lambda table: 1.0 + 0 * table.index)
    diagnosis = diagnose(several(frozen, frozen, frozen))
    first = diagnosis.findings[0]
    assert first.rule.name == "updates_too_large"
    assert first.finding.kind is Kind.FAULT
    assert first.finding.seeds == Agreement((0, 1, 2), (0, 1, 2))
    assert "in 3 of 3 seeds" in state_verdict(diagnosis)
    assert "in 3 of 3 seeds" in str(diagnosis)
    assert "in 3 of 3 seeds" in diagnosis._repr_html_()
    found = json.loads(json.dumps(diagnosis_json(diagnosis)))["findings"][0]
    assert found["seeds"] == {
        "holding": [0, 1, 2],
        "judged": [0, 1, 2],
        "pooled": False,
        "compared": False,
        "text": "in 3 of 3 seeds",
    }


def test_a_cause_of_all_seeds_stands_above_one_of_a_single_seed() -> None:
    """The single seed's cause is more basic: alone it would come first."""
    large = healthy(seeds=0, approx_kl=lambda table: 1.0 + 0 * table.index)
    both = healthy(
        seeds=0, approx_kl=lambda table: 1.0 + 0 * table.index, ratio_deviation=lambda table: 0.5 + 0 * table.index
    )
    assert diagnose(both).findings[0].rule.name == "bug_gate"
    found = [(one.rule.name, str(one.finding.seeds)) for one in diagnose(several(large, large, both)).findings[:2]]
    assert found[0] == ("updates_too_large", "in 3 of 3 seeds")
    odd = next(one for one in diagnose(several(large, large, both)).findings if one.rule.name == "bug_gate")
    assert (odd.finding.kind, str(odd.finding.seeds)) == (Kind.SUSPECT, "in 1 of 3 seeds: seed 2 alone")


def test_one_odd_seed_among_healthy_ones_is_no_fault_of_the_trial() -> None:
    odd = healthy(seeds=0, approx_kl=lambda table: 9.0 + 0 * table.index)
    diagnosis = diagnose(several(WELL, WELL, odd))
    assert diagnosis.select_findings(Kind.FAULT) == []
    told = diagnosis.select_findings(Kind.SUSPECT)
    assert {str(one.finding.seeds) for one in told} == {"in 1 of 3 seeds: seed 2 alone"}
    assert "updates_too_large" in {one.rule.name for one in told}
    assert "seed 2 alone" in state_verdict(diagnosis)
    assert [arm for arm in list_arms(diagnosis) if arm.rule == "updates_too_large"] == []
