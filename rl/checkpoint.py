"""Checkpoints: the training state of a learner in one file, to continue in a new process, bit for bit.

A file is a numpy archive (`.npz`) of numbers and of one JSON text; reading executes nothing. Settings are written down
for the record and never read back: a learner continues with the settings it was made with (`Learner.read_effective`),
so a branch with a new learning rate trains with the new one. Members, lanes, features, actions and layers give the
arrays their meaning and must match.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from unstuck.rl.archive import FORMAT, HEADER, VERSION, read_archive
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Learner
from unstuck.rl.learner_state import Arrays
from unstuck.rl.whole_files import replace_file


class Snapshot(NamedTuple):
    """Training state of a learner: arrays by name, and a header of JSON values that describes the arrays.

    Attributes:
        arrays: Arrays of `Learner.state`.
        header: Layout and settings of the learner, other values of `Learner.state`, history of metrics.
    """

    arrays: Arrays
    header: dict[str, Any]


def take_snapshot(learner: Learner, history: Sequence[Any] | None = None) -> Snapshot:
    """Copy a learner's training state, with a history of metrics, to a snapshot (arrays and header)."""
    arrays, rest = learner.state()
    budget, batch = learner.budget, learner.config.batch_size
    header = {
        "format": FORMAT,
        "version": VERSION,
        "libraries": libraries(),
        "layout": describe_layout(learner),
        "configs": [asdict(member.config) for member in learner.members],
        "env_steps": {"done": budget.done + learner.iteration * batch, "planned": budget.whole},
        "learner": rest,
        "history": list(history or ()),
    }
    return Snapshot(arrays, header)


def save(path: str | os.PathLike[str], learner: Learner, history: Sequence[Any] | None = None) -> None:
    """Write a learner's state and a history of metrics to a checkpoint file, in one step: never half-written.

    Args:
        path: The file, replaced if present; the folder must exist.
        learner: Left unchanged.
        history: Records to keep in the file, such as metrics: any JSON, NaN and infinity included.

    Raises:
        TypeError: A record is not JSON.
        OSError: The file cannot be written. The old file is then unchanged.
    """
    write_snapshot(path, take_snapshot(learner, history))


def write_snapshot(path: str | os.PathLike[str], snapshot: Snapshot) -> None:
    """Write a snapshot (training state) to a checkpoint file, in one step: never half-written.

    Raises:
        TypeError: The header is not JSON.
        OSError: The file cannot be written. The old file is then unchanged.
    """
    arrays = {**snapshot.arrays, HEADER: np.frombuffer(json.dumps(snapshot.header).encode(), dtype=np.uint8)}
    with replace_file(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load(path: str | os.PathLike[str], learner: Learner) -> list[Any]:
    """Load a learner's state, but no settings, from a checkpoint file; return the file's history of metrics.

    With the settings, libraries and kind of machine of the saved learner, training continues bit for bit. Otherwise
    `learner.resumed_exactly` is False: lanes of a Gymnasium environment other than triage and CartPole start new
    episodes, from the member's own seeds for the iteration reached; or libraries have other versions; or a GPU goes on
    for a CPU, or the reverse, with other rounding.

    Args:
        path: File that `save` wrote.
        learner: Learner with the members, environment and layers of the saved one; changed in place.

    Returns:
        The history given to `save`; empty if there was none.

    Raises:
        CheckpointError: The file is not a whole checkpoint of this format, or of a learner of another layout. The
            learner is then unchanged.
    """
    path = Path(path)
    snapshot = read_snapshot(path)
    with name_misfit(path, "a checkpoint of such a learner"):
        history = list(snapshot.header["history"])
        load_snapshot(snapshot, learner)
    return history


def load_snapshot(snapshot: Snapshot, learner: Learner) -> None:
    """Load a learner's state, but no settings, from a snapshot (arrays and header).

    Raises:
        KeyError, TypeError, ValueError, OverflowError: The snapshot is not of such a learner, which is then unchanged.
    """
    arrays, header = snapshot
    require_layout(header["layout"], describe_layout(learner))
    rounds_alike = rounds_as_saved(header, learner)
    learner.load_state(arrays, header["learner"])
    learner.resumed_exactly &= rounds_alike


@contextmanager
def name_misfit(path: Path, wanted: str) -> Iterator[None]:
    """Convert an error from loading a snapshot, inside the block, to a `CheckpointError` that names the file.

    Args:
        path: File that the snapshot was read from.
        wanted: What the file must be.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} must be {wanted}: {error}") from error


def libraries() -> dict[str, str]:
    """Return the versions, by name, of the libraries on which exact numbers depend."""
    return {module.__name__: str(module.__version__) for module in (gymnasium, np, torch)}


def rounds_as_saved(header: Mapping[str, Any], learner: Learner) -> bool:
    """Return True if a learner computes exactly like the saved one: same kind of device, same library versions.

    Args:
        header: Header of the snapshot.
        learner: Learner that is to go on.
    """
    devices = {config.get("device", "cpu") for config in header["configs"]}
    return bool(header["libraries"] == libraries() and devices == {learner.config.device})


def describe_layout(learner: Learner) -> dict[str, Any]:
    """Return the sizes and settings on which the shapes of a checkpoint's arrays depend, to see if one fits.

    Shapes alone do not tell: layers of 20 and 24 units are padded alike.
    """
    config, distribution = learner.config, learner.networks.distribution
    return {
        "members": len(learner.members),
        "features": learner.rollout.raw_observations.shape[-1],
        "actions": list(learner.actions),
        "policy": f"{type(distribution).__name__} of {distribution.num_outputs} outputs",
        "ppo.num_envs": config.num_envs,
        "ppo.hidden_sizes": list(config.hidden_sizes),
        "ppo.shared_trunk": config.shared_trunk,
        "ppo.normalize_observations": config.normalize_observations,
    }


def require_layout(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise `ValueError` if an entry of the learner's own layout (sizes, settings) differs from the saved one."""
    differences = [f"{name} must be {saved[name]}, got {value}" for name, value in own.items() if saved[name] != value]
    if differences:
        raise ValueError(f"{'; '.join(differences)}; make the learner as it was when saved, or train it from its start")


def read_snapshot(path: Path) -> Snapshot:
    """Read the arrays and the header of a checkpoint file; raise `CheckpointError` for an incomplete file."""
    return Snapshot(*read_archive(path))
