import numpy as np
import torch
from unstuck.rl.adam import Adam


def _run(lrs: list[float], gradients: torch.Tensor, eps: float = 1e-5) -> Adam:
    start = torch.linspace(-1, 1, gradients.shape[-1], dtype=torch.float64).repeat(len(lrs), 1)
    adam = Adam(start.clone(), torch.full((len(lrs), 1), eps, dtype=torch.float64))
    for gradient in gradients:
        adam.step(gradient, torch.tensor(lrs, dtype=torch.float64).unsqueeze(1))
    return adam


def _gradients(steps: int, members: int, size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((steps, members, size)))


def test_equals_torch_adam_member_by_member():
    lrs, gradients = [1e-3, 3e-2], _gradients(50, 2, 7)
    ours = _run(lrs, gradients)
    for member, lr in enumerate(lrs):
        theirs = torch.nn.Parameter(torch.linspace(-1, 1, 7, dtype=torch.float64))
        optimiser = torch.optim.Adam([theirs], lr=lr, eps=1e-5)
        for gradient in gradients:
            theirs.grad = gradient[member].clone()
            optimiser.step()
        torch.testing.assert_close(ours.parameters[member], theirs.data, rtol=0, atol=1e-12)


def test_inactive_member_keeps_parameters_moments_and_step_count():
    gradients = _gradients(3, 2, 5)
    adam = _run([1e-2, 1e-2], gradients[:2])
    before = [tensor.clone() for tensor in (adam.parameters, adam.exp_avg, adam.exp_avg_sq, adam.steps)]
    adam.step(gradients[2], torch.full((2, 1), 1e-2, dtype=torch.float64), torch.tensor([[True], [False]]))
    for old, new in zip(before, (adam.parameters, adam.exp_avg, adam.exp_avg_sq, adam.steps), strict=True):
        assert torch.equal(old[1], new[1])
        assert not torch.equal(old[0], new[0])


def test_active_member_moves_as_if_all_were_active():
    gradients, lr = _gradients(3, 2, 5), torch.full((2, 1), 1e-2, dtype=torch.float64)
    masked, plain = _run([1e-2, 1e-2], gradients[:2]), _run([1e-2, 1e-2], gradients[:2])
    masked.step(gradients[2], lr, torch.tensor([[True], [False]]))
    plain.step(gradients[2], lr)
    assert torch.equal(masked.parameters[0], plain.parameters[0])


def test_nan_gradient_stays_with_its_member():
    gradients = _gradients(2, 2, 5)
    gradients[0, 1] = float("nan")
    adam = _run([1e-2, 1e-2], gradients)
    assert adam.parameters[0].isfinite().all()
    assert adam.parameters[1].isnan().all()


def test_member_that_is_inactive_from_the_start_stays_at_the_start():
    gradients, lr = _gradients(1, 2, 5), torch.full((2, 1), 1e-2, dtype=torch.float64)
    gradients[0, 1] = float("nan")
    adam = _run([1e-2, 1e-2], gradients[:0])
    start = adam.parameters.clone()
    adam.step(gradients[0], lr, torch.tensor([[True], [False]]))
    assert torch.equal(adam.parameters[1], start[1])
    assert not torch.equal(adam.parameters[0], start[0])


def test_some_members_share_the_moments_of_all():
    gradients, lr = _gradients(1, 3, 5), torch.full((3, 1), 1e-2, dtype=torch.float64)
    whole, part = _run([1e-2] * 3, gradients[:0]), _run([1e-2] * 3, gradients[:0])
    whole.step(gradients[0], lr)
    for some in (slice(0, 1), slice(1, 3)):
        part.select_members(some, part.parameters[some]).step(gradients[0, some], lr[some])
    for ours, theirs in zip(part.state().values(), whole.state().values(), strict=True):
        assert torch.equal(ours, theirs)
