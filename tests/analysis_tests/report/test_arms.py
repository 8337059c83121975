"""From a remedy to the command that tries it: which arms, as which words."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.arms import Arm, list_arms
from unstuck.analysis.history import History
from unstuck.analysis.history.record import CLIP_RANGE
from unstuck.analysis.report.arms import (
    describe_change,
    find_obstacle,
    list_missing_settings,
    make_arms_command,
    make_own_sweep_command,
    quote_command,
)
from unstuck.rl import metrics

from tests.analysis_tests.runs import healthy, untaught

FOLDER = Path("/runs")


def trial(**tags: str) -> History:
    """A trial of a sweep that searched lr and gamma."""
    named = {"sweep": "horizon", "trial": "7", "searched": "ppo.lr, ppo.gamma", **tags}
    return replace(healthy(), name="horizon/7", tags=named)


def arm(**change: Any) -> Arm:
    return Arm({path.replace("__", "."): value for path, value in change.items()}, "why", "watch", "rule")


def parsed(words: list[str]) -> dict[str, Any]:
    """What Hydra reads from a command's overrides."""
    overrides = [word for word in words if "=" in word]
    found = OverridesParser.create().parse_overrides(overrides)
    return {one.key_or_group: one.value() for one in found}


def test_an_arm_that_changes_the_rewards_runs_apart() -> None:
    assert arm(env__reward_threat=(1, 2, 3, 4)).changes_objective
    assert not arm(ppo__lr=1e-3).changes_objective
    assert arm(ppo__lr=1e-3, env__reward_threat=(1, 2, 3, 4)).changes_objective


def test_a_trials_arms_start_from_what_it_had_of_the_search() -> None:
    words = make_arms_command(trial(), [arm(ppo__lr=1e-3), arm(ppo__hidden_sizes=(16, 16))], FOLDER)
    assert words[:4] == ["python", "sweep.py", "--config-path", "/runs/horizon"]
    read = parsed(words)
    assert (read["ppo.lr"], read["ppo.gamma"]) == (3e-4, 0.99)
    assert read["sampler.points"] == [{}, {"ppo": {"lr": 1e-3}}, {"ppo": {"hidden_sizes": [16, 16]}}]
    assert read["sampler.name"] == "points"
    assert read["scheduler.name"] == "none"
    assert read["sweep.name"] == "horizon-7-arms"
    assert read["sweep.num_trials"] is None
    assert read["hydra.output_subdir"] is None


def test_a_trial_with_rollouts_of_its_own_keeps_its_length_in_iterations() -> None:
    own = {"ppo.num_envs": 4, "ppo.num_iterations": 400, "ppo.eval_every": 40}
    run = trial(searched="ppo.num_envs")
    read = parsed(make_arms_command(replace(run, settings={**run.settings, **own}), [arm(ppo__lr=1e-3)], FOLDER))
    assert {path: read[path] for path in own} == own
    assert "ppo.num_iterations" not in parsed(make_arms_command(trial(), [arm(ppo__lr=1e-3)], FOLDER))


def test_a_run_that_only_names_a_sweep_is_no_trial_of_it() -> None:
    run = replace(foreign(), tags={"sweep": "horizon"})
    assert make_arms_command(run, [arm(ppo__gamma=0.9)], FOLDER)[2] == "env=cartpole"


def test_without_a_search_the_control_is_the_configuration_itself() -> None:
    read = parsed(make_arms_command(trial(searched=""), [arm(ppo__lr=1e-3)], FOLDER))
    assert read["sampler.points"] == [{}, {"ppo": {"lr": 1e-3}}]


def test_arms_that_run_apart_are_not_beside_the_others() -> None:
    apart = arm(env__reward_threat=(-10.0, 8.0, 5.0, 2.0))
    assert make_arms_command(trial(), [apart], FOLDER) == []
    assert make_arms_command(trial(), [], FOLDER) == []
    assert parsed(make_arms_command(trial(), [apart, arm(ppo__lr=1e-3)], FOLDER))["sampler.points"][1:] == [
        {"ppo": {"lr": 1e-3}}
    ]
    alone = parsed(make_own_sweep_command(trial(), apart, FOLDER))
    assert alone["env.reward_threat"] == [-10.0, 8.0, 5.0, 2.0]
    assert (alone["ppo.lr"], alone["ppo.gamma"], alone["sampler.points"]) == (3e-4, 0.99, [{}])
    assert alone["sweep.name"] == "horizon-7-apart"


