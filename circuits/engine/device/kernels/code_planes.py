"""Operands that are integer codes, and planes of integer products: the counterpart of `float_planes` for integers."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.device.kernels.thread_code import Registers
from circuits.engine.llvm.vectors import Plane


@dataclass(frozen=True)
class CodeRules:
    """What an integer kernel depends on beside the gates.

    `widths`: bits of the first and second operand, at most 32; `product_bits`: at most 64; `signed`: two's complement.
    `sum_bits`: 32 or 64.
    """

    widths: tuple[int, int]
    product_bits: int
    signed: bool
    sum_bits: int


def word_planes(e: Registers, width: int, word: str) -> list[str]:
    """Planes of the code that is the same in all lanes."""
    return [e.spread_bit(word, bit) for bit in range(width)]


def integer_terms(e: Registers, rules: CodeRules, product: list[str]) -> list[str]:
    """The products of the 32 lanes, as `rules.sum_bits` wide integers."""
    beyond: Plane = product[-1] if rules.signed else None
    rows: list[Plane] = [*product, *[beyond] * (64 - len(product))]
    low = [word or "0" for word in e.transpose(rows[:32])]
    if rules.sum_bits == 32:
        # A product of 33 bits cannot occur: sums of such products are 64 bits wide.
        return low
    if rules.product_bits <= 32:
        extend = "sext" if rules.signed else "zext"
        return [e.f.op(f"{extend} i32 {word} to i64") for word in low]
    high = [word or "0" for word in e.transpose(rows[32:])]
    terms = []
    for low_word, high_word in zip(low, high, strict=True):
        upper = e.f.op(f"shl i64 {e.f.op(f'zext i32 {high_word} to i64')}, 32")
        terms.append(e.f.op(f"or i64 {upper}, {e.f.op(f'zext i32 {low_word} to i64')}"))
    return terms
