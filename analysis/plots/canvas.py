"""Draw SVG by hand: small, sharp, readable without a script, in light and in dark.

By hand, since no plotting library in the lock gives dark mode, alternative text and no script. Colours are CSS
variables that a page sets once; a figure in a separate file carries the colours (`STYLE`). All text is real text, and
each figure has a title and a description for readers who do not see the picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from unstuck.analysis.plots.shapes import Circle, Path, Point, Polygon, Rectangle, Shape, Text

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 74, 14, 14, 44

COLOURS = 6
"""Number of lines that can be told apart by colour; each has a separate dash pattern as well."""

_DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 2", "5 2")

LIGHT = {
    "ink": "#1d2329",
    "soft": "#59626b",
    "grid": "#d9dee3",
    "c0": "#0b62a4",
    "c1": "#b04a00",
    "c2": "#00704a",
    "c3": "#86408c",
    "c4": "#8a6d00",
    "c5": "#59626b",
}
DARK = {
    "ink": "#e8ebee",
    "soft": "#a7b0b8",
    "grid": "#3a4249",
    "c0": "#74b6f2",
    "c1": "#f5a564",
    "c2": "#5fcfa4",
    "c3": "#d7a3dd",
    "c4": "#d9bf5f",
    "c5": "#a7b0b8",
}


FONTS, FONT_SIZE = "system-ui, Helvetica, Arial, sans-serif", 13
"""Fonts of a figure in a file of its own, the first that the reader has, and their size in the canvas's units."""


def define_colours(colours: dict[str, str]) -> str:
    """Return CSS text that defines colours as variables, `--name: value;` each."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


STYLE = (
    f"svg {{ {define_colours(LIGHT)} font: 13px system-ui, sans-serif; }} "
    f"@media (prefers-color-scheme: dark) {{ svg {{ {define_colours(DARK)} }} }}"
)


@dataclass(frozen=True)
class Scale:
    """Linear or logarithmic mapping from values to pixels along one axis.

    Attributes:
        low: Value at the first pixel.
        high: Value at the last pixel.
        start: First pixel.
        end: Last pixel.
        log: True for a logarithmic scale; values must then be positive.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Convert a value to the pixel position along the axis."""
        low, high, at = (math.log10(x) if self.log else x for x in (self.low, self.high, max(value, self._least)))
        share = (at - low) / (high - low) if high != low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    @property
    def _least(self) -> float:
        return self.low if self.log else -math.inf

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values for the ticks of the axis, about `most` in number."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = max(1, -(-(last - first + 1) // most))
            powers = [10.0**power for power in range(first, last + 1, step)]
            return powers if len(powers) > 1 else [self.low, self.high]
        width = round_step((self.high - self.low) / max(1, most - 1))
        start = math.ceil(self.low / width - 1e-9)
        return [width * i for i in range(start, math.floor(self.high / width + 1e-9) + 1)]


def round_step(least: float) -> float:
    """Round a step of an axis up to 1, 2 or 5 times a power of ten.

    Example:
        >>> round_step(0.13), round_step(30)
        (0.2, 50.0)
    """
    if least <= 0 or not math.isfinite(least):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def make_linear_scale(values: Sequence[float], start: float, end: float, include: Sequence[float] = ()) -> Scale:
    """Make a linear scale that covers all values and `include`, with a small margin."""
    every = [*values, *include]
    low, high = min(every), max(every)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    return Scale(low if low in include else low - room, high if high in include else high + room, start, end)


def format_tick(value: float) -> str:
    """Format a number as the label of a tick, such as `0.25`, `10,000` or `1e5`."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{round(value, 10):,g}"


