"""Weights that shrink by weight decay: where the rule fires, and where it must not."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import weights_decayed
from unstuck.analysis.history import History
from unstuck.analysis.history.record import PARAMETER_NORM

from tests.analysis_tests.diagnosis.asking import changes, found, is_blind, kind
from tests.analysis_tests.diagnosis.probed import probed
from tests.analysis_tests.elsewhere import TURN, elsewhere


def test_weights_that_shrink() -> None:
    shrinking = np.linspace(17.0, 5.0, len(TURN))
    finding = found(weights_decayed.RULE, probed(settings={"ppo.weight_decay": 0.3}, parameter_norm=shrinking))
    assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.STATE)  # a third is left of them
    assert "from 17 to" in finding.headline
    assert changes(finding) == [{"ppo.weight_decay": 0.0}]
    gone = found(weights_decayed.RULE, probed(parameter_norm=np.geomspace(17.0, 0.07, len(TURN))))
    assert gone.ground is Ground.MEASURED
    assert kind(weights_decayed.RULE, probed(parameter_norm=np.linspace(17.0, 14.0, len(TURN)))) is None
    assert kind(weights_decayed.RULE, probed(parameter_norm=np.linspace(17.0, 40.0, len(TURN)))) is None


DECAYED = np.where(TURN < 20, 0.2, 1e-4 * np.sin(TURN))


def plain(explained: Any = DECAYED, entropy: float = math.log(2), loss: float = 60.0) -> History:
    """A log of another program without the norm of the parameters."""
    run = elsewhere(22.0 + np.sin(7.0 * TURN), explained_variance=explained, entropy=entropy, value_loss=loss)
    return replace(run, dialect="sb3", settings={key: run.settings[key] for key in ("env.id", "env.actions")})


def test_networks_that_say_the_same_of_every_observation() -> None:
    finding = found(weights_decayed.RULE, plain())
    assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.MEASURED)
    assert finding.headline == (
        "Both networks say the same of every observation: explained variance within 0.0001 of 0 over iterations 51 to "
        "100, and entropy 0.6931 of 0.6931"
    )


@pytest.mark.parametrize(
    "run",
    [
        plain(np.where(TURN < 20, 0.2, 0.006)),  # a critic that still tells something
        plain(1e-4 * np.sin(TURN)),  # one that never told anything: rounded, or rewards that are noise
        plain(entropy=0.99 * math.log(2)),  # a policy that prefers something
        plain(loss=1e8),  # rewards in thousands: any critic that starts is a constant beside them
    ],
)
def test_one_of_both_alone_has_other_causes(run: History) -> None:
    assert kind(weights_decayed.RULE, run) is None


@pytest.mark.parametrize(
    ("decay", "optimizer", "returns", "expected"),
    [
        (0.3, "Adam", 22.0 + np.sin(7.0 * TURN), Kind.FAULT),
        (0.3, "Adam", np.linspace(0, 100, len(TURN)), Kind.SUSPECT),
        (0.01, "Adam", 22.0 + np.sin(7.0 * TURN), None),
        (0.3, "AdamW", 22.0 + np.sin(7.0 * TURN), None),  # a fraction of the rate
    ],
)
def test_a_decay_on_record_is_enough(decay: float, optimizer: str, returns: Any, expected: Kind | None) -> None:
    settings = {"ppo.weight_decay": decay, "ppo.optimizer": optimizer}
    assert kind(weights_decayed.RULE, replace(elsewhere(returns, settings=settings), dialect="sb3")) is expected


def test_without_norm_critic_and_decay_it_cannot_judge() -> None:
    run = replace(elsewhere(22.0 + np.sin(7.0 * TURN), explained_variance=None), dialect="sb3")
    assert is_blind(weights_decayed.RULE, run)


@pytest.mark.parametrize(
    ("late", "returns", "expected"),
    [
        (16.0, 22.0 + np.sin(7.0 * TURN), Kind.FAULT),
        (18.0, 22.0 + np.sin(7.0 * TURN), Kind.FAULT),  # that weights grow does not say that the gradient counts
        (16.0, np.linspace(0, 100, len(TURN)), Kind.SUSPECT),
        (18.0, np.linspace(0, 100, len(TURN)), None),
    ],
)
def test_a_decay_on_record_beside_the_norm(late: float, returns: Any, expected: Kind | None) -> None:
    run = elsewhere(
        returns, settings={"ppo.weight_decay": 0.1}, more={PARAMETER_NORM: np.linspace(17, late, len(TURN))}
    )
    assert kind(weights_decayed.RULE, replace(run, dialect="sb3")) is expected
