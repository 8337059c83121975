"""Every rule on a run that has its fault, and on the nearest one that has not."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.diagnosis import RULES, diagnose
from analysis.diagnosis.finding import Diagnosis, Finding, Kind, Support
from analysis.history import History, load
from tests.analysis_tests.runs import LENGTH, healthy, untaught

GROWING = np.linspace(0, 1, LENGTH)
UNIFORM = {f"action_{name}": 0.25 for name in ("allow", "block", "quarantine", "alert")}
TOP = math.log(4)
NO_TRIAGE: dict[str, Any] = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
EPISODES = 30 + np.random.default_rng(2).standard_normal(LENGTH)


def found(history: History, rule: str) -> Finding | None:
    return next((one.finding for one in diagnose(history).findings if one.rule.name == rule), None)


def wrong(diagnosis: Diagnosis, *kinds: Kind) -> list[str]:
    return [one.rule.name for one in diagnosis.of(*(kinds or (Kind.FAULT,)))]


ROLLOUT = {"ppo.num_envs": 8, "ppo.num_steps": 64}

AT_ONCE = TOP * np.where(np.arange(LENGTH) < 12, 1 - np.arange(LENGTH) / 12, 0.02)
"""Entropy that falls within 12 iterations."""

FAULTS: list[Any] = [
    ("bug_gate", healthy(ratio_deviation=0.4), "ratio is off 1 by up to 0.4 before the update"),
    ("bug_gate", healthy(approx_kl=-0.01), "KL is negative, down to -0.01, in 100 of 100 updates"),
    ("bug_gate", healthy(entropy=1.5), "train/entropy must lie in 0 to 1.386 and is 1.5"),
    ("bug_gate", healthy(lr=3e-5), "learning rate in force is 3e-05, and 0.0003 was set"),
    (
        "bug_gate",
        healthy(lr=3e-4 * (1 - GROWING), settings={"ppo.lr_schedule": "constant"}),
        "learning rate in force is 0, and 0.0003 was set, to be constant",
    ),
    (
        "bug_gate",
        untaught(
            target_mean=90.0, **{**NO_TRIAGE, "train/episode_return": EPISODES}, settings={"env.id": "CartPole-v1"}
        ),
        "predict 90 on average, and whole episodes return",
    ),
    (
        "learns_backwards",
        untaught(advantage_followed=None, **{"train/episode_return": -1750 - 1500 * GROWING + 50 * EPISODES}),
        "made worse: the return of training episodes falls from ",
    ),
    (
        "entropy_collapsed",
        healthy(entropy=AT_ONCE),
        "of its maximum from iteration 12 .12 % of the run., before the run had much to show for it",
    ),
    ("learns_backwards", healthy(advantage_followed=-0.1), "updates go against the advantages, correlation -0.1"),
    ("signal_lost", healthy(advantage_followed=0.03), "what paid hardly becomes more likely: the correlation"),
    ("signal_lost", healthy(reward_foreseen=0.002), "foresees 0.2 % of the rewards' variance, while F1 0.898"),
    (
        "greedy_vs_sampled",
        untaught(observation_shift=0.8),
        "what the evaluation shows is 0.8 spreads from what training",
    ),
    (
        "updates_too_small",
        healthy(approx_kl=5e-5, settings={"ppo.target_kl": 1e-4}),
        "KL 5e-05 and the parameters changed by",
    ),
    (
        "reward_misspecified",
        healthy(recall=0.5, settings={"env.reward_benign": (1, -20, -20, -20), "env.reward_threat": (-0.5, 0.5, 0, 0)}),
        "block pays only from 95 % certainty on",
    ),
    ("signal_lost", untaught(), "F1 0, of policies that do not look at the flows 0.197 at best; return -1,7"),
    (
        "signal_lost",
        healthy(reward_foreseen=None, f1_train=lambda table: table["eval/f1"] - 0.3),
        "on others: labels are not the flows'",
    ),
    (
        "reward_misspecified",
        untaught(settings={"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}),
        "pays most for allow on threats as on benign flows",
    ),
    (
        "reward_not_found",
        untaught(**{"train/episode_return": -200.0}),
        "every episode returns -200 over iterations 1 to",
    ),
    ("inputs_unscaled", untaught(saturated_share=0.9, input_rms_max=4000.0), "90 % of the hidden units are saturated"),
    ("inputs_unscaled", untaught(input_rms_max=4000.0), "largest input has a root mean square of 4,000"),
    ("units_saturated", healthy(saturated_share=0.8), "Hidden units saturate: 80 % at iteration 10"),
    ("units_saturated", untaught(saturated_share=0.05 + 0.7 * GROWING), "Hidden units saturate: 11 % at iteration 10"),
    (
        "advantage_scale",
        untaught(advantage_std=400.0, settings={"ppo.normalize_advantage": False}),
        "Advantages are large and not normalised: .* spread of 400",
    ),
    (
        "advantage_scale",
        healthy(advantage_std=0.005, entropy=0.95 * TOP, settings={"ppo.normalize_advantage": False}),
        "Advantages are small and not normalised",
    ),
    ("advantage_scale", untaught(advantage_std=0.0, advantage_mean=0.0), "Advantages are constant"),
    ("policy_starved", healthy(grad_norm_value=90.0), "starves the policy in the shared trunk"),
    ("policy_starved", untaught(grad_norm_value=40.0, approx_kl=1e-4), "starves the policy in the shared trunk"),
    (
        "policy_starved",
        untaught(grad_norm_value=900.0, approx_kl=1e-4, settings={"ppo.shared_trunk": False}),
        "starves the policy in the shared gradient clip",
    ),
    (
        "normaliser_cold_start",
        untaught(value_loss=np.where(np.arange(LENGTH) < 4, 80.0, 1.0), settings={"ppo.normalize_returns": "running"}),
        "cold start: value loss up to 80 until iteration 10, 1 in the median after it",
    ),
    ("policy_frozen", untaught(approx_kl=0.0, **UNIFORM), "not being updated: KL of an update 0 in the median"),
    (
        "policy_frozen",
        untaught(approx_kl=np.where(np.arange(LENGTH) < 50, 2e-3, 0.0)),
        "KL of an update 0 in the median over iterations 51 to 100",
    ),
    ("policy_frozen", untaught(approx_kl=None, entropy=None, **UNIFORM), "sampled action shares .* at most 0.0 % of"),
    ("updates_too_large", untaught(approx_kl=0.2, clip_fraction=0.6), "KL 0.2 on average"),
    ("updates_too_large", untaught(approx_kl=0.02, update_norm=0.15), "changed by 0.15 of their norm"),
    ("updates_too_small", untaught(approx_kl=1e-6, update_norm=1e-3), "KL 1e-06 and the parameters changed by 0.001"),
    ("updates_too_small", untaught(approx_kl=1e-6), "KL 1e-06 and the parameters changed by 0.015"),
    (
        "updates_too_small",
        untaught(approx_kl=5e-5, settings={"ppo.target_kl": 1e-4}),
        "Updates are too small: KL 5e-05",
    ),
    (
        "entropy_pinned",
        healthy(entropy=0.93 * TOP, settings={"ppo.entropy_coef": 1.0}),
        "pinned at its maximum: 1.289 of 1.386",
    ),
    ("entropy_pinned", untaught(entropy=0.995 * TOP), "pinned at its maximum: 1.379 of 1.386"),
    (
        "entropy_collapsed",
        untaught(entropy=np.where(np.arange(LENGTH) < 10, TOP, 0.01), action_allow=0.99, action_block=0.01),
        "collapsed: below 10 % of its maximum from iteration 11",
    ),
    ("value_explosion", healthy(value_loss=np.exp(8 * GROWING)), "explodes: value loss 1.084 at first"),
    (
        "value_explosion",
        healthy(value_loss=np.where(np.arange(LENGTH) < 50, 1.0, math.nan), policy_loss=math.inf),
        "Diverged: train/policy_loss is inf at iteration 1",
    ),
    (
        "critic_underfits",
        untaught(explained_variance_mc=0.0, explained_variance_mc_probe=0.6, value_loss_excess=0.5, value_floor=0.4),
        "explains 0 of the variance of Monte Carlo returns, and a regression from the same observations 0.6",
    ),
    ("critic_underfits", untaught(explained_variance=-0.6), "worse than a constant: train/explained_variance -0.6"),
    ("greedy_collapsed", untaught(), "allows everything, whatever it sees: TP 0, FP 0, TN 1426, FN 174"),
    (
        "greedy_collapsed",
        untaught(tp=174.0, fp=1426.0, tn=0.0, fn=0.0, greedy_allow=0.0, greedy_block=1.0, f1=0.197),
        "flags everything, whatever it sees",
    ),
    (
        "greedy_vs_sampled",
        healthy(**{"eval/episode_return": -300.0}),
        "apart: return -300 of the greedy policy",
    ),
    ("overfitting", healthy(f1_train=1.0, f1=0.8), "F1 1 on flows trained on, 0.8 on others"),
    (
        "overfitting",
        healthy(f1_train=lambda table: table["eval/f1"] + 0.03, observation_repeats=0.64, settings=ROLLOUT),
        "F1 0.928 on flows trained on, 0.898 on others",
    ),
]


@pytest.mark.parametrize(("rule", "history", "headline"), FAULTS, ids=[f"{i}-{f[0]}" for i, f in enumerate(FAULTS)])
def test_a_fault_is_found_with_its_numbers(rule: str, history: History, headline: str) -> None:
    finding = found(history, rule)
    assert finding is not None
    assert finding.kind is Kind.FAULT
    with pytest.raises(AssertionError, match=headline):
        raise AssertionError(finding.headline)
    assert finding.evidence
    assert finding.causes
    assert all(cause.test for cause in finding.causes)
    assert all(remedy.change and remedy.why and remedy.watch for remedy in finding.remedies)


SUSPECTS: list[Any] = [
    (
        "greedy_vs_sampled",
        healthy(observation_shift=0.8),
        "what the evaluation shows is 0.8 spreads from what training",
    ),
    ("learns_backwards", untaught(**{"train/episode_return": -1750 - 1500 * GROWING + 50 * EPISODES}), "made worse"),
    ("greedy_vs_sampled", untaught(), "allows 40.0 % of the flows, the greedy one 100.0 %"),
    ("oscillating", untaught(), "The return has no trend"),
    ("seeds_bimodal", healthy(seeds=3, **{"f1/seed_0": 0.2}), "2 seeds near 0.894, 1 seed near 0.2"),
]


@pytest.mark.parametrize(
    ("rule", "history", "headline"), SUSPECTS, ids=[f"{i}-{one[0]}" for i, one in enumerate(SUSPECTS)]
)
def test_a_symptom_without_a_settled_cause_is_a_suspect(rule: str, history: History, headline: str) -> None:
    finding = found(history, rule)
    assert finding is not None
    assert finding.kind is Kind.SUSPECT
    assert headline in finding.headline


NEAREST: list[Any] = [
    ("bug_gate", healthy(ratio_deviation=1e-5)),
    ("bug_gate", healthy(approx_kl=-1e-9)),
    ("bug_gate", healthy(lr=3e-4 * (1 - GROWING), settings={"ppo.lr_schedule": "linear"})),
    ("learns_backwards", untaught()),
    ("learns_backwards", untaught(approx_kl=0.2, **{"train/episode_return": -1750 - 1500 * GROWING})),
    ("learns_backwards", healthy(advantage_followed=0.0)),
    ("learns_backwards", untaught(advantage_followed=0.05 * EPISODES)),
    ("signal_lost", healthy()),
    ("signal_lost", untaught(reward_foreseen=0.2)),
    ("signal_lost", healthy(reward_foreseen=0.05)),
    ("greedy_vs_sampled", healthy(observation_shift=0.3)),
    ("updates_too_small", healthy(approx_kl=5e-6, settings={"ppo.target_kl": 1e-4})),
    (
        "reward_misspecified",
        healthy(recall=0.8, settings={"env.reward_benign": (1, -20, -20, -20), "env.reward_threat": (-0.5, 0.5, 0, 0)}),
    ),
    ("signal_lost", healthy(f1_train=lambda table: table["eval/f1"] - 0.3)),
    ("signal_lost", healthy(reward_foreseen=None, f1_train=lambda table: table["eval/f1"] - 0.04)),
    ("signal_lost", healthy(advantage_followed=0.03, settings={"ppo.entropy_coef": 1.0})),
    ("signal_lost", untaught(approx_kl=1e-5)),
    ("signal_lost", untaught(**{"train/episode_return": -1750 + 2500 * GROWING})),
    ("reward_misspecified", untaught()),
    ("reward_not_found", untaught()),
    ("inputs_unscaled", healthy(input_rms_max=12.0)),
    ("units_saturated", healthy(saturated_share=0.05 + 0.15 * GROWING)),
    ("advantage_scale", untaught(advantage_std=400.0)),
    ("policy_starved", untaught(grad_norm_value=6.0, approx_kl=1e-4)),
    ("policy_starved", untaught(grad_norm_value=40.0, approx_kl=1e-4, settings={"ppo.shared_trunk": False})),
    ("normaliser_cold_start", healthy(value_loss=np.where(np.arange(LENGTH) < 10, 1.0, 0.05))),
    ("policy_frozen", healthy(approx_kl=2e-5)),
    ("policy_frozen", healthy(approx_kl=None, entropy=None)),
    ("updates_too_large", healthy(approx_kl=0.03, clip_fraction=0.24)),
    ("updates_too_small", healthy(approx_kl=5e-5)),
    ("updates_too_small", healthy(approx_kl=1e-6, update_norm=1e-3)),
    ("updates_too_small", untaught(update_norm=3e-3)),
    (
        "updates_too_small",
        untaught(approx_kl=1e-6, lr=3e-4 * (1 - 0.9 * GROWING), settings={"ppo.lr_schedule": "linear", "ppo.lr": 3e-4}),
    ),
    ("entropy_pinned", healthy()),
    ("entropy_collapsed", healthy(entropy=TOP * (1 - 0.97 * GROWING))),
    ("value_explosion", healthy(value_loss=1 + 10 * GROWING)),
    ("critic_underfits", healthy(explained_variance_mc=0.5, explained_variance_mc_probe=0.6)),
    ("greedy_collapsed", healthy()),
    ("greedy_vs_sampled", healthy()),
    ("seeds_bimodal", healthy(**{"f1/seed_0": 0.8})),
    ("overfitting", healthy(f1_train=lambda table: table["eval/f1"] + 0.03, settings=ROLLOUT)),
    ("overfitting", healthy(f1_train=lambda table: table["eval/f1"], observation_repeats=0.64, settings=ROLLOUT)),
    ("overfitting", healthy(f1_train=lambda table: table["eval/f1"] + 0.07)),
]


@pytest.mark.parametrize(("rule", "history"), NEAREST, ids=[f"{i}-{one[0]}" for i, one in enumerate(NEAREST)])
def test_the_nearest_run_without_the_fault_is_left_alone(rule: str, history: History) -> None:
    finding = found(history, rule)
    assert finding is None or finding.kind in (Kind.FINE, Kind.LIMIT)


def test_a_healthy_run_has_no_fault_and_its_floor_is_explained() -> None:
    diagnosis = diagnose(healthy())
    assert wrong(diagnosis, Kind.FAULT, Kind.SUSPECT) == []
    assert wrong(diagnosis, Kind.LIMIT) == ["value_floor"]
    assert diagnosis.unexamined == ()
    assert len(diagnosis.of(Kind.FINE)) > 10


@pytest.mark.parametrize("length", [1, 2, 5, 10, 15, 25, 40, 60])
def test_a_healthy_run_has_no_fault_at_any_time(length: int) -> None:
    whole = healthy()
    assert wrong(diagnose(replace(whole, table=whole.table.loc[:length]))) == []


def test_a_run_that_learned_all_the_same_is_only_asked_whether_its_entropy_fell_too_soon() -> None:
    finding = found(healthy(entropy=AT_ONCE, **{"eval/episode_return": 900.0}), "entropy_collapsed")
    assert finding is not None
    assert finding.kind is Kind.SUSPECT
    assert "while much of the return was still to come" in finding.headline


def test_how_often_flows_were_seen_is_told_by_how_many_repeat() -> None:
    """512 draws of 200 flows hold 184.54 different ones; 51,200 draws show each 256 times."""
    run = healthy(f1_train=1.0, f1=0.8, observation_repeats=1 - 184.54 / 512, settings=ROLLOUT)
    finding = found(run, "overfitting")
    assert finding is not None
    assert any("each flow was seen 256 times" in fact.text for fact in finding.evidence)


def test_the_floor_says_what_cannot_and_what_can_lower_the_value_loss() -> None:
    finding = found(healthy(value_loss=0.96, value_floor=0.94, value_loss_excess=0.02), "value_floor")
    assert finding is not None
    assert finding.headline == (
        "value loss 0.96, floor 0.94: neither value_coef nor lr can lower it; gamma 0.99 on independent flows makes it "
        "so; at gamma 0.5 the floor is near 0.24 for a policy whose rewards follow from the flow, and 0.58 for today's"
    )
    assert dict(finding.remedies[0].change) == {"ppo.gamma": [0.5, 0.0]}
    assert [cause.what for cause in finding.unsupported] == ["value_coef too low (0.5)", "lr too low (0.0003)"]


def test_a_value_loss_below_its_floor_is_shown_with_a_word(command: Any, tmp_path: Path) -> None:
    below = healthy(value_loss=0.9, value_floor=0.94, value_loss_excess=-0.04, explained_variance=-0.3)
    below.table.to_csv(tmp_path / "log.csv", index_label="iteration")
    above = healthy(value_loss=0.96, value_floor=0.94, value_loss_excess=0.02, explained_variance=-0.3)
    above.table.to_csv(tmp_path / "other.csv", index_label="iteration")
    why = "as a loss is measured while the critic fits the same steps, and the floor on steps left out"
    said, other = (
        " ".join(command.analysis("diagnose", file, "--set", "ppo.normalize_returns=batch").out.split())
        for file in ("log.csv", "other.csv")
    )
    assert f"value loss 0.9, floor 0.94 (below it, {why})" in said
    assert "train/value_loss_excess -0.04 over " in said
    assert f"(below 0, {why})" in said
    assert why not in other
    beside = command.analysis("compare", "log.csv", "other.csv").out
    assert f"an excess can be below 0, {why}" in " ".join(beside.split())


def test_a_low_floor_is_no_limit_and_a_loss_above_its_floor_is_the_critics_own() -> None:
    low = found(healthy(value_loss=0.2, value_floor=0.19), "value_floor")
    assert low is not None
    assert low.kind is Kind.FINE
    assert found(healthy(value_loss=0.9, value_floor=0.4, value_loss_excess=0.5), "value_floor") is None


def test_gamma_is_not_blamed_where_steps_depend_on_each_other() -> None:
    finding = found(healthy(settings={"data.order": "stream"}), "value_floor")
    assert finding is not None
    assert "independent" not in finding.headline
    assert finding.causes[0].support is Support.RULED_OUT


def test_a_cause_stands_above_what_follows_from_it() -> None:
    diagnosis = diagnose(untaught(approx_kl=0.0, update_norm=0.0, entropy=TOP, **UNIFORM))
    assert wrong(diagnosis)[:2] == ["policy_frozen", "greedy_collapsed"]
    assert diagnosis.of(Kind.FAULT)[1].follows_from == ("policy_frozen",)
    saturated = diagnose(untaught(approx_kl=0.2, saturated_share=0.05 + 0.7 * GROWING))
    assert wrong(saturated)[:2] == ["updates_too_large", "units_saturated"]  # though scales are looked at before steps


def test_an_evaluation_that_pays_is_no_reward_to_learn_from() -> None:
    finding = found(healthy(**{"train/episode_return": 0.0}), "reward_not_found")
    assert finding is not None
    assert finding.kind is Kind.FAULT


def test_rewards_that_grow_explain_a_return_that_falls() -> None:
    falling = {"train/episode_return": -1750 * np.exp(5 * GROWING), "value_loss": np.exp(8 * GROWING)}
    assert wrong(diagnose(untaught(advantage_followed=None, **falling)))[:2] == ["value_explosion", "learns_backwards"]


def test_suspects_are_ruled_out_by_what_was_recorded() -> None:
    finding = found(untaught(approx_kl=0.0, **UNIFORM), "policy_frozen")
    assert finding is not None
    support = {cause.what.split(" ")[0]: cause.support for cause in finding.causes}
    assert support == {
        "learning": Support.RULED_OUT,
        "an": Support.RULED_OUT,
        "a": Support.RULED_OUT,  # the gradient reaches the parameters; the first ratio is 1
        "advantages": Support.OPEN,
        "reward": Support.OPEN,
        "inputs": Support.RULED_OUT,
    }


def test_what_was_not_recorded_limits_the_diagnosis_and_is_asked_for() -> None:
    diagnosis = diagnose(
        untaught(approx_kl=None, ratio_deviation=None, saturated_share=None, input_rms_max=None, **UNIFORM)
    )
    blind = {one.rule.name for one in diagnosis.unexamined}
    assert {"updates_too_small", "inputs_unscaled"} <= blind
    assert "updates_too_large" not in blind  # the clip fraction is there
    assert diagnosis.questions["train/approx_kl"].startswith("how far each update moves the policy")


def test_an_empty_run_is_examined_by_nobody() -> None:
    diagnosis = diagnose(replace(healthy(), table=healthy().table.iloc[:0]))
    assert diagnosis.findings == ()
    assert len(diagnosis.unexamined) == len(RULES)


def test_rules_name_their_file_and_each_other_rightly() -> None:
    names = {rule.name for rule in RULES}
    folder = Path(__file__).parents[2] / "analysis" / "diagnosis"
    assert {file.stem for file in folder.glob("*.py") if "RULE = Rule(" in file.read_text()} == names
    for rule in RULES:
        assert set(rule.explains) <= names
        assert rule.source


CASE_METRICS = """\
iteration,value_loss,episode_reward,action_allow,action_block,action_quarantine,action_alert
10,0.999,-2000,.27,.22,.21,.30
50,1.000,-1500,.28,.22,.21,.29
100,0.999,-1900,.27,.23,.23,.27
120,0.999,-1600,,,,
150,0.998,-1400,,,,
200,1.000,-1700,.28,.24,.22,.26
"""


def stuck(folder: Path) -> History:
    """A run like the one that this project began with, a few numbers of which are made up."""
    folder.joinpath("metrics.csv").write_text(CASE_METRICS)
    rows = "\n".join(f"{i},0,1419,0,181,0.0" for i in range(20, 221, 20))
    folder.joinpath("evaluations.csv").write_text(f"iteration,tp,tn,fp,fn,f1\n{rows}\n")
    folder.joinpath("config.yaml").write_text(
        "value_coef: 1.5\nlr: 3e-4\nentropy_coef: 0.05\niterations: 220\n"
        "return_normalization: true  # before, value loss grew from 38,000 to 49,000\n"
    )
    return load(str(folder))


@pytest.fixture(params=["made", "recorded"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Diagnosis:
    """The diagnosis of the stuck run, and of a small copy of it."""
    if request.param == "made":
        return diagnose(stuck(tmp_path))
    return diagnose(load(str(request.getfixturevalue("stuck_run"))))


def test_the_stuck_run_is_stuck_because_its_policy_is_not_updated(case: Diagnosis) -> None:
    assert wrong(case)[0] == "policy_frozen"
    finding = case.findings[0].finding
    assert "Balanced actions are no sign of good exploration" in finding.why
    assert any("exactly the same counts (TP 0, TN 1419, FP 0, FN 181)" in fact.text for fact in finding.evidence)
    suspects = " ".join(cause.what for cause in finding.causes)
    for suspect in (
        "learning rate",
        "early stop on KL",
        "ratio that is not 1",
        "advantages",
        "next step",
        "not scaled",
    ):
        assert suspect in suspects
    assert finding.remedies == ()  # no setting is the cause as far as the run shows


def test_the_stuck_runs_greedy_policy_has_collapsed(case: Diagnosis) -> None:
    ranked = next(one for one in case.findings if one.rule.name == "greedy_collapsed")
    assert ranked.finding.headline == (
        "The greedy policy allows everything, whatever it sees: TP 0, FP 0, TN 1419, FN 181 in all 11 evaluations"
    )
    assert ranked.follows_from == ("policy_frozen",)


def test_the_stuck_runs_value_loss_is_no_fault_and_value_coef_not_supported(case: Diagnosis) -> None:
    (limit,) = case.of(Kind.LIMIT)
    assert "the level of a critic that explains nothing" in limit.finding.headline
    assert "independent flows at gamma 0.99 would force it there" in limit.finding.headline
    assert "gamma 0.99 and gae_lambda 0.95 are assumed" in limit.finding.why
    blamed = limit.finding.unsupported[0]
    assert blamed.what == "value_coef too low (1.5)"
    assert blamed.why.startswith("not supported until a branch beats a control")


def test_the_stuck_runs_explosion_was_ended_by_normalisation(case: Diagnosis) -> None:
    steady = next(one.finding for one in case.findings if one.rule.name == "value_explosion")
    assert steady.kind is Kind.FINE
    assert "value loss grew from 38,000 to 49,000" in steady.headline
    assert "Normalisation ended that explosion" in steady.headline


def test_the_stuck_run_lacks_what_would_decide(case: Diagnosis) -> None:
    wanted = list(case.questions)
    for name in ("approx_kl", "clip_fraction", "lr", "grad_norm_policy", "explained_variance", "ratio_deviation"):
        assert f"train/{name}" in wanted
    assert wanted[0] == "train/approx_kl"
