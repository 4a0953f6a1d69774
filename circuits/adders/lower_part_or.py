"""LOA, the lower-part OR adder (Mahdiani, Ahmadi, Fakhraie, Lucas, IEEE TCAS-I 57(4), 2010).

The sum's lowest bits are a OR b, without carries; the upper part is exact, and its carry in is the AND of the two
highest bits of the lower part.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.adders.adder_kinds import AdderKind
from circuits.netlists.block_options import IntegerOption, Options, always
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ZERO


def generate(logic: Logic, a: Sequence[int], b: Sequence[int], options: Options) -> list[int]:
    """a + b with `lower` approximate bits; an adder that is shorter consists of the lower part alone."""
    lower = min(options["lower"], len(a))
    low = [logic.either(left, right) for left, right in zip(a[:lower], b[:lower], strict=True)]
    carry = logic.both(a[lower - 1], b[lower - 1]) if lower else ZERO
    return low + logic.add(a[lower:], b[lower:], carry)


ADDER = AdderKind(
    generate,
    {"lower": IntegerOption("bits of the OR part", always(0), lambda n: n, lambda n: n // 2)},
    "Mahdiani, Ahmadi, Fakhraie, Lucas, IEEE TCAS-I 57(4), 2010",
)
