"""Placement: which adder cell stands where in a multiplier array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from circuits.cells.adder_cells import AdderCell, cell
from circuits.errors import DesignError

KINDS = ("columns", "rows", "tiles", "grid")


@dataclass(frozen=True, slots=True)
class Placement:
    """Cells by `kind`: "uniform" (one cell), "columns" (w + v cells, by product column i + j), "rows" (w + 1, by bit of
    the first operand, the final adder row last), "tiles" ([X tile][Y tile]) or "grid" ((w + 1) x v, row w the final
    adder). `cells` is a tuple of rows; kinds of one dimension have one row. Places that no adder takes are ignored.
    Where the cells of Wallace, Dadda and Booth columns stand: `Frame.add_in_column` and `Frame.add_final`.
    """

    kind: str
    cells: tuple[tuple[AdderCell, ...], ...]

    @classmethod
    def of(cls, value: Any, extra: Mapping[str, AdderCell] | None = None) -> Placement:
        """From a Placement, a cell or its name, or {kind: nested sequences of cells or names}."""
        if isinstance(value, Placement):
            return value
        if isinstance(value, (AdderCell, str)):
            return cls("uniform", ((_cell(value, extra),),))
        if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in KINDS:
            raise DesignError(
                f"placement must be a cell, its name or one of {{columns, rows, tiles, grid}} with a list of cells, "
                f"but got {_shorten(value)}; correct it."
            )
        kind, entries = next(iter(value.items()))
        nested = kind in ("tiles", "grid")
        rows = entries if nested else [entries]
        if not _is_list(rows) or not all(_is_list(row) and row for row in rows) or not rows:
            shape = "a list of lists" if nested else "a list"
            raise DesignError(f"placement {kind} must be {shape} of cells, but got {_shorten(entries)}; correct it.")
        return cls(kind, tuple(tuple(_cell(entry, extra) for entry in row) for row in rows))

    def check(self, width: tuple[int, int], tile: int | None) -> None:
        """Raises DesignError unless the shape fits a w x v array."""
        w, v = width
        if self.kind == "tiles" and tile is None:
            raise DesignError("placement by tiles needs a tile size, but got tile=None; set tile or place by grid.")
        size = tile or 1
        shapes = {
            "uniform": (1, 1),
            "columns": (1, w + v),
            "rows": (1, w + 1),
            "grid": (w + 1, v),
            "tiles": (-(-w // size), -(-v // size)),
        }
        rows, columns = shapes[self.kind]
        lengths = sorted({len(row) for row in self.cells})
        if len(self.cells) != rows or lengths != [columns]:
            wanted = (
                f"{columns} cells" if rows == 1 and self.kind in ("columns", "rows") else f"{rows} x {columns} cells"
            )
            got = "/".join(map(str, lengths))
            found = got if rows == 1 and len(self.cells) == 1 else f"{len(self.cells)} x {got}"
            raise DesignError(
                f"placement {self.kind} must have {wanted} for a {w} x {v} array, but got {found}; correct the list."
            )

    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        """The cell of adder (i, j)."""
        match self.kind:
            case "columns":
                return self.cells[0][i + j]
            case "rows":
                return self.cells[0][i]
            case "grid":
                return self.cells[i][j]
            case "tiles":
                assert tile is not None
                # A tile's row 0 holds no adder, and its final row stands where the next tile's row 0 would.
                return self.cells[(i - 1) // tile][j // tile]
            case _:
                return self.cells[0][0]

    def all_cells(self) -> Iterator[AdderCell]:
        """Every entry, repetitions included."""
        for row in self.cells:
            yield from row

    def describe(self) -> str:
        """One line, runs of equal cells joined: "columns 0-7 ama5, 8-47 exact"."""
        if self.kind == "uniform":
            return f"{self.cells[0][0].name} everywhere"
        if self.kind in ("columns", "rows"):
            return f"{self.kind} {_runs([c.name for c in self.cells[0]])}"
        counts: dict[str, int] = {}
        for entry in self.all_cells():
            counts[entry.name] = counts.get(entry.name, 0) + 1
        inside = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda kv: -kv[1]))
        return f"{self.kind} {len(self.cells)} x {len(self.cells[0])}: {inside}"

    def to_data(self) -> Any:
        """A name, or {kind: lists of names}: what Placement.of takes back."""
        if self.kind == "uniform":
            return self.cells[0][0].name
        names = [[entry.name for entry in row] for row in self.cells]
        return {self.kind: names if self.kind in ("tiles", "grid") else names[0]}


def _cell(value: Any, extra: Mapping[str, AdderCell] | None) -> AdderCell:
    if isinstance(value, AdderCell):
        return value
    if isinstance(value, str):
        return cell(value, extra)
    raise DesignError(f"a placement entry must be a cell or its name, but got {value!r}; correct it.")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _runs(names: list[str]) -> str:
    parts = []
    start = 0
    for name, group in groupby(names):
        length = len(list(group))
        span = str(start) if length == 1 else f"{start}-{start + length - 1}"
        parts.append(f"{span} {name}")
        start += length
    return ", ".join(parts)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
