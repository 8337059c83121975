"""The table of usual suspects beside the rules, and beside the logs that were counted."""

from unstuck.analysis.diagnosis import RULES
from unstuck.analysis.diagnosis.suspects.table import KNOWN, SUSPECTS


def test_each_suspect_is_a_rule_that_explains_a_curve_and_no_log_is_counted_twice() -> None:
    explained = {rule.name: rule.explains for rule in RULES}
    assert all("oscillating" in explained[name] for name in SUSPECTS)
    assert sum(suspect.often for suspect in SUSPECTS.values()) <= KNOWN
