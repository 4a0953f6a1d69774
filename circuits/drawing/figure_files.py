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

__all__ = ["KINDS", "render", "save"]

KINDS = ("png", "svg")
_METADATA: Mapping[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}


def render(
    draw: Callable[[], Figure],
    *,
    salt: str,
    style: Mapping[str, Any] | None = None,
    kinds: tuple[str, ...] = KINDS,
) -> dict[str, bytes]:
    """The figure that `draw` returns, as files: kind ("png", "svg") -> content.

    `draw` creates a Figure of its own, not pyplot's, which needs no global state and no display. It runs under `style`
    (matplotlib settings, such as `seaborn.axes_style` returns); the default resolution is 150 dots per inch. `salt`
    seeds the identifiers in SVG: figures that may share a page need different ones. Files contain no date and no
    version.
    """
    settings = {
        "figure.dpi": 150,
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        **(style or {}),
        "svg.hashsalt": salt,
    }
    files = {}
    with matplotlib.rc_context(cast(Any, settings)), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; everything else in the file is right.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure = draw()
        for kind in kinds:
            stream = io.BytesIO()
            figure.savefig(stream, format=kind, metadata=_METADATA[kind], facecolor="white")
            files[kind] = stream.getvalue()
    return files


def save(draw: Callable[[], Figure], path: Path, **settings: Any) -> None:
    """Writes `render(draw, **settings)` to `path`; its suffix selects the kind, DesignError for an unknown one."""
    kind = path.suffix.lower()[1:]
    if kind not in KINDS:
        allowed = " or ".join(f".{name}" for name in KINDS)
        raise DesignError(f"a drawing's file must end in {allowed}, but got {str(path)!r}; rename it.")
    write_atomically(path, render(draw, kinds=(kind,), **settings)[kind])
