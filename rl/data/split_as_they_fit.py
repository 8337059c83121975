"""Split of sweeps of format 1: whole groups of equal vectors at a time, in random order.

Groups larger than a part, and most of the large ones, fall to training, so frequent vectors are hardly ever judged:
`rl.data.split.split_by_size` mended that. Old sweeps go on as begun.
"""

import numpy as np
import numpy.typing as npt
from unstuck.rl.data.split import Counts, Parts, Rows, count_eval_flows, thin_threats

DRAWS = 10


def split_as_they_fit(
    threat: npt.NDArray[np.bool_],
    vectors: npt.NDArray[np.int64],
    share: float | None,
    eval_flows: int,
    rng: np.random.Generator,
) -> Parts:
    """Split network flows at random, equal flows in one part, by the old rule of sweeps of format 1.

    Validation and test have the same share of threats.

    Groups are taken in random order while the part has room, so sizes are exact where no vector repeats, and never
    exceeded. A group larger than a part goes to training; if little else is left of a class, validation and test
    shrink, at the same share, so that training keeps a third of the class.

    Args:
        threat: bool `[n]`.
        vectors: int64 `[n]`, equal where feature vectors are equal.
        share: Threats among the flows kept, by leaving threats out; None keeps all.
        eval_flows: Flows of validation and of test, each.
        rng: Generator that draws the threats left out and the parts.

    Raises:
        DataError: Too few flows or threats.
    """
    benign_wanted, threats_wanted = count_eval_flows(threat, share, eval_flows)
    kept = thin_threats(threat, np.arange(len(threat)), share, rng)
    _, group = np.unique(vectors[kept], return_inverse=True)
    benign = np.bincount(group[~threat[kept]], minlength=group.max() + 1)
    threats = np.bincount(group[threat[kept]], minlength=group.max() + 1)
    small = (benign <= benign_wanted) & (threats <= threats_wanted)
    shrink = min(1.0, benign[small].sum() / (3 * benign_wanted), threats[small].sum() / (3 * threats_wanted))
    wanted = int(shrink * benign_wanted), int(shrink * threats_wanted)
    part = np.zeros(len(benign), dtype=np.int64)
    for number in (2, 1):
        part[_draw(np.flatnonzero(small & (part == 0)), benign, threats, wanted, rng)] = number
    return Parts(*(kept[part[group] == number] for number in range(3)))


def _draw(groups: Rows, benign: Counts, threats: Counts, wanted: tuple[int, int], rng: np.random.Generator) -> Rows:
    """Draw random groups of equal network flows that add up to nearly, never above, the wanted numbers by label.

    Where groups hold both classes, one class fills up and the rest fits no more: the best of some draws is taken.
    """
    best, best_miss = groups[:0], sum(wanted) + 1
    for _ in range(DRAWS):
        order = rng.permutation(groups)
        fits = np.zeros(len(order), dtype=bool)
        benign_left, threats_left = wanted
        for position, (b, t) in enumerate(zip(benign[order].tolist(), threats[order].tolist(), strict=True)):
            if b <= benign_left and t <= threats_left:
                fits[position] = True
                benign_left -= b
                threats_left -= t
        if benign_left + threats_left < best_miss:
            best, best_miss = order[fits], benign_left + threats_left
        if best_miss == 0:
            break
    return best
