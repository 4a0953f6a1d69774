"""Arrays of full-adder cells, chosen place by place: a part of a space.

    topology | ports | half adders | final adder | cell of place 0 ... P - 1 | format | tile | truncated columns

The last three are genes only where there are several values. A place is a band of product columns or of rows, a tile,
or a single position of the array.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.multipliers import PORTS, TOPOLOGIES
from dse.space.granularity import GRANULARITIES, Granularity
from dse.space.number_formats import NumberFormat, number_format
from dse.space.parts import Genome, require_distinct

__all__ = ["FINAL_ADDERS", "HALF_ADDERS", "Arrays"]

HALF_ADDERS = ("cell", "exact")
FINAL_ADDERS = ("exact", "cell")
_LEADING = 4
"""Number of genes before those of the places."""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """The fields of `dse.space.search_space.Space` of the same names; `tiles`: None for untiled arrays.

    Raises DesignError (UnknownNameError for an unknown name) when a field is empty, repeats itself or is malformed, and
    where a genome would name no design.
    """

    name: str
    topologies: tuple[str, ...]
    ports: tuple[str, ...]
    granularity: str
    bands: tuple[int, ...]
    cells: tuple[AdderCell, ...]
    half_adders: tuple[str, ...]
    final_adders: tuple[str, ...]
    tiles: tuple[int | None, ...]
    truncate_columns: tuple[int, ...]
    formats: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            raise unknown_name("granularity", self.granularity, GRANULARITIES)
        for what, values, valid in (
            ("topology", self.topologies, TOPOLOGIES),
            ("ports", self.ports, PORTS),
            ("half_adders", self.half_adders, HALF_ADDERS),
        ):
            for value in values:
                if value not in valid:
                    raise unknown_name(what, str(value), valid)
            require_distinct(self.name, what, values)
        require_distinct(self.name, "final_adder", self.final_adders)
        require_distinct(self.name, "cells", [entry.name for entry in self.cells])
        require_distinct(self.name, "tile", [str(tile) for tile in self.tiles])
        require_distinct(self.name, "truncate_columns", [str(count) for count in self.truncate_columns])
        self._check_places()
        self._check_structures()

    def _check_places(self) -> None:
        shapes = {entry.shape for entry in self._formats}
        if self._granularity.one_width and len(shapes) > 1:
            raise DesignError(
                f"formats of space {self.name!r} must have one width where places are {self.granularity}, but got "
                f"{', '.join(self.formats)}; make a space of each."
            )
        largest = min(map(min, shapes))
        for tile in self.tiles:
            if tile is not None and not (type(tile) is int and 1 <= tile <= largest):
                raise DesignError(
                    f"1 <= tile <= {largest} must hold in space {self.name!r}, but got {tile!r}; correct it."
                )
        if self._granularity.needs_tile and len(self.tiles) > 1:
            raise DesignError(
                f"space {self.name!r} places by tiles and needs one tile size, but has several; give one."
            )
        for shape in shapes:
            self._granularity.check(self.name, shape, self.tiles[0], self.bands)

    def _check_structures(self) -> None:
        """Makes a design of each combination of fields that may exclude each other."""
        plain = self.tiles == (None,) and self.truncate_columns == (0,) and set(self.final_adders) <= set(FINAL_ADDERS)
        if plain and all(entry.float_name is not None for entry in self._formats):
            return  # These always go together.
        for topology, final_adder, entry, tile, truncated in itertools.product(
            self.topologies, self.final_adders, self._formats, self.tiles, self.truncate_columns
        ):
            try:
                Design(
                    **entry.fields,
                    topology=topology,
                    placement=self.cells[0],
                    final_adder=final_adder,
                    tile=tile,
                    truncate_columns=truncated,
                )
            except DesignError as error:
                raise type(error)(f"space {self.name!r} holds a design that cannot be made: {error}") from None

    @cached_property
    def _formats(self) -> tuple[NumberFormat, ...]:
        return tuple(map(number_format, self.formats))

    @property
    def shape(self) -> tuple[int, int]:
        """Operand bits of the narrowest format."""
        return min((entry.shape for entry in self._formats), key=sum)

    @property
    def places(self) -> int:
        """Number of places, each of which holds one of `cells`."""
        return self._kind.count_choices(self.shape, self.tiles[0], self.bands)

    @property
    def _granularity(self) -> Granularity:
        return GRANULARITIES[self.granularity]

    @property
    def _kind(self) -> type[Placement]:
        """The kind of placement that the designs have."""
        return self._granularity.kind

    @property
    def _trailing(self) -> tuple[Sequence[Any], ...]:
        """What is a gene only where there are several values."""
        return tuple(values for values in (self._formats, self.tiles, self.truncate_columns) if len(values) > 1)

    @cached_property
    def bounds(self) -> Genome:
        """See Part."""
        leading = (self.topologies, self.ports, self.half_adders, self.final_adders)
        return (*map(len, leading), *[len(self.cells)] * self.places, *map(len, self._trailing))

    @property
    def gene_places(self) -> list[tuple[float, float] | None]:
        """(row, column) of what each gene places, in bits; a band of columns or rows lies on a line."""
        line = self._granularity.line
        shape, tile = self.shape, self.tiles[0]
        if line is not None:
            places = [(float(band * line[0]), float(band * line[1])) for band in self.bands]
        else:
            size = 1 if not self._granularity.needs_tile or tile is None else tile
            across = -(-shape[1] // size)
            places = [(float(p // across * size), float(p % across * size)) for p in range(self.places)]
        return [*[None] * _LEADING, *places, *[None] * len(self._trailing)]

    def design(self, genes: Sequence[int]) -> Design:
        """See Part."""
        topology, ports, half, final = genes[:_LEADING]
        chosen = [self.cells[gene] for gene in genes[_LEADING : _LEADING + self.places]]
        trailing = iter(genes[_LEADING + self.places :])
        number, size, cut = (
            next(trailing) if len(values) > 1 else 0 for values in (self._formats, self.tiles, self.truncate_columns)
        )
        entry, tile = self._formats[number], self.tiles[size]
        return Design(
            **entry.fields,
            topology=self.topologies[topology],
            ports=self.ports[ports],
            half_adders=self.half_adders[half],
            final_adder=self.final_adders[final],
            tile=tile,
            truncate_columns=self.truncate_columns[cut],
            placement=self._placement(chosen, entry.shape, tile),
        )

    def _placement(self, chosen: Sequence[AdderCell], shape: tuple[int, int], tile: int | None) -> Any:
        if len({entry.name for entry in chosen}) == 1:
            return chosen[0]
        return self._kind.from_choices(chosen, shape, tile, self.bands)

    def genes(self, design: Design) -> Genome | None:
        """See Part."""
        try:
            chosen = self._kind.choices_of(design.placement, design.shape, design.tile, self.bands)
            if chosen is None or design.circuit is not None:
                return None
            held = [entry.holds(design) for entry in self._formats]
            trailing = [
                held.index(True),
                self.tiles.index(design.tile),
                self.truncate_columns.index(design.truncate_columns),
            ]
            several = [len(values) > 1 for values in (self._formats, self.tiles, self.truncate_columns)]
            return (
                self.topologies.index(design.topology),
                self.ports.index(design.ports),
                self.half_adders.index(design.half_adders),
                self.final_adders.index(design.final_adder),
                *(self.cells.index(entry) for entry in chosen),
                *itertools.compress(trailing, several),
            )
        except (ValueError, IndexError):
            return None

    def uniform(self) -> list[Genome]:
        """One uniform array for each cell and topology, with the first value of every other gene.

        The cells last in `cells`, which are the user's own, come first.
        """
        return [
            (topology, 0, 0, 0, *[number] * self.places, *[0] * len(self._trailing))
            for number in reversed(range(len(self.cells)))
            for topology in range(len(self.topologies))
        ]

    def describe(self) -> str:
        """See Part."""
        policies = f"{len(self.half_adders)} half-adder x {len(self.final_adders)} final-adder policies"
        tile = self.tiles[0]
        where = self._granularity.describe(self.shape, tile)
        tiled = ""
        if len(self.tiles) == 1 and tile is not None and not self._granularity.needs_tile:
            tiled = f", tiles of {tile} bits"
        several = (
            (self.formats, "formats"),
            (self.tiles, "tile sizes"),
            (self.truncate_columns, "truncations"),
        )
        more = "".join(f" x {len(values)} {what}" for values, what in several if len(values) > 1)
        return (
            f"{len(self.topologies)} topologies x {len(self.ports)} ports x {policies} x "
            f"{len(self.cells)} cells in each of {self.places} {where}{tiled}{more}"
        )
