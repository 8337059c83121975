"""Train by a command: any script that takes settings on its command line and writes a log (docs/trainers.md)."""

import shutil
from collections.abc import Callable
from pathlib import Path

from unstuck.rl.config import require
from unstuck.rl.data.types import FlowData
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.command_line import explain_way, list_handed_on, read_program, require_command
from unstuck.sweeps.trainers.members import MembersInTurn
from unstuck.sweeps.trainers.protocol import RANDOMNESS, TrainerKind, TrialSpec

NAME = "command"

_MEMBER_BYTES = 400 * 2**20
"""Main memory of one command: Python with PyTorch, a small network and its environments."""


def make_trainer(spec: TrialSpec) -> MembersInTurn:
    """Make an untrained trainer of all members (seeds) of a trial, which runs one command on each core at a time."""
    from unstuck.sweeps.trainers.command_member import CommandMember, Turns

    turns = Turns(spec.config.resources.cpus_per_trial)
    return MembersInTurn(NAME, spec, lambda member: CommandMember(member, turns))


def check(config: SweepConfig, data: FlowData | None) -> None:
    """Raise `ConfigError` if the training command or its program is missing, or lacks a setting of the user's."""
    require(
        config.trainer.command is not None,
        "trainer=command needs a command that trains one run, got none; write trainer.command='python ppo.py'",
    )
    program = read_program(config)
    require(
        shutil.which(program) is not None or Path(program).is_file(),
        f"trainer.command must begin with a program that can be run, got {program!r}, which is not there; write "
        "trainer.command='python ppo.py'",
    )
    require_command(config)


def name_dialect(config: SweepConfig) -> str:
    """Return the name of the program whose flags the training command has; the diagnosis speaks in its terms."""
    return "plain" if config.trainer.flags == "none" else config.trainer.flags


def estimate_memory(config: SweepConfig, data: FlowData | None) -> Callable[[int], int]:
    """Return a function from number of members (seeds) to memory in bytes, roughly estimated."""
    return lambda members: members * _MEMBER_BYTES


COMMAND = TrainerKind(
    title="a command",
    make=make_trainer,
    check=check,
    estimate_memory=estimate_memory,
    keeps_state=False,
    acts_on_flows=False,
    parts=frozenset({RANDOMNESS}),
    list_reached=list_handed_on,
    explain_way=explain_way,
    name_dialect=name_dialect,
)
