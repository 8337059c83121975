"""Checkpoints. Run as a script with a folder, this file goes on from the checkpoints there: the fresh process."""

import copy
import dataclasses
import functools
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from unstuck.rl import archive, checkpoint, metrics
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Learner, Member
from unstuck.rl.make_learner import make_learner
from unstuck.rl.normalize import ReturnNormalizer
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

HALF = 6
CONFIG = PPOConfig(
    num_iterations=2 * HALF,
    num_envs=3,
    num_steps=20,
    minibatch_size=15,
    num_epochs=3,
    lr=3e-3,
    lr_schedule="linear",
    target_kl=0.001,
    normalize_returns="running",
    normalize_observations=True,
    hidden_sizes=(24, 20),
    eval_every=4,
)
ENV = EnvConfig(flows_per_episode=50, eval_episodes=2)
CARTPOLE = dataclasses.replace(ENV, id="CartPole-v1")
ACROBOT = dataclasses.replace(ENV, id="Acrobot-v1", eval_episodes=1)
CASES = {
    f"{name}-{returns}": (dataclasses.replace(CONFIG, normalize_returns=returns), env, order)
    for name, env, order, returns in (
        ("shuffled", ENV, "shuffled", "batch"),
        ("stream", ENV, "stream", "running"),
        ("cartpole", CARTPOLE, "-", "running"),
    )
}


TENSORS = (
    *("adam.parameters", "adam.exp_avg", "adam.exp_avg_sq", "adam.steps"),
    *("returns.mean", "returns.std", "returns.moments.mean", "returns.moments.squares", "returns.moments.count"),
    *("observations.mean", "observations.squares", "observations.count"),
    *("rollout.observations", "rollout.running_returns"),
    *("value_floor.unforeseen", "value_floor.measured_at"),
)
LANES = ("lanes.elapsed", "lanes.episodes", "lanes.generators")


@functools.cache
def _flows(num_flows=2000):
    return load_flows(DataConfig(num_flows=num_flows))


def _learner(config=CONFIG, env=ENV, order="shuffled", members=2, num_flows=2000):
    data = dataclasses.replace(_flows(num_flows), order=order) if env.id == TRIAGE else None
    return make_learner(config, env, make_member_seeds(3, members), make_evaluation_seed(3), data)


def _trained(learner, iterations=HALF):
    for _ in range(iterations):
        learner.iterate()
    return learner


def _curve(learner, iterations=HALF):
    """Metrics of the next iterations, by iteration and name, and the parameters after the last."""
    curve = {}
    for _ in range(iterations):
        curve |= {f"{learner.iteration} {name}": value for name, value in learner.iterate().items()}
    return curve | {"parameters": learner.networks.parameters.numpy().copy()}


def _goes_another_way(learner, curve):
    """True once an iteration's metrics are not the curve's, or else the parameters after the last."""
    for _ in range(HALF):
        ours = _curve(learner, 1)
        now = [name for name in curve if name.startswith(f"{learner.iteration} ")]
        if any(name not in ours or not np.array_equal(ours[name], curve[name], equal_nan=True) for name in now):
            return True
    return not np.array_equal(ours["parameters"], curve["parameters"])


@functools.cache
def _half_way(env):
    """State of a learner after half of its iterations, that of its lanes, and the curve of the other half."""
    learner = _trained(_learner(env=env))
    state, lanes = copy.deepcopy(learner.state()), copy.deepcopy(learner.env.get_state())
    return state, lanes, _curve(learner)


def _assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def _everything(learner):
    arrays, rest = learner.state()
    return {name: array.tobytes() for name, array in arrays.items()}, json.dumps(rest)


def _refused(path, learner, match):
    before = _everything(learner)
    with pytest.raises(CheckpointError, match=match) as caught:
        checkpoint.load(path, learner)
    assert str(path) in str(caught.value)
    assert _everything(learner) == before


