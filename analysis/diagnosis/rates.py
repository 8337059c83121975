"""Tell how a logged learning rate moves: by a plan of its own, or after the KL of updates."""

from typing import Any

import numpy as np
import numpy.typing as npt

MOVED = 0.01
"""Change of a rate, as a share of it, that is one."""

TURNS = 4
"""Changes of direction from which on a rate follows something other than a plan: a warm-up that is followed by a fall
has one, and each restart two more."""

STEERED = ("rl_games", "skrl")
"""Programs that have a schedule by KL beside plain ones: one change of direction tells them apart."""

STEERED_ALONE = ("rsl_rl",)
"""Programs whose every schedule but a constant rate is one by KL (rsl_rl/algorithms/ppo.py: fixed or adaptive)."""

PRINTED = 1e-3
"""Share of the largest rate by which a rate moves more than in print."""


def follows_kl(rates: npt.NDArray[np.floating[Any]], program: str) -> bool:
    """True if a rate goes up and down as one does that is set by the KL of updates, or may be.

    Args:
        rates: Logged rates `[updates]`, float64; those of 0 tell nothing.
        program: Name of the program that made the run.
    """
    above = rates[rates > 0]
    moves = np.diff(np.log(above))
    signs = np.sign(moves[np.abs(moves) > MOVED])
    turns = int((signs[1:] != signs[:-1]).sum())
    if program in STEERED_ALONE:
        return len(signs) > 0
    return turns >= (1 if program in STEERED else TURNS)


def leaves_schedule(rates: npt.NDArray[np.floating[Any]], schedule: str) -> bool:
    """True if a rate moves otherwise than the word for its schedule says.

    The word is often the switch of a script (`anneal_lr`), which has been changed to warm up, to restart or to follow
    KL. So a rate that rises has another plan than a linear one, and a rate that moves another one than to stay.

    Args:
        rates: Logged rates `[updates]`, float64.
        schedule: `linear` or `constant`.
    """
    steps = np.diff(rates)
    moved = steps if schedule == "linear" else np.abs(steps)
    return bool((moved > PRINTED * np.abs(rates).max(initial=0.0)).any())
