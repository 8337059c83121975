"""Shapes of a figure: what a canvas collects, in its own units, before a file format is chosen."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Path:
    """Line through points, in one piece or several.

    Attributes:
        pieces: Points of each piece; a piece of one point shows nothing.
        colour: Name of the colour.
        width: Width of the line.
        dash: Lengths of dashes and gaps, e.g. `7 3`; empty for a solid line.
        opacity: 1 for solid, less for faint.
    """

    pieces: tuple[tuple[Point, ...], ...]
    colour: str
    width: float
    dash: str = ""
    opacity: float = 1

    def to_svg(self) -> str:
        """Return the SVG element of the line."""
        path = " ".join(f"M{' L'.join(f'{x:.1f} {y:.1f}' for x, y in piece)}" for piece in self.pieces)
        dash = f' stroke-dasharray="{self.dash}"' if self.dash else ""
        opacity = f' opacity="{self.opacity:.2f}"' if self.opacity < 1 else ""
        return (
            f'<path d="{path}" fill="none" stroke="var(--{self.colour})" stroke-width="{self.width}" '
            f'stroke-linejoin="round"{dash}{opacity}/>'
        )


@dataclass(frozen=True)
class Polygon:
    """Filled area within an outline of points."""

    points: tuple[Point, ...]
    colour: str
    opacity: float

    def to_svg(self) -> str:
        """Return the SVG element of the area."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)
        return f'<polygon points="{path}" fill="var(--{self.colour})" opacity="{self.opacity:.2f}"/>'


@dataclass(frozen=True)
class Rectangle:
    """Filled rectangle, such as a bar; `x` and `y` are those of the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    opacity: float = 1

    def to_svg(self) -> str:
        """Return the SVG element of the rectangle."""
        return (
            f'<rect x="{self.x:.1f}" y="{self.y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}" '
            f'fill="var(--{self.colour})" opacity="{self.opacity:.2f}"/>'
        )


@dataclass(frozen=True)
class Circle:
    """Filled circle, with `tip` as the text shown on hovering."""

    x: float
    y: float
    colour: str
    radius: float
    opacity: float = 1
    tip: str = ""

    def to_svg(self) -> str:
        """Return the SVG element of the circle."""
        title = f"<title>{escape(self.tip)}</title>" if self.tip else ""
        return (
            f'<circle cx="{self.x:.1f}" cy="{self.y:.1f}" r="{self.radius:g}" fill="var(--{self.colour})" '
            f'opacity="{self.opacity:.2f}">{title}</circle>'
        )


@dataclass(frozen=True)
class Text:
    """Text at a point; `anchor` is start, middle or end; `turned` text runs upwards."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = "ink"
    turned: bool = False

    def to_svg(self) -> str:
        """Return the SVG element of the text."""
        turn = f' transform="rotate(-90 {self.x:.1f} {self.y:.1f})"' if self.turned else ""
        return (
            f'<text x="{self.x:.1f}" y="{self.y:.1f}" text-anchor="{self.anchor}" fill="var(--{self.colour})"{turn}>'
            f"{escape(self.text)}</text>"
        )


Shape = Path | Polygon | Rectangle | Circle | Text
