"""Generated flows (`data.source=synthetic`, the default): no download, any size, as hard as asked.

Every flow has a few hidden properties. Benign flows are normal in all of them; each kind of attack lies off to one
side, with pairs of kinds on opposite sides, so that no straight cut separates attacks. Observed are mixtures of the
hidden properties, some with long tails as byte counts have, and features of pure noise. Threats come in bursts of
one kind. `data.difficulty` moves the attacks into the benign flows and lets some of either class look like the other.
"""

import numpy as np
import numpy.typing as npt
from unstuck.rl.config import DataConfig, require
from unstuck.rl.data.raw import RawFlows

HIDDEN = 6  # hidden properties, or fewer with few features
KINDS = 5  # of attacks: both sides of the first two hidden properties, one of the third
NOISE_SHARE = 0.2  # of the features
SKEWED_EVERY = 3  # one in this many informative features has a long tail
FARTHEST, CLOSEST = 6.0, 2.5  # distance of attacks from the middle of benign flows, at difficulty 0 and 1
DISGUISED = 0.08  # share of threats that look benign, and as many benign flows like threats, at difficulty 1
ATTACK_SPREAD = 0.5  # of a kind; that of benign flows is 1
MEASUREMENT_NOISE = 0.1
BLOCKS = 25  # stretches of time that hold the share of threats, or fewer ...
BURSTS_A_BLOCK = 4  # ... for each to hold this many bursts

Matrix = npt.NDArray[np.float64]


def generate(config: DataConfig, rng: np.random.Generator) -> RawFlows:
    """Generate `data.num_flows` artificial network flows, of which the share `data.threat_share` are threats.

    Args:
        config: Settings, of which `num_flows`, `num_features`, `difficulty`, `burst_length` and `threat_share` are
            read.
        rng: Generator that draws everything.

    Raises:
        ConfigError: Bursts this short would leave no benign flow between them.
    """
    burst = _bursts(config, rng)
    threat = burst >= 0
    kinds = rng.integers(KINDS, size=config.num_flows)  # of benign flows too: some will look like an attack
    kinds[threat] = kinds[burst[threat]]
    attacking = _disguise(threat, DISGUISED * config.difficulty, rng)
    num_noise = int(NOISE_SHARE * config.num_features)
    hidden = _hidden(attacking, kinds, min(HIDDEN, config.num_features - num_noise), config.difficulty, rng)
    signal = _observe(hidden, config.num_features - num_noise, rng)
    noise = rng.standard_normal((config.num_flows, num_noise))
    columns = {f"signal_{j}": signal[:, j] for j in range(signal.shape[1])}
    columns |= {f"noise_{j}": noise[:, j] for j in range(num_noise)}
    return RawFlows(columns, {}, threat)


def _bursts(config: DataConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Place bursts of threats in a sequence of network flows; return each one's burst number, -1 for benign ones.

    Bursts are laid out block by block, each block with the share of threats of all flows, so that no stretch of time is
    all quiet.
    """
    total = round((config.threat_share or 0.0) * config.num_flows)
    num_blocks = max(1, min(BLOCKS, int(total / (BURSTS_A_BLOCK * config.burst_length))))
    flows = np.diff(np.linspace(0, config.num_flows, num_blocks + 1).astype(np.int64))
    threats = np.diff(np.linspace(0, total, num_blocks + 1).astype(np.int64))
    numbers, runs, started = [], [], 0
    for block_threats, block_benign in zip(threats, flows - threats, strict=True):
        count = max(1, round(block_threats / config.burst_length))
        require(
            block_threats >= 1 and count < block_benign,
            f"data.threat_share and data.burst_length must leave threats, and benign flows between bursts, got "
            f"{config.threat_share} and {config.burst_length}: {count} bursts among {block_benign} benign flows; "
            "try data.burst_length=20, or more flows",
        )
        lengths = np.empty(2 * count + 1, dtype=np.int64)
        lengths[0::2] = _composition(block_benign, count + 1, rng)
        lengths[1::2] = _composition(block_threats, count, rng)
        labels = np.full(2 * count + 1, -1)
        labels[1::2] = np.arange(started, started + count)
        numbers.append(labels)
        runs.append(lengths)
        started += count
    return np.repeat(np.concatenate(numbers), np.concatenate(runs))


def _composition(total: int, parts: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Divide `total` into `parts` positive whole numbers at random, all divisions equally likely.

    The lengths are geometric in the limit, and exact in sum.
    """
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(cuts, prepend=0, append=total)


def _disguise(threat: npt.NDArray[np.bool_], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose which network flows look like attacks: the threats, but a share swaps looks with benign ones.

    A share of the threats and as many benign flows are exchanged.
    """
    looks = threat.copy()
    count = min(round(share * threat.sum()), len(threat) - int(threat.sum()))
    for rows in (np.flatnonzero(threat), np.flatnonzero(~threat)):
        swapped = rng.choice(rows, count, replace=False)
        looks[swapped] = ~looks[swapped]
    return looks


def _hidden(
    attacking: npt.NDArray[np.bool_],
    kinds: npt.NDArray[np.int64],
    width: int,
    difficulty: float,
    rng: np.random.Generator,
) -> Matrix:
    """Draw hidden properties of each network flow: around 0, or around a centre if it looks like an attack."""
    distance = FARTHEST + (CLOSEST - FARTHEST) * difficulty
    centers = np.zeros((KINDS, width))
    for kind in range(KINDS):
        centers[kind, kind // 2] = distance if kind % 2 == 0 else -distance
    hidden = rng.standard_normal((len(kinds), width))
    hidden[attacking] *= ATTACK_SPREAD
    hidden[attacking] += centers[kinds[attacking]]
    return hidden


def _observe(hidden: Matrix, num_features: int, rng: np.random.Generator) -> Matrix:
    """Compute network flows' features from hidden properties: random linear mixtures with noise, some exponentiated."""
    width = hidden.shape[1]
    turned, _ = np.linalg.qr(rng.standard_normal((width, width)))
    mixtures = rng.standard_normal((width, num_features - width))
    mixtures /= np.linalg.norm(mixtures, axis=0, keepdims=True)
    observed: Matrix = hidden @ np.concatenate([turned, mixtures], axis=1)
    observed += MEASUREMENT_NOISE * rng.standard_normal(observed.shape)
    observed[:, ::SKEWED_EVERY] = np.exp(observed[:, ::SKEWED_EVERY])
    return observed
