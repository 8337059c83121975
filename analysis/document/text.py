"""Render a document as plain text, for the terminal."""

import textwrap

from unstuck.analysis.document.blocks import Block, Bullets, Commands, Document, Figure, Heading, Paragraph, Table

_WIDTH = 100


def to_text(document: Document, width: int = _WIDTH) -> str:
    """Convert a document to plain text without figures, wrapped to `width`; commands are not wrapped."""
    parts = [document.title, "=" * len(document.title), ""]
    for block in document.blocks:
        parts += [*_wrap_block(block, width), ""]
    return "\n".join(parts).rstrip() + "\n"


def _wrap_block(block: Block, width: int) -> list[str]:
    match block:
        case Heading(text=text):
            return [text, "-" * len(text)]
        case Paragraph(text, _):
            return textwrap.wrap(text.replace("`", ""), width)
        case Bullets(items, ordered):
            marks = [f"{place}. " if ordered else "- " for place in range(1, len(items) + 1)]
            return [line for item, mark in zip(items, marks, strict=True) for line in _wrap_item(item, width, mark)]
        case Commands(lines):
            return [f"  {line}" for line in lines]
        case Table():
            return _write_table(block, width)
        case Figure():
            return []


def _wrap_item(item: "str | tuple[str, tuple[str, ...]]", width: int, mark: str = "- ") -> list[str]:
    text, below = (item, ()) if isinstance(item, str) else item
    lines = _wrap_text(text, mark, width)
    return lines + [f"  {line}" for inner in below for line in _wrap_text(inner, "- ", width - 2)]


def _wrap_text(text: str, mark: str, width: int) -> list[str]:
    return textwrap.wrap(text.replace("`", ""), width, initial_indent=mark, subsequent_indent=" " * len(mark))


def _write_table(table: Table, width: int) -> list[str]:
    """Write a table as aligned columns if the columns fit the width; else write each row as a list of cells.

    By hand, since rich's tables fold the cells of a wide table to columns of a few letters.
    """
    rows = [table.header, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    if sum(widths) + 2 * len(widths) <= width:
        rule = tuple("-" * size for size in widths)
        lines = []
        for row in (table.header, rule, *table.rows):
            cells = [
                cell.rjust(size) if column in table.numeric else cell.ljust(size)
                for column, (cell, size) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
    else:
        lines = [line for row in table.rows for line in _write_row(table.header, row, width)]
    return ([f"{table.caption}:"] if table.caption else []) + lines


def _write_row(header: tuple[str, ...], row: tuple[str, ...], width: int) -> list[str]:
    """Write a table row that is too wide for one line: the first cell, then the other cells with column names."""
    if len(row) == 2:
        return _wrap_text(f"{row[0]}: {row[1]}", "- ", width)
    cells = [f"{name}: {cell}" for name, cell in zip(header[1:], row[1:], strict=True) if cell]
    return _wrap_item((row[0], tuple(cells)), width)
