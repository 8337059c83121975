"""Hooks by which MkDocs builds the site: pages of the repository's root become pages of the site, and links follow."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

FROM_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "AGENTS.md": "agents.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
    "benchmarks/EARLIER.md": "earlier-results.md",
    "LICENSE": "license.txt",
}
"""Files outside docs/ that pages link to, with the name of each in the site."""

_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the Markdown pages of the repository's root to the files of the documentation site."""
    for source, page in FROM_ROOT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_move_links(text, source, page) if page != source else text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a documentation page that lead out of docs/, so that they lead to pages of the site."""
    source = page.file.src_uri
    return markdown if source in FROM_ROOT.values() else _move_links(markdown, f"docs/{source}", source)


def _move_links(text: str, source: str, page: str) -> str:
    """Rewrite the relative links of a Markdown text to fit the place of the page on the site.

    Args:
        text: Markdown.
        source: Path of the text's file in the repository.
        page: Path of the text's page in the site.
    """

    def move(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        in_site = FROM_ROOT.get(target) or target.removeprefix("docs/")
        return f"{match[1]}{posixpath.relpath(in_site, posixpath.dirname(page) or '.')}{match[3]}"

    return _LINK.sub(move, text)
