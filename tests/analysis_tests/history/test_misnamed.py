"""Columns that cannot be what their names say, in logs written here, beside the nearest ones that can."""

from pathlib import Path

import pytest
from unstuck.analysis.history import History, load
from unstuck.analysis.history.record import ENTROPY_BONUS
from unstuck.rl import metrics

ENTROPY, VALUE = metrics.ENTROPY, metrics.VALUE_LOSS
CLEANRL = ["global_step", "charts/episodic_return", "losses/value_loss", "losses/entropy"]


def write(folder: Path, names: list[str], *rows: list[float]) -> History:
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return load(str(folder))


def entropies(folder: Path, *values: float) -> History:
    """A log by CleanRL's names with these entropies."""
    return write(folder, CLEANRL, *([2048 * turn, turn, 1, value] for turn, value in enumerate(values, 1)))


@pytest.mark.parametrize("values", [(0.0, 0.0, 0.0), (-0.0, -0.0), (-0.014, -0.013), (-0.02, 0.0)])
def test_what_is_0_or_hardly_negative_all_along_is_no_entropy(tmp_path: Path, values: tuple[float, ...]) -> None:
    run = entropies(tmp_path, *values)
    assert not run.has(ENTROPY)
    assert run.curve(ENTROPY_BONUS).tolist() == [abs(value) for value in values]
    assert any("taken for the entropy times its coefficient" in remark for remark in run.remarks)


@pytest.mark.parametrize(
    "values",
    [
        (0.69, 0.02, 0.0, 0.0),  # one that collapses
        (0.004, 0.0, 0.0),  # one that is all but gone from the start
        (-0.9, -1.4),  # of continuous actions
        (-0.05, 0.3),
    ],
)
def test_what_may_be_an_entropy_stays_one(tmp_path: Path, values: tuple[float, ...]) -> None:
    run = entropies(tmp_path, *values)
    assert run.curve(ENTROPY).tolist() == list(values)
    assert not run.has(ENTROPY_BONUS)


def test_an_entropy_of_0_under_a_librarys_own_name_is_a_collapse(tmp_path: Path) -> None:
    """Stable-Baselines3 logs minus the entropy, never weighted: a resumed run may have lost it before its first row."""
    names = ["time/iterations", "time/total_timesteps", "rollout/ep_rew_mean", "train/value_loss", "train/entropy_loss"]
    run = write(tmp_path, names, *([turn, 2048 * turn, -200, 3, 0] for turn in range(1, 5)))
    assert run.dialect == "sb3"
    assert run.curve(ENTROPY).tolist() == [0.0] * len(run.curve(ENTROPY))
    assert not run.has(ENTROPY_BONUS)


def test_the_coefficient_gives_the_entropy_back(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("ent_coef: 0.01\n")
    assert entropies(tmp_path, -0.0138, -0.007).curve(ENTROPY).tolist() == pytest.approx([1.38, 0.7])
    assert not entropies(tmp_path, 0.0, 0.0).has(ENTROPY)


@pytest.mark.parametrize("name", ["entropy_loss", "loss_entropy"])
@pytest.mark.parametrize(
    ("logged", "entropy"), [((-0.013, -0.009), None), ((0.013, 0.009), None), ((-1.3, -0.02), 1.3)]
)
def test_a_loss_too_small_for_an_entropy_holds_the_coefficient(
    tmp_path: Path, name: str, logged: tuple[float, ...], entropy: float | None
) -> None:
    run = write(tmp_path, ["update", name], *([turn, value] for turn, value in enumerate(logged, 1)))
    assert (run.curve(ENTROPY).iloc[0] if run.has(ENTROPY) else None) == entropy
    assert run.has(ENTROPY_BONUS) == (entropy is None)


def test_rows_before_the_first_update_have_no_losses(tmp_path: Path) -> None:
    names = ["episode", "reward", "critic_loss", "entropy", "clip_fraction"]
    run = write(tmp_path, names, [1, 5, 0, 0, 0], [2, 6, 0, 0, 0], [3, 6, 2.5, 1.1, 0], [4, 7, 2.0, 0, 0.1])
    assert run.curve(ENTROPY).dropna().to_dict() == {3: 1.1, 4: 0.0}
    assert run.curve(VALUE).dropna().to_dict() == {3: 2.5, 4: 2.0}
    assert run.curve(metrics.CLIP_FRACTION).dropna().to_dict() == {3: 0.0, 4: 0.1}
    assert run.curve(metrics.TRAIN_RETURN).tolist() == [5, 6, 6, 7]
    taught = write(tmp_path, names, [1, 5, 1.0, 0, 0], [2, 6, 1.0, 0.5, 0])
    assert taught.curve(ENTROPY).tolist() == [0.0, 0.5]


@pytest.mark.parametrize(
    ("logged", "shares"),
    [
        ([25, 75], [0.25, 0.75]),  # percent
        ([300, 900], [0.25, 0.75]),  # counts
        ([0.25, 0.75], [0.25, 0.75]),
        ([0.2, 0.3], [0.2, 0.3]),  # not all actions are logged
        ([-1.0, 3.0], None),  # no shares at all
    ],
)
def test_shares_of_actions_are_at_most_1(tmp_path: Path, logged: list[float], shares: list[float] | None) -> None:
    run = write(tmp_path, ["update", "reward", "action_allow_pct", "action_block_pct"], [1, 5, *logged])
    found = {name: curve.tolist() for name, curve in run.family(metrics.ACTION_PREFIX).items()}
    assert found == ({"allow": [shares[0]], "block": [shares[1]]} if shares else {})


def test_numbers_about_actions_are_no_actions(tmp_path: Path) -> None:
    names = ["update", "reward", "action_mean", "action_max", "action_norm", "action_rate_limit", "action_rate"]
    run = write(tmp_path, names, [1, 5, 0.1, 0.9, 0.5, 0.4, 0.3])
    assert list(run.family(metrics.ACTION_PREFIX)) == ["rate_limit"]
