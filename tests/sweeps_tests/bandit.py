"""An environment of a user's own that can break, and a user's folder full of names that are ours."""

from pathlib import Path

ENVIRONMENT = """
import pathlib
import gymnasium

BROKEN = pathlib.Path(__file__).with_name("broken")


class Bandit(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)
    resets = 0  # of this process

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Bandit.resets += 1
        if BROKEN.exists() and Bandit.resets > int(BROKEN.read_text()):
            raise OSError("the licence is gone")
        self.steps = 0
        return self.observation_space.low, {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.low, float(action), self.steps == 5, False, {}


gymnasium.register("Bandit-v0", entry_point="licensed_bandit:Bandit")
"""
SETTINGS = (
    *("+experiment=quickstart", "env=cartpole", "env.id=licensed_bandit:Bandit-v0", "env.eval_episodes=2"),
    *("sweep.metric=eval/episode_return", "sweep.seeds=2", "scheduler=none", "health=none"),
    *("ppo.num_iterations=2", "ppo.eval_every=1", "ppo.num_steps=8", "ppo.minibatch_size=16"),
    "resources.max_failures=0",
)
HOSTILE = ("rl/__init__.py", "unstuck.sweeps.py", "analysis/__init__.py", "conf/__init__.py", "torch.py", "random.py")


def write_environment(modules: Path) -> None:
    """The user's module, for a folder on the path."""
    (modules / "licensed_bandit.py").write_text(ENVIRONMENT)


def break_environment(modules: Path, after: int) -> None:
    """It raises an error in each process that has reset it that often."""
    (modules / "broken").write_text(str(after))


def mend_environment(modules: Path) -> None:
    (modules / "broken").unlink()


def write_hostile_files(folder: Path) -> None:
    """Modules with names like ours that nobody may import, where the sweep is called."""
    for name in HOSTILE:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise ImportError('this one is not ours')\n")
