"""ETA-II, the error-tolerant adder type II (Zhu, Goh, Yeo, ISIC 2009).

The operands are cut into segments. The carry into a segment is what the segment below generates by itself, without a
carry into it, so that carries run over two segments at most:

    segment     3          2          1          0
    sum       [add] <-c  [add] <-c  [add] <-c  [add]       each c from a carry generator of its own
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.adders.adder_kinds import AdderKind
from circuits.netlists.block_options import IntegerOption, Options, always
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ZERO


def generate(logic: Logic, a: Sequence[int], b: Sequence[int], options: Options) -> list[int]:
    """a + b in segments of `segment` bits from the lowest bit on; the highest one may be shorter. The sum's last bit is
    the carry out of the highest segment."""
    size = options["segment"]
    total: list[int] = []
    carry = out = ZERO
    for start in range(0, len(a), size):
        left, right = a[start : start + size], b[start : start + size]
        *bits, out = logic.add(left, right, carry)
        total += bits
        carry = _generated(logic, left, right)
    return [*total, out]


def _generated(logic: Logic, a: Sequence[int], b: Sequence[int]) -> int:
    """The carry out of a segment without a carry into it: g + p (carry from below), bit by bit."""
    carry = ZERO
    for left, right in zip(a, b, strict=True):
        carry = logic.either(logic.both(left, right), logic.both(logic.either(left, right), carry))
    return carry


ADDER = AdderKind(
    generate,
    {"segment": IntegerOption("bits of a segment", always(1), lambda n: n, lambda n: max(n // 4, 1))},
    "Zhu, Goh, Yeo, ISIC 2009, ETAII",
)
