"""NSL-KDD as a source of flows (`data.source=nsl_kdd`), as published: text of 43 columns without a header.

Source: M. Tavallaee, E. Bagheri, W. Lu, A. Ghorbani, "A Detailed Analysis of the KDD CUP 99 Data Set", IEEE CISDA
2009. The last column, the difficulty, was derived from other learners' predictions of the label: the difficulty leaks
the label and is never read. Files without that column, such as KDD Cup 99 itself, have 42 columns.
"""

import numpy as np
from unstuck.rl.config import DataConfig
from unstuck.rl.data.columns import MISSING_NAME, count_infinite, is_missing, read_numbers
from unstuck.rl.data.files import read_sheet
from unstuck.rl.data.raw import Categorical, RawFlows
from unstuck.rl.errors import DataError

FEATURES = (
    "duration",
    "protocol_type",
    "service",
    "flag",
    "src_bytes",
    "dst_bytes",
    "land",
    "wrong_fragment",
    "urgent",
    "hot",
    "num_failed_logins",
    "logged_in",
    "num_compromised",
    "root_shell",
    "su_attempted",
    "num_root",
    "num_file_creations",
    "num_shells",
    "num_access_files",
    "num_outbound_cmds",
    "is_host_login",
    "is_guest_login",
    "count",
    "srv_count",
    "serror_rate",
    "srv_serror_rate",
    "rerror_rate",
    "srv_rerror_rate",
    "same_srv_rate",
    "diff_srv_rate",
    "srv_diff_host_rate",
    "dst_host_count",
    "dst_host_srv_count",
    "dst_host_same_srv_rate",
    "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate",
    "dst_host_srv_diff_host_rate",
    "dst_host_serror_rate",
    "dst_host_srv_serror_rate",
    "dst_host_rerror_rate",
    "dst_host_srv_rerror_rate",
)
CATEGORICAL = ("protocol_type", "service", "flag")
BENIGN = "normal"


def read_nsl_kdd(config: DataConfig) -> RawFlows:
    """Read network flows from the NSL-KDD file `data.path`; a flow is a threat unless column 42 says `normal`.

    Raises:
        DataError: The file does not exist, has another number of columns, or a column of numbers holds junk.
    """
    if config.path is None:
        raise DataError("data.path must name a file for data.source=nsl_kdd; add data.path=FILE")
    sheet = read_sheet(config.path, delimiter=",")
    width = len(sheet.cells[0])
    if width not in (len(FEATURES) + 1, len(FEATURES) + 2):
        raise DataError(
            f"an NSL-KDD file must have 42 columns, or 43 with the difficulty, got {width} in {sheet.path}; "
            "name the published .txt, or use data=csv for another table"
        )
    columns = list(zip(*sheet.cells, strict=True))
    numbers, categories = {}, {}
    for name, cells in zip(FEATURES, columns[: len(FEATURES)], strict=True):
        if name in CATEGORICAL:
            categories[name] = Categorical.from_cells(
                MISSING_NAME if is_missing(cell) else cell.strip() for cell in cells
            )
        else:
            numbers[name] = read_numbers(name, cells, sheet.row_numbers, sheet.path)
    labels = [label.strip().rstrip(".") for label in columns[len(FEATURES)]]  # KDD Cup 99 writes "normal."
    threat = np.array([label != BENIGN for label in labels])
    if threat.all() or not threat.any():
        only = "threats" if threat.all() else "benign flows"
        raise DataError(
            f"flows must be of two classes, got {only} alone: column 42 of {sheet.path} holds "
            f"{', '.join(sorted(set(labels))[:8])}; name a file with both"
        )
    cells_of = dict(zip(FEATURES, columns, strict=False))
    infinite = {name: count_infinite(values, cells_of[name]) for name, values in numbers.items()}
    return RawFlows(numbers, categories, threat, {name: count for name, count in infinite.items() if count})
