"""What shares a cell in a space: a band of product columns, a band of rows, a tile of both operands, or nothing.

Each granularity builds one kind of placement (`circuits.designs.placement`), which knows how many cells there are to
choose and how chosen cells become a placement. Here stands what a space must say about it: bands or a tile size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from circuits.designs.placement import Columns, Grid, Placement, Rows, Shape, Tiles
from circuits.errors import DesignError

__all__ = ["GRANULARITIES", "Granularity"]


class Granularity(ABC):
    """One granularity of a space.

    - `name`: its name in Python and TOML.
    - `kind`: the kind of placement that designs of the space have.
    - `one_width`: whether all formats of the space must have one width, because the number of cells to choose
      depends on it.
    - `needs_tile`: whether the space must have a tile size.
    - `line`: (rows, columns) of a step from one band to the next; None where places have two dimensions.
    """

    name: ClassVar[str]
    kind: ClassVar[type[Placement]]
    one_width: ClassVar[bool] = False
    needs_tile: ClassVar[bool] = False
    line: ClassVar[tuple[float, float] | None] = None

    @classmethod
    @abstractmethod
    def check(cls, space: str, shape: Shape, tile: int | None, bands: Sequence[int]) -> None:
        """Raises DesignError unless `tile` and `bands` of the space of that name fit a w x v array."""

    @classmethod
    @abstractmethod
    def describe(cls, shape: Shape, tile: int | None) -> str:
        """What a place is: "bands of 48 columns"."""


class _Banded(Granularity):
    """Bands of columns or rows: each reaches from its lowest one to below the next band, the last one to the top."""

    lines: ClassVar[str]
    """What is banded, in a message."""

    @classmethod
    def check(cls, space: str, shape: Shape, tile: int | None, bands: Sequence[int]) -> None:
        highest = cls._count(shape) - 1
        if (
            not all(isinstance(band, int) and 0 <= band <= highest for band in bands)
            or list(bands) != sorted(set(bands))
            or tuple(bands[:1]) != (0,)
        ):
            raise DesignError(
                f"bands of space {space!r} must be ascending {cls.lines} from 0 to at most {highest}, "
                f"the first one 0, but got {list(bands)}; correct the list."
            )

    @classmethod
    def describe(cls, shape: Shape, tile: int | None) -> str:
        return f"bands of {cls._count(shape)} {cls.name}"

    @classmethod
    def _count(cls, shape: Shape) -> int:
        """Product columns, or rows with the final adder's."""
        return cls.kind.dimensions(shape, None)[1]


class _Fixed(Granularity):
    """Places that the array itself gives; there are no bands."""

    one_width = True

    @classmethod
    def check(cls, space: str, shape: Shape, tile: int | None, bands: Sequence[int]) -> None:
        if cls.needs_tile and tile is None:
            raise DesignError(f"space {space!r} places by tiles and needs a tile size, but has none; add tile = 8.")
        if tuple(bands) != (0,):
            raise DesignError(
                f"space {space!r} places by {cls.name}, which have no bands, but got {list(bands)}; leave bands out."
            )


class _ByColumns(_Banded):
    name = "columns"
    kind = Columns
    lines = "product columns"
    line = (0.5, 0.5)


class _ByRows(_Banded):
    name = "rows"
    kind = Rows
    lines = "rows"
    line = (1, 0)


class _ByTiles(_Fixed):
    name = "tiles"
    kind = Tiles
    needs_tile = True

    @classmethod
    def describe(cls, shape: Shape, tile: int | None) -> str:
        return f"tiles of {tile} x {tile}"


class _ByCells(_Fixed):
    name = "cells"
    kind = Grid

    @classmethod
    def describe(cls, shape: Shape, tile: int | None) -> str:
        return f"places of {shape[0]} x {shape[1]}"


GRANULARITIES: Mapping[str, Granularity] = MappingProxyType(
    {
        granularity.name: granularity
        for granularity in (
            _ByColumns(),
            _ByRows(),
            _ByTiles(),
            _ByCells(),
        )
    }
)
"""The granularities by name."""
