"""Search spaces: heterogeneous arrays as plain data, and the integer genomes that name their designs.

A genome is a tuple of integers, one a gene, each below the gene's bound: topology, ports, half-adder policy,
final-adder policy, then one cell for each band of product columns. Two genomes that give the same
`Design.cost_digest` are the same design (a ripple array has no final adder, say).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from circuits.cells import CELLS, AdderCell, cell, cells_from_table, read_toml
from circuits.designs import Design
from circuits.errors import DesignError, unknown_name
from circuits.floats import float_format
from circuits.multipliers import PORTS, TOPOLOGIES
from circuits.placement import Placement

__all__ = ["SPACES", "Genome", "Space", "find_space"]

Genome = tuple[int, ...]
_HALF_ADDERS = ("cell", "exact")
_FINAL_ADDERS = ("exact", "cell")
_LEADING = 4
"""Genes before the bands."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Arrays of full-adder cells chosen by bands of product columns.

    - `topologies`, `ports`, `half_adders`, `final_adders`: the allowed values of those fields of a Design.
    - `bands`: the lowest product column of each band, ascending from 0; the last band ends at the highest column.
    - `cells`: the cells that a band may hold, with distinct names.
    - `format`: the float format, which gives the width (24 x 24 and 48 product columns for float32); every design of
      the space truncates.

    Raises DesignError (UnknownNameError for an unknown name) when a field is empty, repeats itself or is malformed.
    """

    name: str
    topologies: tuple[str, ...] = ("ripple_array", "carry_save_array")
    ports: tuple[str, ...] = PORTS
    bands: tuple[int, ...] = (0,)
    cells: tuple[AdderCell, ...] = (CELLS["exact"],)
    half_adders: tuple[str, ...] = _HALF_ADDERS
    final_adders: tuple[str, ...] = _FINAL_ADDERS
    format: str = "float32"

    def __post_init__(self) -> None:
        for what, values, valid in (
            ("topology", self.topologies, TOPOLOGIES),
            ("ports", self.ports, PORTS),
            ("half_adders", self.half_adders, _HALF_ADDERS),
            ("final_adder", self.final_adders, _FINAL_ADDERS),
        ):
            for value in values:
                if value not in valid:
                    raise unknown_name(what, str(value), valid)
            self._distinct(what, values)
        self._distinct("cells", [entry.name for entry in self.cells])
        columns = self.columns
        if (
            not all(isinstance(band, int) and 0 <= band < columns for band in self.bands)
            or list(self.bands) != sorted(set(self.bands))
            or self.bands[:1] != (0,)
        ):
            raise DesignError(
                f"bands of space {self.name!r} must be ascending product columns from 0 to at most {columns - 1}, "
                f"the first one 0, but got {list(self.bands)}; correct the list."
            )

    def _distinct(self, what: str, values: Sequence[str]) -> None:
        if not values or len(set(values)) != len(values):
            raise DesignError(
                f"{what} of space {self.name!r} must be one or more distinct values, but got "
                f"{', '.join(values) or 'none'}; correct the list."
            )

    # Size and genomes.

    @property
    def columns(self) -> int:
        """Number of product columns, w + v."""
        return 2 * float_format(self.format).width

    @property
    def bounds(self) -> Genome:
        """The number of values of each gene."""
        leading = (self.topologies, self.ports, self.half_adders, self.final_adders)
        return (*map(len, leading), *[len(self.cells)] * len(self.bands))

    @property
    def size(self) -> int:
        """Number of genomes: an upper bound of the number of distinct designs."""
        return math.prod(self.bounds)

    def describe(self) -> str:
        """One line: what the space is made of and how large it is."""
        policies = f"{len(self.half_adders)} half-adder x {len(self.final_adders)} final-adder policies"
        return (
            f"{self.name}: {len(self.topologies)} topologies x {len(self.ports)} ports x {policies} x "
            f"{len(self.cells)} cells in each of {len(self.bands)} bands of {self.columns} columns = "
            f"{_count(self.size)} genomes"
        )

    def genomes(self) -> Iterator[Genome]:
        """Every genome, the last gene fastest."""
        for number in range(self.size):
            digits = []
            for bound in reversed(self.bounds):
                number, digit = divmod(number, bound)
                digits.append(digit)
            yield tuple(reversed(digits))

    def uniform(self) -> list[Genome]:
        """One array of each cell and topology, cells last in `cells` (the user's own) first, otherwise first values."""
        return [
            (topology, 0, 0, 0, *[number] * len(self.bands))
            for number in reversed(range(len(self.cells)))
            for topology in range(len(self.topologies))
        ]

    def decode(self, genome: Sequence[int]) -> Design:
        """The design that a genome names."""
        assert len(genome) == len(self.bounds)
        assert all(0 <= gene < bound for gene, bound in zip(genome, self.bounds, strict=True))
        topology, ports, half, final = genome[:_LEADING]
        chosen = [self.cells[gene] for gene in genome[_LEADING:]]
        ends = (*self.bands[1:], self.columns)
        placed = [entry for entry, low, high in zip(chosen, self.bands, ends, strict=True) for _ in range(low, high)]
        uniform = len({entry.name for entry in chosen}) == 1
        return Design(
            format=self.format,
            topology=self.topologies[topology],
            ports=self.ports[ports],
            half_adders=self.half_adders[half],
            final_adder=self.final_adders[final],
            placement=chosen[0] if uniform else Placement("columns", (tuple(placed),)),
        )

    def encode(self, design: Design) -> Genome:
        """A genome of `design`; DesignError when the space does not hold it. Names of designs are ignored."""
        placed = design.placement
        if placed.kind == "uniform":
            columns = [placed.cells[0][0]] * self.columns
        elif placed.kind == "columns":
            columns = list(placed.cells[0])
        else:
            columns = []
        try:
            genome = (
                self.topologies.index(design.topology),
                self.ports.index(design.ports),
                self.half_adders.index(design.half_adders),
                self.final_adders.index(design.final_adder),
                *(self.cells.index(columns[band]) for band in self.bands),
            )
        except (ValueError, IndexError):
            genome = ()
        if not genome or self.decode(genome).cost_digest != design.cost_digest:
            raise DesignError(
                f"a design must lie in space {self.name!r} to have a genome, but got {design.label}; "
                "choose another space."
            )
        return genome

    # Data in and out.

    def with_cells(self, extra: Mapping[str, AdderCell]) -> Space:
        """The space with user cells allowed as well, in every band; DesignError when another cell has the name."""
        return replace(self, cells=(*self.cells, *(entry for entry in extra.values() if entry not in self.cells)))

    def to_data(self) -> dict[str, Any]:
        """The space as nested lists, strings and numbers; cells with their tables and costs."""
        return {
            "name": self.name,
            "topologies": list(self.topologies),
            "ports": list(self.ports),
            "bands": list(self.bands),
            "cells": [[c.name, c.sum, c.carry, c.transistors, c.delay_ps, c.energy_fj, c.area_um2] for c in self.cells],
            "half_adders": list(self.half_adders),
            "final_adders": list(self.final_adders),
            "format": self.format,
        }

    @classmethod
    def load(cls, path: str | Path) -> Space:
        """A space from a TOML file: [space] with the fields, cells by name, and [cells.NAME] for cells of its own.

        Raises DesignError naming the file and what to correct.
        """
        document = read_toml(path)
        entries = document.get("space")
        if not isinstance(entries, dict) or document.keys() - {"space", "cells"}:
            raise DesignError(
                f"{path} must hold [space] and, for cells of its own, [cells.NAME], but got "
                f"{', '.join(document) or 'nothing'}; correct the headers."
            )
        own = cells_from_table(document.get("cells", {}), str(path))
        fields: dict[str, Any] = {"name": Path(path).stem}
        lists = ("topologies", "ports", "bands", "cells", "half_adders", "final_adders")
        for key, value in entries.items():
            if key not in (*lists, "name", "format"):
                raise DesignError(f"[space] in {path}: {unknown_name('field', key, (*lists, 'name', 'format'))}")
            kind = int if key == "bands" else str
            if key in lists and isinstance(value, list) and all(type(entry) is kind for entry in value):
                fields[key] = tuple(value)
            elif key not in lists and isinstance(value, str):
                fields[key] = value
            else:
                wanted = "a string" if key not in lists else "a list of " + ("integers" if kind is int else "strings")
                raise DesignError(f"{key} of [space] in {path} must be {wanted}, but got {value!r}; correct it.")
        try:
            names = fields.get("cells", ())
            space = cls(**{**fields, "cells": tuple(cell(name, own) for name in names)} if names else fields)
            return space.with_cells(own)
        except DesignError as error:
            raise type(error)(f"[space] in {path}: {error}") from None


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**7 else f"{number:.3g}"


SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "arrays": Space(
            name="arrays",
            # Rounding drops the lower half of the product, so one coarse cut suffices there.
            bands=(0, 16, 24, 28, 32, 36, 40, 44),
            cells=tuple(CELLS[name] for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")),
        ),
    }
)
"""The named spaces; "arrays" is the default of the search."""


def find_space(text: str) -> Space:
    """What a command line means: a named space, or the path of a TOML file (it ends in .toml)."""
    if text.endswith(".toml"):
        return Space.load(text)
    if text not in SPACES:
        raise unknown_name("space", text, SPACES)
    return SPACES[text]
