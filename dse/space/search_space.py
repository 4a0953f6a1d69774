"""Search spaces as plain data, and the integer genomes that name their designs.

A genome is a tuple of integers, one for each gene, each below the gene's bound. A space is made of parts: arrays of
full-adder cells (`dse.space.arrays`), families with options, and members of a library (`dse.space.families`). With one
part, its genes are the genome; with several, the first gene names the part, and the genes of all parts follow, of which
those of the other parts say nothing:

    part | genes of the arrays | genes of each family | member

Where each layer of a network has a design of its own, the genes of all layers follow one another. Different genomes can
name the same design (a ripple array has no final adder, say): designs are told apart by `cost_digest`, not by genome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.designs.design_record import Design
from circuits.designs.named_designs import design
from circuits.errors import DesignError, unknown_name
from circuits.multipliers import PORTS
from circuits.support.lazy import LazyMapping
from circuits.support.text import check_name
from dse.space.arrays import FINAL_ADDERS, HALF_ADDERS, Arrays
from dse.space.families import Family, FamilyPart, Members
from dse.space.number_formats import number_format
from dse.space.parts import Genome, Part, digits, require_distinct, size
from dse.space.per_layer import Candidate, LayerDesigns
from dse.space.space_files import space_fields

__all__ = ["ARRAYS", "REFERENCES", "SPACES", "Genome", "Space", "find_space"]

REFERENCES = ("exact", "heap", "axfpm", "axfpm_tiled", "bfloat16")
"""The named designs that a search of float designs scores and marks, unless it is given others."""
_DESIGNS = ("each", "one")
_OPERANDS = ("uniform", "layers")
_LISTED = 6
"""Layers that a description names one by one."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A set of multipliers: arrays of full-adder cells chosen place by place, families with options, library members.

    Arrays (none where `topologies` is empty):

    - `topologies`, `ports`, `half_adders`, `final_adders`: the allowed values of those fields of a Design.
    - `granularity`: what a place is. "columns": a band of product columns. "rows": a band of rows of the array, by bit
      of the first operand, the final adder's row w included. "tiles": a tile (needs `tile`). "cells": every single
      position of the array, rows 1 to w (row w is the final adder).
    - `bands`: for columns and rows, the lowest of each band, ascending from 0; the last band reaches to the highest.
    - `cells`: the cells that a place may hold, with distinct names.
    - `tile`: the designs' tile size in bits, or several, 0 for untiled; None for untiled ones.
    - `truncate_columns`: how many of the lowest product columns may be left out.

    All designs:

    - `formats`: float formats, and integers as "int8", "uint8", "int8x4" (`dse.space.number_formats`), which give the
      widths (24 x 24 and 48 product columns for float32); bands and tiles must fit the narrowest, cells one width only.
      Every design of the space truncates.
    - `families`: families of approximate multipliers with the values of their options.
    - `library`: designs that stand for themselves (`dse.space.library_members`).

    The network:

    - `layers`: (layer name, products an image) of the network's layers that get a design each; none for one design for
      all. The products weigh errors and energies (`dse.score.scorers.layer_scores`).
    - `network_layers`: in their place "conv", "linear", "all" or names: a search reads the layers and their products
      from its network. `designs`: "each" layer has a design of its own, or "one" design serves all of them.
    - `operands`: "layers" measures errors also on the operands that the network's layers see.

    Raises DesignError (UnknownNameError for an unknown name) when a field is empty, repeats itself or is malformed, and
    where a genome would name no design.
    """

    name: str
    topologies: tuple[str, ...] = ("ripple_array", "carry_save_array")
    ports: tuple[str, ...] = PORTS
    granularity: str = "columns"
    bands: tuple[int, ...] = (0,)
    cells: tuple[AdderCell, ...] = (CELLS["exact"],)
    half_adders: tuple[str, ...] = HALF_ADDERS
    final_adders: tuple[str, ...] = FINAL_ADDERS
    tile: int | tuple[int, ...] | None = None
    formats: tuple[str, ...] = ("float32",)
    layers: tuple[tuple[str, int], ...] = ()
    truncate_columns: tuple[int, ...] = (0,)
    families: tuple[Family, ...] = ()
    library: tuple[Design, ...] = ()
    network_layers: tuple[str, ...] = ()
    designs: str = _DESIGNS[0]
    operands: str = _OPERANDS[0]

    def __post_init__(self) -> None:
        check_name("a space", self.name)
        for layer in (*(name for name, _ in self.layers), *self.network_layers):
            check_name("a layer", layer)
        require_distinct(self.name, "formats", self.formats)
        if self.layers:
            require_distinct(self.name, "layers", [layer for layer, _ in self.layers])
            for layer, products in self.layers:
                if type(products) is not int or products < 1:
                    raise DesignError(
                        f"layers of space {self.name!r} must have a positive number of products an image, but got "
                        f"{layer} = {products!r}; correct it."
                    )
        if self.network_layers:
            require_distinct(self.name, "layers", self.network_layers)
        for what, value, valid in (("designs", self.designs, _DESIGNS), ("operands", self.operands, _OPERANDS)):
            if value not in valid:
                raise unknown_name(f"choice of {what}", value, valid)
        self._check_formats()
        if not self.parts:
            raise DesignError(
                f"space {self.name!r} must have topologies, families or a library, but has none; add one."
            )

    def _check_formats(self) -> None:
        integers = [name for name in self.formats if number_format(name).float_name is None]
        each_layer = self.layers or (self.network_layers and self.designs == "each")
        if each_layer and integers and len(self.formats) > 1:
            raise DesignError(
                f"formats of space {self.name!r} must be one where each layer has a design, since the network has one "
                f"kind of codes, but got {', '.join(self.formats)}; make a space of each."
            )

    # Parts, size and genomes.

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The kinds of designs that the space holds."""
        arrays = (self._arrays,) if self.topologies else ()
        families = (FamilyPart(self.name, family, self.formats) for family in self.families)
        members = (Members(self.library),) if self.library else ()
        return (*arrays, *families, *members)

    @cached_property
    def _arrays(self) -> Arrays:
        tiles = self.tile if isinstance(self.tile, tuple) else (self.tile,)
        return Arrays(
            name=self.name,
            topologies=self.topologies,
            ports=self.ports,
            granularity=self.granularity,
            bands=self.bands,
            cells=self.cells,
            half_adders=self.half_adders,
            final_adders=self.final_adders,
            tiles=tuple(None if tile == 0 and isinstance(self.tile, tuple) else tile for tile in tiles),
            truncate_columns=self.truncate_columns,
            formats=self.formats,
        )

    @cached_property
    def bounds(self) -> Genome:
        """The number of values of each gene."""
        return self._own_bounds * max(1, len(self.layers))

    @cached_property
    def _own_bounds(self) -> Genome:
        """`bounds` of the genes of one layer."""
        first = (len(self.parts),) if len(self.parts) > 1 else ()
        return (*first, *(bound for part in self.parts for bound in part.bounds))

    @property
    def size(self) -> int:
        """Number of genomes that differ in genes that say something: an upper bound on the number of designs."""
        return int(self._own_size ** max(1, len(self.layers)))

    @cached_property
    def _own_size(self) -> int:
        return sum(map(size, self.parts))

    @property
    def size_text(self) -> str:
        """`size` as text: in full below ten million."""
        # A space of single positions can be larger than the largest float, 1.8e308.
        size = self.size
        return f"{size:,}" if size < 10**7 else f"{size if size < 10**300 else Decimal(size):.3g}"

    def describe(self) -> str:
        """What the space is made of and how large it is, in one line."""
        names = [name for name, _ in self.layers] or self.network_layers
        listed = ", ".join(names) if len(names) <= _LISTED else f"{names[0]} ... {names[-1]} ({len(names)})"
        each = "each of " if self.designs == "each" else ""
        layers = f", for {each}layers {listed}" if names else ""
        parts = " + ".join(part.describe() for part in self.parts)
        return f"{self.name}: {parts}{layers} = {self.size_text} genomes"

    def genomes(self) -> Iterator[Genome]:
        """Yields every genome, genes that say nothing being 0; the last gene changes fastest."""
        layers = max(1, len(self.layers))
        for number in range(self.size):
            yield tuple(gene for own in digits(number, [self._own_size] * layers) for gene in self._own_genome(own))

    def _own_genome(self, number: int) -> Genome:
        """Genome `number` of one layer, part by part."""
        for place, part in enumerate(self.parts):
            if number < size(part):
                return self._placed(place, digits(number, part.bounds))
            number -= size(part)
        raise AssertionError

    def _placed(self, place: int, genes: Genome) -> Genome:
        """The genes of part number `place` as a genome of one layer."""
        if len(self.parts) == 1:
            return genes
        own = (genes if at == place else (0,) * len(part.bounds) for at, part in enumerate(self.parts))
        return (place, *(gene for each in own for gene in each))

    def sample(self, seed: int, count: int) -> Iterator[Genome]:
        """Yields `count` genomes drawn from `seed`, all equally likely; some may be equal."""
        generator = np.random.default_rng([seed, 2])  # nsga2 draws its own from [seed, 1]
        for _ in range(count):
            yield tuple(map(int, generator.integers(0, self.bounds)))

    def uniform(self) -> list[Genome]:
        """Genomes that span the space's extremes, with one design in all layers: uniform arrays of each cell and
        topology, a design for each value of a family's option, every member of the library."""
        return [genes * max(1, len(self.layers)) for genes in self.own_uniform()]

    def own_uniform(self) -> list[Genome]:
        """`uniform` as the genes of one layer, which `array` takes."""
        return [self._placed(place, genes) for place, part in enumerate(self.parts) for genes in part.uniform()]

    def seeds(self, most: int) -> list[tuple[Genome, ...]]:
        """Groups of genomes that show the sensitivity of each layer, at most `most` genomes in all.

        A group: the exact design in all layers, then for each layer one of `uniform` in it alone. None without layers,
        or where the space holds no exact design.
        """
        layers = len(self.layers)
        if layers < 2:
            return []
        own = len(self._own_bounds)
        try:
            base = self.encode(self.examples[0])
        except DesignError:
            return []
        designs = [genome[:own] for genome in self.uniform() if genome[:own] != base[:own]]
        groups = []
        for genes in designs[: most // (layers + 1)]:
            single = [(*base[: k * own], *genes, *base[(k + 1) * own :]) for k in range(layers)]
            groups.append((base, *single))
        return groups

    @cached_property
    def gene_places(self) -> tuple[tuple[float, float] | None, ...]:
        """(row, column) in the array of what each gene places there, None for other genes.

        Neighbours have similar effects. The arrays of different layers lie far apart.
        """
        own: list[tuple[float, float] | None] = [None] * len(self._own_bounds)
        first = 1 if len(self.parts) > 1 else 0
        for part in self.parts:
            if isinstance(part, Arrays):
                own[first : first + len(part.bounds)] = part.gene_places
            first += len(part.bounds)
        far = 1000.0
        return tuple(
            None if place is None else (place[0] + far * layer, place[1] + far * layer)
            for layer in range(max(1, len(self.layers)))
            for place in own
        )

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
        if len(self.parts) == 1:
            return self.parts[0].design(genome)
        first = 1 + sum(len(part.bounds) for part in self.parts[: genome[0]])
        part = self.parts[genome[0]]
        return part.design(genome[first : first + len(part.bounds)])

    def encode(self, candidate: Candidate) -> Genome:
        """A genome that names the design; DesignError when the space does not hold it. Names of designs are ignored."""
        layers = candidate.layers if isinstance(candidate, LayerDesigns) else (("", 0, candidate),)
        by_layer = [self._genes(design) for _, _, design in layers]
        genome = [gene for genes in by_layer if genes is not None for gene in genes]
        inside = None not in by_layer and len(genome) == len(self.bounds)
        if not inside or self.decode(genome).cost_digest != candidate.cost_digest:
            raise DesignError(
                f"a design must lie in space {self.name!r} to have a genome, but got {candidate.label}; "
                "choose another space."
            )
        return tuple(genome)

    def _genes(self, design: Design) -> Genome | None:
        """The genes of one layer that name `design`; None where the space does not hold it."""
        for place, part in enumerate(self.parts):
            genes = part.genes(design)
            if genes is not None and part.design(genes).cost_digest == design.cost_digest:
                return self._placed(place, genes)
        return None

    # What a search asks beyond designs.

    @property
    def is_integer(self) -> bool:
        """Whether all designs are integer multipliers."""
        return all(number_format(name).float_name is None for name in self.formats)

    @property
    def references(self) -> tuple[Design, ...]:
        """The designs that a search marks: named float designs, and the exact multiplier of each integer format."""
        integers = [number_format(name) for name in self.formats if number_format(name).float_name is None]
        floats = () if len(integers) == len(self.formats) else tuple(map(design, REFERENCES))
        return (*floats, *(entry.exact for entry in integers))

    @property
    def examples(self) -> tuple[Candidate, ...]:
        """An exact design of each format, in each of the layers: where these fit a network, all designs do."""
        exact = [number_format(name).exact for name in self.formats]
        if not self.layers:
            return tuple(exact)
        return tuple(LayerDesigns(tuple((layer, products, each) for layer, products in self.layers)) for each in exact)

    def of_layers(self, layers: Sequence[tuple[str, int]]) -> Space:
        """The space with the (layer, products an image) that its `network_layers` stand for."""
        return replace(self, network_layers=(), layers=tuple(layers) if self.designs == "each" else ())

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
            data["tile"] = list(self.tile) if isinstance(self.tile, tuple) else self.tile
        if self.layers:
            data["layers"] = [list(layer) for layer in self.layers]
        if self.truncate_columns != (0,):
            data["truncate_columns"] = list(self.truncate_columns)
        if self.families:
            data["families"] = [family.to_data() for family in self.families]
        if self.library:
            data["library"] = [[each.label, each.cost_digest] for each in self.library]
        if self.network_layers:
            data["network_layers"] = list(self.network_layers)
        for name in ("designs", "operands"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                data[name] = getattr(self, name)
        return data

    @classmethod
    def load(cls, path: str | Path) -> Space:
        """Reads a TOML file; see `dse.space.space_files`. Raises DesignError naming the file and what to correct."""
        fields, own_cells = space_fields(path)
        try:
            return cls(**fields).with_cells(own_cells)
        except DesignError as error:
            raise type(error)(f"[space] in {path}: {error}") from None


ARRAYS = Space(
    name="arrays",
    # Rounding drops the lower half of the product, so one coarse cut suffices there.
    bands=(0, 16, 24, 28, 32, 36, 40, 44),
    cells=tuple(CELLS[name] for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")),
)
"""The default space: float32 mantissa arrays of six cells in eight bands of product columns."""

SPACES: Mapping[str, Space] = LazyMapping(
    {
        "arrays": "dse.space.search_space:ARRAYS",
        "library": "dse.space.library_spaces:LIBRARY_MEMBERS",
        "library_by_layer": "dse.space.library_spaces:LIBRARY_BY_LAYER",
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
