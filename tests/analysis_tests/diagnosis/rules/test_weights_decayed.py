"""Weights that shrink by weight decay: where the rule fires, and where it must not."""

import numpy as np
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import weights_decayed

from tests.analysis_tests.diagnosis.asking import changes, found, kind
from tests.analysis_tests.diagnosis.probed import probed
from tests.analysis_tests.elsewhere import TURN


def test_weights_that_shrink() -> None:
    shrinking = np.linspace(17.0, 5.0, len(TURN))
    finding = found(weights_decayed.RULE, probed(settings={"ppo.weight_decay": 0.3}, parameter_norm=shrinking))
    assert finding.kind is Kind.FAULT
    assert "from 17 to" in finding.headline
    assert changes(finding) == [{"ppo.weight_decay": 0.0}]
    assert kind(weights_decayed.RULE, probed(parameter_norm=np.linspace(17.0, 14.0, len(TURN)))) is None
    assert kind(weights_decayed.RULE, probed(parameter_norm=np.linspace(17.0, 40.0, len(TURN)))) is None
