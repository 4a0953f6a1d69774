"""The exact ripple-carry adder, the baseline of the others."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.adders.adder_kinds import AdderKind
from circuits.netlists.block_options import Options
from circuits.netlists.logic import Logic


def generate(logic: Logic, a: Sequence[int], b: Sequence[int], options: Options) -> list[int]:
    """a + b, exactly: a half adder and n - 1 full adders."""
    return logic.add(a, b)


ADDER = AdderKind(generate, {}, "exact")
