"""List the experiments that there are, each with what its file says of the experiment."""

import re
from pathlib import Path

from unstuck.sweeps.config.keys import EXPERIMENT, EXPERIMENTS

_NO_DESCRIPTION = re.compile(r"@package\b|python sweep\.py\b|unstuck\b")
"""Start of a comment that is for Hydra, or a command."""

_SENTENCE = re.compile(r".+?[.?!](?= |$)")


def list_experiments(own: Path | None = None) -> dict[str, str]:
    """List the experiments (files in `conf/experiment`) by name, each with the first sentence of its top comment.

    Args:
        own: A user's folder, as in `--config-dir`, whose own experiments come last; None for none.
    """
    folders = [EXPERIMENTS, *([own / EXPERIMENT] if own else [])]
    return {file.stem: describe_experiment(file) for folder in folders for file in sorted(folder.glob("*.yaml"))}


def describe_experiment(file: Path) -> str:
    """Return the first sentence of the comment on top of an experiment's file; empty for a file without comment."""
    words: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        comment = line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
        if not _NO_DESCRIPTION.match(comment):
            words.append(comment)
    text = " ".join(words)
    sentence = _SENTENCE.match(text)
    return sentence[0] if sentence else text
