"""The page on diagnosis lists the rules that there are."""

import re
from pathlib import Path

from unstuck.analysis.diagnosis import RULES

PAGE = Path(__file__).parents[2] / "docs" / "diagnosis.md"


def test_the_page_lists_every_rule() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## Rules\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)) == {rule.name for rule in RULES}