@dataclass
class Canvas:
    """Drawing area that collects shapes; the method `svg` returns the figure's source.

    Attributes:
        width: Width in the canvas's own units, scaled to the page.
        height: Height in the same units.
        parts: Shapes, the later ones above.
    """

    width: float = WIDTH
    height: float = HEIGHT
    parts: list[Shape] = field(default_factory=list)

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1.8, dash: str = "", opacity: float = 1
    ) -> None:
        """Draw a line through points, with a gap at each point that is not finite."""
        pieces: list[tuple[Point, ...]] = []
        for is_finite, piece in groupby(points, lambda point: all(map(math.isfinite, point))):
            if is_finite:
                pieces.append(tuple(piece))
        if pieces:
            self.parts.append(Path(tuple(pieces), colour, width, dash, opacity))

    def area(self, points: Sequence[Point], colour: str, opacity: float) -> None:
        """Draw a filled polygon."""
        self.parts.append(Polygon(tuple(points), colour, opacity))

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> None:
        """Draw a filled rectangle, such as a bar."""
        self.parts.append(Rectangle(x, y, max(0.0, width), height, colour, opacity))

    def dot(self, x: float, y: float, colour: str, radius: float = 3, opacity: float = 1, tip: str = "") -> None:
        """Draw a filled circle, with `tip` as the text shown on hovering."""
        self.parts.append(Circle(x, y, colour, radius, opacity, tip))

    def text(
        self, x: float, y: float, text: str, anchor: str = "start", colour: str = "ink", turned: bool = False
    ) -> None:
        """Draw a text; `anchor` is start, middle or end."""
        self.parts.append(Text(x, y, text, anchor, colour, turned))

    def axes(self, x: Scale, y: Scale, x_label: str, y_label: str) -> None:
        """Draw both axes: horizontal grid lines, tick labels and axis labels."""
        for value in y.ticks(5):
            self.line([(x.start, y(value)), (x.end, y(value))], "grid", 1)
            self.text(x.start - 6, y(value) + 4, format_tick(value), "end", "soft")
        for value in x.ticks(6):
            self.text(x(value), y.start + 17, format_tick(value), "middle", "soft")
        self.line([(x.start, y.start), (x.end, y.start)], "soft", 1)
        self.text((x.start + x.end) / 2, y.start + 36, x_label, "middle")
        self.text(14, (y.start + y.end) / 2, y_label, "middle", turned=True)

    def legend(self, entries: Sequence[tuple[str, str, str]], y: float | None = None) -> None:
        """Draw a legend of (name, colour, dash) entries, by default below the figure, which grows to fit."""
        x, row = float(LEFT), self.height if y is None else y
        for name, colour, dash in entries:
            wide = 34 + 7.2 * len(name)
            if x + wide > self.width and x > LEFT:
                x, row = float(LEFT), row + 20
            self.line([(x, row), (x + 22, row)], colour, 2.5, dash)
            self.text(x + 28, row + 4, name)
            x += wide + 10
        self.height = row + 14

    def svg(self, name: str, title: str, alt: str, style: bool = False) -> str:
        """Return the SVG source of the figure, with title and description.

        Args:
            name: A name that is unique on its page.
            title: Short title.
            alt: Message of the figure, in words.
            style: True to include the colours, for a figure in a file of its own.
        """
        inner = f"<style>{STYLE}</style>" if style else ""
        return self._write_svg(name, title, alt, inner)

    def paper_svg(self, name: str, title: str, alt: str) -> str:
        """Return the SVG source of the figure for papers and slides: light colours, without style sheets or variables.

        Editors and converters such as Inkscape, LibreOffice and LaTeX's `svg` know colours and fonts as attributes.
        """
        attributes = f' width="{self.width:g}" height="{self.height:g}" font-family="{FONTS}" font-size="{FONT_SIZE}"'
        source = self._write_svg(name, title, alt, "", attributes)
        for colour, value in LIGHT.items():
            source = source.replace(f'"var(--{colour})"', f'"{value}"')
        return source

    def _write_svg(self, name: str, title: str, alt: str, inner: str, attributes: str = "") -> str:
        drawn = "".join(part.to_svg() for part in self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}"{attributes} '
            f'role="img" aria-labelledby={quoteattr(f"{name}-t {name}-d")}><title id={quoteattr(f"{name}-t")}>'
            f"{escape(title)}</title><desc id={quoteattr(f'{name}-d')}>{escape(alt)}</desc>{inner}{drawn}</svg>"
        )


def choose_dash(index: int) -> str:
    """Return the dash pattern of the n-th line in a plot, so that lines differ without colours."""
    return _DASHES[index % len(_DASHES)]


def choose_colour(index: int) -> str:
    """Return the colour of the n-th line in a plot."""
    return f"c{index % COLOURS}"
