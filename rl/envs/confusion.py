"""Precision, recall and F1 of decisions, and the F1 of policies that learned nothing."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
RANDOM_FLAG_SHARE = 0.75  # three of the four actions flag


class Confusion(NamedTuple):
    """Counts of true and false positives and negatives for each member (seed); flagged network flows are positives."""

    tp: Numbers
    tn: Numbers
    fp: Numbers
    fn: Numbers


def count_confusion(flagged: npt.NDArray[np.bool_], threat: npt.NDArray[np.bool_]) -> Confusion:
    """Count true and false positives and negatives for each member (seed), by the network flows that it flagged.

    Args:
        flagged: Decisions of P members about n flows, bool `[P, n]`.
        threat: True for flows that are threats, bool `[n]`.
    """
    tp, fp = (flagged & threat).sum(axis=1), (flagged & ~threat).sum(axis=1)
    fn, tn = threat.sum() - tp, (~threat).sum() - fp
    return Confusion(*(count.astype(np.float64) for count in (tp, tn, fp, fn)))


def precision(counts: Confusion) -> Numbers:
    """Compute precision, the share of threats among flagged network flows, tp / (tp + fp); 0 if none is flagged."""
    return _share(counts.tp, counts.tp + counts.fp)


def recall(counts: Confusion) -> Numbers:
    """Compute recall: the share of flagged flows among the threats, tp / (tp + fn); 0 if there are no threats."""
    return _share(counts.tp, counts.tp + counts.fn)


def f1(counts: Confusion) -> Numbers:
    """Compute F1, the harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn); 0 if the denominator is 0."""
    return _share(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def f1_at_random(threat: npt.NDArray[np.bool_], flag_share: float) -> float:
    """Compute the expected F1 of a policy that flags each network flow at random with probability `flag_share`.

    Args:
        threat: True for flows that are threats, bool `[n]`.
        flag_share: The probability: 1 flags all, 0 none, `RANDOM_FLAG_SHARE` is that of the uniformly random policy.
    """
    threats, benign = np.array([threat.sum()], np.float64), np.array([(~threat).sum()], np.float64)
    flag, keep = flag_share, 1 - flag_share
    return float(f1(Confusion(flag * threats, keep * benign, flag * benign, keep * threats))[0])


def _share(part: Numbers, whole: Numbers) -> Numbers:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