def _rewrite(path, **changes):
    """Replace arrays, or entries of the header, of a checkpoint."""
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header |= {name: value for name, value in changes.items() if name in header}
    arrays |= {name: value for name, value in changes.items() if name not in header}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of the learner that `_learner()` makes, after two iterations."""
    path = tmp_path / "checkpoint"
    checkpoint.save(path, _trained(_learner(), 2))
    return path


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """For each case: what came of training on, and of saving, and training on in a process of its own."""
    folder = tmp_path_factory.mktemp("continued")
    expected = {}
    for name, case in CASES.items():
        learner = _trained(_learner(*case))
        checkpoint.save(folder / name, learner, [{"half": HALF, "reward": float("nan")}])
        expected[name] = _curve(learner)
    root = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, __file__, str(folder)], check=True, cwd=folder, env=os.environ | {"PYTHONPATH": root}
    )
    found = {name: (expected[name], dict(np.load(folder / f"{name}.npz"))) for name in CASES}
    return found, (folder / "compilers").read_text()


def _continue(folder):
    torch.set_num_threads(1)
    for name, case in CASES.items():
        learner = _learner(*case)
        history = checkpoint.load(folder / name, learner)
        assert learner.resumed_exactly
        assert json.dumps(history) == json.dumps([{"half": HALF, "reward": float("nan")}])
        np.savez(folder / f"{name}.npz", **_curve(learner))
    (folder / "compilers").write_text(" ".join({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)))


@pytest.mark.parametrize("case", CASES)
def test_a_fresh_process_goes_on_bit_for_bit(continued, case):
    ours, theirs = continued[0][case]
    _assert_same(ours, theirs)
    assert {f"{2 * HALF} {metrics.EVAL_RETURN}", f"{2 * HALF} {metrics.TRAIN_RETURN}"} <= ours.keys()


def test_eager_training_loads_no_compiler(continued):
    """It would take 100 MB in every worker."""
    assert continued[1] == ""


def test_members_stop_their_updates_at_different_times():
    """The cases above would not test what target_kl leaves behind if it never acted."""
    steps = _trained(_learner()).adam.steps.flatten().tolist()
    assert steps[0] != steps[1]
    assert max(steps) < HALF * 3 * 60 / 15


def test_these_are_all_arrays():
    assert _learner().state()[0].keys() == {*TENSORS, *LANES}


@pytest.mark.parametrize("name", [*TENSORS, *LANES])
def test_every_array_is_needed_to_go_on(name):
    """Nothing in a checkpoint is idle: with any one array as it was at the start, the numbers are others."""
    state, lanes, ours = _half_way(ENV)
    forgetful = _learner()
    fresh = forgetful.state()[0][name]
    forgetful.load_state(*copy.deepcopy(state))
    if name in LANES:
        forgetful.env.set_state(copy.deepcopy(lanes) | {name.removeprefix("lanes."): fresh})
    else:
        forgetful._tensors()[name].copy_(torch.from_numpy(fresh))
    assert _goes_another_way(forgetful, ours)


def test_with_all_arrays_a_learner_goes_the_same_way():
    state, lanes, ours = _half_way(ENV)
    learner = _learner()
    learner.load_state(*copy.deepcopy(state))
    learner.env.set_state(copy.deepcopy(lanes))
    assert not _goes_another_way(learner, ours)


@pytest.mark.parametrize("name", ["act_generators", "shuffle_generators", "last_returns"])
def test_generators_and_last_returns_are_needed_to_go_on(name):
    env = dataclasses.replace(ENV, flows_per_episode=90)  # longer than a rollout: some iterations end no episode
    state, _, ours = _half_way(env)
    forgetful = _learner(env=env)
    fresh = forgetful.state()[1][name]
    arrays, rest = copy.deepcopy(state)
    forgetful.load_state(arrays, rest | {name: fresh})
    assert _goes_another_way(forgetful, ours)


def test_settings_are_the_learners_own_after_a_load(tmp_path):
    """Restoring the optimiser's old learning rate, as elsewhere, would show in `effective`."""
    old = _trained(_learner())
    checkpoint.save(tmp_path / "c", old)
    new = _learner(dataclasses.replace(CONFIG, lr=1e-2, value_coef=2.0, gamma=0.5, clip_range_vf=0.3))
    checkpoint.load(tmp_path / "c", new)
    in_force = new.read_effective()
    assert all(value.shape == (2,) and value.dtype == np.float64 for value in in_force.values())
    for name, value in {
        "lr": 1e-2 * 0.5,  # linear, and half of the iterations are done
        "value_coef": 2.0,
        "gamma": 0.5,
        "clip_range_vf": 0.3,
        "entropy_coef": 0.01,
        "gae_lambda": 0.95,
        "clip_range": 0.2,
        "adam_eps": 1e-5,
        "max_grad_norm": 0.5,
        "target_kl": 0.001,
    }.items():
        np.testing.assert_allclose(in_force[name], value, rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(new.iterate()[metrics.LR], in_force["lr"])
    assert old.read_effective()["clip_range_vf"].tolist() == [np.inf, np.inf]

    new.hyper = dataclasses.replace(new.hyper, lr=old.hyper.lr)  # the wrong variant
    assert (new.read_effective()["lr"] < 0.5 * in_force["lr"]).all()


def test_each_member_has_its_own_settings_in_force(tmp_path):
    def fused(lr, value_coef):
        seeds, plain = make_member_seeds(3, 2), _learner()
        members = [
            Member(dataclasses.replace(CONFIG, lr=a, value_coef=b), s)
            for a, b, s in zip(lr, value_coef, seeds, strict=True)
        ]
        return Learner(members, plain.env, plain.evaluator, plain.actions)

    checkpoint.save(tmp_path / "c", _trained(fused([1e-3, 2e-3], [0.5, 0.5]), 3))
    branch = fused([8e-4, 4e-3], [0.5, 1.5])
    checkpoint.load(tmp_path / "c", branch)
    np.testing.assert_allclose(branch.read_effective()["lr"], [6e-4, 3e-3], rtol=1e-6)
    np.testing.assert_allclose(branch.read_effective()["value_coef"], [0.5, 1.5])


def test_the_new_lr_moves_the_parameters(tmp_path):
    """Adam's step is proportional to lr: after one step from the same state, twice the lr moves twice as far."""
    config = dataclasses.replace(CONFIG, minibatch_size=60, num_epochs=1, target_kl=None)
    start = _trained(_learner(config))
    checkpoint.save(tmp_path / "c", start)
    moves = []
    for lr in (1e-3, 2e-3):
        learner = _learner(dataclasses.replace(config, lr=lr))
        checkpoint.load(tmp_path / "c", learner)
        moves.append(_trained(learner, 1).networks.parameters - start.networks.parameters)
    torch.testing.assert_close(moves[1], 2 * moves[0], rtol=0, atol=1e-6)
    assert moves[0].abs().max() > 1e-4


def test_returns_no_longer_normalised_after_a_load_are_not():
    normalizer, saved = ReturnNormalizer("none", 1), ReturnNormalizer("running", 1)
    saved.update(torch.tensor([[10.0, 30.0]]))
    for name, tensor in normalizer.state().items():
        tensor.copy_(saved.state()[name])
    assert normalizer.to_returns(torch.tensor([[1.0]])).item() == 30.0  # 20 + 10: what the critic has learnt so far
    normalizer.update(torch.tensor([[10.0, 30.0]]))
    assert normalizer.to_targets(torch.tensor([[10.0, 30.0]])).tolist() == [[10.0, 30.0]]


def test_lanes_without_state_start_anew_from_seeds_of_their_iteration(tmp_path):
    config = dataclasses.replace(CONFIG, eval_every=12)
    learner = _trained(_learner(config, ACROBOT), 2)
    checkpoint.save(tmp_path / "2", learner)
    checkpoint.save(tmp_path / "3", _trained(learner, 1))
    curves, starts = [], []
    for file in ("2", "2", "3"):
        resumed = _learner(config, ACROBOT)
        starts.append(resumed.rollout.raw_observations[:, -1].clone())
        checkpoint.load(tmp_path / file, resumed)
        assert resumed.resumed_exactly is False
        assert not resumed.rollout.state()["running_returns"].any()
        starts.append(resumed.rollout.raw_observations[:, -1].clone())
        curves.append(_curve(resumed, 2))
    _assert_same(curves[0], curves[1])
    assert not torch.equal(starts[0], starts[1])  # not the episodes that the run began with
    assert not torch.equal(starts[1], starts[5])  # nor those of another iteration
    assert len(starts[1].flatten(0, 1).unique(dim=0)) == 2 * 3  # each lane has its own


def test_other_versions_of_libraries_are_not_exact(saved):
    learner = _learner()
    assert learner.resumed_exactly
    checkpoint.load(saved, learner)
    assert learner.resumed_exactly
    _rewrite(saved, libraries={"numpy": "1.0", "torch": "1.0", "gymnasium": "0.1"})
    checkpoint.load(saved, learner)
    assert not learner.resumed_exactly
    assert learner.iteration == 2


def test_another_kind_of_device_is_not_exact(saved):
    learner = _learner()
    configs = [dataclasses.asdict(dataclasses.replace(member.config, device="cuda")) for member in learner.members]
    _rewrite(saved, configs=configs)
    checkpoint.load(saved, learner)
    assert not learner.resumed_exactly
    assert torch.equal(learner.networks.parameters, _trained(_learner(), 2).networks.parameters)


def test_what_is_written_down(tmp_path):
    history = [{"iteration": 1, "means": {"eval/f1": 0.25}}, [1, "two", None]]
    checkpoint.save(tmp_path / "c", _learner(), history)
    assert checkpoint.load(tmp_path / "c", _learner()) == history
    with np.load(tmp_path / "c", allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
    assert header["format"] == "unstuck checkpoint"
    assert header["libraries"]["torch"] == torch.__version__
    assert [config["lr"] for config in header["configs"]] == [CONFIG.lr, CONFIG.lr]
    assert header["configs"][0].keys() == {field.name for field in dataclasses.fields(PPOConfig)}


def test_a_history_is_read_without_a_learner(tmp_path, saved):
    history = [{"iteration": 1, "loss": float("nan")}]
    checkpoint.save(tmp_path / "c", _learner(), history)
    assert repr(archive.read_history(tmp_path / "c")) == repr(history)
    assert archive.read_history(saved) == []
    _rewrite(saved, history=3)
    with pytest.raises(CheckpointError, match="must hold a history, got int"):
        archive.read_history(saved)
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="must be a whole checkpoint"):
        archive.read_history(saved)


def test_saving_changes_nothing_and_no_history_is_empty(saved):
    plain, saver = _trained(_learner(), 2), _trained(_learner(), 2)
    checkpoint.save(saved, saver)
    _assert_same(_curve(plain, 3), _curve(saver, 3))
    assert checkpoint.load(saved, plain) == []


@pytest.mark.parametrize("fails", ["np.savez", "os.fsync", "os.replace"])
def test_a_save_that_fails_leaves_the_old_file(saved, monkeypatch, fails):
    before, learner = saved.read_bytes(), _learner()

    def full(*args, **kwargs):
        if fails == "np.savez":
            args[0].write(b"PK half of it")
        raise OSError(28, "No space left on device")

    if fails == "os.replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(f"unstuck.rl.checkpoint.{fails}", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(saved, learner)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_save_is_on_the_disk_under_another_name_before_it_replaces(saved, monkeypatch):
    order = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr("unstuck.rl.checkpoint.os.fsync", lambda number: (order.append("fsync"), real_fsync(number)))

    def replace(source, target):
        order.append("replace")
        assert source.parent == saved.parent
        assert source != saved
        checkpoint.load(source, _learner())  # whole already
        return real_replace(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    checkpoint.save(saved, _learner())
    assert order == ["fsync", "replace"]


def test_a_record_that_json_cannot_hold_is_refused_before_writing(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoint.save(tmp_path / "c", _learner(), [{1, 2}])
    assert list(tmp_path.iterdir()) == []


class _Bomb:
    """Makes a folder when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("where", ["adam.parameters", "header", "another"])
def test_a_planted_pickle_is_not_executed(saved, tmp_path, where):
    crater = tmp_path / "crater"
    with np.load(saved) as archive:
        arrays = dict(archive)
    with saved.open("wb") as file:
        np.savez(file, **arrays | {where: np.array([_Bomb(crater)], dtype=object)})
    _refused(saved, _learner(), "damaged or forged .*Object arrays cannot be loaded when allow_pickle=False")
    assert not crater.exists()
    with np.load(saved, allow_pickle=True) as archive:  # the wrong variant
        archive[where]
    assert crater.exists()


def test_a_pickle_is_not_executed(tmp_path):
    crater, path = tmp_path / "crater", tmp_path / "c"
    path.write_bytes(pickle.dumps(_Bomb(crater)))
    _refused(path, _learner(), "must be a checkpoint, got a file of another kind; give one that save")
    assert not crater.exists()


@pytest.mark.parametrize("content", [b"", b"iteration,lr\n1,0.1\n", b"\x93NUMPY\x01\x00"])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "c"
    path.write_bytes(content)
    _refused(path, _learner(), "must be a checkpoint, got a file of another kind")


@pytest.mark.parametrize("header", [{}, {"header": np.frombuffer(b'{"format": "other"}', dtype=np.uint8)}])
def test_an_archive_of_something_else_is_refused(tmp_path, header):
    np.savez(tmp_path / "c.npz", parameters=np.ones(3), **header)
    _refused(tmp_path / "c.npz", _learner(), "must be a checkpoint, got a file of another kind")


def test_no_file_is_refused(tmp_path):
    _refused(tmp_path / "none", _learner(), r"got no file to read \(No such file or directory\); check the path")
    _refused(tmp_path, _learner(), "got no file to read")


def test_a_truncated_file_is_refused(saved):
    whole, learner = saved.read_bytes(), _learner()
    for length in (2, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        saved.write_bytes(whole[:length])
        _refused(saved, learner, "must be a whole checkpoint.*cut short.*go on from an earlier one")


def test_a_file_with_a_changed_byte_is_refused_or_the_same(saved):
    """Zip archives have a checksum for each array; bytes that mean nothing, such as dates, may differ."""
    whole, learner, generator = saved.read_bytes(), _learner(), np.random.default_rng(0)
    checkpoint.load(saved, learner)
    before, refused, shape = _everything(learner), 0, whole.rindex(b"'shape': ")  # read before any checksum
    for place in [*generator.integers(len(whole), size=60), *range(shape, shape + 20)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(generator.integers(8))
        saved.write_bytes(changed)
        try:
            checkpoint.load(saved, learner)
        except CheckpointError:
            refused += 1
        assert _everything(learner) == before
    assert refused > 70


def test_another_format_version_is_refused(saved):
    _rewrite(saved, version=archive.VERSION + 1)
    _refused(saved, _learner(), "must be of checkpoint format 3, got 4; go on with the program that saved it")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: _learner(members=3), r"of such a learner: members must be 2, got 3; make the learner as it was"),
        (
            lambda: _learner(dataclasses.replace(CONFIG, hidden_sizes=(32,))),
            r"hidden_sizes must be \[24, 20\], got \[32\]",
        ),
        (lambda: _learner(dataclasses.replace(CONFIG, hidden_sizes=(20, 24))), r"must be \[24, 20\], got \[20, 24\]"),
        (lambda: _learner(dataclasses.replace(CONFIG, shared_trunk=True)), r"shared_trunk must be False, got True"),
        (lambda: _learner(dataclasses.replace(CONFIG, num_envs=6)), r"ppo\.num_envs must be 3, got 6"),
        (lambda: _learner(dataclasses.replace(CONFIG, normalize_observations=False)), r"observations must be True"),
        (
            lambda: _learner(env=CARTPOLE),
            r"features must be \d+, got 4; actions must be \['allow', .*\], got \['0', '1'\]",
        ),
        (
            lambda: _learner(env=dataclasses.replace(ENV, flows_per_episode=60)),
            r"episodes must be int64 \[6, 61\], got int64 \[6, 51\]; make the learner",
        ),
        (lambda: _learner(num_flows=3000), "lanes must show the observations .*give the same data"),
        (lambda: _learner(num_flows=500), "lanes must show the observations .*give the same data"),
        (
            lambda: _learner(dataclasses.replace(CONFIG, num_iterations=1, eval_every=1)),
            "num_iterations must be at least 2, those done, got 1; raise it",
        ),
    ],
    ids=lambda value: None if callable(value) else "",
)
def test_a_learner_that_does_not_fit_is_refused(saved, make, match):
    _refused(saved, make(), match)


def test_layers_that_are_padded_alike_have_arrays_alike():
    """Why the layers are compared by their sizes: the arrays of other layers would go in unnoticed."""
    one, other = _learner(), _learner(dataclasses.replace(CONFIG, hidden_sizes=(20, 24)))
    assert one.networks.parameters.shape == other.networks.parameters.shape


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"adam.steps": np.ones((1, 1))}, r"adam\.steps must be float64 \[2, 1\], got float64 \[1, 1\]"),
        ({"adam.steps": np.ones((2, 1), dtype=np.int64)}, r"adam\.steps must be float64 \[2, 1\], got int64 \[2, 1\]"),
        ({"extra": np.ones(1)}, r"extra must be nothing, got float64 \[1\]"),
        ({"learner": {}}, "must be a checkpoint of such a learner: 'iteration'"),
        ({"lanes.generators": np.ones((6, 6))}, r"generators must be uint64 \[6, 6\], got float64 \[6, 6\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(saved, changes, match):
    _rewrite(saved, **changes)
    _refused(saved, _learner(), match)


def test_one_generator_too_few_is_refused(saved):
    arrays, rest = _learner().state()
    with pytest.raises(ValueError, match="one for each of 2 members, got 1, 2 and 2"):
        _learner().load_state(arrays, rest | {"act_generators": rest["act_generators"][:1]})


def test_a_state_is_a_copy():
    learner = _learner()
    before = _everything(learner)
    arrays, rest = learner.state()
    _trained(learner, 4)  # an episode ends
    assert _everything(learner) != before
    learner.load_state(arrays, rest)
    assert _everything(learner) == before


if __name__ == "__main__":
    _continue(Path(sys.argv[1]))
