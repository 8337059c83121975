"""A user's own modules are found from the user's folder, after all others."""

import sys
from pathlib import Path

import pytest
from unstuck.rl.envs.gym import make_gym_vec
from unstuck.rl.errors import ConfigError
from unstuck.rl.own_modules import add_own_modules

from tests.conftest import Command

LINE = """
import gymnasium


class Line(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.low, {}


gymnasium.register("Line-v0", entry_point=Line)
"""


def test_an_environment_beside_the_user_is_found_and_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "line_world.py").write_text(LINE)
    (tmp_path / "torch.py").write_text("raise ImportError('not this one')\n")
    with pytest.raises(ConfigError) as refused:
        make_gym_vec("line_world:Line-v0", 2)
    assert str(refused.value) == (
        "env.id must name an environment that can be made, got 'line_world:Line-v0': No module named 'line_world'; "
        "stand in the folder that holds line_world.py, or install the package"
    )
    add_own_modules(tmp_path)
    add_own_modules(tmp_path)
    assert (sys.path[-1], sys.path.count(str(tmp_path))) == (str(tmp_path), 1)
    assert make_gym_vec("line_world:Line-v0", 2).num_envs == 2
    sys.modules.pop("line_world")


def test_a_module_in_the_folder_of_sweeps_stays_refused(command: Command) -> None:
    (command.folder / "runs").mkdir()
    (command.folder / "runs" / "planted.py").write_text(LINE)
    done = command("env=cartpole", "env.id=runs.planted:Line-v0", "sweep.metric=eval/episode_return")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("sweep.py: error: env.id must not name a module in sweep.folder, which holds results")
