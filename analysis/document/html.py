"""Render a document as one HTML page without network or script."""

import re
from collections.abc import Sequence
from html import escape

from unstuck.analysis.document.blocks import Block, Bullets, Commands, Document, Figure, Heading, Paragraph, Table
from unstuck.analysis.document.sections import Section, list_sections, make_anchors, place_contents
from unstuck.analysis.plots.canvas import DARK, LIGHT, define_colours

_LIGHT = {**LIGHT, "page": "#ffffff", "shade": "#f3f5f7", "lead": "#eaf2fa"}
_DARK = {**DARK, "page": "#14181c", "shade": "#1e2429", "lead": "#16293b"}

_STYLE = f"""
:root {{ color-scheme: light dark; {define_colours(_LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {define_colours(_DARK)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }}
main {{ max-width: 68rem; margin: 0 auto; padding: 0.6rem clamp(0.8rem, 3vw, 2rem) 4rem; }}
h1, h2, h3 {{ overflow-wrap: anywhere; scroll-margin-top: 0.6rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.2; margin: 0.8rem 0; }}
h2 {{ font-size: 1.2rem; margin: 1.3rem 0 0.4rem; border-bottom: 1px solid var(--grid); padding-bottom: 0.2rem; }}
h3 {{ font-size: 1.05rem; margin: 1.4rem 0 0.4rem; }}
p, li, figcaption {{ overflow-wrap: anywhere; }}
p {{ margin: 0.5rem 0; max-width: 58rem; }}
ul, ol {{ margin: 0.4rem 0; padding-left: 1.4rem; max-width: 58rem; }}
a {{ color: var(--c0); }}
nav ul {{ list-style: none; display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; padding: 0; max-width: none; }}
.lead {{ font-size: 1.1rem; font-weight: 600; background: var(--lead); padding: 0.7rem 1rem; border-radius: 6px;
  max-width: none; }}
.scroll {{ overflow-x: auto; margin: 0.6rem 0; max-width: 100%;
  background: linear-gradient(to right, var(--page) 60%, transparent) 0 0 / 2rem 100% no-repeat local,
    linear-gradient(to left, var(--page) 60%, transparent) 100% 0 / 2rem 100% no-repeat local,
    linear-gradient(to right, var(--grid), transparent) 0 0 / 0.8rem 100% no-repeat scroll,
    linear-gradient(to left, var(--grid), transparent) 100% 0 / 0.8rem 100% no-repeat scroll; }}
.scroll:focus-visible, summary:focus-visible, pre:focus-visible, a:focus-visible {{ outline: 2px solid var(--c0);
  outline-offset: 2px; }}
table {{ border-collapse: collapse; font-size: 0.88rem; line-height: 1.35; min-width: 20rem; }}
caption {{ text-align: left; color: var(--soft); padding: 0.2rem 0; }}
caption span {{ position: sticky; left: 0; display: inline-block; max-width: min(46rem, calc(100vw - 2.5rem)); }}
th, td {{ text-align: left; vertical-align: top; padding: 0.22rem 0.8rem 0.22rem 0;
  border-bottom: 1px solid var(--grid); min-width: 3.2rem; max-width: 30rem; overflow-wrap: break-word; }}
thead th {{ color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--grid); }}
tbody th {{ font-weight: 500; }}
.long {{ min-width: 12rem; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
pre {{ padding: 0.6rem 0.9rem; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.82rem;
  max-height: 7.5rem; overflow-y: auto; background: linear-gradient(var(--shade) 30%, transparent) local,
  linear-gradient(transparent, var(--shade) 70%) 0 100% local, linear-gradient(var(--soft), transparent),
  linear-gradient(transparent, var(--soft)) 0 100%; background-repeat: no-repeat; background-color: var(--shade);
  background-size: 100% 2rem, 100% 2rem, 100% 0.35rem, 100% 0.35rem; /* a shade where more follows */ }}
code {{ font-family: ui-monospace, monospace; font-size: 0.92em; background: var(--shade); border-radius: 3px;
  padding: 0 0.2em; }}
pre code {{ padding: 0; }}
figure {{ margin: 0.8rem 0; display: inline-block; vertical-align: top; width: min(100%, 30rem); }}
nav + figure, .lead + figure {{ display: block; width: min(100%, 33rem); }}
figure svg {{ display: block; width: 100%; min-width: 26rem; height: auto; font: 13px system-ui, sans-serif; }}
figcaption {{ color: var(--soft); font-size: 0.88rem; }}
summary {{ cursor: pointer; border-bottom: 1px solid var(--grid); padding: 0.35rem 0; }}
summary > * {{ display: inline; border: 0; margin: 0; }}
details {{ margin: 0.4rem 0; }}
.folded {{ scroll-margin-top: 3rem; padding: 0.2rem 0 0.8rem; }}
@media print {{
  body {{ font-size: 11pt; }}
  nav {{ display: none; }}
  figure, tr {{ break-inside: avoid; }}
  h2, h3, summary {{ break-after: avoid; }}
  summary {{ list-style: none; }}
  details::details-content {{ content-visibility: visible; display: block; block-size: auto; }}
  pre {{ max-height: none; }}
  .scroll {{ overflow: visible; }}
}}
"""

