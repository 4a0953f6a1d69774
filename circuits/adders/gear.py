"""GeAr, the generic accuracy-configurable adder (Shafique, Ahmad, Hafiz, Henkel, DAC 2015), without its correction.

Sub-adders of r + p bits overlap: each begins r bits above the one below, without a carry in, predicts its carry from
its p lowest bits, and gives r bits of the sum; the first one gives all of its bits. With N bits there are
ceil((N - r - p) / r) + 1 sub-adders, the highest of which may be shorter.

    r = 2, p = 2, N = 8        . . . . . . . .
                               s s|p p                       sub-adder 2
                                   s s|p p                   sub-adder 1
                                       s s s s               sub-adder 0
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.adders.adder_kinds import AdderKind
from circuits.netlists.block_options import IntegerOption, Options, always
from circuits.netlists.logic import Logic


def generate(logic: Logic, a: Sequence[int], b: Sequence[int], options: Options) -> list[int]:
    """a + b by sub-adders of `r` result and `p` prediction bits; the sum's last bit is the highest one's carry out."""
    r, length = options["r"], options["r"] + options["p"]
    total = logic.add(a[:length], b[:length])
    start = r
    while len(total) - 1 < len(a):
        part = logic.add(a[start : start + length], b[start : start + length])
        # The carry out of the part below is not part of the sum.
        total = [*total[:-1], *part[options["p"] :]]
        start += r
    return total


ADDER = AdderKind(
    generate,
    {
        "r": IntegerOption("result bits of a sub-adder", always(1), lambda n: n, lambda n: max(n // 4, 1)),
        "p": IntegerOption("prediction bits of a sub-adder", always(0), lambda n: n - 1, lambda n: n // 4),
    },
    "Shafique, Ahmad, Hafiz, Henkel, DAC 2015",
)
