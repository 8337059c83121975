"""What must be the same for all trials is refused by the command, before anything starts."""

import pytest

from tests.conftest import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("+space.ppo.num_iterations.choice=[10,20]", "ppo.lr_schedule=linear"),
            "ppo.num_iterations must be the same for all trials, since it is the budget that trials are compared at, "
            "got {'choice': [10, 20]} in space; take it out there, and set ppo.num_iterations=VALUE for the whole "
            "sweep (now 20)",
        ),
        (
            ("sampler=points", "sweep.num_trials=null", "sampler.points=[{}, {ppo: {num_iterations: 40}}]"),
            "ppo.num_iterations must be the same for all trials, since it is the budget that trials are compared at, "
            "got 40 in sampler.points[1]; take it out there, and set ppo.num_iterations=VALUE for the whole sweep "
            "(now 20)",
        ),
        (
            ("+space.env.flows_per_episode.choice=[1000,10000]",),
            "env.flows_per_episode must be the same for all trials, since it defines what trials are compared by, "
            "got {'choice': [1000, 10000]} in space; take it out there, and set env.flows_per_episode=VALUE for the "
            "whole sweep (now 1000)",
        ),
    ],
)
def test_the_command_refuses_it_before_anything_starts(command: Command, words: tuple[str, ...], said: str) -> None:
    done = command("+experiment=quickstart", "ppo.num_iterations=20", "ppo.eval_every=5", *words)
    assert (done.code, done.err) == (2, f"sweep.py: error: {said}\n")
    assert not (command.folder / "runs").exists()


def test_the_data_is_no_more_searched_than_before(command: Command) -> None:
    done = command("+experiment=quickstart", "+space.data.seed.choice=[0,1]")
    assert (done.code, "space may hold settings of ppo and env only, got data" in done.err) == (2, True)
