"""Tables for terminals of any width: columns that do not fit go below, in blocks that repeat the names of the rows.

Rich alone drops columns that do not fit, and breaks words anywhere. Here no column is lost. Text breaks at spaces,
after `_` and after `/`; numbers do not break; a word is cut only where a single column is wider than the terminal.

Each column has three widths (`_Bounds`). Columns are first distributed over blocks at their least width; then each
block spends the room that is left, the widest column giving way first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Column, Table
from rich.text import Text

from circuits.support.text import printable

__all__ = ["StackedTable", "wrapped"]

_BREAK = re.compile(r"(?<=\S)(?=\s)|(?<=_)(?=[^\W_])|(?<=/)(?=[^\W\d_])")
_COMFORT = 16
"""Text of up to this many characters is not broken to save room: its column goes below instead."""
_GAP = 2
"""Spaces between two columns."""
_PADDING = 1
"""Spaces after the last column."""


@dataclass(frozen=True)
class _Bounds:
    """Widths of a column: `floor` without a broken word or number, `least` that reads well, `most` without a break."""

    floor: int
    least: int
    most: int


class StackedTable(Table):
    """A table whose first `keys` columns name the rows; every block repeats them.

    `right`: headings of the columns of numbers, which are aligned right and never broken. `title` is printed above the
    first block. Cells and headings are strings without markup. The text of a name column with `no_wrap` set (the
    default) breaks only where the names take more than half of the width.
    """

    def __init__(self, *columns: str, right: Iterable[str] = (), keys: int = 1, title: str | None = None) -> None:
        super().__init__()
        self._keys = keys
        self.title = title
        aligned = set(right)
        for k, column in enumerate(columns):
            justify: JustifyMethod = "right" if column in aligned else "left"
            self.add_column(printable(column), justify=justify, no_wrap=k < keys)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Adds a row of texts; control characters in them are shown as escapes, and measured as they are shown."""
        super().add_row(*(printable(str(cell)) for cell in cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, then the blocks with an empty line between two."""
        if self.title is not None:
            yield Text(_safe(self.title), style="bold")
        for number, (columns, widths) in enumerate(self._blocks(options.max_width)):
            if number:
                yield Text()
            yield self._block(columns, widths)

    def _blocks(self, width: int) -> list[tuple[list[int], list[int]]]:
        """(columns, their widths) of every block: as many columns each as fit at their least widths, in order."""
        bounds = [_bounds(column) for column in self.columns]
        keys, others = list(range(self._keys)), list(range(self._keys, len(bounds)))
        names = min(_total([bounds[k].least for k in keys]), width // 2)
        blocks: list[list[int]] = [[]]
        for k in others:
            wanted = names + sum(_GAP + bounds[n].least for n in (*blocks[-1], k))
            if blocks[-1] and wanted + _PADDING > width:
                blocks.append([])
            blocks[-1].append(k)
        laid_out = []
        for block in blocks:
            columns = [*keys, *block]
            laid_out.append((columns, _widths([bounds[k] for k in columns], width)))
        return laid_out

    def _block(self, columns: Sequence[int], widths: Sequence[int]) -> Table:
        block = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for k, width in zip(columns, widths, strict=True):
            column = self.columns[k]
            heading = Text(_broken(_safe(column.header), width))
            block.add_column(heading, justify=column.justify, width=width, no_wrap=True, overflow="crop")
        cells = zip(*(list(self.columns[k].cells) for k in columns), strict=True)
        for row, texts in zip(self.rows, cells, strict=True):
            lines = (Text(_broken(_safe(text), width)) for text, width in zip(texts, widths, strict=True))
            block.add_row(*lines, end_section=row.end_section)
        return block


def wrapped(text: str, width: int) -> list[str]:
    """The lines of `text`, each at most `width` terminal cells wide, broken where a reader expects it.

    Spaces at a break vanish; a word longer than `width` is cut.
    """
    lines = []
    for line in text.split("\n"):
        current = ""
        for chunk in _BREAK.split(line):
            if current and cell_len((current + chunk).rstrip()) > width:
                lines.append(current.rstrip())
                current, chunk = "", chunk.lstrip()
            if cell_len(chunk.rstrip()) > width:
                *full, chunk = chop_cells(chunk, width)
                lines += full
            current += chunk
        lines.append(current.rstrip())
    return lines


def _safe(text: object) -> str:
    """The text of a heading or cell as it is printed, control characters as escapes."""
    return printable(str(text))


def _broken(text: str, width: int) -> str:
    return "\n".join(wrapped(text, width))


def _bounds(column: Column) -> _Bounds:
    heads = _safe(column.header).split("\n")
    cells = [line for cell in column.cells for line in _safe(cell).split("\n")]
    most = max(map(cell_len, [*heads, *cells]), default=0)
    words = max(map(_longest_chunk, heads), default=1)
    if column.justify == "right":
        numbers = max([words, *map(cell_len, cells)])
        return _Bounds(numbers, numbers, most)
    words = max([words, *map(_longest_chunk, cells)])
    return _Bounds(words, most if column.no_wrap else max(words, min(most, _COMFORT)), most)


def _longest_chunk(line: str) -> int:
    first, *rest = _BREAK.split(line)  # the first keeps its indentation
    return max(cell_len(first), *(cell_len(chunk.strip()) for chunk in rest), 1)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(bounds: Sequence[_Bounds], width: int) -> list[int]:
    """Widths that fit into `width`, from the widest ones down.

    One character at a time, the widest column becomes narrower: first those above their least width, then those above
    their floor. Where all are at their floor, the widest is cut, whatever it holds.
    """
    widths = [bound.most for bound in bounds]
    excess = _total(widths) + _PADDING - width
    for _ in range(max(excess, 0)):
        columns = range(len(widths))
        giving = (
            [k for k in columns if widths[k] > bounds[k].least]
            or [k for k in columns if widths[k] > bounds[k].floor]
            or list(columns)
        )
        widest = max(reversed(giving), key=lambda k: widths[k])
        widths[widest] = max(1, widths[widest] - 1)
    return widths