def foreign(**settings: Any) -> History:
    """Another program's run of CartPole."""
    return History("ppo 1.csv", "a file", healthy().table.iloc[:, :4], {"env.id": "CartPole-v1", **settings})


def test_another_programs_run_is_set_up_by_what_it_recorded() -> None:
    run = foreign(
        **{"ppo.lr": 1e-3, "ppo.target_kl": None, "ppo.normalize_advantage": True, "ppo.normalize_returns": True},
        **{"ppo.hidden_sizes": [64, 64], "ppo.unknown": 3, "seed": 1},
    )
    words = make_arms_command(run, [arm(ppo__gamma=0.9)], FOLDER)
    assert words[2:5] == ["env=cartpole", "env.id=CartPole-v1", "sweep.metric=eval/episode_return"]
    read = parsed(words)
    assert read["ppo.lr"] == 1e-3
    assert read["ppo.target_kl"] is None
    assert read["ppo.normalize_advantage"] is True
    assert read["ppo.normalize_returns"] == "batch"  # there it is on or off
    assert read["ppo.hidden_sizes"] == [64, 64]
    assert "ppo.unknown" not in read
    assert "ppo.gamma" not in read  # it was not recorded: ours holds, but for the arm
    assert read["sampler.points"] == [{}, {"ppo": {"gamma": 0.9}}]
    assert read["sweep.name"] == "ppo-1-arms"


def test_a_run_of_stable_baselines3_is_trained_by_it_with_as_many_seeds() -> None:
    run = replace(foreign(**{"ppo.lr": 1e-3, "ppo.shared_trunk": False, "ppo.normalize_returns": True}), dialect="sb3")
    losses = {f"train/value_loss/seed_{seed}": run.table["train/value_loss"] for seed in range(3)}
    for log in (run, replace(run, dialect="unstuck", probed="sb3")):
        read = parsed(make_arms_command(replace(log, table=log.table.assign(**losses)), [arm(ppo__gamma=0.9)], FOLDER))
        assert (read["trainer"], read["env.id"], read["sweep.seeds"]) == ("sb3", "CartPole-v1", 3)
        assert read["ppo.normalize_returns"] == "running"
        assert "ppo.shared_trunk" not in read
        assert "sweep.seeds" not in parsed(make_arms_command(log, [arm(ppo__gamma=0.9)], FOLDER))


def test_a_trial_known_by_its_log_alone_is_trained_by_its_own_trainer() -> None:
    """Its configuration is in the log, as in an event file of ours, and its sweep is elsewhere."""
    own = {"trainer.name": "sb3", "trainer.make": "my_script:make", "trainer.command": None}
    words = make_arms_command(foreign(**own), [arm(ppo__gamma=0.9)], FOLDER)
    assert words[2:5] == ["trainer=sb3", "trainer.make='my_script:make'", "env=cartpole"]
    scripted = {"trainer.name": "command", "trainer.command": "python ppo.py --alpha {ppo.lr}", "trainer.flags": "none"}
    read = parsed(make_arms_command(foreign(**scripted), [arm(ppo__gamma=0.9)], FOLDER))
    assert (read["trainer"], read["trainer.command"]) == ("command", "python ppo.py --alpha {ppo.lr}")
    assert "trainer" not in parsed(make_arms_command(foreign(**{"trainer.name": "ppo"}), [arm(ppo__gamma=1)], FOLDER))


def test_another_programs_triage_asks_for_its_flows() -> None:
    run = History("stuck", "a folder", healthy().table, {"data.threat_share": 0.125})
    words = make_arms_command(run, [arm(ppo__gamma=0.9)], FOLDER)
    assert words[2:7] == [
        "data=csv",
        "data.path=FLOWS.csv",
        "data.label=LABEL",
        "data.benign=[BENIGN]",
        "data.threat_share=0.125",
    ]
    bare = History("stuck", "a folder", healthy().table, {})
    assert not any(
        word.startswith("data.threat_share") for word in make_arms_command(bare, [arm(ppo__gamma=0.9)], FOLDER)
    )
    worded = History("stuck", "a folder", healthy().table, {"data.threat_share": "a tenth"})
    assert not any(
        word.startswith("data.threat_share") for word in make_arms_command(worded, [arm(ppo__gamma=0.9)], FOLDER)
    )
    listed = History("stuck", "a folder", healthy().table.iloc[:, :4], {"env.actions": ["allow", "block"]})
    assert make_arms_command(listed, [arm(ppo__gamma=0.9)], FOLDER) == []  # neither triage nor an environment's id


