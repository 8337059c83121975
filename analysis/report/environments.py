"""Can a sweep here train on an environment that a stranger named: asked of Gymnasium before a command is shown."""

import warnings
from functools import lru_cache
from importlib.util import find_spec

IMAGE = 2
"""Dimensions of an observation above which our learner takes it for an image and refuses it."""


@lru_cache(maxsize=64)
def explain_unusable(env_id: str) -> str:
    """Return why our sweeps cannot train on an environment, in words; empty if they can."""
    import gymnasium  # late: half a second that most diagnoses do not need

    module = env_id.partition(":")[0].partition(".")[0]
    if ":" in env_id:
        return "" if module.isidentifier() and find_spec(module) else f"{env_id} names a module that is not here"
    if env_id not in gymnasium.registry:
        return f"{env_id} is not registered here"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = gymnasium.make(env_id, disable_env_checker=True)
    except Exception as error:  # whatever a package that is missing, or too new, raises
        return f"{env_id} cannot be made here ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    shown = env.observation_space
    env.close()
    if not shown.is_np_flattenable or (isinstance(shown, gymnasium.spaces.Box) and len(shown.shape) > IMAGE):
        return f"{env_id} shows images, or varies in size"
    return ""
