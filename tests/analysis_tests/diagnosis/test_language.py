"""A diagnosis in the words of the program that made the run, and the few questions that it asks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.language import LANGUAGES
from unstuck.analysis.diagnosis.questions import MOST, OF_TRIAGE
from unstuck.analysis.diagnosis.translation import convert_setting, find_setting_name, make_translator
from unstuck.analysis.document import to_text
from unstuck.analysis.history import History
from unstuck.analysis.history.known import KNOWN
from unstuck.analysis.report.arms import describe_change
from unstuck.analysis.report.diagnosis import diagnosis_document
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import without
from tests.analysis_tests.runs import LENGTH, untaught

NO_ACTIONS: dict[str, Any] = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
LOGGED = (
    *(metrics.TRAIN_RETURN, metrics.ENTROPY, metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.VALUE_LOSS),
    *(metrics.EXPLAINED_VARIANCE, metrics.LR),
)


def cartpole(dialect: str, **columns: Any) -> History:
    """A stuck run of another program, on CartPole, with what such programs log."""
    run = untaught(**NO_ACTIONS, **columns)
    table = run.table[[name for name in LOGGED if name in run.table]]
    settings = {"env.id": "CartPole-v1", "ppo.lr": 3e-4, "ppo.entropy_coef": 0.0, "ppo.value_coef": 0.25}
    return replace(run, table=table, settings=settings, dialect=dialect)


@pytest.mark.parametrize(
    ("dialect", "text", "spoken"),
    [
        ("sb3", "branch with entropy_coef 0.01 to 0.03", "run again with ent_coef 0.01 to 0.03"),
        (
            "sb3",
            "branch with normalize_returns=batch: it falls",
            "run again with VecNormalize(norm_reward=True): it falls",
        ),
        ("sb3", "branch with clip_range_vf off", "run again with clip_range_vf off"),
        ("sb3", "lr 0.0003 in force (`train/lr`)", "learning_rate 0.0003 in force (`train/learning_rate`)"),
        ("cleanrl", "train/value_loss is not finite", "losses/value_loss is not finite"),
        ("plain", "train/value_loss is not finite", "train/value_loss is not finite"),  # the names are the owner's
        ("sb3", "train/explained_variance_mc within 0.1", "train/explained_variance_mc within 0.1"),
        ("sb3", "halve num_epochs, or switch target_kl off", "halve n_epochs, or switch target_kl off"),
        ("cleanrl", "entropy_coef too high", "--ent-coef too high"),
        ("cleanrl", "value_coef 0.25", "--vf-coef 0.5"),  # CleanRL halves the squared error
        ("cleanrl", "branch at a third of it", "run again at a third of it"),
        ("rsl_rl", "entropy_coef 0.1", "algorithm.entropy_coef 0.1"),
        ("skrl", "gamma 0.99", "discount_factor 0.99"),
        ("mlagents", "num_steps 256", "buffer_size / num_envs 256"),  # which counts the steps of all
        ("plain", "branch with entropy_coef 0.01", "run again with entropy_coef 0.01"),  # no names are known
        ("sb3", "a color of its own, learned", "a color of its own, learned"),
    ],
)
def test_settings_are_called_what_the_user_calls_them(dialect: str, text: str, spoken: str) -> None:
    assert make_translator(dialect)(text) == spoken


def test_our_own_runs_are_spoken_of_in_our_words() -> None:
    findings = diagnose(untaught(entropy=1.385, approx_kl=2e-3)).findings
    assert any("branch at a tenth of it" in cause.test for one in findings for cause in one.finding.causes)


@pytest.mark.parametrize("dialect", LANGUAGES)
def test_a_table_names_settings_that_there_are(dialect: str) -> None:
    known = {path.rpartition(".")[2] for path in KNOWN}
    assert set(LANGUAGES[dialect].settings) <= known


@pytest.mark.parametrize(
    ("change", "dialect", "text"),
    [
        ({"ppo.entropy_coef": 0.01}, "sb3", "ent_coef 0.01"),
        ({"ppo.normalize_returns": "batch"}, "sb3", "VecNormalize(norm_reward=True)"),
        ({"ppo.value_coef": 0.25}, "cleanrl", "--vf-coef 0.5"),
        ({"ppo.target_kl": None}, "sb3", "target_kl off"),
        ({"ppo.gamma": 0.5}, "sb3", "gamma 0.5"),
        ({"ppo.lr": 1e-4}, "unstuck", "lr 0.0001"),
    ],
)
def test_changes_to_try_are_named_in_the_users_words(change: dict[str, Any], dialect: str, text: str) -> None:
    assert describe_change(change, dialect) == text
    assert find_setting_name("ppo.clip_range", "rsl_rl") == "algorithm.clip_param"
    assert convert_setting("ppo.lr", 0.5, "cleanrl") == 0.5


TURN = np.arange(1, LENGTH + 1)
ILL: list[dict[str, Any]] = [
    {"entropy": 0.6925},
    {"entropy": np.where(TURN < 11, 0.69, 0.001)},
    {"approx_kl": 0.4, "clip_fraction": 0.5},
    {"approx_kl": 1e-6},
    {"approx_kl": 0.0},
    {"explained_variance": -3.0},
    {"value_loss": np.exp(TURN / 10)},
    {"train/episode_return": 9.0},
    {"train/episode_return": -5.0 * TURN},
    {"approx_kl": None, "clip_fraction": None},
]


@pytest.mark.parametrize("dialect", [*LANGUAGES, "plain"])
@pytest.mark.parametrize("columns", ILL, ids=[str(i) for i in range(len(ILL))])
def test_nobody_with_cartpole_is_told_of_flows_f1_or_our_names_nor_asked_much_or_what_cannot_be_answered(
    dialect: str, columns: dict[str, Any]
) -> None:
    diagnosis = diagnose(cartpole(dialect, **{"entropy": 0.6, **columns}))
    text = to_text(diagnosis_document(diagnosis, Path("runs")))
    for word in ("flow", "F1", "threat", "triage", "label"):
        told = [line for line in text.splitlines() if word in line]
        assert not told, (word, told)
    if dialect in LANGUAGES:
        said = [
            one
            for ranked in diagnosis.findings
            for cause in ranked.finding.causes
            for one in (cause.what, cause.test, cause.why)
        ]
        assert not [
            one for one in said if "entropy_coef" in one.replace("algorithm.entropy_coef", "") and dialect == "sb3"
        ]
        assert not [one for one in said if "branch" in one.split()]
    assert len(diagnosis.questions) <= MOST
    assert not OF_TRIAGE & set(diagnosis.questions)


def test_a_program_is_asked_for_what_it_logs_and_a_loop_of_ones_own_for_anything() -> None:
    blind = without(cartpole("sb3"), metrics.APPROX_KL)
    assert metrics.GRAD_NORM_POLICY not in diagnose(blind).questions
    assert next(iter(diagnose(blind).questions)) == metrics.APPROX_KL
    own = diagnose(replace(blind, dialect="plain")).questions
    assert next(iter(own)) == metrics.APPROX_KL
    assert set(own) > {metrics.APPROX_KL}


def test_where_nothing_says_how_a_run_stands_returns_are_asked_for_first() -> None:
    nothing = without(cartpole("plain"), metrics.TRAIN_RETURN)
    assert next(iter(diagnose(nothing).questions)) == metrics.TRAIN_RETURN


def test_what_rules_cannot_judge_is_listed_with_what_it_would_take() -> None:
    run = replace(cartpole("plain", entropy=1.5), settings={"env.id": "Own-v1"})
    text = to_text(diagnosis_document(diagnose(run), Path("runs")))
    assert "Could not be judged:" in text
    words = " ".join(text.split())
    assert (
        "Entropy at its maximum: without the number of actions the largest entropy is not known; it would take" in words
    )


@pytest.mark.parametrize("dialect", sorted(LANGUAGES))
def test_no_program_is_told_to_set_what_it_has_no_word_for(dialect: str) -> None:
    for path in ("ppo.normalize_returns", "ppo.normalize_observations", "ppo.shared_trunk", "ppo.hidden_sizes"):
        assert find_setting_name(path, dialect) != path.removeprefix("ppo.")
    assert find_setting_name("ppo.normalize_returns", "pufferlib") == "rewards scaled in the environment"
    assert find_setting_name("ppo.normalize_returns", "sb3") == "VecNormalize(norm_reward=True)"
