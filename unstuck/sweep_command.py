"""Run one sweep: compose the experiment, check the settings, train; the body of `sweep.py` and of `unstuck sweep`."""

import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from omegaconf import DictConfig

from unstuck.analysis.programs import sweep_program, unstuck_program
from unstuck.records.errors import SweepError, TrackingError
from unstuck.records.machine import limit_threads
from unstuck.records.provenance import find_own_version
from unstuck.records.redact import redact_error
from unstuck.rl.errors import CheckpointError, ConfigError, DataError
from unstuck.rl.own_modules import add_own_modules
from unstuck.sweeps.config.command import read_arguments
from unstuck.sweeps.config.compose import Checked, check_and_freeze
from unstuck.sweeps.config.experiments import list_experiments
from unstuck.sweeps.config.hydra_errors import explain_errors
from unstuck.sweeps.config.keys import CONF

WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def exit_with_one_line(program: str, arguments: Sequence[str]) -> Iterator[None]:
    """Print a user's error from inside the `with` block as one line, secrets masked, and exit with status 2.

    With HYDRA_FULL_ERROR=1, print the traceback instead, and exit with status 1; after Ctrl-C, exit with status 130.
    """
    try:
        yield
    except (CheckpointError, ConfigError, DataError, SweepError, TrackingError) as error:
        text = traceback.format_exc() if WANTS_TRACEBACK else f"{program}: error: {error}"
        print(redact_error(text, *arguments), file=sys.stderr)
        raise SystemExit(1 if WANTS_TRACEBACK else 2) from None
    except KeyboardInterrupt:
        print("stopped by the user; nothing had been started", file=sys.stderr)
        raise SystemExit(130) from None


def main(program: str = "sweep.py", arguments: Sequence[str] | None = None, beside: Path = CONF.parent) -> int:
    """Run the sweep that the command line describes; return the exit status: 0, 2 if refused, or the sweep's own.

    Args:
        program: How the user called this, for messages.
        arguments: Words of the command line; by default those that this process was called with.
        beside: Folder where a relative `--config-path` is looked for.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if "--version" in arguments:
        print(f"unstuck {find_own_version()}")
        return 0
    add_own_modules(Path.cwd())  # such as that of env.id=mygrid:Line-v0
    composed: list[Checked] = []

    def compose(cfg: DictConfig) -> None:
        # Here, since a setting may refer to Hydra's choices, which are gone afterwards.
        with exit_with_one_line(program, arguments):
            composed.append(check_and_freeze(cfg, line.given))

    compose.__module__ = "unstuck.sweep"  # Hydra names the job by its last word
    with exit_with_one_line(program, arguments):
        with explain_errors(), _hydra_raising():
            line = read_arguments(arguments, beside)
            if line.chooses_nothing:
                return _show_choice(program, line.own_folder)
            sys.argv[1:] = line.words  # where Hydra reads them
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(compose)()
        for config, idle in composed:  # none after --help, --cfg or --info: Hydra has answered
            limit_threads()
            from unstuck.sweeps.run.sweep import run_sweep  # late, so that Hydra's own answers come at once

            return run_sweep(config, arguments, idle)
    return 0


def _show_choice(program: str, own: Path | None) -> int:
    """Print what there is to run, since nothing was chosen; return the exit status 2, as nothing has run.

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
    """Make Hydra raise errors inside the `with` block as exceptions, instead of printing error texts."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before
