"""Documentation that names tests names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in [path.stem, *re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)]
}


@pytest.mark.parametrize("page", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
def test_tests_that_a_page_names_are_there(page: str) -> None:
    named = {name.removesuffix(".py") for name in re.findall(r"`(test_\w+(?:\.py)?)`", (ROOT / page).read_text())}
    assert named <= DEFINED, f"{page} names tests that are not there: {sorted(named - DEFINED)}"
