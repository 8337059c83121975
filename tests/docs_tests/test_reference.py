"""The pages that say what the code says are what the code says now."""

import re

import pytest
from unstuck.analysis.diagnosis.rules import RULES, entropy_pinned
from unstuck.sweeps.config.keys import settings
from unstuck.sweeps.config.setting_docs import explain_setting, list_setting_docs, list_top_level
from unstuck.sweeps.config.settings import SweepConfig

from docs.generate import DOCS, PAGES, make_rules_page, read_constants
from tests.conftest import Command


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_what_is_generated(page: str) -> None:
    said = "make docs-reference writes the page anew"
    assert (DOCS / page).read_text(encoding="utf-8") == PAGES[page](), said


def test_the_page_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| [^|]+ \| `([^`]+)` \|", (DOCS / "settings.md").read_text("utf-8"), re.M)
    assert [key for key, _ in rows] == [key for key in settings() if key != "space"]
    shown = dict(rows)
    assert float(shown["ppo.lr"]) == SweepConfig().ppo.lr == 3e-4
    assert (shown["ppo.clip_range_vf"], shown["sweep.control"], shown["ppo.hidden_sizes"]) == (
        "null",
        "true",
        "[64, 64]",
    )


def test_help_prints_what_the_page_says(command: Command) -> None:
    page = (DOCS / "settings.md").read_text("utf-8")
    for group in list_top_level():
        printed = command("--help", group)
        assert (printed.code, printed.err, printed.out) == (0, "", explain_setting(group) + "\n")
        for key, one in list_setting_docs().items():
            if key.startswith(f"{group}."):
                assert f"\n{key}={one.default}\n" in printed.out
                assert f"| `{one.default}` | {one.meaning.replace(' | ', ' / ')} |" in page
    assert command("--help", "ppo.lr").out == "ppo.lr=0.0003\n  a number\n  Adam's step size; 1e-5 to 1e-2\n"
    wrong = command("--help", "ppo.lrr")
    assert (wrong.code, wrong.err) == (2, "sweep.py: error: unknown setting ppo.lrr; did you mean ppo.lr?\n")


def test_the_rules_page_has_all_that_a_rule_says_of_itself() -> None:
    page = make_rules_page()
    for rule in RULES:
        section = page.partition(f"\n### `{rule.name}`\n")[2].partition("\n##")[0]
        assert rule.says, rule.name
        assert rule.threshold, rule.name
        for text in (rule.title, rule.says, rule.threshold, rule.source, *(name for one in rule.needs for name in one)):
            assert text in section
    found = {name: (value, said) for name, value, said in read_constants(entropy_pinned)}
    assert found["PINNED, HELD"][0] == "0.97, 0.75"
    assert found["PINNED, HELD"][1].startswith("Share of the largest entropy; the lower one counts under a bonus")
