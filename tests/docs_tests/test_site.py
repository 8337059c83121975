"""The site is built whole, no link leads nowhere, and each page stands in the contents."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.hooks import FROM_ROOT
from tests.docs_tests.pages import PAGES, ROOT, list_headings, read_page

NAV = "nav:" + (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]


def leaves(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    return [leaf for one in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(one)]


def test_each_page_stands_in_the_contents() -> None:
    listed = leaves(yaml.safe_load(NAV))
    pages = [FROM_ROOT.get(page) or page.removeprefix("docs/") for page in PAGES]
    left_out = sorted(set(pages) - set(listed))
    assert left_out == [], f"add to nav in mkdocs.yml, under How to, Reference or another heading: {left_out}"
    assert sorted(set(listed) - set(pages)) == [], "pages in nav of mkdocs.yml that are not there"
    assert len(listed) == len(set(listed))
    headings = [next(iter(one)) for one in yaml.safe_load(NAV)["nav"]]
    order = ["Start", "How to", "Reference", "Rules of diagnosis", "Studies", "Design", "Contributing"]
    assert headings == order


def find_broken_links(page: str, text: str) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of a page."""
    broken = []
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", plain):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in list_headings(target.read_text("utf-8") if path else text)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    assert find_broken_links(page, read_page(page)) == []


def test_a_broken_link_is_found() -> None:
    text = "# A b's `c`\n[1](#a-bs-c) [2](#a-b-c) [3](docs/none.md) [4](docs/data.md#data) [5](docs/data.md#nothing)"
    assert find_broken_links("README.md", text) == ["#a-b-c", "docs/none.md", "docs/data.md#nothing"]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Builds a site as `make docs` does, of another folder of pages too."""

    def build_site(docs: Path, folder: Path, **changes: Any) -> None:
        from mkdocs.commands.build import build
        from mkdocs.config import load_config

        monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
        config = load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(docs), site_dir=str(folder), strict=True)
        config.update(changes)
        build(config)

    return build_site


@pytest.mark.slow
def test_the_site_is_built_and_needs_no_network(build: Callable[..., None], tmp_path: Path) -> None:
    build(ROOT / "docs", tmp_path)
    for page in ("index.html", "algorithms/ppo.html"):
        html = (tmp_path / page).read_text(encoding="utf-8")
        assert re.findall(r"""<(?:script|link|img)[^>]*?(?:src|href)=["']?(https?:[^"'\s>]+)""", html) == []
    assert not list(tmp_path.rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("link", "said"), [("none.md", "the target is not found"), ("#nowhere", "but there is no such anchor on this page")]
)
def test_a_broken_link_or_anchor_fails_the_site(
    build: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture, link: str, said: str
) -> None:
    from mkdocs.exceptions import Abort
    from mkdocs.plugins import PluginCollection

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n[here]({link})\n")
    with pytest.raises(Abort):
        build(tmp_path / "docs", tmp_path / "site", nav=None, hooks={}, plugins=PluginCollection())
    assert [one for one in caplog.messages if said in one.replace("\n", " ")] != [], caplog.messages
