"""Figures as files, drawn without a display; the same content gives the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import matplotlib
from matplotlib.figure import Figure

from circuits.errors import DesignError
from circuits.support.files import write_atomically

__all__ = ["KINDS", "png_texts", "render", "save"]

KINDS = ("png", "svg")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METADATA: Mapping[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}


def render(
    draw: Callable[[], Figure],
    *,
    salt: str,
    style: Mapping[str, Any] | None = None,
    kinds: tuple[str, ...] = KINDS,
    texts: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """The figure that `draw` returns, as files: kind ("png", "svg") -> content.

    `draw` creates a Figure of its own, not pyplot's, which needs no global state and no display. It runs under `style`
    (matplotlib settings, such as `seaborn.axes_style` returns); the default resolution is 150 dots per inch. `salt`
    seeds the identifiers in SVG: figures that may share a page need different ones. Files contain no date and no
    version. `texts`: entries that a PNG holds beside the image (`png_texts`).
    """
    settings = {
        "figure.dpi": 150,
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        **(style or {}),
        "svg.hashsalt": salt,
    }
    metadata = {**_METADATA, "png": {**_METADATA["png"], **(texts or {})}}
    files = {}
    with matplotlib.rc_context(cast(Any, settings)), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; everything else in the file is right.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure = draw()
        for kind in kinds:
            stream = io.BytesIO()
            figure.savefig(stream, format=kind, metadata=metadata[kind], facecolor="white")
            files[kind] = stream.getvalue()
    return files


def save(draw: Callable[[], Figure], path: Path, **settings: Any) -> None:
    """Writes `render(draw, **settings)` to `path`; its suffix selects the kind, DesignError for an unknown one."""
    kind = path.suffix.lower()[1:]
    if kind not in KINDS:
        allowed = " or ".join(f".{name}" for name in KINDS)
        raise DesignError(f"a drawing's file must end in {allowed}, but got {str(path)!r}; rename it.")
    write_atomically(path, render(draw, kinds=(kind,), **settings)[kind])


def png_texts(path: Path) -> dict[str, str]:
    """The text entries of a PNG file, keyword -> text; none where it is no PNG.

    Chunks after the 8 bytes of the signature: length of the data (big endian), 4 letters, data, checksum. A text is
    "tEXt" with a keyword, a zero byte and Latin-1 (PNG specification, section 11.3.3).
    """
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE):
        return {}
    texts, place = {}, len(_SIGNATURE)
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"tEXt":
            keyword, _, text = data[place + 8 : place + 8 + length].partition(b"\0")
            texts[keyword.decode("latin-1")] = text.decode("latin-1")
        place += 12 + length
    return texts
