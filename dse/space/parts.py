"""What a part of a space is: genes that name designs of one kind (arrays, a family, members of a library)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from circuits.designs.design_record import Design
from circuits.errors import DesignError

__all__ = ["Genome", "Part", "digits", "require_distinct", "size"]

Genome = tuple[int, ...]
"""Integers, one for each gene, each below the gene's bound."""


class Part(Protocol):
    """One kind of designs."""

    @property
    def bounds(self) -> Genome:
        """The number of values of each gene."""

    def design(self, genes: Sequence[int]) -> Design:
        """The design that the genes name."""

    def genes(self, design: Design) -> Genome:
        """The genes that name the design, as far as can be told from its fields; none where there are none."""

    def uniform(self) -> list[Genome]:
        """Genes of designs that span the part's extremes."""

    def describe(self) -> str:
        """What the part is made of, in a line without a number of genomes."""


def digits(number: int, bounds: Sequence[int]) -> Genome:
    """The digits of `number` in the mixed radix of `bounds`; the last one is the least significant."""
    found = []
    for bound in reversed(bounds):
        number, digit = divmod(number, bound)
        found.append(digit)
    return tuple(reversed(found))


def size(part: Part) -> int:
    """Number of genomes of a part."""
    return math.prod(part.bounds)


def require_distinct(space: str, what: str, values: Sequence[str]) -> None:
    """Raises DesignError unless `values` of the space of that name are one or more distinct ones."""
    if not values or len(set(values)) != len(values):
        raise DesignError(
            f"{what} of space {space!r} must be one or more distinct values, but got "
            f"{', '.join(values) or 'none'}; correct the list."
        )
