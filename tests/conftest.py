import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: $UNSTUCK_DATA, or `shared/data` beside the repository; skips without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNSTUCK_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set UNSTUCK_DATA")
    return folder
