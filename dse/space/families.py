"""A family of multipliers with its options, and the members of a library: parts of a space.

family     format | a value for each option and field | a compressor for each band of product columns
members    one of them
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from circuits.cells.compressors import Compressor
from circuits.designs.design_record import Design
from circuits.errors import DesignError, unknown_name
from circuits.multipliers import find_topology
from circuits.multipliers.compressor_option import CompressorOption
from dse.space.number_formats import NumberFormat, number_format
from dse.space.parts import Genome, digits

__all__ = ["Family", "FamilyPart", "Members"]

_FIELDS = ("placement", "ports", "half_adders", "final_adder", "tile", "truncate_columns")
"""Fields of a Design that a family may have several values of."""
_EXCLUDED = object()
_MOST_COMBINATIONS = 5_000
"""Combinations of options that are tried when a space is read."""


@dataclass(frozen=True)
class Family:
    """`choices`: option of the family, or one of `_FIELDS` -> its values. `bands`: the lowest product column of each
    band that gets a compressor of its own, for the option that names compressors."""

    topology: str
    choices: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    bands: tuple[int, ...] = (0,)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the truth tables of compressors."""
        choices = {name: [_plain(value) for value in values] for name, values in self.choices}
        return {"topology": self.topology, "choices": choices, "bands": list(self.bands)}


def _plain(value: Any) -> Any:
    return [value.name, value.sum, value.carry, value.cout] if isinstance(value, Compressor) else value


