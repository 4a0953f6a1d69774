"""Placement: which adder cell stands at which position of a multiplier array.

Adder (i, j) of a w x v array adds the partial product x_i y_j, whose weight is 2^(i + j): row i belongs to bit i of the
first operand, column j to bit j of the second. Row w is the final adder. Row 0 holds no adder, because there is nothing
yet to add to. Where the cells of Wallace, Dadda and Booth columns stand: `Frame.add_in_column` and `Frame.add_final`.

There is one class a kind of placement, and each is a view of the same (w + 1) x v grid of cells:

    Uniform   at(i, j) = cells[0][0]
    Columns   at(i, j) = cells[0][i + j]                        w + v product columns
    Rows      at(i, j) = cells[0][i]                            w + 1 rows
    Tiles     at(i, j) = cells[(i - 1) // tile][j // tile]      ceil(w / tile) x ceil(v / tile) tiles
    Grid      at(i, j) = cells[i][j]                            (w + 1) x v positions

A class also says which choices a search has (`count_choices`, `from_choices`, `choices_of`), so that nobody else needs
to ask for its kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any, ClassVar, Self

from circuits.cells.adder_cells import AdderCell, cell
from circuits.errors import DesignError
from circuits.support.text import shorten

Shape = tuple[int, int]
"""(w, v): bits of the first and of the second operand."""


@dataclass(frozen=True)
class Placement(ABC):
    """The adder cells of an array, in the arrangement that the subclass (the kind) defines.

    `cells` is a tuple of rows; kinds of one dimension have a single row. Cells at positions without an adder are
    ignored: they change neither the circuit nor its digests.

    >>> Placement.of({"columns": ["ama5"] * 8 + ["exact"] * 40}).describe()
    'columns 0-7 ama5, 8-47 exact'
    """

    cells: tuple[tuple[AdderCell, ...], ...]
    kind: ClassVar[str]
    """The key of the kind in TOML and in `Placement.of`."""

    @staticmethod
    def of(value: Any, extra: Mapping[str, AdderCell] | None = None) -> Placement:
        """Makes a placement from a Placement, a cell or its name, or {kind: nested sequences of cells or names}.

        `extra` holds a user's own cells by name; the library's names stay valid. Raises DesignError for anything else,
        UnknownNameError for an unknown cell. Whether the shape fits an array is tested by `check`.
        """
        if isinstance(value, Placement):
            return value
        if isinstance(value, (AdderCell, str)):
            return Uniform(((_cell(value, extra),),))
        if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in KINDS:
            raise DesignError(
                f"placement must be a cell, its name or one of {{{', '.join(KINDS)}}} with a list of cells, "
                f"but got {shorten(repr(value))}; correct it."
            )
        name, data = next(iter(value.items()))
        kind = KINDS[name]
        rows = kind._rows_from_data(data)
        if not _is_list(rows) or not all(_is_list(row) and row for row in rows) or not rows:
            raise DesignError(
                f"placement {name} must be {kind._data_shape} of cells, but got {shorten(repr(data))}; correct it."
            )
        return kind(tuple(tuple(_cell(entry, extra) for entry in row) for row in rows))

    @classmethod
    @abstractmethod
    def dimensions(cls, shape: Shape, tile: int | None) -> tuple[int, int]:
        """(rows, columns) that `cells` must have for a w x v array; DesignError where the kind needs a tile size."""

    @abstractmethod
    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        """The cell of adder (i, j); `tile` is the design's tile size in bits, None for an untiled array."""

    @abstractmethod
    def describe(self) -> str:
        """The placement in one line, runs of equal cells joined: "columns 0-7 ama5, 8-47 exact"."""

    @abstractmethod
    def to_data(self) -> Any:
        """A cell name, or {kind: lists of cell names}: what `Placement.of` takes back."""

    def check(self, shape: Shape, tile: int | None) -> None:
        """Raises DesignError unless the number of cells fits a w x v array, cut into tiles of `tile` bits or not."""
        rows, columns = self.dimensions(shape, tile)
        lengths = sorted({len(row) for row in self.cells})
        if len(self.cells) == rows and lengths == [columns]:
            return
        actual = "/".join(map(str, lengths))
        if rows > 1 or len(self.cells) > 1:
            actual = f"{len(self.cells)} x {actual}"
        raise DesignError(
            f"placement {self.kind} must have {self._count_text(rows, columns)} cells for a {shape[0]} x {shape[1]} "
            f"array, but got {actual}; correct the list."
        )

    def all_cells(self) -> Iterator[AdderCell]:
        """Yields every cell, row by row, repetitions included."""
        for row in self.cells:
            yield from row

    # What a search may choose: one cell for each band of columns or rows, for each tile, or for each position.

    @classmethod
    @abstractmethod
    def count_choices(cls, shape: Shape, tile: int | None, bands: Sequence[int] = (0,)) -> int:
        """How many cells `from_choices` takes. `bands`: the lowest column or row of each band, ascending from 0."""

    @classmethod
    @abstractmethod
    def from_choices(
        cls, choices: Sequence[AdderCell], shape: Shape, tile: int | None, bands: Sequence[int] = (0,)
    ) -> Self:
        """The placement of this kind that gives every band, tile or position its chosen cell."""

    @classmethod
    def choices_of(
        cls, placement: Placement, shape: Shape, tile: int | None, bands: Sequence[int] = (0,)
    ) -> list[AdderCell] | None:
        """The choices that give `placement`, the inverse of `from_choices`; a uniform one is of every kind.

        None where `placement` is of another kind or shape. Inside a band only the first cell is looked at, so whether
        the choices give the same placement again is for the caller to test.
        """
        if isinstance(placement, Uniform):
            return [placement.cells[0][0]] * cls.count_choices(shape, tile, bands)
        rows, columns = cls.dimensions(shape, tile)
        if not isinstance(placement, cls) or [len(row) for row in placement.cells] != [columns] * rows:
            return None
        return placement._choices(bands)

    @abstractmethod
    def _choices(self, bands: Sequence[int]) -> list[AdderCell]:
        """The chosen cells of a placement of the right shape."""

    # How the kinds of one and of two dimensions look as data.

    _data_shape: ClassVar[str]

    @staticmethod
    @abstractmethod
    def _rows_from_data(data: Any) -> Any:
        """The rows in nested lists of cells; still unchecked."""

    @staticmethod
    def _count_text(rows: int, columns: int) -> str:
        return f"{rows} x {columns}"


