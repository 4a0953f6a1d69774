"""The page of an attack, of margins or of an audit: question, verdicts, tables, curves, images, provenance.

Each command says what its page holds as the records below; here they become one self-contained page, which looks and
works like that of a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from circuits.pages.web_page import finite, page_text
from circuits.support.files import write_atomically
from circuits.support.provenance import machine, versions

__all__ = ["Curves", "PageTable", "Picture", "RobustnessPage", "Series", "Verdict", "percent", "write_page"]

Cell = str | tuple[str, float | None]
"""Text, or a number as text and as the value that it sorts by."""
_PACKAGES = ("approximate-dse", "numpy", "torch", "foolbox", "pyautoattack")


@dataclass(frozen=True)
class Verdict:
    """What the numbers say of `subject`, in one sentence, and the reasons; `good`: as hoped, None: neither way."""

    subject: str
    sentence: str
    reasons: Sequence[str] = ()
    good: bool | None = None


@dataclass(frozen=True)
class PageTable:
    """A table: `columns` are headings, a number's column holds (text, value) cells."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Series:
    """A line: points with their 95 % intervals where there are any; `dashed` for controls and published numbers."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Curves:
    """A chart. `kind`: "points" joined by lines, "steps", or "bars" side by side."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    kind: Literal["points", "steps", "bars"] = "points"


@dataclass(frozen=True)
class Picture:
    """An example: three images as data addresses, and what they show in words.

    `scale`: the factor on the difference, which is drawn around grey.
    """

    clean: str
    adversarial: str
    difference: str
    scale: float
    classes: str
    caption: str


@dataclass(frozen=True)
class RobustnessPage:
    """What a page holds."""

    title: str
    question: Mapping[str, str]
    verdicts: Sequence[Verdict]
    tables: Sequence[PageTable]
    curves: Sequence[Curves]
    pictures: Sequence[Picture]
    notes: Sequence[str] = field(default=())


def write_page(path: Path, page: RobustnessPage) -> None:
    """Writes the page, whole or not at all."""
    data: dict[str, Any] = asdict(page)
    for chart in data["curves"]:
        for series in chart["series"]:
            for key in ("y", "low", "high"):
                series[key] = [finite(value) for value in series[key]]
    provenance = {"machine": machine(), **versions(_PACKAGES)}
    text = page_text(
        "robustness_page.html",
        "cnn_eval.commands.robustness",
        title=page.title,
        data={**data, "provenance": provenance},
        scripts=("robustness_page.js",),
    )
    write_atomically(path, text.encode())


def percent(rate: float | None, interval: tuple[float, float] | None = None) -> list[Cell]:
    """Cells of a rate in percent and, if given, of its interval."""
    cells: list[Cell] = [("none eligible", None) if rate is None else (f"{100 * rate:.1f}", 100 * rate)]
    if interval is not None:
        low, high = (100 * end for end in interval)
        cells.append("" if rate is None else (f"{low:.1f} .. {high:.1f}", low))
    return cells
