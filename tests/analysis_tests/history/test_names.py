"""What others call what we measure: every name of every dialect, its unit, and names that are nobody's."""

import pytest
from unstuck.analysis.history.dialects.plain import ENTROPY_LOSS, LOG_STD
from unstuck.analysis.history.names import (
    CLEANRL,
    DIALECTS,
    PLAIN,
    SB3,
    UNSTUCK,
    Dialect,
    find_nearest_metric,
    is_ours,
    recognise_dialect,
    translate_metric,
)
from unstuck.analysis.history.record import LOGGED_ELSEWHERE
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig, PPOConfig

OURS = {value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize(
    ("dialect", "theirs", "ours", "times"),
    [
        (SB3, "train/value_loss", metrics.VALUE_LOSS, 1.0),
        (SB3, "Train/Value Loss", metrics.VALUE_LOSS, 1.0),
        (SB3, "train/entropy_loss", metrics.ENTROPY, -1.0),  # a loss is minus the entropy
        (SB3, "train/policy_gradient_loss", metrics.POLICY_LOSS, 1.0),
        (SB3, "rollout/ep_rew_mean", metrics.TRAIN_RETURN, 1.0),
        (SB3, "eval/mean_reward", metrics.EVAL_RETURN, 1.0),
        (CLEANRL, "losses/value_loss", metrics.VALUE_LOSS, 2.0),  # half the mean squared error
        (CLEANRL, "losses/entropy", metrics.ENTROPY, 1.0),
        (CLEANRL, "losses/clipfrac", metrics.CLIP_FRACTION, 1.0),
        (CLEANRL, "charts/episodic_return", metrics.TRAIN_RETURN, 1.0),
        (PLAIN, "Value Loss", metrics.VALUE_LOSS, 1.0),
        (PLAIN, " KL ", metrics.APPROX_KL, 1.0),
        (PLAIN, "reward", metrics.TRAIN_RETURN, 1.0),
        (PLAIN, "tp", metrics.TRUE_POSITIVES, 1.0),
        (PLAIN, "action_allow", "train/action/allow", 1.0),
        (UNSTUCK, "train/value_loss", metrics.VALUE_LOSS, 1.0),
        (UNSTUCK, "eval/f1/seed_3", "eval/f1/seed_3", 1.0),
        (UNSTUCK, "train/action/allow", "train/action/allow", 1.0),
        (UNSTUCK, "effective/lr", "effective/lr", 1.0),
    ],
)
def test_a_metrics_name_and_unit(dialect: Dialect, theirs: str, ours: str, times: float) -> None:
    assert translate_metric(theirs, dialect) == (ours, times)


@pytest.mark.parametrize(
    ("dialect", "theirs"),
    [
        (SB3, "time/fps"),
        (CLEANRL, "losses/old_approx_kl"),
        (PLAIN, "loudness"),
        (UNSTUCK, "kl"),
    ],
)
def test_what_is_not_known_is_not_guessed(dialect: Dialect, theirs: str) -> None:
    assert translate_metric(theirs, dialect) is None


def test_in_a_file_of_evaluations_returns_and_actions_are_those_of_evaluations() -> None:
    assert translate_metric("reward", PLAIN, evaluated=True) == (metrics.EVAL_RETURN, 1.0)
    assert translate_metric("action_allow", PLAIN, evaluated=True) == ("eval/action/allow", 1.0)
    assert translate_metric("f1", PLAIN, evaluated=True) == (metrics.F1, 1.0)
    assert translate_metric("loudness", PLAIN, evaluated=True) is None


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_a_dialect_names_only_what_there_is(dialect: Dialect) -> None:
    known = {*OURS, *LOGGED_ELSEWHERE, ENTROPY_LOSS, LOG_STD}
    assert {ours for ours, _ in dialect.metrics.values()} <= known
    assert set(dialect.remarks) <= known
    fields = {f"ppo.{name}" for name in PPOConfig.__dataclass_fields__} | {
        f"env.{name}" for name in EnvConfig.__dataclass_fields__
    }
    named = fields | {"seed", "total_timesteps", "env.actions", "data.eval_flows", "data.threat_share"}
    named |= {"ppo.weight_decay"}  # of other trainers' optimisers
    assert {ours for ours, _ in dialect.settings.values()} <= named


@pytest.mark.parametrize(
    ("dialect", "theirs", "ours", "times"),
    [
        (SB3, "vf_coef", "ppo.value_coef", 1.0),
        (SB3, "batch_size", "ppo.minibatch_size", 1.0),
        (CLEANRL, "vf_coef", "ppo.value_coef", 0.5),
        (CLEANRL, "clip_coef", "ppo.clip_range", 1.0),
        (PLAIN, "return_normalization", "ppo.normalize_returns", 1.0),
    ],
)
def test_a_settings_name_and_unit(dialect: Dialect, theirs: str, ours: str, times: float) -> None:
    assert dialect.settings[theirs] == (ours, times)


@pytest.mark.parametrize(
    ("names", "dialect"),
    [
        (["losses/value_loss", "charts/SPS"], CLEANRL),
        (["train/value_loss", "time/total_timesteps"], SB3),
        (["rollout/ep_rew_mean"], SB3),
        (["train/value_loss", "eval/f1"], UNSTUCK),
        (["value_loss", "eval/f1"], UNSTUCK),
        (["value_loss"], PLAIN),
        ([], PLAIN),
    ],
)
def test_whose_metrics_these_are(names: list[str], dialect: Dialect) -> None:
    assert recognise_dialect(names) is dialect


def test_ours_are_told_by_their_whole_name() -> None:
    assert all(is_ours(name) for name in OURS)
    assert is_ours("train/value_loss/seed_0")
    assert not is_ours("train/value_los")
    assert not is_ours("value_loss")


def test_a_wrong_name_is_answered_with_the_nearest_metric() -> None:
    assert find_nearest_metric("train/valueloss") == metrics.VALUE_LOSS
    assert find_nearest_metric("eval/F1") == metrics.F1
    assert find_nearest_metric("") in OURS
