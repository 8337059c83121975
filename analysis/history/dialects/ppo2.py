"""OpenAI Baselines' ppo2 and its heir Stable-Baselines 2, which log half the mean squared error as the value loss.

Sources: baselines/ppo2/model.py and stable_baselines/ppo2/ppo2.py (`vf_loss = .5 * tf.reduce_mean(tf.maximum(...))`).
"""

from unstuck.analysis.history.dialects.dialect import Dialect, Renamed, keep_unit
from unstuck.analysis.history.dialects.settings import COMMON_SETTINGS
from unstuck.analysis.history.record import CLIP_RANGE, EPISODE_LENGTH
from unstuck.rl import metrics

_LOSSES: dict[str, Renamed] = {
    "value_loss": (metrics.VALUE_LOSS, 2.0),
    "policy_loss": (metrics.POLICY_LOSS, 1.0),
    "policy_entropy": (metrics.ENTROPY, 1.0),
    "approxkl": (metrics.APPROX_KL, 1.0),
    "clipfrac": (metrics.CLIP_FRACTION, 1.0),
}
_EPISODES = keep_unit(
    {
        "eprewmean": metrics.TRAIN_RETURN,
        "ep_reward_mean": metrics.TRAIN_RETURN,
        "ep_rewmean": metrics.TRAIN_RETURN,
        "episode_reward": metrics.TRAIN_RETURN,
        "eplenmean": EPISODE_LENGTH,
        "ep_len_mean": EPISODE_LENGTH,
        "ep_lenmean": EPISODE_LENGTH,
        "explained_variance": metrics.EXPLAINED_VARIANCE,
        "misc/explained_variance": metrics.EXPLAINED_VARIANCE,
    }
)
_SETTINGS = (
    COMMON_SETTINGS
    | keep_unit(
        {
            "n_steps": "ppo.num_steps",
            "nsteps": "ppo.num_steps",
            "noptepochs": "ppo.num_epochs",
            "cliprange": "ppo.clip_range",
            "lam": "ppo.gae_lambda",
            "lr": "ppo.lr",
        }
    )
    | {"vf_coef": ("ppo.value_coef", 0.5)}
)
_HALVED = "value losses are doubled and vf_coef is halved: ppo2 logs half the mean squared error"

BASELINES = Dialect(
    "baselines",
    "OpenAI Baselines",
    {f"loss/{name}": renamed for name, renamed in _LOSSES.items()} | _LOSSES | _EPISODES,
    _SETTINGS,
    must=(("loss/policy_entropy", "loss/value_loss"), ("eprewmean", "policy_entropy")),
    iteration=("misc/nupdates", "nupdates"),
    env_steps=("misc/total_timesteps", "total_timesteps"),
    remarks={metrics.VALUE_LOSS: _HALVED},
)

SB2 = Dialect(
    "sb2",
    "Stable-Baselines 2",
    _LOSSES
    | _EPISODES
    | keep_unit(
        {
            "loss/policy_gradient_loss": metrics.POLICY_LOSS,
            "loss/entropy_loss": metrics.ENTROPY,
            "loss/approximate_kullback-leibler": metrics.APPROX_KL,
            "loss/clip_factor": metrics.CLIP_FRACTION,
            "input_info/learning_rate": metrics.LR,
            "input_info/clip_range": CLIP_RANGE,
        }
    )
    | {"loss/value_function_loss": (metrics.VALUE_LOSS, 2.0)},
    _SETTINGS,
    must=(
        ("policy_entropy", "approxkl", "value_loss"),
        ("policy_entropy", "ep_reward_mean"),
        ("loss/value_function_loss", "loss/clip_factor"),
    ),
    iteration=("n_updates", "nupdates"),
    env_steps=("total_timesteps",),
    pace=("policy_loss", "loss/value_function_loss"),
    steps_are_iterations=False,
    remarks={metrics.VALUE_LOSS: _HALVED},
)
