"""Multipliers that are bilinear forms in the operand bits: P = sum of M[i][j] x_i y_j, found, proved and factorised.

**Proof.** The product's weighted sum of bits is rewritten backwards through the simplified netlist, modulo 2^bits: an
instance's outputs, with the coefficients they have by then, are replaced by the multilinear polynomial of its inputs.
Exact adders leave k (a + b + c) because their carry weighs twice their sum; wires and buffers rename; AND gates of one
bit of each operand leave an entry of M. Any other product of nets ends the attempt. What remains is the form, equal to
P modulo 2^bits, and equal outright if its values stay within 0 .. 2^bits - 1. (The rewriting is known from algebraic
verification of multipliers, e.g. Yu, Brown, Liu, Rossi, Ciesielski, IEEE TCAD 35(12), 2016.) Narrow multipliers that
the rewriting cannot decide are compared exhaustively.

**Factors.** M has a small rank in the designs of interest, so that P is a sum of few products of weighted operand bits:
an exact factorisation over the rationals. Where bits i and j weigh 2^i and 2^j inside a factor, the factor is
coefficient * (X & x_mask) * (Y & y_mask), and a matrix product through the multiplier is a few exact matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd

import numpy as np

from circuits.designs.design_record import Design
from circuits.engine import integer_operations
from circuits.errors import DesignError
from circuits.netlists.lut_program import lower
from circuits.netlists.netlist import ONE, ZERO, Netlist
from circuits.netlists.simplification import simplify

EXHAUSTIVE_BITS = 20
"""Widest w + v that is compared exhaustively."""
_SHOWN_FACTORS = 4


@dataclass(frozen=True)
class Factor:
    """coefficient * (sum of x_weights[i] x_i) * (sum of y_weights[j] y_j); integer weights without a common divisor."""

    coefficient: Fraction
    x_weights: tuple[int, ...]
    y_weights: tuple[int, ...]

    @property
    def masks(self) -> tuple[int, int, Fraction] | None:
        """(x_mask, y_mask, c) with the factor = c * (X & x_mask) * (Y & y_mask), or None where no masks do."""
        sides = [_mask(weights) for weights in (self.x_weights, self.y_weights)]
        if None in sides:
            return None
        (x_mask, x_scale), (y_mask, y_scale) = (side for side in sides if side is not None)
        return x_mask, y_mask, self.coefficient * x_scale * y_scale

    def __str__(self) -> str:
        masks = self.masks
        if masks is None:
            return f"{self.coefficient} * (weighted bits of X) * (weighted bits of Y)"
        x_mask, y_mask, scale = masks
        parts = [
            name if mask == (1 << len(weights)) - 1 else f"({name} & 0x{mask:X})"
            for name, mask, weights in (("X", x_mask, self.x_weights), ("Y", y_mask, self.y_weights))
        ]
        return " * ".join([*([] if scale == 1 else [str(scale)]), *parts])


@dataclass(frozen=True)
class BilinearForm:
    """P = sum over i, j of matrix[i][j] x_i y_j = sum of the factors, for all operands; `proof`: how it is known."""

    matrix: tuple[tuple[int, ...], ...]
    factors: tuple[Factor, ...]
    proof: str

    @property
    def rank(self) -> int:
        """Rank of the matrix over the rationals, the number of factors."""
        return len(self.factors)

    def __str__(self) -> str:
        shown = [str(factor) for factor in self.factors[:_SHOWN_FACTORS]]
        if self.rank > _SHOWN_FACTORS:
            shown.append(f"{self.rank - _SHOWN_FACTORS} more products")
        return "P = " + (" + ".join(shown) or "0")

    def describe(self) -> str:
        """The form, its rank and its proof, in one line."""
        return f"{self}, rank {self.rank} ({self.proof})"


def bilinear_form(netlist: Netlist) -> BilinearForm | None:
    """The form of an unsigned multiplier netlist (buses x, y, product), or None where there is none, or no proof.

    Never claims a form by sampling: the proof is "structural" or "exhaustive".
    """
    matrix = _rewrite(netlist)
    proof = "structural"
    if matrix is None and sum(map(len, netlist.inputs.values())) <= EXHAUSTIVE_BITS:
        matrix = _exhaust(netlist)
        proof = "exhaustive"
    return None if matrix is None else BilinearForm(matrix, factorise(matrix), proof)


def design_form(design: Design) -> BilinearForm | None:
    """`bilinear_form` of a design's mantissa multiplier or unsigned integer multiplier; None for signed ones."""
    return None if design.signed else bilinear_form(design.netlist())


