"""Error metrics in closed form, for multipliers that are bilinear forms in the operand bits.

The form P = sum of M[i][j] x_i y_j is found and proved by `circuits.accuracy.bilinear`. The error is bilinear too:

    e = sum of D[i][j] x_i y_j,    D[i][j] = M[i][j] - 2^(i+j).

Operand bits are independent, of mean 1/2, or 1 for the leading bit of a mantissa. Let A[i][k] = E[x_i x_k] and
B[j][l] = E[y_j y_l]; with m the mean of a bit, A[i][k] = m_i m_k off the diagonal and m_i on it. Then

    bias  = sum of D[i][j] E[x_i] E[y_j]
    E[e^2] = sum of D[i][j] (A D B)[i][j],    variance = E[e^2] - bias^2.

Where D has rank 1, e = c U V with U = sum of u_i x_i and V = sum of v_j y_j, and because the operands are independent
every expectation of a product of a function of X and one of Y is the product of two, each over one operand:

    MED = |c| E|U| E|V|,    MRED = |c| E[|U| / X | X > 0] E[|V| / Y | Y > 0],
    larger = P(c U V > 0),  error rate = P(U V != 0),  worst case = |c| max|U| max|V|.

For axfpm (FACTS 2) e = (X & ~1)(2^w y_(w-1) - Y); for axfpm_tiled e = (X & 0xEEEEEE)(2 (Y & 0x888888) - Y). On
mantissas x, y in [1, 2) the first is x (2 - y) up to the last bit: MED = 3/2 * 1/2, MRED = E[2 / y - 1] = 2 ln 2 - 1.

Floats uniform in [0, 1]: an operand lies in [2^-k, 2^(1-k)) with probability 2^-k, k = 1, 2, ..., and is there 2^-k
times a mantissa uniform in [1, 2). Relative metrics are those of mantissas; a mean of e is that of mantissas times
(sum of 2^-k 2^-k)^2 = 1/9, one of e^2 that of mantissas times (sum of 2^-k 4^-k)^2 = 1/49. So NMED of axfpm is
3/4 / 9 = 1/12 and mean |e| / mean p is (1/12) / (1/4) = 1/3.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.bilinear import BilinearForm, Factor, design_form, factorise, lowered_form
from circuits.accuracy.sampling import DISTRIBUTIONS
from circuits.designs.design_record import Design
from circuits.errors import DesignError, unknown_name

MAXIMUM_WIDTH = 26
"""Widest operand of a rank-1 error whose values are listed."""
_LOW_BITS = 16


@dataclass(frozen=True)
class ClosedForm:
    """Metrics as `circuits.accuracy.error_types.ErrorMetrics` defines them, without sampling; None: no derivation.

    `form` is the proved form in words, `error_rank` the rank of its error. Bias and variance are always there, the
    others where that rank is 1 (or 0). Integer designs: exact up to float64. Float designs: without the rounding of
    operands and results, which moves a relative error by at most three times 2^-fraction_bits of the format, and
    without an error rate.
    """

    design: str
    digest: str
    distribution: str
    form: str
    error_rank: int
    bias: float
    variance: float
    med: float | None = None
    nmed: float | None = None
    mred: float | None = None
    mred_ratio_of_means: float | None = None
    larger: float | None = None
    error_rate: float | None = None
    worst_case: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


def closed_form_metrics(design: Design, *, distribution: str = "uniform01") -> ClosedForm | None:
    """The closed form of a design's errors, or None where none is known.

    `distribution` as for `error_metrics`: integer designs "uniform01" (all operands) or "mantissa" (those with the
    leading bit set); float designs uniform in [0, 1], or mantissas uniform in [1, 2). Raises UnknownNameError.
    """
    if distribution not in DISTRIBUTIONS:
        raise unknown_name("distribution", str(distribution), DISTRIBUTIONS)
    form = _form_of(design)
    if form is None:
        return None
    # D = M - (matrix of the exact product).
    error = [[value - (1 << i + j) for j, value in enumerate(row)] for i, row in enumerate(form.matrix)]
    factors = factorise(error)
    operands = _Operands.of(design, distribution)
    bias, square = _moments(error, operands.leading)
    # e scales with `unit`, e^2 with its square; the exponents of floats scale them by 1/9 and 1/49 (see the module).
    bias *= operands.unit * operands.mean_scale
    square *= operands.unit * operands.unit * operands.square_scale
    values: dict[str, float | None] = {"bias": bias, "variance": square - bias * bias}
    if len(factors) <= 1 and max(design.shape) <= MAXIMUM_WIDTH:
        values |= _separable_metrics(design, factors[0] if factors else None, operands)
    return ClosedForm(
        design=design.label,
        digest=design.digest,
        distribution=distribution,
        form=str(form),
        error_rank=len(factors),
        **values,  # type: ignore[arg-type]
    )


def _form_of(design: Design) -> BilinearForm | None:
    """The form of the products; None where a float design has none or one that the normaliser does not leave alone."""
    if design.float_format is None:
        return design_form(design)
    try:
        return lowered_form(design)
    except DesignError:
        return None


@dataclass(frozen=True)
class _Operands:
    """What the distribution of the operands and their format mean for errors in units of the integer product.

    `leading`: the leading bit of each operand is 1. `unit`: value of one unit of the integer product. `mean_scale`,
    `square_scale`: factors of a mean of e and of e^2 for exponents that vary. `p_max`: the P_max of NMED.
    """

    is_float: bool
    leading: bool
    unit: float
    mean_scale: float
    square_scale: float
    p_max: float
    unbounded_exponents: bool

    @classmethod
    def of(cls, design: Design, distribution: str) -> _Operands:
        w, v = design.shape
        uniform = distribution == "uniform01"
        if design.float_format is None:
            return cls(False, not uniform, 1.0, 1.0, 1.0, float((2**w - 1) * (2**v - 1)), False)
        # A float product is 4^(w-1) times smaller than that of the mantissas as integers.
        unit = 4.0 ** (1 - w)
        if uniform:
            return cls(True, True, unit, 1 / 9, 1 / 49, 1.0, True)
        return cls(True, True, unit, 1.0, 1.0, 4.0, False)


def _separable_metrics(design: Design, factor: Factor | None, operands: _Operands) -> dict[str, float | None]:
    """The metrics that follow where the error is one product e = c U V, or 0."""
    w, v = design.shape
    leading = operands.leading
    mean_product = _mean_operand(w, leading) * _mean_operand(v, leading) * operands.unit * operands.mean_scale
    values = _separable(factor, leading)
    for name in ("med", "worst_case"):
        values[name] = (values[name] or 0.0) * operands.unit
    if operands.is_float:
        values["error_rate"] = None
    if operands.unbounded_exponents:
        values["worst_case"] = None  # at the upper end of [0, 1], where no whole binade lies
    med = (values["med"] or 0.0) * operands.mean_scale
    return {**values, "med": med, "nmed": med / operands.p_max, "mred_ratio_of_means": med / mean_product}


def _moments(error: list[list[int]], leading: bool) -> tuple[float, float]:
    """(E[e], E[e^2]) in units of the integer product; `leading`: the leading bit of each operand is 1.

    Summed in integers: twice the mean of a bit is 1 or 2, and four times a second moment 1, 2 or 4, so that

        4 E[e]    =  (2 E[x])^T D (2 E[y])
        16 E[e^2] =  sum of D[i][j] (4A D 4B)[i][j].
    """
    matrix = np.array(error, dtype=object)

    def moments(width: int) -> tuple[NDArray[Any], NDArray[Any]]:
        twice = np.array([1] * (width - 1) + [2 if leading else 1], dtype=object)
        second = np.outer(twice, twice)
        #   x_i^2 = x_i:  4 E[x_i^2] = 4 E[x_i] = 2 (2 E[x_i]),  against (2 E[x_i]) (2 E[x_k]) off the diagonal.
        second[np.diag_indices(width)] = 2 * twice
        return twice, second

    (x_mean, x_second), (y_mean, y_second) = (moments(n) for n in matrix.shape)
    bias = x_mean @ matrix @ y_mean
    square = (matrix * (x_second @ matrix @ y_second)).sum()
    return int(bias) / 4, int(square) / 16


def _mean_operand(width: int, leading: bool) -> float:
    """The mean of an integer operand: its values are equally likely from the lowest to 2^width - 1."""
    low = 1 << (width - 1) if leading else 0
    return (low + (1 << width) - 1) / 2


def _separable(factor: Factor | None, leading: bool) -> dict[str, float | None]:
    """The metrics of e = c U V, in units of the integer product."""
    if factor is None:
        return dict.fromkeys(("med", "mred", "larger", "error_rate", "worst_case"), 0.0)
    scale = abs(float(factor.coefficient))
    u, v = (_side(weights, leading) for weights in (factor.x_weights, factor.y_weights))
    # X and Y are independent: P(U V > 0) = P(U > 0) P(V > 0) + P(U < 0) P(V < 0). e has the sign of c U V.
    same, opposite = (
        u.positive * v.positive + u.negative * v.negative,
        u.positive * v.negative + u.negative * v.positive,
    )
    return {
        "med": scale * u.mean * v.mean,
        "mred": scale * u.relative * v.relative,
        "larger": same if factor.coefficient > 0 else opposite,
        "error_rate": (u.positive + u.negative) * (v.positive + v.negative),
        "worst_case": scale * u.greatest * v.greatest,
    }


@dataclass(frozen=True)
class _Side:
    """Statistics of U = sum of weights[i] x_i over the values of one operand X.

    In the order of the fields: E|U|, E[|U| / X | X > 0], P(U > 0), P(U < 0) and max |U|.
    """

    mean: float
    relative: float
    positive: float
    negative: float
    greatest: float


def _side(weights: tuple[int, ...], leading: bool) -> _Side:
    """The statistics, from a list of all 2^w values of U; the leading bit of X is 1 if `leading`.

    The values come in blocks that share their high bits, so that memory stays small: U = (part of the high bits) +
    (part of the low bits), and the low part is one array for all blocks.
    """
    low = np.zeros(1, dtype=np.int64)
    for weight in weights[:_LOW_BITS]:
        low = np.concatenate([low, low + weight])  # index: the low bits
    high = [0]
    for weight in weights[_LOW_BITS:]:
        high += [value + weight for value in high]
    operand = np.arange(low.size, dtype=np.int64)
    first = 1 << (len(weights) - 1) if leading else 0
    total = positive = negative = greatest = 0
    ratios = []
    for number, value in enumerate(high):
        # With a leading one X begins at `first`; a block wholly below it becomes empty.
        start = max(first - number * low.size, 0)
        values, x = low[start:] + value, operand[start:] + number * low.size
        magnitude = np.abs(values)
        total += int(magnitude.sum())
        positive += int(np.count_nonzero(values > 0))
        negative += int(np.count_nonzero(values < 0))
        greatest = max(greatest, int(magnitude.max(initial=0)))
        positive_x = slice(int(x.size > 0 and x[0] == 0), None)  # all but X = 0, which only the first block holds
        ratios.append(float(np.sum(magnitude[positive_x] / x[positive_x])))
    count = (1 << len(weights)) - first
    return _Side(
        total / count, math.fsum(ratios) / (count - (not leading)), positive / count, negative / count, greatest
    )