@dataclass(frozen=True)
class FamilyPart:
    """A family in a space of that name and these formats. Raises DesignError where a genome would name no design."""

    space: str
    family: Family
    formats: tuple[str, ...]

    def __post_init__(self) -> None:
        topology, options = self.family.topology, find_topology(self.family.topology).options
        for name, values in self.family.choices:
            if name not in options and name not in _FIELDS:
                raise unknown_name(f"option of {topology!r}", name, (*options, *_FIELDS))
            if not values or any(value in values[:place] for place, value in enumerate(values)):
                raise DesignError(
                    f"{name} of {topology} in space {self.space!r} must be one or more distinct values, but got "
                    f"{', '.join(map(str, values)) or 'none'}; correct the list."
                )
        self._check_bands()
        self._check_combinations()

    def _check_bands(self) -> None:
        bands, highest = self.family.bands, min(sum(entry.shape) for entry in self._formats) - 1
        if (
            not all(type(band) is int and 0 <= band <= highest for band in bands)
            or list(bands) != sorted(set(bands))
            or tuple(bands[:1]) != (0,)
        ):
            raise DesignError(
                f"bands of {self.family.topology} in space {self.space!r} must be ascending product columns from 0 to "
                f"at most {highest}, the first one 0, but got {list(bands)}; correct the list."
            )
        if len(bands) > 1 and not self._banded:
            raise DesignError(
                f"bands of {self.family.topology} in space {self.space!r} are for compressors, but it has none to "
                "choose; leave bands out."
            )

    def _check_combinations(self) -> None:
        """Makes a design of each combination; of the bands' compressors, which are independent, uniform ones."""
        values = [self._formats, *(values for _, values in self.family.choices)]
        combinations = math.prod(map(len, values))
        if combinations > _MOST_COMBINATIONS:
            raise DesignError(
                f"{self.family.topology} in space {self.space!r} must have at most {_MOST_COMBINATIONS:,} combinations "
                f"of values, but has {combinations:,}; give fewer values, or several spaces."
            )
        for entry, *chosen in itertools.product(*values):
            try:
                self._make(entry, dict(zip((name for name, _ in self.family.choices), chosen, strict=True)))
            except DesignError as error:
                raise type(error)(f"space {self.space!r} holds a design that cannot be made: {error}") from None

    @cached_property
    def _formats(self) -> tuple[NumberFormat, ...]:
        return tuple(map(number_format, self.formats))

    @cached_property
    def _banded(self) -> str:
        """The option that takes a compressor a band, where the family's values of it are chosen; or empty."""
        options = find_topology(self.family.topology).options
        named = [name for name, _ in self.family.choices if isinstance(options.get(name), CompressorOption)]
        return named[0] if named else ""

    @cached_property
    def bounds(self) -> Genome:
        """See Part."""
        return tuple(bound for bound, repeated in self._groups for _ in range(repeated))

    @property
    def _groups(self) -> list[tuple[int, int]]:
        """(number of values, number of genes that have them) for the formats, if several, and each choice."""
        formats = [(len(self.formats), 1)] if len(self.formats) > 1 else []
        return formats + [
            (len(values), len(self.family.bands) if name == self._banded else 1) for name, values in self.family.choices
        ]

    def design(self, genes: Sequence[int]) -> Design:
        """See Part."""
        following = iter(genes)
        entry = self._formats[next(following) if len(self._formats) > 1 else 0]
        chosen = {}
        for name, values in self.family.choices:
            if name == self._banded and len(self.family.bands) > 1:
                picked = [values[next(following)] for _ in self.family.bands]
                ends = (*self.family.bands[1:], sum(entry.shape))
                lengths = [end - start for start, end in zip(self.family.bands, ends, strict=True)]
                chosen[name] = [value for value, n in zip(picked, lengths, strict=True) for _ in range(n)]
            else:
                chosen[name] = values[next(following)]
        return self._make(entry, chosen)

    def _make(self, entry: NumberFormat, chosen: dict[str, Any]) -> Design:
        options = {name: value for name, value in chosen.items() if name not in _FIELDS}
        others = {name: value for name, value in chosen.items() if name in _FIELDS}
        if others.get("tile") == 0:
            others["tile"] = None
        return Design(**entry.fields, topology=self.family.topology, options=options, **others)

    def genes(self, design: Design) -> Genome | None:
        """See Part."""
        if design.topology != self.family.topology or design.circuit is not None:
            return None
        try:
            number = [entry.holds(design) for entry in self._formats].index(True)
            genes = [number] if len(self._formats) > 1 else []
            for name, values in self.family.choices:
                if name == self._banded:
                    wanted = [design.options[name].at(band) for band in self.family.bands]
                else:
                    wanted = [_value(design, name)]
                made = [self._value_of(design, name, value) for value in values]
                genes += [made.index(each) for each in wanted]
        except ValueError:  # a value that the family does not have here; DesignError is one
            return None
        return tuple(genes)

    def _value_of(self, design: Design, name: str, value: Any) -> Any:
        """What `value` of an option or field means in a design like this one; `_EXCLUDED` where it does not fit."""
        own = {"name": None, **({name: value} if name in _FIELDS else {"options": {**design.options, name: value}})}
        if name == "tile" and value == 0:
            own["tile"] = None
        try:
            found = _value(replace(design, **own), name)
        except DesignError:
            return _EXCLUDED
        return found.at(0) if name == self._banded else found

    def uniform(self) -> list[Genome]:
        """One design for each value of the choice that has most, in all bands; every other gene is the first."""
        groups = self._groups
        longest = max(range(len(groups)), key=lambda place: groups[place][0], default=0)
        return [
            tuple(
                value if place == longest else 0 for place, (_, repeated) in enumerate(groups) for _ in range(repeated)
            )
            for value in range(groups[longest][0] if groups else 1)
        ]

    def describe(self) -> str:
        """See Part."""
        counts = [
            f"{len(values)} {name}" + (f" in each of {len(self.family.bands)} bands" if self._bands_of(name) else "")
            for name, values in self.family.choices
        ]
        formats = [f"{len(self.formats)} formats"] if len(self.formats) > 1 else []
        return " x ".join([self.family.topology, *counts, *formats])

    def _bands_of(self, name: str) -> bool:
        return name == self._banded and len(self.family.bands) > 1


def _value(design: Design, name: str) -> Any:
    return getattr(design, name) if name in _FIELDS else design.options[name]


@dataclass(frozen=True)
class Members:
    """Designs that stand for themselves."""

    designs: tuple[Design, ...]

    @property
    def bounds(self) -> Genome:
        """See Part."""
        return (len(self.designs),)

    def design(self, genes: Sequence[int]) -> Design:
        """See Part."""
        return self.designs[genes[0]]

    def genes(self, design: Design) -> Genome | None:
        """See Part."""
        place = self._places.get(design.cost_digest)
        return None if place is None else (place,)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {design.cost_digest: place for place, design in enumerate(self.designs)}

    def uniform(self) -> list[Genome]:
        """See Part."""
        return [digits(place, self.bounds) for place in range(len(self.designs))]

    def describe(self) -> str:
        """See Part."""
        return f"{len(self.designs)} designs of a library"
