"""Blocks one by one in all three shapes, and what their text must not do to them."""

from html.parser import HTMLParser

import pytest
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
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.document.html import to_html
from unstuck.analysis.plots.canvas import Canvas

NASTY = '<script>alert("x")</script> & `a<b`'


def text(*blocks: Block, width: int = 100) -> str:
    """The document as text, without its title."""
    return to_text(Document("t", blocks), width).split("\n", 3)[3]


def markdown(*blocks: Block) -> str:
    return to_markdown(Document("t", blocks)).removeprefix("# t\n\n").removesuffix("\n")


def html(*blocks: Block) -> str:
    """The page between its title and its end."""
    return to_html(Document("t", blocks)).partition("<h1>t</h1>\n")[2].partition("\n</main>")[0]


def test_the_lead_is_the_first_paragraph_that_leads() -> None:
    assert Document("t", (Paragraph("a"), Paragraph("b", lead=True), Paragraph("c", lead=True))).lead == "b"
    assert Document("t", (Paragraph("a"),)).lead == ""


@pytest.mark.parametrize(
    ("block", "as_text", "as_markdown", "as_html"),
    [
        (Heading("A `b`"), "A `b`\n-----\n", "## A `b`", '<h2 id="a-b">A <code>b</code></h2>'),
        (Heading("A", 3), "A\n-\n", "### A", '<h3 id="a">A</h3>'),
        (Paragraph("a `b` c"), "a b c\n", "a `b` c", "<p>a <code>b</code> c</p>"),
        (Paragraph("a", lead=True), "a\n", "**a**", '<p class="lead">a</p>'),
        (
            Bullets(("a", ("b", ("c", "d")))),
            "- a\n- b\n  - c\n  - d\n",
            "- a\n- b\n  - c\n  - d",
            "<ul><li>a</li><li>b<ul><li>c</li><li>d</li></ul></li></ul>",
        ),
        (
            Commands(("a <b>", "c")),
            "  a <b>\n  c\n",
            "```\na <b>\nc\n```",
            '<pre tabindex="0"><code>a &lt;b&gt;\nc</code></pre>',
        ),
    ],
)
def test_a_block_in_three_shapes(block: Block, as_text: str, as_markdown: str, as_html: str) -> None:
    assert text(block) == as_text
    assert markdown(block) == as_markdown
    assert html(block) == as_html


def test_figures_are_drawn_on_the_page_linked_in_markdown_and_left_out_of_text() -> None:
    drawn = Figure("name", Canvas(), 'a "caption"', "what it says")
    assert to_text(Document("t", (drawn,))) == "t\n=\n"
    assert markdown(drawn) == '![what it says](figures/name.svg)\n\n*a "caption"*'
    assert html(drawn) == (
        '<figure><div class="scroll" tabindex="0" role="region" aria-label="a &quot;caption&quot;">'
        f"{drawn.svg}</div>"
        '<figcaption>a "caption"</figcaption></figure>'
    )


def test_text_is_folded_with_its_marks_and_commands_are_not() -> None:
    long = " ".join(["word"] * 12)
    assert text(Paragraph(long), width=30).splitlines() == ["word word word word word word"] * 2
    assert text(Bullets((long, ("x", (long,)))), width=32).splitlines() == [
        "- word word word word word word",
        "  word word word word word word",
        "- x",
        "  - word word word word word",
        "    word word word word word",
        "    word word",
    ]
    assert text(Commands((long,)), width=30) == f"  {long}\n"


def test_a_table_beside_each_other_up_to_the_width() -> None:
    table = Table("", ("a", "b"), (("x" * 10, "1"), ("y", "22")), frozenset({1}))
    assert text(table, width=16) == f"a            b\n{'-' * 10}  --\n{'x' * 10}   1\ny           22\n"
    assert text(table, width=15) == f"- {'x' * 10}: 1\n- y: 22\n"
    captioned = Table("What it shows", ("a", "b"), (("x", "1"),))
    assert text(captioned).startswith("What it shows:\na  b\n")


def test_a_wide_row_leaves_out_empty_cells() -> None:
    table = Table("", ("a", "b", "c"), (("x" * 30, "", "z"),))
    assert text(table, width=20).replace("\n", "|").startswith(f"- {'x' * 18}|  {'x' * 12}|  - c: z|")


def test_tables_in_markdown_keep_to_their_cells() -> None:
    table = Table("", ("a|b", "c"), (("1\n2", "x"),), frozenset({1}))
    assert markdown(table) == "| a\\|b | c |\n| --- | ---: |\n| 1 2 | x |"
    assert markdown(Table("cap", ("a",), ())) == "cap:\n\n| a |\n| --- |"


def test_tables_on_the_page_have_headers_a_label_and_aligned_numbers() -> None:
    found = html(Table("", ("a", "b"), (("x", "1"),), frozenset({1})))
    assert 'aria-label="a, b"' in found
    assert "<caption>" not in found
    assert '<th scope="col">a</th><th scope="col" class="number">b</th>' in found
    assert '<th scope="row">x</th><td class="number">1</td>' in found
    assert 'aria-label="it &lt;shows&gt;"' in html(Table("it <shows>", ("a",), ()))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


@pytest.mark.parametrize(
    "block",
    [
        Heading(NASTY),
        Paragraph(NASTY),
        Paragraph(NASTY, lead=True),
        Bullets((NASTY, (NASTY, (NASTY,)))),
        Table(NASTY, (NASTY,), ((NASTY,),)),
        Commands((NASTY,)),
        Figure("n", Canvas(), NASTY, NASTY),
    ],
    ids=lambda block: type(block).__name__,
)
def test_text_of_a_run_cannot_become_mark_up(block: Block) -> None:
    page = _Tags()
    page.feed(to_html(Document(NASTY, (block,))))
    assert "script" not in page.tags
    if isinstance(block, Paragraph):
        assert "code" in page.tags
