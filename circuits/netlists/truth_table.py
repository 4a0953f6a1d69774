"""Truth tables as integers: the one place that knows in which order their rows stand.

The table of a function of n inputs is an integer of 2^n bits. Bit r is the value in row r, whose binary digits are the
inputs, the first input the highest digit. For three inputs a, b, c row r is 4a + 2b + c and a table is a byte; this is
the immediate of AVX-512 `vpternlog` and of `LOP3` on NVIDIA GPUs, and its rows in ascending order, written from left to
right, are the eight characters that papers print.

    row          7 6 5 4 3 2 1 0
    input a      1 1 1 1 0 0 0 0     0b11110000        Operations on functions are operations on their tables:
    input b      1 1 0 0 1 1 0 0     0b11001100        the table of a & b is the AND of the tables of a and b,
    input c      1 0 1 0 1 0 1 0     0b10101010        that of NOT a is the table of a XOR 0b11111111.

Gates and cells of fewer than three inputs also have a byte, which does not depend on the missing inputs (see `widen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

ROWS = 8
"""Rows of a function of three inputs."""

INPUTS = (0b11110000, 0b11001100, 0b10101010)
"""The tables of the three inputs themselves."""

FALSE, TRUE = 0x00, 0xFF
"""The constant functions of three inputs."""

CONSTANTS = (FALSE, TRUE)


# As text.


def to_text(table: int) -> str:
    """The 8 characters 0/1 for rows 000..111."""
    return "".join(str(table >> row & 1) for row in range(ROWS))


def from_text(text: str) -> int:
    """The table whose rows 000... are the characters of `text`."""
    return int(text[::-1], 2)


# Of any number of inputs.


def constant_one(inputs: int) -> int:
    """The table of `inputs` inputs that is 1 in every row."""
    return (1 << (1 << inputs)) - 1


@lru_cache(maxsize=256)
def input_table(inputs: int, k: int) -> int:
    """The table of input k of `inputs`."""
    return sum(1 << row for row in range(1 << inputs) if row >> (inputs - 1 - k) & 1)


def cofactors(table: int, inputs: int, k: int) -> tuple[int, int]:
    """(f where input k is 0, f where it is 1): tables of the other inputs - 1 inputs.

    Input k keeps its value in runs of 2^(inputs - 1 - k) rows, zeros first; the cofactors take alternate runs.
    """
    block = 1 << (inputs - 1 - k)
    mask = (1 << block) - 1
    zero = one = 0
    for run in range(1 << k):
        zero |= (table >> 2 * run * block & mask) << run * block
        one |= (table >> (2 * run + 1) * block & mask) << run * block
    return zero, one


def choose(zero: int, one: int, inputs: int, k: int) -> int:
    """The table of `inputs` inputs that is `one` where input k is 1, else `zero`."""
    column = input_table(inputs, k)
    return (one & column) | (zero & ~column)


def support(table: int, inputs: int = 3) -> tuple[int, ...]:
    """Numbers of the inputs that the function depends on, ascending."""
    return tuple(k for k in range(inputs) if len(set(cofactors(table, inputs, k))) > 1)


def reduce_inputs(table: int, nets: tuple[int, ...], *, zero: int, one: int) -> tuple[int, tuple[int, ...]]:
    """The same function of fewer nets: none is `zero` or `one`, none stands twice, and every one matters."""
    k = 0
    while k < len(nets):
        at_zero, at_one = cofactors(table, len(nets), k)
        if nets[k] == zero or at_zero == at_one:
            table = at_zero
        elif nets[k] == one:
            table = at_one
        elif nets[k] in nets[:k]:
            table = choose(at_zero, at_one, len(nets) - 1, nets.index(nets[k]))
        else:
            k += 1
            continue
        # From the first input again: a ^ b does not depend on a any more once b is a.
        nets, k = (*nets[:k], *nets[k + 1 :]), 0
    return table, nets


def widen(table: int, inputs: int) -> int:
    """The byte of a table of `inputs` <= 3 inputs: missing inputs come last and do not matter."""
    return sum((table >> (row >> (3 - inputs)) & 1) << row for row in range(ROWS))


# Of three inputs.


def project(table: int, inputs: Sequence[int]) -> int:
    """The byte of the function of `inputs` alone (ascending numbers), which become the first; the others are 0."""
    width = 3
    # From the last input down, so that removing one leaves the numbers of those before it as they are.
    for k in reversed(range(3)):
        if k not in inputs:
            table, _ = cofactors(table, width, k)
            width -= 1
    return widen(table, width)


def evaluate(table: int, values: Sequence[Any], ones: Any) -> Any:
    """The function of three values, bit by bit, as a sum of minterms; `ones` has all bits of a value set.

    Values are integers, such as tables, for which it composes functions; or integer arrays, such as bit-planes.
    """
    # A zero of the values' own type and shape.
    result = values[0] & ~ones
    for row in range(ROWS):
        if table >> row & 1:
            a, b, c = (value if row & 4 >> k else value ^ ones for k, value in enumerate(values))
            result = result | (a & b & c)
    return result


def compose(table: int, operands: Sequence[int]) -> int:
    """The table of f(g1, g2, g3) from that of f and those of up to three functions; a missing one is constant 0."""
    composed: int = evaluate(table, (*operands, FALSE, FALSE)[:3], TRUE)
    return composed


@cache
def complement_inputs(table: int, marks: tuple[int, ...]) -> int:
    """The table of the function with the inputs marked 1 complemented: row r moves to row r XOR the marks."""
    flip = sum(mark * (4 >> k) for k, mark in enumerate(marks))
    return sum((table >> (row ^ flip) & 1) << row for row in range(ROWS))


@lru_cache(maxsize=256)
def normal_form(table: int) -> tuple[int, ...]:
    """The algebraic normal form, also known as Reed-Muller or Zhegalkin: the products whose XOR is the function.

    A product is a set of inputs, 4 the first, 2 the second, 1 the third; 0 is the constant 1. Ascending.

    Splitting f at one input x gives f = f0 ^ x (f0 ^ f1). The rows with x = 0 keep f0, those with x = 1 become
    f0 ^ f1; done for each input in turn (XOR Moebius transform), row r holds the coefficient of product r.
    """
    coefficients = [table >> row & 1 for row in range(ROWS)]
    for bit in (1, 2, 4):
        for row in range(ROWS):
            # In place, because row ^ bit, without the bit, is not changed in this pass.
            if row & bit:
                coefficients[row] ^= coefficients[row ^ bit]
    return tuple(row for row in range(ROWS) if coefficients[row])


class Cube(NamedTuple):
    """A product of literals: the rows r with r & mask == value. `mask`: the inputs in it; `value`: the plain ones."""

    mask: int
    value: int

    @property
    def table(self) -> int:
        """The function that is 1 in the cube's rows."""
        return sum(1 << row for row in range(ROWS) if row & self.mask == self.value)


CUBES = tuple(Cube(mask, value) for mask in range(ROWS) for value in range(ROWS) if not value & ~mask)
"""The 27 cubes of three inputs, the whole space included, in ascending order."""


@lru_cache(maxsize=256)
def prime_implicants(table: int) -> tuple[Cube, ...]:
    """The largest cubes in which the function is 1, in ascending order; () for the constant 0."""
    implicants = [(cube, cube.table) for cube in CUBES if not cube.table & ~table]
    return tuple(
        cube for cube, rows in implicants if not any(rows != other and not rows & ~other for _, other in implicants)
    )