@lru_cache(maxsize=64)
def lowered_form(design: Design) -> BilinearForm:
    """The form through which matrix products of a float design may be computed as a few exact ones.

    Raises DesignError where the design has no proved form of masked operands, is not fully normalised, or may give
    products below 2^(2w - 2) for normalised operands (the normaliser would then lose the leading bit).
    """
    if design.float_format is None:
        raise DesignError("lowering needs a float format, but got format=None; give the design one.")
    if design.normalization != "full":
        raise DesignError(
            f"lowering needs normalization='full', but {design.label} has {design.normalization!r}: its result is no "
            "bilinear form; compute it gate-exact."
        )
    form = bilinear_form(design.netlist())
    if form is None:
        raise DesignError(
            f"lowering needs a bilinear form in the operand bits, but none is proved for {design.label}; "
            "compute it gate-exact."
        )
    if any(factor.masks is None for factor in form.factors):
        raise DesignError(
            f"lowering needs factors of masked operands, but the form of {design.label} (rank {form.rank}) has others; "
            "compute it gate-exact."
        )
    width = design.shape[0]
    # No entry is negative: entry i, j is the product of 2^i and 2^j. So the leading bits alone give the least product.
    least = form.matrix[-1][-1]
    if least < 1 << (2 * width - 2):
        raise DesignError(
            f"lowering needs products of at least 2^{2 * width - 2} for normalised operands, but {design.label} is "
            f"only known to give {least}; compute it gate-exact."
        )
    return form


