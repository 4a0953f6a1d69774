"""Signed products by a circuit for magnitudes: operands are made positive, the product gets its sign at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from circuits.multipliers.array_builder import Frame
from circuits.netlists.logic import Logic


def generate(frame: Frame, magnitudes: Callable[[Frame], list[int]]) -> list[int]:
    """The signed product of `frame`, whose operands are two's complement, by a generator of unsigned multipliers.

    Negation is exact: NOT x + 1, by a chain of half adders for each operand and for the product (as in S-RoBA,
    Zendegani et al. 2017, and in signed DRUM, Hashemi et al. 2015). The magnitude of -2^(w-1) is 2^(w-1), which w bits
    hold unsigned, so that every operand has one. Returns w + v product nets.
    """
    logic = Logic(frame.builder)
    negative_x, negative_y = frame.x[-1], frame.y[-1]
    x, y = logic.negate_if(frame.x, negative_x), logic.negate_if(frame.y, negative_y)
    product = magnitudes(replace(frame, x=x, y=y, signed=False))
    return logic.negate_if(product, logic.xor(negative_x, negative_y))
