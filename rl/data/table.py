"""Any table with a header as a source of flows (`data.source=csv`).

Identifiers and row numbers are read as features like any other: leave such columns out with `data.drop`.
`rl.data.hints` names columns that look like identifiers.
"""

from collections import Counter

import numpy as np
from unstuck.rl.config import DataConfig
from unstuck.rl.data.columns import count_infinite, is_missing, read_column
from unstuck.rl.data.files import LISTED, Sheet, read_sheet, suggest_name
from unstuck.rl.data.notation import Notation
from unstuck.rl.data.raw import Categorical, RawFlows
from unstuck.rl.errors import DataError


def read_csv(config: DataConfig) -> RawFlows:
    """Read network flows from the CSV table `data.path`; a flow is a threat unless `data.benign` lists the label.

    Raises:
        DataError: The file, a column named or a label named does not exist, or a column of numbers holds junk.
    """
    if config.path is None or config.label is None:
        raise DataError(
            "data.path and data.label must be set for data.source=csv; add data.path=FILE data.label=COLUMN"
        )
    sheet = read_sheet(config.path)
    header = _unique([cell.strip() for cell in sheet.cells[0]])
    if len(sheet.cells) == 1:
        raise DataError(f"data.path must name a file with rows below its header, got none in {sheet.path}")
    _check_columns(header, config, sheet)
    columns = dict(zip(header, zip(*sheet.cells[1:], strict=True), strict=True))
    labels = [label.strip() for label in columns.pop(config.label)]
    _check_labels(labels, config, sheet)
    for name in config.drop:
        columns.pop(name, None)
    if not columns:
        raise DataError(f"{sheet.path} must have a column beside the label {config.label!r} and data.drop, got none")
    notation = Notation(config.decimal, config.thousands)
    rows = sheet.row_numbers[1:]
    read = {name: read_column(name, cells, rows, sheet.path, notation) for name, cells in columns.items()}
    numbers = {name: column for name, column in read.items() if not isinstance(column, Categorical)}
    infinite = {name: count_infinite(values, columns[name]) for name, values in numbers.items()}
    benign = {str(value).strip() for value in config.benign}
    return RawFlows(
        numbers,
        {name: column for name, column in read.items() if isinstance(column, Categorical)},
        np.array([label not in benign for label in labels]),
        {name: count for name, count in infinite.items() if count},
    )


def _unique(names: list[str]) -> list[str]:
    """Make column names unique by numbering repeated ones: `a, a` becomes `a, a.1`."""
    seen: Counter[str] = Counter()
    unique = []
    for position, name in enumerate(names):
        base = name or f"column {position + 1}"
        unique.append(f"{base}.{seen[base]}" if seen[base] else base)
        seen[base] += 1
    return unique


def _check_columns(header: list[str], config: DataConfig, sheet: Sheet) -> None:
    for setting, names in (("data.label", (config.label or "",)), ("data.drop", config.drop)):
        for name in names:
            if name not in header:
                raise DataError(
                    f"{setting} must name a column of {sheet.path}, got {name!r}; {suggest_name(name, header)}"
                )
    if config.label in config.drop:
        raise DataError(f"data.drop must not name the label column, got {config.label!r}; remove it from data.drop")


def _check_labels(labels: list[str], config: DataConfig, sheet: Sheet) -> None:
    """Raise `DataError` for a row without label, a benign label that never occurs, or data without threats."""
    for label, number in zip(labels, sheet.row_numbers[1:], strict=True):
        if is_missing(label):
            raise DataError(
                f"every row must have a label, got {label!r} in row {number} of {sheet.path}, column "
                f"{config.label!r}; label or remove that row"
            )
    counts = Counter(labels)
    occurring = [label for label, _ in counts.most_common()]
    for value in config.benign:
        if str(value).strip() not in counts:
            raise DataError(
                f"data.benign must list labels that occur in column {config.label!r}, got {value!r}; "
                f"{suggest_name(str(value).strip(), occurring)}"
            )
    if counts.keys() <= {str(value).strip() for value in config.benign}:
        raise DataError(
            f"flows must be of two classes, got benign alone: every label of {sheet.path} "
            f"({', '.join(occurring[:LISTED])}) is in data.benign; remove those that are threats"
        )
