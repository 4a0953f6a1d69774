"""Truth tables of three inputs (see `circuits.netlists.truth_table`) as minimal sums of products and as expressions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

from circuits.netlists.truth_table import CONSTANTS, INPUTS, TRUE, Cube, prime_implicants


@cache
def minimal_cover(table: int) -> tuple[Cube, ...]:
    """The fewest cubes, then the fewest literals, whose union is `table`; () for the constant 0."""
    primes = prime_implicants(table)
    for count in range(len(primes) + 1):
        covers = []
        for chosen in combinations(primes, count):
            union = 0
            for cube in chosen:
                union |= cube.table
            if union == table:
                covers.append(chosen)
        if covers:
            return min(covers, key=lambda cover: (_cost(cover), cover))
    raise AssertionError("the prime implicants cover every function")


def expression(table: int, names: Sequence[str]) -> str:
    """A Verilog expression of `table` over up to three `names`: XOR forms, else the shorter sum of products of the
    function and (inverted) of its complement."""
    if table in CONSTANTS:
        return "1'b1" if table else "1'b0"
    for size in (2, 3):
        for chosen in combinations(range(min(len(names), 3)), size):
            parity = 0
            for k in chosen:
                parity ^= INPUTS[k]
            text = " ^ ".join(names[k] for k in chosen)
            if table == parity:
                return text
            if table == parity ^ TRUE:
                return f"~({text})"
    direct, inverse = minimal_cover(table), minimal_cover(table ^ TRUE)
    if _cost(direct) <= _cost(inverse) + 1:
        return _sum(direct, names)
    return f"~({_sum(inverse, names)})"


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
