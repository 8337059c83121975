"""Split flows into training, validation (search and pruning) and test (read once); no flow is in two parts.

Shuffled order: flows are drawn at random; equal feature vectors, with equal labels or not, stay in one part, and the
parts hold rare and frequent vectors alike. Stream order: the parts are stretches of time, training first.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from unstuck.rl.data.raw import number_rows
from unstuck.rl.data.types import Flows
from unstuck.rl.errors import DataError, LittleLeftError

EVAL_SHARE = 0.2  # validation and test take at most this share of the flows, each
MIN_FLOWS = 100
MIN_PART = 10
MIN_ALIKE = 3  # vectors of a like size, for each part to get one
WIDEST = 3  # powers of two that sizes may span for that

Rows = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """Rows of the network flows in training, validation and test part, as ascending indices; rows may repeat."""

    train: Rows
    validation: Rows
    test: Rows


def split_by_size(
    threat: npt.NDArray[np.bool_],
    vectors: npt.NDArray[np.int64],
    share: float | None,
    eval_flows: int,
    rng: np.random.Generator,
) -> tuple[Parts, int]:
    """Split network flows at random into three parts with like shares of threats; equal flows share a part.

    Groups of equal vectors form strata by labels and size. Each part gets whole groups of every stratum, and the part's
    share of the stratum's flows: some flows of a group are left out, or taken again, to make the share exact. So a
    frequent vector counts in each part as in the whole. Where no vector repeats, the split is a plain draw from each
    class.

    A vector without two others of a like size cannot be in three parts: all of the vector's flows go to training. If
    little else is left of a class, validation and test shrink, at the same share, so that training keeps a third of the
    class.

    Args:
        threat: bool `[n]`.
        vectors: int64 `[n]`, equal where feature vectors are equal.
        share: Threats among the flows kept, by leaving threats out; None keeps all.
        eval_flows: Flows of validation and of test, each.
        rng: Generator that draws the threats left out and the parts.

    Returns:
        The parts, and how many flows are in training alone because their vectors have no others of a like size.

    Raises:
        DataError: Too few flows or threats.
    """
    wanted = np.array(count_eval_flows(threat, share, eval_flows))
    kept = thin_threats(threat, np.arange(len(threat)), share, rng)
    _, group = np.unique(vectors[kept], return_inverse=True)
    counts = np.stack([np.bincount(group[threat[kept] == label], minlength=group.max() + 1) for label in (False, True)])
    stratum = _strata(counts)
    members = [np.flatnonzero(stratum == number) for number in range(stratum.max() + 1)]
    pool = np.array([counts[:, groups].sum(axis=1) for groups in members], dtype=np.int64).reshape(-1, 2)
    shrink = min(1.0, *(pool.sum(axis=0) / (3 * wanted)))
    due = np.stack([_apportion(int(shrink * flows), have) for flows, have in zip(wanted, pool.T, strict=True)], axis=1)
    part = np.zeros(len(stratum), dtype=np.int64)
    for number in (2, 1):
        order = rng.permutation(np.flatnonzero((stratum >= 0) & (part == 0)))
        for place, flows in enumerate(due):
            groups = order[stratum[order] == place]
            part[groups[: _enough(counts[:, groups], flows, leave=number)]] = number
    rows = []
    for number, flows in enumerate((pool - 2 * due, due, due)):
        here = part[group] == number
        rows.append(_select_due(kept[here], threat[kept[here]], stratum[group[here]], flows))
    return Parts(*rows), int((stratum[group] < 0).sum())


def _strata(counts: Counts) -> Counts:
    """Sort groups of equal network flows into sets (strata) of three groups or more with like labels and sizes.

    Alike are groups whose labels are the same, or mixed with the same majority, and whose sizes lie within a power of
    two: within `WIDEST` powers where there are fewer than three.

    Args:
        counts: Benign flows and threats of each group, `[2, g]`.

    Returns:
        The number of each group's stratum, `[g]`; -1 where there are no three alike.
    """
    benign, threats = counts
    kinds = np.where(threats == 0, 0, np.where(benign == 0, 1, np.where(benign >= threats, 2, 3)))
    octaves = np.floor(np.log2(counts.sum(axis=0))).astype(np.int64)
    strata = np.full(len(kinds), -1)
    number = 0
    for kind in range(4):
        groups = np.flatnonzero(kinds == kind)
        for alike in _alike(groups, octaves[groups]):
            strata[alike] = number
            number += 1
    return strata


def _alike(groups: Rows, octaves: Counts) -> list[Rows]:
    """Sort groups of equal network flows by size into sets of three or more; leave out groups without like ones."""
    found: list[Rows] = []
    together, largest = groups[:0], 0
    for octave in np.unique(octaves)[::-1]:
        if len(together) >= MIN_ALIKE or largest - octave >= WIDEST:
            found.append(together)
            together = groups[:0]
        largest = largest if len(together) else octave
        together = np.concatenate([together, groups[octaves == octave]])
    found = [alike for alike in [*found, together] if len(alike) >= MIN_ALIKE]
    return found or ([groups] if len(groups) >= MIN_ALIKE else [])


def _apportion(total: int, have: Counts) -> Counts:
    """Divide a total into whole numbers in proportion to `have`, by the method of the largest remainder."""
    exact = total * have / max(1, have.sum())
    counts: Counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


def _enough(counts: Counts, due: Counts, leave: int) -> int:
    """Count how many groups, from the first on, have enough benign and threat flows for a part of the data.

    Args:
        counts: Benign flows and threats of each group, `[2, g]`.
        due: Benign flows and threats that are due, `[2]`.
        leave: Groups that other parts need.
    """
    sums = np.cumsum(counts, axis=1)
    needed = [int(np.searchsorted(have, flows)) + 1 for have, flows in zip(sums, due, strict=True) if flows]
    return min(max(needed, default=0), int(counts.shape[1]) - leave)


def _select_due(rows: Rows, threat: npt.NDArray[np.bool_], stratum: Counts, due: Counts) -> Rows:
    """Select the rows of a part of the data, by set and label; repeat all rows equally if there are too few.

    Args:
        rows: Rows of the part, `[n]`.
        threat: Labels of the rows, bool `[n]`.
        stratum: Stratum of each row, `[n]`; -1 for none.
        due: Benign flows and threats that are due of each stratum, `[strata, 2]`.
    """
    taken = [rows[stratum < 0]]
    for place, flows in enumerate(due):
        for label, count in zip((False, True), flows, strict=True):
            have = rows[(stratum == place) & (threat == label)]
            taken.append(have[np.arange(count) * len(have) // max(1, count)])
    return np.sort(np.concatenate(taken))


def split_stream(
    threat: npt.NDArray[np.bool_], share: float | None, eval_flows: int, rng: np.random.Generator
) -> Parts:
    """Split network flows by time: the last ones for test, those before for validation, the first for training.

    With a `share`, the cuts count benign flows, all of which are kept, and each stretch is thinned to the share by
    itself; a stretch with too few threats keeps all threats. Arguments and errors as for
    `split_by_size`.
    """
    benign_wanted, threats_wanted = count_eval_flows(threat, share, eval_flows)
    counted = np.arange(len(threat)) if share is None else np.flatnonzero(~threat)
    wanted = benign_wanted + threats_wanted if share is None else benign_wanted
    cuts = [counted[-2 * wanted], counted[-wanted]]
    stretches = np.split(np.arange(len(threat)), cuts)
    return Parts(*(thin_threats(threat, stretch, share, rng) for stretch in stretches))


def leave_out_shared(train: Flows, validation: Flows, test: Flows) -> tuple[Flows, Flows, Flows]:
    """Remove network flows from training or validation part whose features also occur in a later part.

    Encoding can make different vectors equal, by pooled rare categories and clipped extremes: a few flows in ten
    thousand. The test part stays unchanged.
    """
    parts = (train, validation, test)
    ids = np.split(number_rows(np.concatenate([p.features for p in parts])), np.cumsum([len(train), len(validation)]))
    fresh = [~np.isin(ids[0], np.concatenate(ids[1:])), ~np.isin(ids[1], ids[2]), np.ones(len(test), dtype=bool)]
    train, validation, test = (Flows(p.features[f], p.threat[f]) for p, f in zip(parts, fresh, strict=True))
    return train, validation, test


def check_parts(train: Flows, validation: Flows, test: Flows) -> None:
    """Raise `LittleLeftError` if a part of the data has fewer than `MIN_PART` rows, or no rows of one label."""
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        threats = int(part.threat.sum())
        if not 0 < threats < len(part) or len(part) < MIN_PART:
            raise LittleLeftError(
                f"each part must hold {MIN_PART} flows, 1 threat and 1 benign flow at least, got {threats} threats and "
                f"{len(part) - threats} benign flows in {name}; use data.order=shuffled if the file is sorted or its "
                "threats come in few bursts, or more different flows if most are equal"
            )


def thin_threats(threat: npt.NDArray[np.bool_], rows: Rows, share: float | None, rng: np.random.Generator) -> Rows:
    """Drop random threats until they make up `share` of the rows; keep all rows if `share` is None.

    A set of rows with too few threats keeps all threats.
    """
    if share is None:
        return rows
    benign, threats = rows[~threat[rows]], rows[threat[rows]]
    wanted = min(len(threats), _threats_for(len(benign), share))
    return np.sort(np.concatenate([benign, rng.choice(threats, wanted, replace=False)]))


def _threats_for(benign: int, share: float) -> int:
    return round(share / (1 - share) * benign)


def count_eval_flows(threat: npt.NDArray[np.bool_], share: float | None, eval_flows: int) -> tuple[int, int]:
    """Compute how many benign and threat flows the validation part of the data gets; the test part gets as many.

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
    """Round a share of threats down to three significant digits, so that the data hold enough threats for it."""
    unit = 10.0 ** (np.floor(np.log10(share)) - 2) if share > 0 else 1.0
    return float(f"{np.floor(share / unit) * unit:.3g}")
