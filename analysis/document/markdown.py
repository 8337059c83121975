"""Render a document as Markdown, with figures in separate files."""

from unstuck.analysis.document.blocks import Block, Bullets, Commands, Document, Figure, Heading, Paragraph, Table


def to_markdown(document: Document, figures: str = "figures") -> str:
    """Return a document as Markdown text, with links to the figures as separate SVG files.

    Args:
        document: The document.
        figures: Folder of the figures, beside the Markdown file.
    """
    parts = [f"# {document.title}", *(_block(block, figures) for block in document.blocks)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, figures: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text, lead):
            return f"**{text}**" if lead else text
        case Bullets(items):
            return "\n".join(_item(item) for item in items)
        case Commands(lines):
            return "\n".join(("```", *lines, "```"))
        case Figure(name=name, caption=caption, alt=alt):
            return f"![{alt}]({figures}/{name}.svg)\n\n*{caption}*"
        case Table():
            return _table(block)


def _item(item: "str | tuple[str, tuple[str, ...]]") -> str:
    if isinstance(item, str):
        return f"- {item}"
    return "\n".join((f"- {item[0]}", *(f"  - {inner}" for inner in item[1])))


def _table(table: Table) -> str:
    rule = ["---:" if column in table.numeric else "---" for column in range(len(table.header))]
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (table.header, *table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])]
    return "\n".join((f"{table.caption}:", "", *lines) if table.caption else lines)
