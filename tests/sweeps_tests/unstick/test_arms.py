"""Which arms an unstick has: those of the diagnosis, single changes, one's own; each once, and none that cannot run."""

from typing import Any

import pandas as pd
import pytest
from unstuck.analysis.diagnosis import Diagnosis, diagnose
from unstuck.analysis.history import History
from unstuck.records.errors import SweepError
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import BranchConfig, SweepConfig, UnstickConfig
from unstuck.sweeps.unstick.arm import ArmRecord, describe_values
from unstuck.sweeps.unstick.arms import build_arms, combine_changes, scale

STUCK = PPOConfig(lr=3e-4, value_coef=1.5, entropy_coef=0.05)


def config_of(*arms: Any, ppo: PPOConfig = STUCK, most: int = 12) -> SweepConfig:
    branch, unstick = BranchConfig(start="checkpoint"), UnstickConfig(max_arms=most)
    return SweepConfig(run="a/0", ppo=ppo, branch=branch, unstick=unstick, arms=arms)


def nothing_wrong() -> Diagnosis:
    return diagnose(History("a/0", "nowhere", pd.DataFrame({"train/value_loss": [1.0, 0.5]}, index=[1, 2])))


def values(*arms: Any, **options: Any) -> list[dict[str, Any]]:
    return [dict(arm.values) for arm in build_arms(config_of(*arms, **options), nothing_wrong())]


def test_single_changes_are_what_the_stuck_runs_owner_meant_to_try() -> None:
    assert values("single_changes") == [
        {},
        {"ppo.value_coef": 3.0},
        {"ppo.value_coef": 5.0},
        {"ppo.lr": 5e-4},
        {"ppo.lr": 1e-3},
        {"ppo.entropy_coef": 0.02},
        {"ppo.entropy_coef": 0.01},
    ]


def test_his_last_step_is_the_combined_change() -> None:
    assert combine_changes(config_of()) == {"ppo.value_coef": 5.0, "ppo.lr": 5e-4, "ppo.entropy_coef": 0.02}


def test_a_coefficient_of_zero_has_no_multiple() -> None:
    ppo = PPOConfig(entropy_coef=0.0)
    assert not any("ppo.entropy_coef" in arm for arm in values("single_changes", ppo=ppo))
    assert "ppo.entropy_coef" not in combine_changes(config_of(ppo=ppo))


@pytest.mark.parametrize(
    ("value", "factor", "scaled"),
    [(3e-4, 5 / 3, 5e-4), (1.5, 10 / 3, 5.0), (0.05, 1 / 2.5, 0.02), (0.14, 2, 0.28), (2.5e-4, 5 / 3, 4e-4)],
)
def test_a_scaled_value_is_short_and_near(value: float, factor: float, scaled: float) -> None:
    assert scale(value, factor) == scaled
    assert abs(scale(value, factor) - value * factor) <= 0.05 * value * factor


def test_an_own_arm_stands_beside_the_control_alone_or_beside_the_sets() -> None:
    own = {"ppo": {"lr": 0.01}}
    assert values(own) == [{}, {"ppo.lr": 0.01}]
    assert values("single_changes", own)[-1] == {"ppo.lr": 0.01}
    assert len(values("single_changes", own)) == 8


def test_no_arm_stands_twice_nor_equals_the_control() -> None:
    assert values({"ppo": {"lr": 3e-4}}, {"ppo": {"lr": 5e-4}}, "single_changes", {"ppo": {"lr": 0.0005}}) == [
        {},
        {"ppo.lr": 5e-4},
        *values("single_changes")[1:3],
        *values("single_changes")[4:],
    ]


def test_the_most_arms_cut_the_sets_and_never_ones_own() -> None:
    own = [{"ppo": {"lr": 0.01}}, {"ppo": {"lr": 0.02}}]
    assert values("single_changes", *own, most=3) == [
        {},
        {"ppo.value_coef": 3.0},
        {"ppo.lr": 0.01},
        {"ppo.lr": 0.02},
    ]
    assert values("single_changes", *own, most=1) == [{}, {"ppo.lr": 0.01}, {"ppo.lr": 0.02}]


