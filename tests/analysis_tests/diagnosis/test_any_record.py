"""Every record gets an answer: no metric that is damaged, short, constant, huge or not finite ends a diagnosis."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.history import History, record
from unstuck.analysis.history.record import ENV_STEPS
from unstuck.rl import metrics

NAMES = sorted({value for room in (metrics, record) for value in vars(room).values() if isinstance(value, str)})
"""Names of metrics, and some texts of these modules that are none: a table may hold any column."""

SETTINGS: dict[str, list[Any]] = {
    "ppo.gamma": [0.5, 0.99, 1.0, 1.5],
    "ppo.lr": [0.0, 1e-7, 3e-4, 10.0],
    "ppo.entropy_coef": [0.0, 0.01, 5.0],
    "ppo.num_epochs": [1, 80],
    "ppo.num_steps": [1, 128],
    "ppo.num_envs": [1, 8],
    "ppo.clip_range": [None, 0.2],
    "ppo.target_kl": [None, 0.01],
    "env.id": ["CartPole-v1", "Own-v0", "unstuck/Triage-v0"],
    "finished": [True, False],
}


def make_column(rng: np.random.Generator, length: int) -> npt.NDArray[np.float64]:
    """Make a curve of some form and size, of which parts may be missing or infinite."""
    size, steps = 10.0 ** rng.integers(-8, 7) * rng.choice([-1, 1, 1]), np.arange(length, dtype=np.float64)
    forms = [
        *(0 * steps, 0 * steps + 1, 0 * steps + size, size * steps, size * (length - steps)),
        *(
            size * rng.normal(size=length),
            np.where(steps > length * rng.random(), size, 0.3 * size),
            rng.random(length),
        ),
    ]
    column, cut = forms[rng.integers(len(forms))], int(length * rng.random())
    match rng.integers(6):
        case 0:
            column[rng.random(length) < 0.7] = np.nan
        case 1:
            column[cut:] = np.nan
        case 2:
            column[:cut] = np.nan
        case 3:
            column[cut:] = np.inf
    return column


def make_history(rng: np.random.Generator) -> History:
    """Make a run of up to 70 iterations, of some program, with some of all metrics and settings."""
    length, share = int(rng.integers(1, 70)), rng.choice([0.1, 0.4, 0.9])
    columns = {name: make_column(rng, length) for name in NAMES if rng.random() < share}
    columns[ENV_STEPS] = np.arange(1, length + 1) * 2.0 ** rng.integers(4, 13)
    return History(
        "made",
        "made",
        pd.DataFrame(columns, index=pd.RangeIndex(1, length + 1)),
        settings={path: values[rng.integers(len(values))] for path, values in SETTINGS.items() if rng.random() < 0.5},
        dialect=("unstuck", "sb3", "cleanrl", "plain")[rng.integers(4)],
        probed="loop" if rng.random() < 0.3 else "",
        has_ended=bool(rng.random() < 0.5),
        unrecorded=int(rng.choice([0, 0, 50])),
    )


@contextmanager
def limit_time(seconds: int) -> Iterator[None]:
    """Raise TimeoutError inside the block once so many seconds have gone."""

    def end(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"must end within {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("seed", range(12))
def test_every_record_gets_an_answer(seed: int) -> None:
    with limit_time(60):
        diagnosis = diagnose(make_history(np.random.default_rng(seed)))
    for ranked in diagnosis.findings:
        assert ranked.finding.headline
        assert ranked.finding.since is None or ranked.finding.since >= 0
