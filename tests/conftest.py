import os
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="run all accidents of tests/chaos: an hour and a half")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--chaos"):
        left_out = [item for item in items if item.get_closest_marker("chaos")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: $UNSTUCK_DATA, or `shared/data` beside the repository; skips without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNSTUCK_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set UNSTUCK_DATA")
    return folder


@pytest.fixture(scope="session")
def stuck_run() -> Path:
    """The folder of the run that this project began with, in `shared` beside the repository; skips without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases" / "stuck-run-220"
    if not folder.is_dir():
        pytest.skip(f"no case in {folder}")
    return folder
