"""Unstuck finds out why a PPO agent does not learn, and sweeps its way out."""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "sweep.py").is_file() and (_CHECKOUT / "rl").is_dir():
    __path__.append(str(_CHECKOUT))  # the folders of a checkout are imported as unstuck.rl, unstuck.sweeps ...
