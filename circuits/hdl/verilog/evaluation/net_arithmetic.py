"""Arithmetic on rows of nets, least significant first: ripples of exact adders, arrays, comparators, shifters, lookups.

All rows of one call have one width; results are modulo 2^width, which is all that Verilog's context widths ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from circuits.hdl.cell_gates import KNOWN
from circuits.hdl.covers import expression
from circuits.hdl.verilog.flat import (
    CONSTANT_VALUES,
    ONE,
    UNKNOWN,
    ZERO,
    Flat,
    constant_nets,
    constant_value,
    fold_constants,
)
from circuits.hdl.verilog.syntax.tree import Place
from circuits.netlists.gates import AND2, NOT, OR2, XOR2, Gate

Row = list[int]
Move = Callable[[Sequence[int], int, int], Row]


def add(flat: Flat, left: Sequence[int], right: Sequence[int], carry: int, place: Place) -> Row:
    """left + right + carry."""
    if {*left, *right, carry} <= {ZERO, ONE}:
        total = _number(left) + _number(right) + CONSTANT_VALUES[carry]
        return constant_nets(total, len(left))
    row = []
    for bits in zip(left, right, strict=True):
        total_bit, carry = flat.add_bits((*bits, carry), place)
        row.append(total_bit)
    return row


def add_up(flat: Flat, rows: Sequence[tuple[str, Row, bool]], place: Place) -> Row:
    """The sum of (sign, row, single) from left to right.

    A `single` row holds one bit and zeros: the next one in line is the carry into the adder of two others, so that
    a + b + cin is one ripple. A subtracted row is inverted, with a carry of 1.
    """
    singles = [row[0] for sign, row, single in rows[2:] if single and sign == "+"]
    queue = [(sign, row) for k, (sign, row, single) in enumerate(rows) if k < 2 or not single or sign != "+"]
    width = len(rows[0][1])
    _, total = queue[0]
    for sign, row in queue[1:]:
        if sign == "-":
            total = subtract(flat, total, row, place)
        else:
            total = add(flat, total, row, singles.pop(0) if singles else ZERO, place)
    while singles:
        row = [singles.pop(0), *[ZERO] * (width - 1)]
        total = add(flat, total, row, singles.pop(0) if singles else ZERO, place)
    return total


def subtract(flat: Flat, left: Sequence[int], right: Sequence[int], place: Place) -> Row:
    """left - right."""
    #   a - c = a + (2^width - c):  a constant needs neither inverters nor a carry.
    value = constant_value(right)
    if value is not None:
        return add(flat, left, constant_nets(-value, len(left)), ZERO, place)
    #   a - b = a + NOT b + 1  (modulo 2^width)
    inverse = [flat.invert(net, place) for net in fold_constants(right)]
    return add(flat, left, inverse, ONE, place)


def negate(flat: Flat, row: Sequence[int], place: Place) -> Row:
    """-row."""
    return subtract(flat, [ZERO] * len(row), row, place)


def multiply(flat: Flat, left: Sequence[int], right: Sequence[int], place: Place) -> Row:
    """left * right: an array of AND gates and exact adders, a row a bit of `right`.

    A run of equal nets at the top of `right` is its sign, extended: s (2^k + 2^(k+1) + ...) = -s 2^k modulo 2^width, so
    one subtracted row stands for them all.
    """
    left, right = fold_constants(left), fold_constants(right)
    if constant_value(left) is not None:
        # A constant belongs on the right, where its zero bits draw no row.
        left, right = right, left
    width = len(left)
    sign = width - 1
    while sign and right[sign - 1] == right[-1]:
        sign -= 1
    signed = sign < width - 1 and right[-1] > UNKNOWN
    total = [ZERO] * width
    for k, bit in enumerate(right[: sign if signed else width]):
        if bit != ZERO:
            total = add(flat, total, _partial_products(flat, left, bit, k, place), ZERO, place)
    if signed:
        products = _partial_products(flat, left, right[-1], sign, place)
        # The sign's row has zeros below bit `sign`: the subtraction begins there.
        total = [*total[:sign], *subtract(flat, total[sign:], products[sign:], place)]
    return total


def _partial_products(flat: Flat, left: Sequence[int], bit: int, shift: int, place: Place) -> Row:
    return [ZERO] * shift + [flat.draw(AND2, (net, bit), place) for net in left[: len(left) - shift]]


def less(flat: Flat, left: Sequence[int], right: Sequence[int], signed: bool, place: Place) -> int:
    """left < right: no carry out of left - right. Two's complement becomes an offset by an inverted sign."""
    left, right = fold_constants(left), fold_constants(right)
    numbers = constant_value(left), constant_value(right)
    if numbers[0] is not None and numbers[1] is not None:
        half = 1 << (len(left) - 1) if signed else 0  # moves two's complement to an offset
        return ONE if numbers[0] ^ half < numbers[1] ^ half else ZERO
    if signed:
        left = [*left[:-1], flat.invert(left[-1], place)]
        right = [*right[:-1], flat.invert(right[-1], place)]
    #   carry out of a + NOT b + 1 = a - b + 2^n  is 1  <=>  a >= b
    carry = ONE
    for a, b in zip(left, right, strict=True):
        _, carry = flat.add_bits((a, flat.invert(b, place), carry), place)
    return flat.invert(carry, place)


