import pytest
import torch
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.learner import Learner
from unstuck.rl.machine import use_one_thread
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

CONFIG = PPOConfig(
    num_iterations=1, eval_every=1, num_envs=1024, num_steps=64, minibatch_size=65_536, num_epochs=1, hidden_sizes=(8,)
)
"""Sums over 65,536 samples, which torch cuts up for its threads."""


@pytest.fixture(autouse=True)
def _restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _first_iteration(iterate, threads):
    torch.set_num_threads(threads)
    env = EnvConfig(id="CartPole-v1", eval_episodes=1)
    learner = make_learner(CONFIG, env, make_member_seeds(0, 1), make_evaluation_seed(0))
    return {name: value.item() for name, value in iterate(learner).items()}, learner.networks.parameters


def test_numbers_do_not_depend_on_the_callers_threads():
    (one, after_one), (three, after_three) = (_first_iteration(Learner.iterate, threads) for threads in (1, 3))
    assert one == three
    assert torch.equal(after_one, after_three)


def test_without_the_guard_they_would():
    unguarded = Learner.iterate.__wrapped__
    one, three = (_first_iteration(unguarded, threads)[0] for threads in (1, 3))
    assert one != three
    assert one == pytest.approx(three, rel=1e-3, abs=1e-4)


def test_the_caller_gets_its_threads_back_even_after_an_error():
    torch.set_num_threads(3)
    seen = []

    @use_one_thread()
    def fail():
        seen.append(torch.get_num_threads())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [1]
    assert torch.get_num_threads() == 3
