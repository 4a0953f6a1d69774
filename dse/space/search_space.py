"""Search spaces: heterogeneous arrays as plain data, and the integer genomes that name their designs.

A genome is a tuple of integers, one for each gene, each below the gene's bound:

    topology | ports | half adders | final adder | cell of place 0 ... cell of place P - 1 | format

The format is a gene only where the space has several. A place is a band of product columns or of rows, a tile, or a
single position of the array. Where the space has layers, the genes of all layers follow one another. Different genomes
can name the same design (a ripple array has no final adder, say): designs are told apart by `cost_digest`, not by
genome.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from circuits.cells.adder_cells import CELLS, AdderCell, cell, cells_from_table
from circuits.designs.design_record import Design
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.floats.arithmetic import float_format
from circuits.multipliers import PORTS, TOPOLOGIES
from circuits.support.documents import read_toml
from circuits.support.text import check_name
from dse.space.granularity import GRANULARITIES, Granularity
from dse.space.per_layer import Candidate, LayerDesigns

__all__ = ["SPACES", "Genome", "Space", "find_space"]

Genome = tuple[int, ...]
_HALF_ADDERS = ("cell", "exact")
_FINAL_ADDERS = ("exact", "cell")
_LEADING = 4
"""Number of genes before those of the places."""
_LISTS = ("topologies", "ports", "bands", "cells", "half_adders", "final_adders", "formats")
_STRINGS = ("name", "granularity")
_NUMBERS = ("tile",)
_TABLES = ("layers",)


@dataclass(frozen=True, kw_only=True)
class Space:
    """A set of arrays of full-adder cells, chosen place by place.

    - `topologies`, `ports`, `half_adders`, `final_adders`: the allowed values of those fields of a Design.
    - `granularity`: what a place is. "columns": a band of product columns. "rows": a band of rows of the array, by bit
      of the first operand, the final adder's row w included. "tiles": a tile (needs `tile`). "cells": every single
      position of the array, rows 1 to w (row w is the final adder).
    - `bands`: for columns and rows, the lowest of each band, ascending from 0; the last band reaches to the highest.
    - `cells`: the cells that a place may hold, with distinct names.
    - `tile`: the designs' tile size in bits; None for untiled ones.
    - `formats`: the float formats, which give the widths (24 x 24 and 48 product columns for float32); bands and tiles
      must fit the narrowest, cells one width only. Every design of the space truncates.
    - `layers`: (layer name, products an image) of the network's layers that get a design each; none for one design for
      all. The products weigh errors and energies (`dse.score.scorers.layer_scores`).

    Raises DesignError (UnknownNameError for an unknown name) when a field is empty, repeats itself or is malformed.
    """

    name: str
    topologies: tuple[str, ...] = ("ripple_array", "carry_save_array")
    ports: tuple[str, ...] = PORTS
    granularity: str = "columns"
    bands: tuple[int, ...] = (0,)
    cells: tuple[AdderCell, ...] = (CELLS["exact"],)
    half_adders: tuple[str, ...] = _HALF_ADDERS
    final_adders: tuple[str, ...] = _FINAL_ADDERS
    tile: int | None = None
    formats: tuple[str, ...] = ("float32",)
    layers: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        check_name("a space", self.name)
        for layer, _ in self.layers:
            check_name("a layer", layer)
        if self.granularity not in GRANULARITIES:
            raise unknown_name("granularity", self.granularity, GRANULARITIES)
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
        self._distinct("formats", self.formats)
        if self.layers:
            self._distinct("layers", [layer for layer, _ in self.layers])
            for layer, products in self.layers:
                if type(products) is not int or products < 1:
                    raise DesignError(
                        f"layers of space {self.name!r} must have a positive number of products an image, but got "
                        f"{layer} = {products!r}; correct it."
                    )
        widths = {float_format(name).width for name in self.formats}
        if self._granularity.one_width and len(widths) > 1:
            raise DesignError(
                f"formats of space {self.name!r} must have one width where places are {self.granularity}, but got "
                f"{', '.join(self.formats)}; make a space of each."
            )
        if self.tile is not None and not (type(self.tile) is int and 1 <= self.tile <= self.width):
            raise DesignError(
                f"1 <= tile <= {self.width} must hold in space {self.name!r}, but got {self.tile!r}; correct it."
            )
        self._granularity.check(self.name, self.width, self.tile, self.bands)

    def _distinct(self, what: str, values: Sequence[str]) -> None:
        if not values or len(set(values)) != len(values):
            raise DesignError(
                f"{what} of space {self.name!r} must be one or more distinct values, but got "
                f"{', '.join(values) or 'none'}; correct the list."
            )

    # Size and genomes.

    @property
    def width(self) -> int:
        """Number of mantissa bits, the hidden one included, of the narrowest format."""
        return min(float_format(name).width for name in self.formats)

    @property
    def places(self) -> int:
        """Number of places, each of which holds one of `cells`."""
        return self._kind.count_choices((self.width, self.width), self.tile, self.bands)

    @property
    def _granularity(self) -> Granularity:
        return GRANULARITIES[self.granularity]

    @property
    def _kind(self) -> type[Placement]:
        """The kind of placement that the designs have."""
        return self._granularity.kind

    @property
    def bounds(self) -> Genome:
        """The number of values of each gene."""
        return self._own_bounds * max(1, len(self.layers))

    @property
    def _own_bounds(self) -> Genome:
        """`bounds` of the genes of one layer."""
        leading = (self.topologies, self.ports, self.half_adders, self.final_adders)
        formats = (len(self.formats),) if len(self.formats) > 1 else ()
        return (*map(len, leading), *[len(self.cells)] * self.places, *formats)

    @property
    def size(self) -> int:
        """Number of genomes, an upper bound on the number of distinct designs."""
        return math.prod(self.bounds)

    @property
    def size_text(self) -> str:
        """`size` as text: in full below ten million."""
        # A space of single positions can be larger than the largest float, 1.8e308.
        size = self.size
        return f"{size:,}" if size < 10**7 else f"{size if size < 10**300 else Decimal(size):.3g}"

    def describe(self) -> str:
        """What the space is made of and how large it is, in one line."""
        policies = f"{len(self.half_adders)} half-adder x {len(self.final_adders)} final-adder policies"
        where = self._granularity.describe(self.width, self.tile)
        tiled = f", tiles of {self.tile} bits" if self.tile is not None and not self._granularity.needs_tile else ""
        formats = f" x {len(self.formats)} formats" if len(self.formats) > 1 else ""
        layers = f", for each of layers {', '.join(name for name, _ in self.layers)}" if self.layers else ""
        return (
            f"{self.name}: {len(self.topologies)} topologies x {len(self.ports)} ports x {policies} x "
            f"{len(self.cells)} cells in each of {self.places} {where}{tiled}{formats}{layers} = "
            f"{self.size_text} genomes"
        )

    def genomes(self) -> Iterator[Genome]:
        """Yields every genome; the last gene changes fastest."""
        for number in range(self.size):
            digits = []
            for bound in reversed(self.bounds):
                number, digit = divmod(number, bound)
                digits.append(digit)
            yield tuple(reversed(digits))

    def sample(self, seed: int, count: int) -> Iterator[Genome]:
        """Yields `count` genomes drawn from `seed`, all equally likely; some may be equal."""
        generator = np.random.default_rng([seed, 2])  # nsga2 draws its own from [seed, 1]
        for _ in range(count):
            yield tuple(map(int, generator.integers(0, self.bounds)))

    def uniform(self) -> list[Genome]:
        """One uniform array for each cell and topology, with the first value of every other gene.

        The cells last in `cells`, which are the user's own, come first.
        """
        formats = (0,) if len(self.formats) > 1 else ()
        return [
            (topology, 0, 0, 0, *[number] * self.places, *formats) * max(1, len(self.layers))
            for number in reversed(range(len(self.cells)))
            for topology in range(len(self.topologies))
        ]

    def decode(self, genome: Sequence[int]) -> Candidate:
        """The design that a genome names; with `layers`, the designs of all layers."""
        assert len(genome) == len(self.bounds)
        if not self.layers:
            return self.array(genome)
        count = len(self._own_bounds)
        return LayerDesigns(
            tuple(
                (layer, products, self.array(genome[count * k : count * (k + 1)]))
                for k, (layer, products) in enumerate(self.layers)
            )
        )

    def array(self, genome: Sequence[int]) -> Design:
        """The design that the genes of one layer name."""
        assert all(0 <= gene < bound for gene, bound in zip(genome, self._own_bounds, strict=True))
        topology, ports, half, final = genome[:_LEADING]
        fmt = self.formats[genome[-1] if len(self.formats) > 1 else 0]
        chosen = [self.cells[gene] for gene in genome[_LEADING : _LEADING + self.places]]
        return Design(
            format=fmt,
            topology=self.topologies[topology],
            ports=self.ports[ports],
            half_adders=self.half_adders[half],
            final_adder=self.final_adders[final],
            tile=self.tile,
            placement=self._placement(chosen, float_format(fmt).width),
        )

    def _placement(self, chosen: Sequence[AdderCell], width: int) -> Any:
        if len({entry.name for entry in chosen}) == 1:
            return chosen[0]
        return self._kind.from_choices(chosen, (width, width), self.tile, self.bands)

    def encode(self, candidate: Candidate) -> Genome:
        """A genome that names the design; DesignError when the space does not hold it. Names of designs are ignored."""
        layers = candidate.layers if isinstance(candidate, LayerDesigns) else (("", 0, candidate),)
        genome = [gene for _, _, design in layers for gene in self._genes(design)]
        inside = len(genome) == len(self.bounds)
        if not inside or self.decode(genome).cost_digest != candidate.cost_digest:
            raise DesignError(
                f"a design must lie in space {self.name!r} to have a genome, but got {candidate.label}; "
                "choose another space."
            )
        return tuple(genome)

    def _genes(self, design: Design) -> Genome:
        """The genes that name the fields of `design`; none where the space does not have its values."""
        placed = design.placement
        try:
            width = design.shape[0]
            chosen = self._kind.choices_of(placed, (width, width), self.tile, self.bands)
            if chosen is None:
                return ()
            return (
                self.topologies.index(design.topology),
                self.ports.index(design.ports),
                self.half_adders.index(design.half_adders),
                self.final_adders.index(design.final_adder),
                *(self.cells.index(entry) for entry in chosen),
                *((self.formats.index(design.format or ""),) if len(self.formats) > 1 else ()),
            )
        except (ValueError, IndexError):
            return ()

    # Data in and out.

    def with_cells(self, extra: Mapping[str, AdderCell]) -> Space:
        """The space with the cells `extra` allowed as well, in every place; DesignError for a name that is taken."""
        return replace(self, cells=(*self.cells, *(entry for entry in extra.values() if entry not in self.cells)))

    def to_data(self) -> dict[str, Any]:
        """The space as nested lists, strings and numbers; cells with their tables and costs.

        It identifies runs in stores. Fields that earlier versions did not have are therefore left out where they have
        the value that those versions implied.
        """
        data: dict[str, Any] = {
            "name": self.name,
            "topologies": list(self.topologies),
            "ports": list(self.ports),
            "bands": list(self.bands),
            "cells": [[c.name, c.sum, c.carry, c.transistors, c.delay_ps, c.energy_fj, c.area_um2] for c in self.cells],
            "half_adders": list(self.half_adders),
            "final_adders": list(self.final_adders),
            "format": self.formats[0] if len(self.formats) == 1 else list(self.formats),
        }
        if self.granularity != "columns":
            data["granularity"] = self.granularity
        if self.tile is not None:
            data["tile"] = self.tile
        if self.layers:
            data["layers"] = [list(layer) for layer in self.layers]
        return data

    @classmethod
    def load(cls, path: str | Path) -> Space:
        """Reads a TOML file: [space] with the fields, its cells by name, and [cells.NAME] for cells of its own.

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
        for key, value in entries.items():
            if key not in (known := (*_LISTS, *_STRINGS, *_NUMBERS, *_TABLES)):
                raise DesignError(f"[space] in {path}: {unknown_name('field', key, known)}")
            kind = int if key == "bands" else str
            if key in _LISTS and isinstance(value, list) and all(type(entry) is kind for entry in value):
                fields[key] = tuple(value)
            elif (key in _STRINGS and isinstance(value, str)) or (key in _NUMBERS and type(value) is int):
                fields[key] = value
            elif key in _TABLES and isinstance(value, dict):
                fields[key] = tuple(value.items())
            else:
                wanted = "a list of integers" if kind is int else "a list of strings" if key in _LISTS else "a string"
                wanted = {"tile": "an integer", "layers": "a table of products an image"}.get(key, wanted)
                raise DesignError(f"{key} of [space] in {path} must be {wanted}, but got {value!r}; correct it.")
        try:
            names = fields.get("cells", ())
            space = cls(**{**fields, "cells": tuple(cell(name, own) for name in names)} if names else fields)
            return space.with_cells(own)
        except DesignError as error:
            raise type(error)(f"[space] in {path}: {error}") from None


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
    """The space that a command line names: a named space, or a TOML file (the text ends in .toml)."""
    if text.endswith(".toml"):
        return Space.load(text)
    if text not in SPACES:
        raise unknown_name("space", text, SPACES)
    return SPACES[text]