def equal(flat: Flat, left: Sequence[int], right: Sequence[int], place: Place) -> int:
    """left == right."""
    pairs = zip(fold_constants(left), fold_constants(right), strict=True)
    # Equal nets need no gate, whatever they carry; one certain difference decides alone.
    differences = [flat.draw(XOR2, pair, place) if pair[0] != pair[1] else ZERO for pair in pairs]
    if ONE in differences:
        return ZERO
    unknown = [net for net in differences if net != ZERO]
    return flat.invert(flat.fold("|", unknown, place), place) if unknown else ONE


def shift_left(flat: Flat, row: Sequence[int], amount: Sequence[int], place: Place) -> Row:
    """row << amount."""
    return _shift(flat, row, amount, ZERO, place, lambda values, step, fill: [*[fill] * step, *values][: len(values)])


def shift_right(flat: Flat, row: Sequence[int], amount: Sequence[int], fill: int, place: Place) -> Row:
    """row >> amount, with `fill` from above."""
    return _shift(flat, row, amount, fill, place, lambda values, step, fill: [*values[step:], *[fill] * step])


def _shift(flat: Flat, row: Sequence[int], amount: Sequence[int], fill: int, place: Place, move: Move) -> Row:
    """A barrel shifter: a row of multiplexers a bit of `amount`; bits too heavy for the row empty it."""
    values = list(row)
    emptied = ZERO
    for k, bit in enumerate(fold_constants(amount)):
        if bit == ZERO:
            continue
        # Heavy bits do not shift but clear (or fill) the row; 30 bounds a shift by an amount of absurd width.
        if k > 30 or 1 << k >= len(row):
            emptied = flat.draw(OR2, (emptied, bit), place)
            continue
        moved = move(values, 1 << k, fill)
        values = [flat.choose(bit, a, b, place) for a, b in zip(values, moved, strict=True)]
    return values if emptied == ZERO else [flat.choose(emptied, net, fill, place) for net in values]


def select(flat: Flat, leaves: Sequence[int], index: Sequence[int], place: Place) -> int:
    """leaves[index], 2^len(index) of them: lookup tables where all are constant, a tree of multiplexers elsewhere."""
    first = leaves[0]
    if all(leaf == first for leaf in leaves):
        return first
    if len(index) <= 3 and all(leaf < UNKNOWN for leaf in leaves):
        return lookup(flat, [CONSTANT_VALUES[leaf] for leaf in leaves], index, place)
    # The highest index bit chooses between the halves; a half of equal leaves is a single net, by the test above.
    half = len(leaves) // 2
    low = select(flat, leaves[:half], index[:-1], place)
    high = select(flat, leaves[half:], index[:-1], place)
    return flat.choose(index[-1], low, high, place)


def lookup(flat: Flat, values: Sequence[int], index: Sequence[int], place: Place) -> int:
    """values[index] for up to three index bits, as one gate over those that matter."""
    for k in range(len(index)):
        rows = range(len(values))
        if all(values[row] == values[row ^ 1 << k] for row in rows):
            fewer = [values[row] for row in rows if not row >> k & 1]
            return lookup(flat, fewer, [*index[:k], *index[k + 1 :]], place)
    if not index:
        return ONE if values[0] else ZERO
    # Our tables have the first input as the highest digit of a row, `index` begins with the lowest: hence
    # index[::-1].
    table = sum(values[row >> (3 - len(index))] << row for row in range(8))
    if len(index) == 1:
        return index[0] if values[1] else flat.draw(NOT, index, place)
    return flat.draw(lookup_gate(table, len(index)), index[::-1], place)


@cache
def lookup_gate(table: int, inputs: int) -> Gate:
    """The gate of two or three inputs with this truth table; of those known, or one whose transistors are those of the
    AND, OR and NOT gates of its minimal sum of products."""
    known = KNOWN.get((inputs, (table,)))
    if known is not None:
        return known
    names = ("a", "b", "c")[:inputs]
    text = expression(table, names)
    transistors = 6 * (text.count("&") + text.count("|")) + 10 * text.count("^") + 2 * text.count("~")
    return Gate(f"lut{inputs}_{table:02x}", names, ("y",), (table,), transistors)


def _number(row: Sequence[int]) -> int:
    return sum(CONSTANT_VALUES[net] << k for k, net in enumerate(row))