def test_an_arm_started_anew_is_another_arm_than_one_that_goes_on() -> None:
    anew = {"branch": {"start": "anew"}}
    assert values({"ppo": {"lr": 0.01}}, {"ppo": {"lr": 0.01}, **anew}, anew) == [
        {},
        {"ppo.lr": 0.01},
        {"ppo.lr": 0.01, "branch.start": "anew"},
        {"branch.start": "anew"},
    ]


def test_a_change_of_the_horizon_resets_what_knew_the_old_one() -> None:
    (_, arm) = build_arms(config_of({"ppo": {"gamma": 0.5}}), nothing_wrong())
    assert arm.values == {"ppo.gamma": 0.5, "branch.reset": ("value_head", "adam", "return_normalizer")}
    assert "gamma changes the scale or the horizon" in arm.carried
    (_, arm) = build_arms(config_of({"ppo": {"gamma": 0.5}, "branch": {"reset": []}}), nothing_wrong())
    assert arm.values == {"ppo.gamma": 0.5}, "who says what is reset has the last word"


def test_other_layers_start_anew_and_cannot_do_otherwise() -> None:
    layers: dict[str, Any] = {"ppo": {"hidden_sizes": [32]}}
    assert values(layers)[1] == {"ppo.hidden_sizes": (32,), "branch.start": "anew"}
    rule = r"^arms\[0\] must start anew: nothing is carried over from the run: hidden_sizes gives the netw"
    with pytest.raises(SweepError, match=rule):
        values({**layers, "branch": {"start": "checkpoint"}})


def test_an_own_arm_that_cannot_run_is_refused_by_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^arms\[1\] cannot run: minibatch_size must divide num_envs \* num_steps"):
        values("single_changes", {"ppo": {"minibatch_size": 100}})
    with pytest.raises(SweepError, match=r"^unknown setting ppo.lrr in arms\[0\]; did you mean ppo.lr\?"):
        values({"ppo": {"lrr": 1}})
    with pytest.raises(SweepError, match=r"^arms\[0\] must leave branch.parent out, since stages set it, got 2"):
        values({"branch": {"parent": 2}})
    with pytest.raises(SweepError, match=r"^env.reward_threat must be the same for all trials"):
        values({"env": {"reward_threat": [0, 0, 0, 0]}})


def test_what_the_diagnosis_prescribes_comes_with_its_reason() -> None:
    index = range(1, 101)
    table = pd.DataFrame(
        {"train/approx_kl": 1e-9, "train/clip_fraction": 0.0, "train/entropy": 1.386, "eval/f1": 0.2, "train/lr": 1e-6},
        index=index,
    )
    settings = {"ppo.lr": 1e-6, "ppo.num_iterations": 100, "ppo.num_epochs": 4}
    found = diagnose(History("a/0", "nowhere", table, settings))
    arms = build_arms(config_of("prescribed", ppo=PPOConfig(lr=1e-6)), found)
    prescribed = [arm for arm in arms if arm.rule]
    assert prescribed, "a rate that moves nothing has a remedy"
    assert all(arm.values["ppo.lr"] > 1e-5 and arm.why for arm in prescribed if "ppo.lr" in arm.values)
    assert any("ppo.lr" in arm.values for arm in prescribed)


def test_a_record_is_a_point_and_json() -> None:
    arm = ArmRecord({"ppo.gamma": 0.5, "branch.reset": ("adam",)}, "why")
    assert arm.to_point() == {"ppo": {"gamma": 0.5}, "branch": {"reset": ["adam"]}}
    assert arm.to_json()["values"] == {"ppo.gamma": 0.5, "branch.reset": ("adam",)}
    assert describe_values({"ppo.lr": 0.001, "branch.parent": 3}) == "lr 0.001, from trial 3"