def factorise(matrix: Sequence[Sequence[int]]) -> tuple[Factor, ...]:
    """As many factors as the rank, exactly: rows that are multiples of each other together where that suffices,
    else columns, else a row basis by elimination over the rationals."""
    rank = _rank(matrix)
    for transposed in (False, True):
        rows = [list(column) for column in zip(*matrix, strict=True)] if transposed else [list(row) for row in matrix]
        classes: dict[tuple[int, ...], list[int]] = {}
        for index, row in enumerate(rows):
            divisor = gcd(*row)
            if divisor:
                sign = -1 if next(entry for entry in row if entry) < 0 else 1
                classes.setdefault(tuple(sign * entry // divisor for entry in row), []).append(index)
        if len(classes) == rank:
            factors = []
            for direction, members in classes.items():
                pivot = next(k for k, entry in enumerate(direction) if entry)
                weights = [0] * len(rows)
                for index in members:
                    weights[index] = rows[index][pivot] // direction[pivot]
                pair = (direction, tuple(weights)) if transposed else (tuple(weights), direction)
                factors.append(_factor(Fraction(1), *pair))
            return tuple(factors)
    return _eliminate(matrix)


def _factor(coefficient: Fraction, x_weights: Sequence[int], y_weights: Sequence[int]) -> Factor:
    x_divisor, y_divisor = gcd(*x_weights), gcd(*y_weights)
    return Factor(
        coefficient * x_divisor * y_divisor,
        tuple(weight // x_divisor for weight in x_weights),
        tuple(weight // y_divisor for weight in y_weights),
    )


def _mask(weights: tuple[int, ...]) -> tuple[int, Fraction] | None:
    """(mask, scale) with weights[i] = scale * 2^i on the mask and 0 off it."""
    scales = {Fraction(weight, 1 << i) for i, weight in enumerate(weights) if weight}
    if len(scales) != 1:
        return None
    return sum(1 << i for i, weight in enumerate(weights) if weight), scales.pop()


def _reduced(matrix: Sequence[Sequence[int]]) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form over the rationals (its non-zero rows) and its pivot columns."""
    rows = [[Fraction(entry) for entry in row] for row in matrix if any(row)]
    pivots: list[int] = []
    for column in range(len(matrix[0]) if matrix else 0):
        rank = len(pivots)
        found = next((k for k in range(rank, len(rows)) if rows[k][column]), None)
        if found is None:
            continue
        rows[rank], rows[found] = rows[found], rows[rank]
        head = rows[rank][column]
        rows[rank] = [entry / head for entry in rows[rank]]
        for k, row in enumerate(rows):
            if k != rank and row[column]:
                times = row[column]
                rows[k] = [entry - times * other for entry, other in zip(row, rows[rank], strict=True)]
        pivots.append(column)
    return rows[: len(pivots)], pivots


def _rank(matrix: Sequence[Sequence[int]]) -> int:
    return len(_reduced(matrix)[1])


def _eliminate(matrix: Sequence[Sequence[int]]) -> tuple[Factor, ...]:
    """M = (its pivot columns) * (its reduced row echelon form)."""
    rows, pivots = _reduced(matrix)
    factors = []
    for row, pivot in zip(rows, pivots, strict=True):
        denominator = int(np.lcm.reduce([entry.denominator for entry in row], dtype=object))
        y_weights = [int(entry * denominator) for entry in row]
        factors.append(_factor(Fraction(1, denominator), [line[pivot] for line in matrix], y_weights))
    return tuple(factors)


def _rewrite(netlist: Netlist) -> tuple[tuple[int, ...], ...] | None:
    """The matrix by backward rewriting, or None."""
    netlist = simplify(netlist)
    (x, y), (product,) = netlist.inputs.values(), netlist.outputs.values()
    modulus = 1 << len(product)
    coefficients: dict[int, int] = {}
    matrix = [[0] * len(y) for _ in x]
    row_of, column_of = {net: i for i, net in enumerate(x)}, {net: j for j, net in enumerate(y)}

    def add(net: int, amount: int) -> None:
        if net != ZERO:
            coefficients[net] = (coefficients.get(net, 0) + amount) % modulus

    for bit, net in enumerate(product):
        add(net, 1 << bit)
    for instance in reversed(netlist.instances):
        polynomial = [0] * 8  # by subset of the inputs, a the high bit
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            amount = coefficients.pop(net, 0)
            for subset, value in enumerate(_multilinear(table)):
                polynomial[subset] = (polynomial[subset] + amount * value) % modulus
        for subset, amount in enumerate(polynomial):
            if not amount:
                continue
            nets = {instance.inputs[k] for k in range(len(instance.inputs)) if subset & (4 >> k)} - {ONE}
            if ZERO in nets:
                continue
            if len(nets) == 1:
                add(nets.pop(), amount)
            elif len(nets) == 2 and len(nets & row_of.keys()) == 1 and len(nets & column_of.keys()) == 1:
                (x_net,), (y_net,) = nets & row_of.keys(), nets & column_of.keys()
                entry = matrix[row_of[x_net]][column_of[y_net]] + amount
                matrix[row_of[x_net]][column_of[y_net]] = entry % modulus
            else:
                return None  # a constant, or a product of other nets
    if any(coefficients.values()):
        return None  # terms linear in one operand
    signed = tuple(tuple(entry - modulus if 2 * entry > modulus else entry for entry in row) for row in matrix)
    entries = [entry for row in signed for entry in row]
    if sum(entry for entry in entries if entry < 0) < 0 or sum(entry for entry in entries if entry > 0) >= modulus:
        return None  # equal modulo 2^bits only
    return signed


@lru_cache(maxsize=256)
def _multilinear(table: int) -> tuple[int, ...]:
    """Integer coefficients of a truth table's multilinear polynomial, by subset of inputs (Moebius transform)."""
    values = [table >> row & 1 for row in range(8)]
    for bit in (1, 2, 4):
        for row in range(8):
            if row & bit:
                values[row] -= values[row ^ bit]
    return tuple(values)


def _exhaust(netlist: Netlist) -> tuple[tuple[int, ...], ...] | None:
    """The matrix if it gives the product of every operand pair, or None."""
    w, v = (len(bus) for bus in netlist.inputs.values())
    x, y = np.arange(1 << w, dtype=np.uint64)[:, None], np.arange(1 << v, dtype=np.uint64)[None, :]
    products = integer_operations.multiply(lower(netlist), x, y).astype(np.int64)
    units = np.array([[products[1 << i, 1 << j] for j in range(v)] for i in range(w)])
    x_bits = (x >> np.arange(w, dtype=np.uint64)).astype(np.int64) & 1
    y_bits = (y.T >> np.arange(v, dtype=np.uint64)).astype(np.int64) & 1
    if not np.array_equal(x_bits @ units @ y_bits.T, products):
        return None
    return tuple(tuple(int(entry) for entry in row) for row in units)
