import sysconfig

import pytest
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.machine import require_machine
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

COMPILED = PPOConfig(compile=True)


def test_compiling_without_a_compiler_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = r"ppo\.compile needs a C\+\+ compiler, and there is no no-such-compiler; .* or set ppo\.compile=false"
    with pytest.raises(ConfigError, match=message):
        make_learner(COMPILED, EnvConfig(id="CartPole-v1"), make_member_seeds(0, 1), make_evaluation_seed(0))
    require_machine(PPOConfig())


def test_compiling_without_pythons_headers_is_refused_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    with pytest.raises(ConfigError, match=r"ppo\.compile needs Python's headers, and there is no .*include/Python\.h"):
        require_machine(COMPILED)
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    require_machine(COMPILED)


def test_compiling_for_a_gpu_is_refused():
    with pytest.raises(ConfigError, match=r"ppo\.compile must be false with ppo\.device=cuda, got true"):
        PPOConfig(compile=True, device="cuda")
