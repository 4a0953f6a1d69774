"""The truncated adder: the lowest bits of the operands are not added; the sum has something simple in their place."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.adders.adder_kinds import AdderKind
from circuits.netlists.block_options import ChoiceOption, IntegerOption, Options, always
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ONE, ZERO


def generate(logic: Logic, a: Sequence[int], b: Sequence[int], options: Options) -> list[int]:
    """a + b without the `lower` bits, in whose place `fill` puts zeros, ones (about the mean), or those of a."""
    lower = min(options["lower"], len(a))
    fills = {"zeros": [ZERO] * lower, "ones": [ONE] * lower, "first": list(a[:lower])}
    return fills[options["fill"]] + logic.add(a[lower:], b[lower:])


ADDER = AdderKind(
    generate,
    {
        "lower": IntegerOption("bits that are not added", always(0), lambda n: n, lambda n: n // 2),
        "fill": ChoiceOption("what stands in their place", ("zeros", "ones", "first")),
    },
    "common practice; compared in Jiang, Liu, Liu, Lombardi, Han, ACM JETC 13(4), 2017",
)
