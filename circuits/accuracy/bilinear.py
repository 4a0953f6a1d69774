"""Multipliers that are bilinear forms in the operand bits: P = sum of M[i][j] x_i y_j, proved and factorised.

**Proof.** The product's weighted sum of bits is rewritten backwards through the simplified netlist, modulo 2^bits: the
outputs of an instance, with the coefficients that they have by then, are replaced by the multilinear polynomial of its
inputs. Exact adders leave k (a + b + c), because their carry weighs twice their sum; wires and buffers rename; an AND
gate of one bit of each operand leaves an entry of M. Any other product of nets ends the attempt. What remains is the
form, equal to P modulo 2^bits, and equal outright if its values stay within 0 .. 2^bits - 1. (The rewriting is known
from algebraic verification of multipliers, e.g. Yu, Brown, Liu, Rossi, Ciesielski, IEEE TCAD 35(12), 2016.) Narrow
multipliers that the rewriting cannot decide are compared exhaustively.

**Factors.** In the designs of interest M has a small rank, so that P is a sum of few products of weighted operand bits,

    P  =  sum over r of  c_r * (sum of u_r[i] x_i) * (sum of v_r[j] y_j),

an exact factorisation over the rationals. Where bits i and j weigh 2^i and 2^j inside a factor, the factor is
coefficient * (X & x_mask) * (Y & y_mask), and a matrix product through the multiplier is a few exact matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

import numpy as np

from circuits.designs.design_record import Design
from circuits.engine import integer_operations
from circuits.errors import DesignError
from circuits.netlists.lut_program import lower
from circuits.netlists.netlist import ONE, ZERO, Instance, Netlist
from circuits.netlists.simplification import simplify

EXHAUSTIVE_BITS = 20
"""Widest w + v that is compared exhaustively."""
_PRINTED_FACTORS = 4

Matrix = tuple[tuple[int, ...], ...]
"""M[i][j]: the coefficient of x_i y_j, bit 0 the least significant."""


@dataclass(frozen=True)
class Factor:
    """coefficient * (sum of x_weights[i] x_i) * (sum of y_weights[j] y_j); integer weights without a common divisor."""

    coefficient: Fraction
    x_weights: tuple[int, ...]
    y_weights: tuple[int, ...]

    @property
    def masks(self) -> tuple[int, int, Fraction] | None:
        """(x_mask, y_mask, c) such that the factor is c * (X & x_mask) * (Y & y_mask); None where no masks give it."""
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
        operands = [
            name if mask == (1 << len(weights)) - 1 else f"({name} & 0x{mask:X})"
            for name, mask, weights in (("X", x_mask, self.x_weights), ("Y", y_mask, self.y_weights))
        ]
        return " * ".join([*([] if scale == 1 else [str(scale)]), *operands])


@dataclass(frozen=True)
class BilinearForm:
    """`P = sum over i, j of matrix[i][j] x_i y_j` = sum of the factors, for all operands; `proof`: how it is known."""

    matrix: Matrix
    factors: tuple[Factor, ...]
    proof: str

    @property
    def rank(self) -> int:
        """Rank of the matrix over the rationals, the number of factors."""
        return len(self.factors)

    def __str__(self) -> str:
        terms = [str(factor) for factor in self.factors[:_PRINTED_FACTORS]]
        if self.rank > _PRINTED_FACTORS:
            terms.append(f"{self.rank - _PRINTED_FACTORS} more products")
        return "P = " + (" + ".join(terms) or "0")

    def describe(self) -> str:
        """The form, its rank and its proof, in one line."""
        return f"{self}, rank {self.rank} ({self.proof})"


def bilinear_form(netlist: Netlist) -> BilinearForm | None:
    """The form of an unsigned multiplier netlist (buses x, y, product), or None where there is none or no proof.

    A form is never claimed from samples: its proof is "structural" or "exhaustive".
    """
    # First, because its cost grows with the netlist, that of enumeration with 2^(w + v).
    matrix = _prove_structurally(netlist)
    proof = "structural"
    if matrix is None and sum(map(len, netlist.inputs.values())) <= EXHAUSTIVE_BITS:
        matrix = _prove_exhaustively(netlist)
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
    """An exact factorisation of an integer matrix into as many factors as its rank.

    Rows that are multiples of each other form one factor, where that suffices; else columns that are; else the factors
    come from elimination over the rationals. The first two keep the weights small, which masks need:

        M = [2 4; 3 6]   ->   rows are multiples of (1, 2):   P = (2 x_0 + 3 x_1) (y_0 + 2 y_1)
    """
    rank = _rank(matrix)
    for transposed in (False, True):
        rows = [list(column) for column in zip(*matrix, strict=True)] if transposed else [list(row) for row in matrix]
        # Classes of parallel rows always give a factorisation, of as many factors as classes; only with `rank` of them
        # is it the shortest one.
        classes = _parallel_rows(rows)
        if len(classes) == rank:
            factors = []
            for direction, members in classes.items():
                pivot = next(k for k, weight in enumerate(direction) if weight)
                weights = [0] * len(rows)
                for index in members:
                    weights[index] = rows[index][pivot] // direction[pivot]
                pair = (direction, tuple(weights)) if transposed else (tuple(weights), direction)
                factors.append(_factor(Fraction(1), *pair))
            return tuple(factors)
    return _eliminate(matrix)


def _parallel_rows(rows: Sequence[Sequence[int]]) -> dict[tuple[int, ...], list[int]]:
    """Direction -> the rows that are multiples of it; a direction has no common divisor and starts positive."""
    classes: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(rows):
        divisor = gcd(*row)
        if divisor:
            sign = -1 if next(value for value in row if value) < 0 else 1
            classes.setdefault(tuple(sign * value // divisor for value in row), []).append(index)
    return classes


def _factor(coefficient: Fraction, x_weights: Sequence[int], y_weights: Sequence[int]) -> Factor:
    x_divisor, y_divisor = gcd(*x_weights), gcd(*y_weights)
    return Factor(
        coefficient * x_divisor * y_divisor,
        tuple(weight // x_divisor for weight in x_weights),
        tuple(weight // y_divisor for weight in y_weights),
    )


def _mask(weights: tuple[int, ...]) -> tuple[int, Fraction] | None:
    """(mask, scale) with weights[i] = scale * 2^i on the mask and 0 off it."""
    # A mask keeps bit i at its weight 2^i: all kept weights must be the same multiple of theirs.
    scales = {Fraction(weight, 1 << i) for i, weight in enumerate(weights) if weight}
    if len(scales) != 1:
        return None
    return sum(1 << i for i, weight in enumerate(weights) if weight), scales.pop()


def _reduced(matrix: Sequence[Sequence[int]]) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form over the rationals (its non-zero rows) and its pivot columns.

    Invariant: columns to the left of `column` are reduced; each pivot column holds a single 1, in the row of its pivot.
    """
    rows = [[Fraction(value) for value in row] for row in matrix if any(row)]
    pivots: list[int] = []
    for column in range(len(matrix[0]) if matrix else 0):
        rank = len(pivots)
        pivot = next((k for k in range(rank, len(rows)) if rows[k][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        head = rows[rank][column]
        rows[rank] = [value / head for value in rows[rank]]
        for k, row in enumerate(rows):
            if k != rank and row[column]:
                times = row[column]
                rows[k] = [value - times * other for value, other in zip(row, rows[rank], strict=True)]
        pivots.append(column)
    return rows[: len(pivots)], pivots


def _rank(matrix: Sequence[Sequence[int]]) -> int:
    return len(_reduced(matrix)[1])


def _eliminate(matrix: Sequence[Sequence[int]]) -> tuple[Factor, ...]:
    """One factor a pivot: M = C R, with C the pivot columns of M and R its reduced row echelon form.

    Row i of M is a combination of the rows of R, and its coefficients are what it has in the pivot columns, where R is
    the identity: M[i][j] = sum over pivots k of M[i][k] R[k][j]. Denominators of R go into the coefficient.
    """
    rows, pivots = _reduced(matrix)
    factors = []
    for row, pivot in zip(rows, pivots, strict=True):
        denominator = lcm(*(value.denominator for value in row))
        y_weights = [int(value * denominator) for value in row]
        factors.append(_factor(Fraction(1, denominator), [line[pivot] for line in matrix], y_weights))
    return tuple(factors)


def _prove_structurally(netlist: Netlist) -> Matrix | None:
    """The matrix by backward rewriting; None where the product is no bilinear form or the rewriting cannot tell."""
    netlist = simplify(netlist)
    rewriting = _Rewriting(netlist)
    if not all(map(rewriting.replace_outputs, reversed(netlist.instances))):
        return None
    return rewriting.matrix()


class _Rewriting:
    """A weighted sum of nets that equals the product modulo 2^bits throughout, plus the entries of M split off so far.

    Invariant, for all operands:

        P  =  sum of coefficients[net] * net  +  sum of entries[i][j] x_i y_j     (mod 2^bits)

    At first the sum runs over the bits of the product, each with its weight. Instances are replaced from the outputs to
    the inputs, so that when an instance is reached, all its readers are gone and its coefficients are final.
    """

    def __init__(self, netlist: Netlist) -> None:
        (x, y), (product,) = netlist.inputs.values(), netlist.outputs.values()
        self._modulus = 1 << len(product)
        self._row = {net: i for i, net in enumerate(x)}
        self._column = {net: j for j, net in enumerate(y)}
        self._entries = [[0] * len(y) for _ in x]
        self._coefficients: dict[int, int] = {}
        for bit, net in enumerate(product):
            self._add(net, 1 << bit)

    def _add(self, net: int, amount: int) -> None:
        if net != ZERO:
            self._coefficients[net] = (self._coefficients.get(net, 0) + amount) % self._modulus

    def replace_outputs(self, instance: Instance) -> bool:
        """Replaces the outputs of an instance by the polynomial of its inputs; False where a term is not allowed.

        For an exact adder with output coefficients k (sum) and 2k (carry) everything but the linear terms cancels:

            sum   =  a + b + c - 2ab - 2ac - 2bc + 4abc
            carry =  ab + ac + bc - 2abc
            k sum + 2k carry  =  k (a + b + c)
        """
        polynomial = [0] * 8  # coefficient of each product of inputs; bit 4 of the index stands for a, 2 for b, 1 for c
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            # All readers of `net` are gone, so that nothing can add to this coefficient any more.
            coefficient = self._coefficients.pop(net, 0)
            for subset, value in enumerate(_multilinear(table)):
                polynomial[subset] = (polynomial[subset] + coefficient * value) % self._modulus
        for subset, amount in enumerate(polynomial):
            # A set, because bits are idempotent (x x = x). ONE is neutral in a product; a product with ZERO vanishes.
            nets = {instance.inputs[k] for k in range(len(instance.inputs)) if subset & (4 >> k)} - {ONE}
            if amount and ZERO not in nets and not self._add_product(nets, amount):
                return False
        return True

    def _add_product(self, nets: set[int], amount: int) -> bool:
        """Adds amount * (product of the nets); False unless that is a single net or some x_i y_j."""
        if len(nets) == 1:
            self._add(next(iter(nets)), amount)
            return True
        rows, columns = nets & self._row.keys(), nets & self._column.keys()
        if len(nets) != 2 or len(rows) != 1 or len(columns) != 1:
            return False  # a constant, or a product of other nets
        i, j = self._row[next(iter(rows))], self._column[next(iter(columns))]
        self._entries[i][j] = (self._entries[i][j] + amount) % self._modulus
        return True

    def matrix(self) -> Matrix | None:
        """M, where the remaining sum is empty and the form stays within 0 .. 2^bits - 1.

        Entries are known modulo 2^bits; those above half stand for negative ones. The form and P then agree modulo
        2^bits, and are equal where both lie in 0 .. 2^bits - 1. The values of the form lie between the sum of its
        negative entries and the sum of its positive ones.
        """
        if any(self._coefficients.values()):
            return None  # terms that are linear in one operand
        modulus = self._modulus
        matrix = tuple(tuple(v - modulus if 2 * v > modulus else v for v in row) for row in self._entries)
        values = [value for row in matrix for value in row]
        if min(values) < 0 or sum(values) >= modulus:
            return None  # equal modulo 2^bits only
        return matrix


@lru_cache(maxsize=256)
def _multilinear(table: int) -> tuple[int, ...]:
    """Integer coefficients of a truth table's multilinear polynomial, by subset of the inputs (Moebius transform).

    f(a, b, c) = sum over subsets S of c_S * (product of the inputs in S), with c_S the alternating sum of f over the
    subsets of S. One pass for each input: f = f|0 + input * (f|1 - f|0).
    """
    values = [table >> row & 1 for row in range(8)]
    for bit in (1, 2, 4):
        for row in range(8):
            if row & bit:
                values[row] -= values[row ^ bit]
    return tuple(values)


def _prove_exhaustively(netlist: Netlist) -> Matrix | None:
    """The matrix if it gives the product of every operand pair, or None.

    If P is a bilinear form at all, M[i][j] is its value at x = 2^i, y = 2^j.
    """
    w, v = (len(bus) for bus in netlist.inputs.values())
    x, y = np.arange(1 << w, dtype=np.uint64)[:, None], np.arange(1 << v, dtype=np.uint64)[None, :]
    products = integer_operations.multiply(lower(netlist), x, y).astype(np.int64)
    #   x = 2^i, y = 2^j:  every term but x_i y_j is 0.
    units = np.array([[products[1 << i, 1 << j] for j in range(v)] for i in range(w)])
    x_bits = (x >> np.arange(w, dtype=np.uint64)).astype(np.int64) & 1
    y_bits = (y.T >> np.arange(v, dtype=np.uint64)).astype(np.int64) & 1
    if not np.array_equal(x_bits @ units @ y_bits.T, products):
        return None
    return tuple(tuple(int(value) for value in row) for row in units)
