"""Truth tables as minimal sums of products and as readable expressions.

A table is a byte, bit r its value in row r = 4a + 2b + c; a cube is (mask, value) over the same three bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

Cube = tuple[int, int]

_INPUTS = (0b11110000, 0b11001100, 0b10101010)


@cache
def minimal_cover(table: int) -> tuple[Cube, ...]:
    """The fewest cubes, then the fewest literals, whose union is `table`; () for the constant 0."""
    rows = {(mask, value): _rows(mask, value) for mask in range(8) for value in range(8) if not value & ~mask}
    implicants = [cube for cube, covered in rows.items() if not covered & ~table]
    primes = [c for c in implicants if not any(rows[c] != rows[d] and not rows[c] & ~rows[d] for d in implicants)]
    for count in range(len(primes) + 1):
        covers = []
        for chosen in combinations(primes, count):
            union = 0
            for cube in chosen:
                union |= rows[cube]
            if union == table:
                covers.append(chosen)
        if covers:
            return min(covers, key=lambda cover: (_cost(cover), cover))
    raise AssertionError("the prime implicants cover every function")


def expression(table: int, names: Sequence[str]) -> str:
    """A Verilog expression of `table` over up to three `names`: XOR forms, else the shorter sum of products of the
    function and (inverted) of its complement."""
    if table in (0x00, 0xFF):
        return "1'b1" if table else "1'b0"
    for size in (2, 3):
        for chosen in combinations(range(min(len(names), 3)), size):
            parity = 0
            for k in chosen:
                parity ^= _INPUTS[k]
            text = " ^ ".join(names[k] for k in chosen)
            if table == parity:
                return text
            if table == parity ^ 0xFF:
                return f"~({text})"
    direct, inverse = minimal_cover(table), minimal_cover(table ^ 0xFF)
    if _cost(direct) <= _cost(inverse) + 1:
        return _sum(direct, names)
    return f"~({_sum(inverse, names)})"


def _rows(mask: int, value: int) -> int:
    return sum(1 << r for r in range(8) if r & mask == value)


def _cost(cover: Sequence[Cube]) -> int:
    """Literals, inverted ones counted twice."""
    return sum(2 * mask.bit_count() - value.bit_count() for mask, value in cover)


def _sum(cover: Sequence[Cube], names: Sequence[str]) -> str:
    products = []
    for mask, value in cover:
        literals = [("" if value & 4 >> k else "~") + names[k] for k in range(len(names)) if mask & 4 >> k]
        text = " & ".join(literals)
        products.append(f"({text})" if len(literals) > 1 and len(cover) > 1 else text)
    return " | ".join(products)
