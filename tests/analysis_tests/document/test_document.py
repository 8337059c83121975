"""One document, three shapes."""

from html.parser import HTMLParser

from unstuck.analysis.document import (
    Bullets,
    Commands,
    Document,
    Figure,
    Heading,
    Paragraph,
    Table,
    to_markdown,
    to_text,
)
from unstuck.analysis.document.html import to_html
from unstuck.analysis.plots.canvas import Canvas

DOCUMENT = Document(
    "A <report>",
    (
        Paragraph("Stuck: F1 0.", lead=True),
        Heading("What is wrong"),
        Bullets(("plain `code`", ("outer", ("inner",)))),
        Table("Numbers", ("name", "value"), (("a | b", "1"), ("c", "22")), frozenset({1})),
        Figure("curve", Canvas(), "A curve", "it rises"),
        Commands(("python sweep.py 'a=[{}]'",)),
    ),
)


def test_as_text() -> None:
    assert to_text(DOCUMENT) == (
        "A <report>\n==========\n\nStuck: F1 0.\n\nWhat is wrong\n-------------\n\n- plain code\n- outer\n  - inner\n\n"
        "Numbers:\nname   value\n-----  -----\na | b      1\nc         22\n\n\n  python sweep.py 'a=[{}]'\n"
    )


def test_a_table_too_wide_for_a_line_becomes_a_list() -> None:
    wide = Table("", ("cause", "this run", "test"), (("x" * 50, "open", "y" * 60),))
    assert to_text(Document("t", (wide,))).splitlines()[3:] == [
        f"- {'x' * 50}",
        "  - this run: open",
        f"  - test: {'y' * 60}",
    ]


def test_as_markdown() -> None:
    text = to_markdown(DOCUMENT, "report-figures")
    assert text.startswith(
        "# A <report>\n\n**Stuck: F1 0.**\n\n## What is wrong\n\n- plain `code`\n- outer\n  - inner\n"
    )
    assert "Numbers:\n\n| name | value |\n| --- | ---: |\n| a \\| b | 1 |\n" in text
    assert "![it rises](report-figures/curve.svg)\n\n*A curve*" in text
    assert "```\npython sweep.py 'a=[{}]'\n```" in text


class _Page(HTMLParser):
    """Collects elements with their attributes, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_as_html() -> None:
    source = to_html(DOCUMENT)
    page = _Page()
    page.feed(source)
    assert page.open == []
    assert ("html", {"lang": "en"}) in page.found
    assert "<title>A &lt;report&gt;</title>" in source
    assert '<p class="lead">Stuck: F1 0.</p>' in source
    scopes = [attributes.get("scope") for tag, attributes in page.found if tag == "th"]
    assert scopes == ["col", "col", "row", "row"]
    assert "<caption><span>Numbers</span></caption>" in source
    assert "<figcaption>A curve</figcaption>" in source
    assert "python sweep.py &#x27;a=[{}]&#x27;" in source
    assert "prefers-color-scheme: dark" in source


def test_a_page_loads_nothing() -> None:
    source = to_html(DOCUMENT)
    assert "<script" not in source
    assert "<link" not in source
    assert "src=" not in source
    assert "url(" not in source
