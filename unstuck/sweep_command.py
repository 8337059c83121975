"""Run one sweep: compose the experiment, check the settings, train; the body of `sweep.py` and of `unstuck sweep`."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from omegaconf import DictConfig

from unstuck.analysis.programs import sweep_program, unstuck_program
from unstuck.command_line import DEBUG, REFUSALS, answer_errors
from unstuck.records.machine import collect_garbage_seldom, limit_threads
from unstuck.records.provenance import find_own_version
from unstuck.rl.own_modules import add_own_modules
from unstuck.sweeps.config.command import read_arguments
from unstuck.sweeps.config.compose import Checked, check_and_freeze, composing_once
from unstuck.sweeps.config.experiments import list_experiments
from unstuck.sweeps.config.hydra_errors import explain_errors
from unstuck.sweeps.config.keys import CONF
from unstuck.sweeps.config.setting_docs import explain_setting


def main(
    program: str = "sweep.py",
    arguments: Sequence[str] | None = None,
    beside: Path = CONF.parent,
    announce: Callable[[Path], object] | None = None,
) -> int:
    """Run the sweep that the command line describes; return the exit code: 0, 2 if refused, or the sweep's own.

    Args:
        program: How the user called this, for messages.
        arguments: Words of the command line; by default those that this process was called with.
        beside: Folder where a relative `--config-path` is looked for.
        announce: Function that is told the sweep's folder before the sweep starts.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    arguments = [word for word in words if word != DEBUG]
    if "--version" in arguments:
        print(f"unstuck {find_own_version()}")
        return 0
    collect_garbage_seldom()
    add_own_modules(Path.cwd())  # such as that of env.id=mygrid:Line-v0

    def run() -> int:
        found = _compose(program, arguments, beside)
        if isinstance(found, int):
            return found
        config, idle = found
        if announce:
            announce(config.own_folder)
        if sys.stdout.isatty():  # somebody waits
            print(f"Starting {config.sweep.name}: loading libraries, data and databases", flush=True)
        limit_threads()
        from unstuck.sweeps.run.sweep import run_sweep  # late: what it imports takes seconds

        return run_sweep(config, arguments, idle)

    return answer_errors(program, words, run, "stopped by the user; nothing had been started")


def _compose(program: str, arguments: Sequence[str], beside: Path) -> Checked | int:
    """Compose and check the configuration that the command line describes; return an exit code if nothing is to run.

    Args:
        program: How the user called this, for messages.
        arguments: Words of the command line.
        beside: Folder where a relative `--config-path` is looked for.
    """
    composed: list[Checked] = []
    refused: list[Exception] = []

    def compose(cfg: DictConfig) -> None:
        # Here, since a setting may refer to Hydra's choices, which are gone afterwards.
        try:
            composed.append(check_and_freeze(cfg, line.given))
        except REFUSALS as error:  # in our words already, which `explain_errors` shall not explain again
            refused.append(error)

    compose.__module__ = "unstuck.sweep"  # Hydra names the job by its last word
    with explain_errors(), _hydra_raising():
        line = read_arguments(arguments, beside)
        if line.chooses_nothing:
            return _show_choice(program, line.own_folder)
        if line.explained:
            print(*map(explain_setting, line.explained), sep="\n\n")
            return 0
        sys.argv[1:] = line.words  # where Hydra reads them
        with composing_once(line.words):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(compose)()
    for error in refused:
        raise error
    return composed[0] if composed else 0  # nothing after --help, --cfg or --info: Hydra has answered


def _show_choice(program: str, own: Path | None) -> int:
    """Print the experiments that the user can run, because none was chosen; return the exit code 2.

    Args:
        program: How the user called this, for the message.
        own: Folder of the user's own experiments; None for none.
    """
    called = sweep_program() if program == "sweep.py" else [*unstuck_program(), "sweep"]
    words = shlex.join([*called, *(["--config-dir", str(own)] if own else [])])
    found = list_experiments(own)
    longest = max(map(len, found))
    print("Experiments:", *(f"  {name:<{longest}}  {what}".rstrip() for name, what in found.items()), sep="\n")
    print(
        "\nChoose one, and change any setting of it:",
        f"  {words} +experiment=quickstart",
        f"  {words} +experiment=quickstart sweep.num_trials=4",
        "Or change a setting or a group of the defaults, 48 trials of 4 seeds on synthetic flows:",
        f"  {words} sweep.num_trials=8 sampler=random",
        "See all groups, and where all settings are explained:",
        f"  {words} --help\n",
        sep="\n",
        flush=True,
    )
    print(f"{program}: error: choose what to run, such as +experiment=quickstart; got nothing", file=sys.stderr)
    return 2


@contextmanager
def _hydra_raising() -> Iterator[None]:
    """Set Hydra to raise its errors as exceptions inside the block, instead of printing them."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before
