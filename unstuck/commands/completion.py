"""`unstuck completion SHELL`: lines that let a shell complete the words of `unstuck`.

The lines call `unstuck completion --words LINE`, so what is offered is what there is: a new sweep, an own experiment.
"""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from unstuck.command_table import SWEEP, find_parser, list_commands
from unstuck.commands.parsing import make_parser

BASH = """\
_unstuck() {
  local line="${COMP_LINE:0:COMP_POINT}" word rest
  word="${line##*[[:space:]]}"
  rest="${word%"${word##*[=:]}"}"
  local IFS=$'\\n'
  COMPREPLY=($("${COMP_WORDS[0]}" completion --words "$line" 2>/dev/null))
  COMPREPLY=("${COMPREPLY[@]#"$rest"}")
  case "${COMPREPLY[0]-}" in *= | *. | */) compopt -o nospace ;; esac
}
complete -o default -F _unstuck unstuck
"""
"""bash takes `=` and `:` for ends of words, so what stands before them is cut off."""

ZSH = """\
#compdef unstuck
_unstuck() {
  local -a found open
  found=("${(@f)$("${words[1]}" completion --words "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
  open=("${(@M)found:#*[=./]}")
  found=("${(@)found:#*[=./]}")
  compadd -Q -S '' -a open
  compadd -Q -a found || _files
}
compdef _unstuck unstuck
"""

FISH = """\
complete -c unstuck -a '(unstuck completion --words (commandline -cp) 2>/dev/null)'
"""

SHELLS = {
    "bash": (BASH, "~/.bashrc", 'eval "$(unstuck completion bash)"'),
    "zsh": (ZSH, "~/.zshrc, after compinit", 'eval "$(unstuck completion zsh)"'),
    "fish": (FISH, "~/.config/fish/config.fish", "unstuck completion fish | source"),
}
"""Lines of each shell, and which file of the user's has to call them, how."""

_ON_NAMES = ("champion", "report", "show", "ui", "audit", "stop", "delete")
_ON_TRIALS = ("diagnose", "compare", "report", "show", "unstick")
_HYDRA_OPTIONS = ("--help", "--cfg", "--config-dir", "--info", "--package", "--resolve", "--version")


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck completion`."""
    parser = make_parser(
        "completion",
        "Prints the lines that let a shell complete commands, options, settings, experiments and names of sweeps.\n"
        + "\n".join(f"{shell}: put into {file}:  {call}" for shell, (_, file, call) in SHELLS.items()),
        tuple(SHELLS),
    )
    parser.add_argument("shell", metavar="SHELL", nargs="?", choices=SHELLS, help=", ".join(SHELLS))
    parser.add_argument("--words", metavar="LINE", help="print what may come at the end of a line, a word each")
    return parser


def main(words: Sequence[str]) -> int:
    """Print a shell's completion script, or completions of a command line; return exit code 0, or 2 without a shell."""
    parser = build_parser()
    options = parser.parse_args(words)
    if options.words is not None:
        sys.stdout.writelines(f"{word}\n" for word in complete_line(options.words))
    elif options.shell is None:
        parser.error(f"SHELL must be one of {', '.join(SHELLS)}, got nothing")
    else:
        print(SHELLS[options.shell][0], end="")
    return 0


def complete_line(line: str) -> list[str]:
    """List the words by which the last word of a command line can be completed.

    Example:
        >>> complete_line("unstuck dia")
        ['diagnose']
        >>> complete_line("unstuck sweep +experiment=quick")
        ['+experiment=quickstart']
    """
    *before, begun = re.split(r"\s+", line.lstrip())
    return sorted({word for word in _list_words(before[1:], begun) if word.startswith(begun) and word != begun})


def _list_words(before: Sequence[str], begun: str) -> Iterable[str]:
    if not before:
        return [*list_commands(), "--help", "--version"]
    command = before[0]
    if command not in list_commands():
        return []
    is_first = not any(word for word in before[1:] if not word.startswith("-"))
    if command == SWEEP or (command == "unstick" and not is_first and not begun.startswith("-")):
        return _list_sweep_words(before, begun)
    if command == "completion":
        return [*SHELLS, "--help"]
    if begun.startswith("-"):
        return ["--help", *re.findall(r"--[a-z][\w-]*", find_parser(command).format_usage())]
    return _list_records(_find_folder(before), begun, command in _ON_NAMES, command in _ON_TRIALS)


def _list_sweep_words(before: Sequence[str], begun: str) -> Iterator[str]:
    """Yield completions for `unstuck sweep`: options, groups with options, settings, and names of sweeps to resume."""
    from unstuck.sweeps.config.keys import CONF, EXPERIMENT, SPACE, list_groups, settings
    from unstuck.sweeps.config.kinds import KIND_NAMES

    if begun.startswith("-"):
        yield from _HYDRA_OPTIONS
        return
    own = [Path(word) for last, word in pairwise(before) if last == "--config-dir"]
    plus = begun[: len(begun) - len(begun.lstrip("+"))]
    key, equals, value = begun.removeprefix(plus).partition("=")
    groups = sorted({folder.name for at in (CONF, *own) if at.is_dir() for folder in at.iterdir() if folder.is_dir()})
    if equals and key in ("resume", "run"):
        yield from (
            f"{key}={name}" for name in _list_records(_find_folder(before), value, key == "resume", key == "run")
        )
    elif equals and key in groups:
        for file in (file for at in (CONF, *own) for file in (at / key).glob("*.yaml")):
            yield f"{plus}{key}={file.stem}"
    elif equals:
        yield from (f"{begun}{word}" for word in ("true", "false") if settings().get(key) is bool and not value)
    elif key.startswith(f"{SPACE}."):
        searched = [name for name in settings() if name.startswith("ppo.")]
        yield from (f"{SPACE}.{name}." for name in searched)
        yield from (f"{SPACE}.{name}.{kind}=" for name in searched for kind in KIND_NAMES if name in key)
    elif "." in key:
        yield from (f"{name}=" for name in settings() if "." in name)
    else:
        yield f"+{EXPERIMENT}="
        yield from (f"{name}=" for name in groups if name not in ("__pycache__", EXPERIMENT))
        yield from (f"{name}." for name in list_groups() if any(key.startswith(f"{name}.") for key in settings()))
        yield from (f"{name}=" for name in settings() if "." not in name and name not in ("format", "id", SPACE))


def _find_folder(before: Sequence[str]) -> Path:
    """Return the folder of sweeps that a command line names, or else the default one."""
    named = [word for last, word in pairwise(before) if last == "--folder"]
    named += [word.partition("=")[2] for word in before if word.startswith(("--folder=", "sweep.folder="))]
    return Path(named[-1] if named else "runs").expanduser()


def _list_records(folder: Path, begun: str, with_names: bool, with_trials: bool) -> Iterator[str]:
    """Yield names of sweeps in a folder, and `NAME/7` for each trial of the sweep whose name is already typed."""
    for file in sorted(folder.glob("*/config.yaml")):
        name = file.parent.name
        if with_names:
            yield name
        if with_trials and begun.startswith(f"{name}/"):
            yield from (f"{name}/{int(trial.name)}" for trial in (file.parent / "trials").glob("[0-9]*"))
        elif with_trials and not with_names:
            yield f"{name}/"
