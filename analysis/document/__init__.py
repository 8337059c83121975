"""Reports as blocks, and their three shapes: text, Markdown and one HTML page."""

from analysis.document.blocks import Bullets, Commands, Document, Figure, Heading, Paragraph, Table
from analysis.document.markdown import to_markdown
from analysis.document.text import to_text

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
