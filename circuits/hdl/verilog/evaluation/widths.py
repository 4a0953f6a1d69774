"""Widths and signedness of expressions, by IEEE 1364-2005, 5.4 and 5.5.

Every expression has a width and a sign of its own, from its operands alone. Where it stands in a wider context, its
context-determined operands are extended to the context's width before they are evaluated, with their sign only where
the whole context is signed.
"""

from __future__ import annotations

from typing import NamedTuple

BITWISE = frozenset("& | ^ ~^".split())  # noqa: SIM905
COMPARISONS = frozenset("== != === !== < <= > >=".split())  # noqa: SIM905
LOGICAL = frozenset("&& ||".split())  # noqa: SIM905
SHIFTS = frozenset("<< >> <<< >>>".split())  # noqa: SIM905
REDUCTIONS = frozenset("& | ^ ~& ~| ~^ !".split())  # noqa: SIM905
UNSIZED = 32
"""Width of an unsized number."""


class Size(NamedTuple):
    """Width in bits, and whether the bits are two's complement."""

    width: int
    signed: bool


ONE_BIT = Size(1, False)


def joined(sizes: list[Size]) -> Size:
    """Of operands in one context: the widest, signed only where all are."""
    return Size(max(size.width for size in sizes), all(size.signed for size in sizes))
