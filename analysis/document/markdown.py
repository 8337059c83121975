"""Render a document as Markdown, with figures in separate files."""

from unstuck.analysis.document.blocks import Block, Bullets, Commands, Document, Figure, Heading, Paragraph, Table
from unstuck.analysis.document.sections import list_sections, place_contents


def to_markdown(document: Document, figures: str = "figures") -> str:
    """Convert a document to Markdown text, with links to the figures as separate SVG files.

    Args:
        document: The document.
        figures: Folder of the figures, beside the Markdown file.
    """
    parts = [_write_block(block, figures) for block in document.blocks]
    if sections := list_sections(document):
        links = " · ".join(f"[{section.title}](#{section.anchor})" for section in sections)
        parts.insert(place_contents(document.blocks), f"Contents: {links}")
    return "\n\n".join([f"# {document.title}", *parts]) + "\n"


def _write_block(block: Block, figures: str) -> str:
    match block:
        case Heading(text=text, level=level):
            return f"{'#' * level} {text}"
        case Paragraph(text, lead):
            return f"**{text}**" if lead else text
        case Bullets(items, ordered):
            marks = [f"{place}." if ordered else "-" for place in range(1, len(items) + 1)]
            return "\n".join(_write_item(item, mark) for item, mark in zip(items, marks, strict=True))
        case Commands(lines):
            return "\n".join(("```", *lines, "```"))
        case Figure(name=name, caption=caption, alt=alt):
            return f"![{alt}]({figures}/{name}.svg)\n\n*{caption}*"
        case Table():
            return _write_table(block)


def _write_item(item: "str | tuple[str, tuple[str, ...]]", mark: str) -> str:
    text, below = (item, ()) if isinstance(item, str) else item
    return "\n".join((f"{mark} {text}", *(f"{' ' * len(mark)} - {inner}" for inner in below)))


def _write_table(table: Table) -> str:
    rule = ["---:" if column in table.numeric else "---" for column in range(len(table.header))]
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (table.header, *table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])]
    return "\n".join((f"{table.caption}:", "", *lines) if table.caption else lines)
