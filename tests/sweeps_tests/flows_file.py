"""Changes to a file of flows, for tests on which flows a sweep may go on with."""

import csv
import random
from pathlib import Path


def shuffle_labels(file: Path) -> None:
    """Deal the labels of a CSV out among its rows anew, as by a wrong join of tables."""
    header, *rows = list(csv.reader(file.open()))
    place = header.index("label")
    labels = [row[place] for row in rows]
    random.Random(0).shuffle(labels)
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(
            [header, *([*row[:place], x, *row[place + 1 :]] for row, x in zip(rows, labels, strict=True))]
        )
