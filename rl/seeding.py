"""One seed, spawned. Every generator of a run descends from it; none is shared, none is global."""

from numpy.random import SeedSequence

BLOCKS = ("search", "rerank", "test", "evaluation", "test evaluation")
"""What seeds are for. Blocks never meet, so nothing is judged on the seeds that it was chosen by."""


def member_seeds(seed: int, count: int, block: str = "search") -> list[SeedSequence]:
    """Seeds of the members of one trial. All trials of a sweep share them, so that trials are paired.

    Args:
        seed: The sweep's seed.
        count: How many members.
        block: One of `BLOCKS`. The same seed gives unrelated members in different blocks.
    """
    return [SeedSequence(seed, spawn_key=(BLOCKS.index(block), member)) for member in range(count)]


def evaluation_seed(seed: int, block: str = "evaluation") -> SeedSequence:
    """Seed of the episodes that evaluations play: the same for all trials of a sweep."""
    return SeedSequence(seed, spawn_key=(BLOCKS.index(block),))


def child(parent: SeedSequence, index: int) -> SeedSequence:
    """The `index`-th descendant of a seed; unlike `spawn`, asking twice gives the same one."""
    return SeedSequence(parent.entropy, spawn_key=(*parent.spawn_key, index))


def as_int(sequence: SeedSequence) -> int:
    """A seed for interfaces that take an integer, such as `Env.reset(seed=...)`."""
    return int(sequence.generate_state(1)[0])
