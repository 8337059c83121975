"""PNG files of figures: the same shapes at the same places, pixel by pixel."""

import builtins
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.plots.canvas import LIGHT, Canvas
from unstuck.analysis.plots.png import SCALE, draw_png

TEXT = "Ünicode $5 & more 漢"


@pytest.fixture(scope="module")
def pixels() -> Any:
    """A canvas of 40 x 30 with one shape of each kind, far from one another: height, width, red to alpha."""
    from PIL import Image

    canvas = Canvas(40, 30)
    canvas.rectangle(2, 3, 10, 4, "c0")
    canvas.dot(30, 5, "c1", 3)
    canvas.area([(2, 20), (12, 20), (12, 28), (2, 28)], "c2", 1)
    canvas.line([(20, 15), (38, 15)], "c3", 2)
    canvas.text(20, 28, TEXT)
    image = Image.open(io.BytesIO(draw_png(canvas, "a title", "it says")))
    assert (image.info["Title"], image.info["Description"]) == ("a title", "it says")
    return np.asarray(image.convert("RGB"))


def colour(name: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(LIGHT[name].removeprefix("#")))


@pytest.mark.parametrize(
    ("x", "y", "name"), [(3, 4, "c0"), (11, 6, "c0"), (30, 5, "c1"), (7, 24, "c2"), (21, 15, "c3"), (37, 15, "c3")]
)
def test_shapes_stand_where_the_canvas_has_them(pixels: Any, x: int, y: int, name: str) -> None:
    assert pixels.shape == (30 * SCALE, 40 * SCALE, 3)
    assert tuple(pixels[round((y + 0.5) * SCALE) - SCALE // 2, round((x + 0.5) * SCALE)]) == colour(name)


@pytest.mark.parametrize(("x", "y"), [(1, 1), (13, 5), (30, 10), (14, 24), (19, 15)])
def test_beside_the_shapes_the_picture_is_white(pixels: Any, x: int, y: int) -> None:
    assert tuple(pixels[y * SCALE, x * SCALE]) == (255, 255, 255)


def test_text_is_written_as_it_is(pixels: Any) -> None:
    assert (pixels[18 * SCALE : 29 * SCALE, 20 * SCALE :] < 128).any()


def test_without_matplotlib_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *others: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError("no module named matplotlib")
        return original(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(AnalysisError, match="pip install matplotlib, or take --plots svg"):
        draw_png(Canvas(), "t", "a")


def test_matplotlib_is_loaded_for_a_png_alone() -> None:
    code = "import sys, unstuck.analysis.plots.png; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