class _Line(Placement):
    """What the kinds of one dimension share: a single row of cells."""

    _data_shape = "a list"

    @staticmethod
    def _rows_from_data(data: Any) -> Any:
        return [data]

    @staticmethod
    def _count_text(rows: int, columns: int) -> str:
        return str(columns)

    def describe(self) -> str:
        return f"{self.kind} {_runs([entry.name for entry in self.cells[0]])}"

    def to_data(self) -> Any:
        return {self.kind: [entry.name for entry in self.cells[0]]}

    @classmethod
    def count_choices(cls, shape: Shape, tile: int | None, bands: Sequence[int] = (0,)) -> int:
        return len(bands)

    @classmethod
    def from_choices(
        cls, choices: Sequence[AdderCell], shape: Shape, tile: int | None, bands: Sequence[int] = (0,)
    ) -> Self:
        # Band k holds the columns (or rows) bands[k] to bands[k + 1] - 1, the last one those up to the highest.
        ends = (*bands[1:], cls.dimensions(shape, tile)[1])
        lengths = [end - start for start, end in zip(bands, ends, strict=True)]
        return cls((tuple(entry for entry, n in zip(choices, lengths, strict=True) for _ in range(n)),))

    def _choices(self, bands: Sequence[int]) -> list[AdderCell]:
        return [self.cells[0][band] for band in bands]


class Uniform(_Line):
    """The same cell at every position."""

    kind = "uniform"

    @classmethod
    def dimensions(cls, shape: Shape, tile: int | None) -> tuple[int, int]:
        return 1, 1

    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        return self.cells[0][0]

    def describe(self) -> str:
        return f"{self.cells[0][0].name} everywhere"

    def to_data(self) -> Any:
        return self.cells[0][0].name


class Columns(_Line):
    """One cell a product column i + j: w + v cells, the column of weight 1 first."""

    kind = "columns"

    @classmethod
    def dimensions(cls, shape: Shape, tile: int | None) -> tuple[int, int]:
        return 1, sum(shape)

    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        return self.cells[0][i + j]


