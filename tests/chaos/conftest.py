"""Accidents happen to sweeps in folders of their own; what audits counted afterwards is summed up at the end."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.chaos.harness import TOTALS, Counts, Sweep


@pytest.fixture
def sweep(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Sweep]]:
    """Makes sweeps below a folder of the test's own; whatever of them still runs afterwards is ended."""
    made: list[Sweep] = []

    def make(*settings: str, **fields: object) -> Sweep:
        made.append(Sweep(tmp_path, TOTALS[request.function.__name__.removeprefix("test_")], settings, **fields))
        return made[-1]

    yield make
    for each in made:
        each.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of counts."""
    if not TOTALS:
        return
    names = [field.name for field in fields(Counts)]
    terminalreporter.section("what audits counted after accidents")
    terminalreporter.write_line(f"{'accident':60}" + "".join(f"{name:>14}" for name in names))
    total = Counts()
    for accident, counts in (*TOTALS.items(), ("all", total)):
        terminalreporter.write_line(f"{accident:60}" + "".join(f"{getattr(counts, name):14}" for name in names))
        total += counts
