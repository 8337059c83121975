import configparser
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from unstuck.analysis.diagnosis.rules import load_rules
from unstuck.records import extensions

from tests.docs_tests.pages import read_files, read_page


@pytest.fixture
def site(forget: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `pip install .` leaves of the package in docs/extending.md: the module, and its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    about = tmp_path / "acme-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 0.1\n")
    points = tomllib.loads(read_files(read_page("docs/extending.md"))["pyproject.toml"])["project"]["entry-points"]
    listed = configparser.ConfigParser()
    listed.read_dict(points)
    with (about / "entry_points.txt").open("w") as file:
        listed.write(file)
    yield
    sys.modules.pop("acme", None)


@pytest.fixture
def forget() -> Iterator[None]:
    """Forget the packages that another test installed, or this one."""
    for each in range(2):
        extensions.find_others.cache_clear()
        load_rules.cache_clear()
        if each == 0:
            yield
