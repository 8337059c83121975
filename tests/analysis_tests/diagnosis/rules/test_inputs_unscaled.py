"""Inputs that are not scaled: by their own size, and by the units that they saturate before any training."""

import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import inputs_unscaled
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import blind, cause, changes, facts, found, kind
from tests.analysis_tests.runs import healthy, untaught

RULE = inputs_unscaled.RULE


def test_wide_inputs_that_saturate_the_units_are_a_sure_fault() -> None:
    finding = found(RULE, untaught(saturated_share=0.9, input_rms_max=4000.0))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 10)
    assert facts(finding) == [
        "90 % of the hidden units are saturated over iterations 10 to 20",
        "the largest input has a root mean square of 4,000",
    ]
    assert finding.headline == f"Inputs are not scaled: {' and '.join(facts(finding))}"
    raw, weights = cause(finding, "observations in raw units"), cause(finding, "weights initialised too large")
    assert (raw.support, raw.why) == (Support.SUPPORTED, "the largest has 4,000")
    assert (weights.support, weights.why) == (Support.RULED_OUT, "the largest input has 4,000")
    assert changes(finding) == [{"ppo.normalize_observations": True}]
    assert finding.missing == ()


def test_where_observations_are_normalised_already_that_is_no_remedy() -> None:
    run = untaught(saturated_share=0.9, input_rms_max=4000.0, settings={"ppo.normalize_observations": True})
    assert changes(found(RULE, run)) == []


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (untaught(input_rms_max=20.1), Kind.FAULT),
        (untaught(input_rms_max=20.0), Kind.FINE),
        (healthy(input_rms_max=20.1), None),  # wide, and no harm
        (healthy(input_rms_max=20.1, saturated_share=0.51), Kind.FAULT),
        (healthy(input_rms_max=20.1, saturated_share=0.5), None),
        (healthy(input_rms_max=20.0, saturated_share=0.9), Kind.FINE),  # saturated by something else
        (healthy(input_rms_max=None, saturated_share=0.51), Kind.FAULT),
        (healthy(input_rms_max=None, saturated_share=0.5), Kind.FINE),
        (healthy(input_rms_max=12.0), Kind.FINE),
        (healthy(input_rms_max=101.0, saturated_share=None), Kind.SUSPECT),
        (healthy(input_rms_max=101.0, saturated_share=0.3), None),
        (healthy(input_rms_max=99.0, saturated_share=None), None),
        (untaught(input_rms_max=0.019), Kind.FAULT),
        (untaught(input_rms_max=0.02), Kind.FINE),
        (healthy(input_rms_max=0.019), Kind.SUSPECT),  # it learns all the same
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_only_the_first_two_evaluations_tell_of_the_start() -> None:
    later = untaught(saturated_share=lambda table: 0.02 + 0.9 * (table.index > 20), input_rms_max=None)
    assert found(RULE, later).headline == (
        "inputs are scaled: 2 % of the hidden units are saturated over iterations 10 to 20"
    )


def test_by_its_size_alone_it_is_likely_and_the_rest_is_asked_for() -> None:
    finding = found(RULE, untaught(input_rms_max=4000.0, saturated_share=None))
    assert finding.sureness is Sureness.LIKELY
    assert finding.headline == "Inputs are not scaled: the largest input has a root mean square of 4,000"
    assert finding.missing == (metrics.SATURATED_SHARE,)


def test_by_its_units_alone_neither_cause_is_settled() -> None:
    finding = found(RULE, untaught(input_rms_max=None, saturated_share=0.9))
    assert [(one.support, one.why) for one in finding.causes] == [(Support.OPEN, ""), (Support.OPEN, "")]
    assert finding.missing == (metrics.INPUT_RMS_MAX,)


def test_without_both_the_rule_is_blind() -> None:
    assert blind(RULE, untaught(input_rms_max=None)) == ()
    assert blind(RULE, untaught(input_rms_max=None, saturated_share=None)) == (
        (metrics.SATURATED_SHARE, metrics.INPUT_RMS_MAX),
    )


def test_inputs_that_are_hardly_seen_are_scaled() -> None:
    finding = found(RULE, untaught(input_rms_max=0.001))
    assert finding.headline == "Inputs are far too small: the largest input has a root mean square of 0.001"
    assert changes(finding) == [{"ppo.normalize_observations": True}]