def test_a_task_that_is_not_known_has_no_command() -> None:
    run = History("stuck", "a folder", healthy().table.iloc[:, :4], {})
    assert make_arms_command(run, [arm(ppo__gamma=0.9)], FOLDER) == []
    assert make_own_sweep_command(run, arm(env__reward_threat=(1, 2, 3, 4)), FOLDER) == []


def test_names_keep_to_what_a_sweep_may_be_named() -> None:
    def named(name: str) -> str:
        return str(
            parsed(make_arms_command(replace(foreign(), name=name), [arm(ppo__gamma=0.9)], FOLDER))["sweep.name"]
        )

    assert named("a b/c:1.csv") == "a-b-c-1-arms"
    assert named("Prüfung.csv") == "Pr-fung-arms"
    assert named(".hidden") == "arms"
    assert named("_run.csv") == "run-arms"
    assert len(named("x" * 200)) == 88


def test_a_command_survives_a_shell() -> None:
    words = make_arms_command(trial(), [arm(ppo__lr=1e-3)], Path("/runs of mine"))
    assert "'/runs of mine/horizon'" in quote_command(words)
    assert shlex.split(quote_command(words)) == words


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ppo.gamma": 0.5, "ppo.lr": 1e-3}, "gamma 0.5, lr 0.001"),
        ({"ppo.target_kl": None}, "target_kl off"),
        ({"ppo.hidden_sizes": (16, 16)}, "hidden_sizes (16, 16)"),
        ({"ppo.normalize_returns": "batch"}, "normalize_returns batch"),
    ],
)
def test_a_change_in_words(change: dict[str, Any], text: str) -> None:
    assert describe_change(change) == text


def test_the_arms_of_a_real_diagnosis_can_be_run_as_they_are_shown() -> None:
    for run in (healthy(), untaught(approx_kl=0.2), untaught(value_loss=1.0, grad_norm_value=900.0)):
        found = list_arms(diagnose(run))
        assert found
        points = parsed(make_arms_command(replace(run, tags=trial().tags), found, FOLDER))["sampler.points"]
        assert len(points) == 1 + sum(not one.changes_objective for one in found)
        assert points[0] == {}
        assert all(one != points[0] for one in points[1:])


def test_a_control_takes_what_was_logged_and_names_what_was_not() -> None:
    rates = pd.DataFrame({metrics.LR: [5e-3] * 5, CLIP_RANGE: [0.4] * 5}, index=range(1, 6))
    run = replace(foreign(), table=rates)
    read = parsed(make_arms_command(run, [arm(ppo__lr=1e-3)], FOLDER))
    assert (read["ppo.lr"], read["ppo.clip_range"]) == (5e-3, 0.4)
    assert list_missing_settings(run) == ["num_envs", "num_steps"]
    assert list_missing_settings(foreign()) == ["lr", "num_envs", "num_steps"]
    falling = replace(foreign(), table=rates.assign(**{metrics.LR: [5e-3, 4e-3, 3e-3, 2e-3, 1e-3]}))
    assert list_missing_settings(falling) == ["num_envs", "num_steps", "lr_schedule"]
    assert list_missing_settings(foreign(**{"ppo.lr": 1e-3, "ppo.num_envs": 8, "ppo.num_steps": 128})) == []
    assert list_missing_settings(trial()) == []


@pytest.mark.parametrize(
    "env_id", ["GPUcluster-1a_p_4m_2g", "ALE/NoSuchGame-v5", "no_such_package:Thing-v0", "CartPole-v77", "a b:c"]
)
def test_an_environment_that_cannot_be_made_here_has_no_command(env_id: str) -> None:
    run = foreign(**{"env.id": env_id})
    assert make_arms_command(run, [arm(ppo__gamma=0.9)], FOLDER) == []
    assert make_own_sweep_command(run, arm(env__reward_threat=(1, 2, 3, 4)), FOLDER) == []
    assert find_obstacle(run).startswith(env_id)


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Acrobot-v1", "FrozenLake-v1", "Blackjack-v1", "gymnasium:Acrobot-v1"]
)
def test_an_environment_that_can_be_made_here_has_one(env_id: str) -> None:
    assert find_obstacle(foreign(**{"env.id": env_id})) == ""