_FOLD_END = "</div></details>"

_LONG = 40
"""Letters of a column's longest cell from which on the column is not squeezed: its table scrolls in a narrow page."""

_CODE = re.compile(r"`([^`]+)`")


def to_html(document: Document) -> str:
    """Convert a document to one HTML page, with the figures inside and a contents list after the main result.

    Folded parts are `details` elements: a browser opens them for a link that leads into them and for its own search,
    and the style opens them all on paper.
    """
    anchors = make_anchors(document.blocks)
    parts: list[str] = []
    open_levels: list[int] = []
    contents = place_contents(document.blocks)
    for place, block in enumerate(document.blocks):
        if place == contents:
            parts.append(_write_contents(list_sections(document)))
        if isinstance(block, Heading):
            while open_levels and open_levels[-1] >= block.level:
                open_levels.pop()
                parts.append(_FOLD_END)
            parts.append(_write_heading(block, anchors[place]))
            open_levels += [block.level] if block.folded else []
        else:
            parts.append(_write_block(block))
    body = "\n".join([*filter(None, parts), *[_FOLD_END] * len(open_levels)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(document.title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _write_contents(sections: Sequence[Section]) -> str:
    links = "".join(f'<li><a href="#{escape(each.anchor)}">{escape(each.title)}</a></li>' for each in sections)
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>' if sections else ""


def _write_heading(heading: Heading, anchor: str) -> str:
    """Return the HTML of a heading, or the start of a folded section, with an anchor inside so that links open it."""
    text, level = _write_inline(heading.text), heading.level
    if not heading.folded:
        return f'<h{level} id="{escape(anchor)}">{text}</h{level}>'
    return f'<details><summary><h{level}>{text}</h{level}></summary><div class="folded" id="{escape(anchor)}">'


def _write_block(block: Block) -> str:
    match block:
        case Heading():
            raise TypeError("a heading stands between parts, and is written with them")
        case Paragraph(text, lead):
            return f'<p class="lead">{_write_inline(text)}</p>' if lead else f"<p>{_write_inline(text)}</p>"
        case Bullets(items, ordered):
            tag = "ol" if ordered else "ul"
            return f"<{tag}>{''.join(_write_item(item) for item in items)}</{tag}>"
        case Commands(lines):
            return f'<pre tabindex="0"><code>{escape(chr(10).join(lines))}</code></pre>'
        case Figure(caption=caption):
            scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">{block.svg}</div>'
            return f"<figure>{scroll}<figcaption>{_write_inline(caption)}</figcaption></figure>"
        case Table():
            return _write_table(block)


def _write_item(item: "str | tuple[str, tuple[str, ...]]") -> str:
    if isinstance(item, str):
        return f"<li>{_write_inline(item)}</li>"
    return f"<li>{_write_inline(item[0])}<ul>{''.join(_write_item(inner) for inner in item[1])}</ul></li>"


def _write_table(table: Table) -> str:
    def kind(column: int) -> str:
        if column in table.numeric:
            return ' class="number"'
        return ' class="long"' if max((len(row[column]) for row in table.rows), default=0) > _LONG else ""

    head = "".join(f'<th scope="col"{kind(i)}>{_write_inline(name)}</th>' for i, name in enumerate(table.header))
    rows = []
    for first, *rest in table.rows:
        cells = "".join(f"<td{kind(i)}>{_write_inline(cell)}</td>" for i, cell in enumerate(rest, start=1))
        rows.append(f'<tr><th scope="row"{kind(0)}>{_write_inline(first)}</th>{cells}</tr>')
    caption = f"<caption><span>{_write_inline(table.caption)}</span></caption>" if table.caption else ""
    label = escape(table.caption or ", ".join(table.header))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>{caption}<thead><tr>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _write_inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
