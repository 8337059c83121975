"""Three parts: training, validation (search and pruning) and test (read once). Nothing is judged on its own training.

Shuffled order: flows are drawn at random, and equal feature vectors, whatever their labels, stay in one part.
Stream order: the parts are stretches of time, training first.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rl.data.raw import row_ids
from rl.data.types import Flows
from rl.errors import DataError

EVAL_SHARE = 0.2  # validation and test take at most this share of the flows, each
MIN_FLOWS = 100
MIN_PART = 10
DRAWS = 10

Rows = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """Positions of the flows of each part, ascending: the order of recording is kept."""

    train: Rows
    validation: Rows
    test: Rows


def split_shuffled(
    threat: npt.NDArray[np.bool_],
    vectors: npt.NDArray[np.int64],
    share: float | None,
    eval_flows: int,
    rng: np.random.Generator,
) -> Parts:
    """Draw validation and test at random, with the same share of threats; whole groups of equal vectors at a time.

    Groups are taken in random order as long as they fit, so sizes are exact where no vector repeats, and never
    exceeded. A group larger than a part goes to training; if little else is left of a class, validation and test
    shrink, at the same share, so that training keeps a third of it.

    Args:
        threat: bool `[n]`.
        vectors: int64 `[n]`, equal where feature vectors are equal.
        share: Threats among the flows kept, by leaving threats out; None keeps all.
        eval_flows: Flows of validation and of test, each.
        rng: Draws the threats left out and the parts.

    Raises:
        DataError: Too few flows or threats.
    """
    benign_wanted, threats_wanted = _eval_counts(threat, share, eval_flows)
    kept = _thin(threat, np.arange(len(threat)), share, rng)
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
    """Groups that together come near to the counts wanted of either class and never exceed them.

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


def split_stream(
    threat: npt.NDArray[np.bool_], share: float | None, eval_flows: int, rng: np.random.Generator
) -> Parts:
    """Cut by time: the last flows are the test, those before them the validation, all earlier ones training.

    With a `share`, the cuts count benign flows, all of which are kept, and each stretch is thinned to the share by
    itself; a stretch with fewer threats than that keeps all that it has. Arguments and errors as for
    `split_shuffled`.
    """
    benign_wanted, threats_wanted = _eval_counts(threat, share, eval_flows)
    counted = np.arange(len(threat)) if share is None else np.flatnonzero(~threat)
    wanted = benign_wanted + threats_wanted if share is None else benign_wanted
    cuts = [counted[-2 * wanted], counted[-wanted]]
    stretches = np.split(np.arange(len(threat)), cuts)
    return Parts(*(_thin(threat, stretch, share, rng) for stretch in stretches))


def leave_out_shared(train: Flows, validation: Flows, test: Flows) -> tuple[Flows, Flows, Flows]:
    """Leave out of each part what a later part also holds: encoding can make different vectors equal.

    Pooled rare categories and clipped extremes do so, for a few flows in ten thousand; the test part stays as it is.
    """
    parts = (train, validation, test)
    ids = np.split(row_ids(np.concatenate([p.features for p in parts])), np.cumsum([len(train), len(validation)]))
    fresh = [~np.isin(ids[0], np.concatenate(ids[1:])), ~np.isin(ids[1], ids[2]), np.ones(len(test), dtype=bool)]
    train, validation, test = (Flows(p.features[f], p.threat[f]) for p, f in zip(parts, fresh, strict=True))
    return train, validation, test


def check_parts(train: Flows, validation: Flows, test: Flows) -> None:
    """Raise `DataError` for a part without a threat or without a benign flow, or with hardly any flow."""
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        threats = int(part.threat.sum())
        if not 0 < threats < len(part) or len(part) < MIN_PART:
            raise DataError(
                f"each part must hold {MIN_PART} flows, 1 threat and 1 benign flow at least, got {threats} threats and "
                f"{len(part) - threats} benign flows in {name}; use data.order=shuffled if the file is sorted or its "
                "threats come in few bursts, or more different flows if most are equal"
            )


def _thin(threat: npt.NDArray[np.bool_], rows: Rows, share: float | None, rng: np.random.Generator) -> Rows:
    """All benign rows, and as many threats drawn from `rows` as make the share."""
    if share is None:
        return rows
    benign, threats = rows[~threat[rows]], rows[threat[rows]]
    wanted = min(len(threats), _threats_for(len(benign), share))
    return np.sort(np.concatenate([benign, rng.choice(threats, wanted, replace=False)]))


def _threats_for(benign: int, share: float) -> int:
    return round(share / (1 - share) * benign)


def _eval_counts(threat: npt.NDArray[np.bool_], share: float | None, eval_flows: int) -> tuple[int, int]:
    """Benign flows and threats wanted in validation and in test, each.

    Raises:
        DataError: The file has fewer threats than the share needs, or too few flows to split.
    """
    have = int(threat.sum())
    benign = len(threat) - have
    threats = have if share is None else _threats_for(benign, share)
    if threats > have:
        own = have / len(threat)
        raise DataError(
            f"data.threat_share = {share} needs {threats} threats beside the {benign} benign flows, got {have}, a "
            f"share of {own:.4g}; set data.threat_share={_round_down(own)}, or null to keep all flows"
        )
    kept = benign + threats
    flows = min(eval_flows, int(EVAL_SHARE * kept))
    wanted = round(threats / kept * flows)
    if kept < MIN_FLOWS or not 0 < wanted < flows:
        raise DataError(
            f"at least {MIN_FLOWS} flows, with a threat and a benign one in each part, must be kept, got {kept} "
            f"flows ({benign} benign, {threats} threats): validation and test would hold {flows} flows, {wanted} of "
            "them threats, each; use a larger file or another data.threat_share"
        )
    return flows - wanted, wanted


def _round_down(share: float) -> float:
    """To three significant digits, never up: a share that the file surely has threats enough for."""
    unit = 10.0 ** (np.floor(np.log10(share)) - 2) if share > 0 else 1.0
    return float(f"{np.floor(share / unit) * unit:.3g}")
