"""Render a document as one HTML page without network or script."""

import re
from html import escape

from unstuck.analysis.document.blocks import Block, Bullets, Commands, Document, Figure, Heading, Paragraph, Table
from unstuck.analysis.plots.canvas import DARK, LIGHT, define_colours

_LIGHT = {**LIGHT, "page": "#ffffff", "shade": "#f3f5f7", "lead": "#eaf2fa"}
_DARK = {**DARK, "page": "#14181c", "shade": "#1e2429", "lead": "#16293b"}

_STYLE = f"""
:root {{ color-scheme: light dark; {define_colours(_LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {define_colours(_DARK)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }}
main {{ max-width: 64rem; margin: 0 auto; padding: 1rem clamp(0.8rem, 3vw, 2rem) 4rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; margin: 1rem 0; }}
h2 {{ font-size: 1.25rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--grid); padding-bottom: 0.2rem; }}
h3 {{ font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }}
p, li, figcaption {{ overflow-wrap: anywhere; }}
p {{ margin: 0.5rem 0; max-width: 46rem; }}
ul {{ margin: 0.4rem 0; padding-left: 1.3rem; max-width: 46rem; }}
.lead {{ font-size: 1.1rem; font-weight: 600; background: var(--lead); padding: 0.8rem 1rem; border-radius: 6px;
  max-width: none; }}
.scroll {{ overflow-x: auto; margin: 0.8rem 0; }}
.scroll:focus-visible, summary:focus-visible {{ outline: 2px solid var(--c0); outline-offset: 2px; }}
table {{ border-collapse: collapse; font-size: 0.9rem; min-width: 20rem; }}
caption {{ text-align: left; color: var(--soft); padding: 0.2rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.3rem 0.7rem 0.3rem 0; border-bottom: 1px solid var(--grid);
  min-width: 3.2rem; max-width: 26rem; }}
thead th {{ color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--grid); }}
tbody th {{ font-weight: 500; min-width: 7rem; }}
td, th {{ overflow-wrap: break-word; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
pre {{ background: var(--shade); padding: 0.7rem 0.9rem; border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: 0.85rem; }}
code {{ font-family: ui-monospace, monospace; font-size: 0.92em; background: var(--shade); border-radius: 3px;
  padding: 0 0.2em; }}
pre code {{ padding: 0; }}
figure {{ margin: 1rem 0; display: inline-block; vertical-align: top; width: min(100%, 29rem); }}
figure svg {{ display: block; width: 100%; min-width: 26rem; height: auto; font: 13px system-ui, sans-serif; }}
figcaption {{ color: var(--soft); font-size: 0.88rem; }}
@media print {{ body {{ font-size: 11pt; }} figure {{ break-inside: avoid; }} }}
"""

_CODE = re.compile(r"`([^`]+)`")


def to_html(document: Document) -> str:
    """Return a document as one HTML page, with the figures inside the page."""
    body = "\n".join(_block(block) for block in document.blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(document.title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text, lead):
            return f'<p class="lead">{_inline(text)}</p>' if lead else f"<p>{_inline(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(_item(item) for item in items)}</ul>"
        case Commands(lines):
            return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"
        case Figure(caption=caption):
            scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">{block.svg}</div>'
            return f"<figure>{scroll}<figcaption>{_inline(caption)}</figcaption></figure>"
        case Table():
            return _table(block)


def _item(item: "str | tuple[str, tuple[str, ...]]") -> str:
    if isinstance(item, str):
        return f"<li>{_inline(item)}</li>"
    return f"<li>{_inline(item[0])}<ul>{''.join(_item(inner) for inner in item[1])}</ul></li>"


def _table(table: Table) -> str:
    def kind(column: int) -> str:
        return ' class="number"' if column in table.numeric else ""

    head = "".join(f'<th scope="col"{kind(i)}>{_inline(name)}</th>' for i, name in enumerate(table.header))
    rows = []
    for first, *rest in table.rows:
        cells = "".join(f"<td{kind(i)}>{_inline(cell)}</td>" for i, cell in enumerate(rest, start=1))
        rows.append(f'<tr><th scope="row"{kind(0)}>{_inline(first)}</th>{cells}</tr>')
    caption = f"<caption>{_inline(table.caption)}</caption>" if table.caption else ""
    label = escape(table.caption or ", ".join(table.header))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>{caption}<thead><tr>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
