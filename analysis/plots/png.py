"""Figures as PNG: the shapes of a canvas drawn by matplotlib, without a browser."""

import io
import warnings
from typing import TYPE_CHECKING, Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.plots.canvas import LIGHT, Canvas
from unstuck.analysis.plots.shapes import Circle, Path, Polygon, Rectangle, Shape, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS_PER_INCH = 96
"""As in a browser: a canvas of 560 units is 5.8 inches wide."""

SCALE = 3
"""Pixels for each unit of the canvas: 1,680 for a figure's width, enough for a column of a paper or a full slide."""

_POINTS = 72 / UNITS_PER_INCH
_FONT_SIZE = 12 * _POINTS  # matplotlib's own font runs wider than a browser's, at 13 units
_JOINED: dict[str, Any] = {"solid_capstyle": "butt", "solid_joinstyle": "round", "dash_joinstyle": "round"}  # as in SVG
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def draw_png(canvas: Canvas, title: str, alt: str) -> bytes:
    """Draw a canvas in light colours on white; return the bytes of the PNG file.

    Args:
        canvas: The figure.
        title: Title of the figure, kept in the file.
        alt: Message of the figure in words, kept in the file.

    Raises:
        AnalysisError: matplotlib is missing or broken.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # late: half a second, and only a PNG needs it
        from matplotlib.figure import Figure
    except ImportError as error:
        raise AnalysisError(
            f"a PNG needs matplotlib, which cannot be loaded ({error}); pip install matplotlib, or take --plots svg"
        ) from None
    figure = Figure(figsize=(canvas.width / UNITS_PER_INCH, canvas.height / UNITS_PER_INCH), dpi=UNITS_PER_INCH * SCALE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, canvas.width), ylim=(canvas.height, 0))
    axes.set_axis_off()
    for place, shape in enumerate(canvas.parts):
        _draw(axes, shape, place)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        figure.savefig(file, format="png", metadata={"Title": title, "Description": alt, "Software": "unstuck"})
    return file.getvalue()


def _draw(axes: "Axes", shape: Shape, order: int) -> None:
    """Draw a shape on matplotlib's axes; shapes with a higher `order` are drawn on top."""
    from matplotlib import patches

    colour = LIGHT[shape.colour]
    match shape:
        case Path(pieces, _, width, dash, opacity):
            style = (0, [float(length) / width for length in dash.split()]) if dash else "-"
            for piece in pieces:
                xs, ys = zip(*piece, strict=True)
                axes.plot(xs, ys, color=colour, lw=width * _POINTS, ls=style, alpha=opacity, zorder=order, **_JOINED)
        case Polygon(points, _, opacity):
            axes.add_patch(patches.Polygon(points, color=colour, alpha=opacity, lw=0, zorder=order))
        case Rectangle(x, y, width, height, _, opacity):
            axes.add_patch(patches.Rectangle((x, y), width, height, color=colour, alpha=opacity, lw=0, zorder=order))
        case Circle(x, y, _, radius, opacity):
            axes.add_patch(patches.Circle((x, y), radius, color=colour, alpha=opacity, lw=0, zorder=order))
        case Text(x, y, text, anchor, _, turned):
            axes.text(
                x,
                y,
                text,
                ha=_ANCHORS[anchor],
                va="baseline",
                color=colour,
                size=_FONT_SIZE,
                rotation=90 if turned else 0,
                rotation_mode="anchor",
                parse_math=False,
                zorder=order,
            )