class Rows(_Line):
    """One cell a row: w + 1 cells, by bit of the first operand, the final adder last."""

    kind = "rows"

    @classmethod
    def dimensions(cls, shape: Shape, tile: int | None) -> tuple[int, int]:
        return 1, shape[0] + 1

    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        return self.cells[0][i]


class _Block(Placement):
    """What the kinds of two dimensions share: rows that belong to bits of the first operand."""

    _data_shape = "a list of lists"

    @staticmethod
    def _rows_from_data(data: Any) -> Any:
        return data

    def describe(self) -> str:
        counts = Counter(entry.name for entry in self.all_cells()).most_common()
        inside = ", ".join(f"{count} {name}" for name, count in counts)
        return f"{self.kind} {len(self.cells)} x {len(self.cells[0])}: {inside}"

    def to_data(self) -> Any:
        return {self.kind: [[entry.name for entry in row] for row in self.cells]}


class Tiles(_Block):
    """One cell a tile of `tile` x `tile` bits, cells[X tile][Y tile]; the lowest bits first."""

    kind = "tiles"

    @classmethod
    def dimensions(cls, shape: Shape, tile: int | None) -> tuple[int, int]:
        if tile is None:
            raise DesignError("placement by tiles needs a tile size, but got tile=None; set tile or place by grid.")
        return -(-shape[0] // tile), -(-shape[1] // tile)

    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        assert tile is not None
        # A tile's row 0 holds no adder, and its final row stands where the next tile's row 0 would: rows 1 to `tile`
        # of the grid belong to the first tile.
        return self.cells[(i - 1) // tile][j // tile]

    @classmethod
    def count_choices(cls, shape: Shape, tile: int | None, bands: Sequence[int] = (0,)) -> int:
        rows, columns = cls.dimensions(shape, tile)
        return rows * columns

    @classmethod
    def from_choices(
        cls, choices: Sequence[AdderCell], shape: Shape, tile: int | None, bands: Sequence[int] = (0,)
    ) -> Self:
        return cls(_cut(choices, cls.dimensions(shape, tile)[1]))

    def _choices(self, bands: Sequence[int]) -> list[AdderCell]:
        return list(self.all_cells())


class Grid(_Block):
    """One cell a position: w + 1 rows of v cells, row w the final adder."""

    kind = "grid"

    @classmethod
    def dimensions(cls, shape: Shape, tile: int | None) -> tuple[int, int]:
        return shape[0] + 1, shape[1]

    def at(self, i: int, j: int, tile: int | None) -> AdderCell:
        return self.cells[i][j]

    @classmethod
    def count_choices(cls, shape: Shape, tile: int | None, bands: Sequence[int] = (0,)) -> int:
        return shape[0] * shape[1]

    @classmethod
    def from_choices(
        cls, choices: Sequence[AdderCell], shape: Shape, tile: int | None, bands: Sequence[int] = (0,)
    ) -> Self:
        rows = _cut(choices, shape[1])
        return cls((rows[0], *rows))  # row 0 holds no adder; it repeats row 1

    def _choices(self, bands: Sequence[int]) -> list[AdderCell]:
        return [entry for row in self.cells[1:] for entry in row]


KINDS: Mapping[str, type[Placement]] = MappingProxyType({kind.kind: kind for kind in (Columns, Rows, Tiles, Grid)})
"""The kinds of placement that a list of cells gives, by the key that names them in `Placement.of` and in TOML."""


def _cell(value: Any, extra: Mapping[str, AdderCell] | None) -> AdderCell:
    if isinstance(value, AdderCell):
        return value
    if isinstance(value, str):
        return cell(value, extra)
    raise DesignError(f"a placement entry must be a cell or its name, but got {value!r}; correct it.")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _cut(cells: Sequence[AdderCell], length: int) -> tuple[tuple[AdderCell, ...], ...]:
    """The cells in rows of `length`."""
    return tuple(tuple(cells[start : start + length]) for start in range(0, len(cells), length))


def _runs(names: Sequence[str]) -> str:
    """Runs of equal names with the indices that they span: "0-7 ama5, 8 exact"."""
    runs = []
    start = 0
    for name, group in groupby(names):
        length = sum(1 for _ in group)
        span = str(start) if length == 1 else f"{start}-{start + length - 1}"
        runs.append(f"{span} {name}")
        start += length
    return ", ".join(runs)
