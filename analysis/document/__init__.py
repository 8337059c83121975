"""Reports made of blocks, rendered as text, Markdown and one HTML page."""

from unstuck.analysis.document.blocks import Bullets, Commands, Document, Figure, Heading, Paragraph, Table
from unstuck.analysis.document.markdown import to_markdown
from unstuck.analysis.document.text import to_text

__all__ = [
    "Bullets",
    "Commands",
    "Document",
    "Figure",
    "Heading",
    "Paragraph",
    "Table",
    "to_markdown",
    "to_text",
]
