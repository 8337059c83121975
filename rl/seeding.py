"""Random seeds: each generator of a run descends from one seed; no generator is shared or global."""

from numpy.random import SeedSequence

BLOCKS = ("search", "rerank", "test", "evaluation", "test evaluation", "verdict", "verdict evaluation")
"""Purposes of seeds. Blocks never meet, so nothing is judged on the seeds that it was chosen by.

Nothing draws from `rerank` yet; without the name, the blocks behind it would have other seeds.
"""


def make_member_seeds(seed: int, count: int, block: str = "search") -> list[SeedSequence]:
    """Make random seeds for a trial's members, the same for all trials of a sweep, so that trials can be compared.

    Args:
        seed: Seed of the sweep.
        count: Number of members.
        block: Name from `BLOCKS`. Blocks of one seed hold unrelated members.
    """
    return [SeedSequence(seed, spawn_key=(BLOCKS.index(block), member)) for member in range(count)]


def make_evaluation_seed(seed: int, block: str = "evaluation") -> SeedSequence:
    """Make the random seed of the evaluation episodes, the same for all trials of a sweep."""
    return SeedSequence(seed, spawn_key=(BLOCKS.index(block),))


def derive_child(parent: SeedSequence, index: int) -> SeedSequence:
    """Derive seed number `index` from a parent seed; equal calls return equal seeds, unlike numpy's `spawn`."""
    return SeedSequence(parent.entropy, spawn_key=(*parent.spawn_key, index))


def derive_int(sequence: SeedSequence) -> int:
    """Convert a seed sequence to one integer, for interfaces like `Env.reset(seed=...)`."""
    return int(sequence.generate_state(1)[0])
