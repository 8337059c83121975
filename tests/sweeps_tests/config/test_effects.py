import re
from pathlib import Path

from unstuck.rl import config as rl_config
from unstuck.sweeps.config import settings as sweeps_config
from unstuck.sweeps.config.effects import CONDITIONS, find_idle_settings
from unstuck.sweeps.config.keys import settings
from unstuck.sweeps.config.settings import SweepConfig


def test_every_setting_that_says_what_it_is_for_has_its_condition() -> None:
    about = r"(csv|synthetic|triage|other environments|tpe|asha|stuck|diverged): "
    for module in (rl_config, sweeps_config):
        group = ""
        for line in Path(str(module.__file__)).read_text().splitlines():
            if start := re.match(r"class (\w+)Config", line):
                group = {"Study": "sweep"}.get(start[1], start[1].lower())
            if found := re.match(rf"    (\w+): .*  # {about}", line):
                key = f"{group}.{found[1]}"
                assert any(one.is_about(key) for one in CONDITIONS), f"{key} must have a condition: {found[2]}"


def test_nothing_is_idle_by_default() -> None:
    assert find_idle_settings(SweepConfig(), settings()) == []
