"""Error metrics in closed form, for multipliers that are bilinear forms in the operand bits (`circuits.accuracy.bilinear`).

With P = sum of M[i][j] x_i y_j, the error is bilinear too: e = sum of D[i][j] x_i y_j, D[i][j] = M[i][j] - 2^(i+j).
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

from circuits.accuracy.bilinear import Factor, design_form, factorise, lowered_form
from circuits.accuracy.sampling import DISTRIBUTIONS
from circuits.designs.design_record import Design
from circuits.errors import DesignError, unknown_name

MAXIMUM_WIDTH = 26
"""Widest operand of a rank-1 error whose values are listed."""
_LOW_BITS = 16


@dataclass(frozen=True)
class ClosedForm:
    """Metrics as `circuits.accuracy.measurement.ErrorMetrics` defines them, without sampling; None: no derivation.

    Bias and variance are always there, the others where the error has rank 1 (or 0). Integer designs: exact up to
    float64. Float designs: without the rounding of operands and results, which moves a relative error by at most three
    times 2^-fraction_bits of the format, and without an error rate.
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
        """JSON-ready."""
        return asdict(self)


def closed_form_metrics(design: Design, *, distribution: str = "uniform01") -> ClosedForm | None:
    """The closed form of a design's errors, or None where none is known.

    `distribution` as for `error_metrics`: integer designs "uniform01" (all operands) or "mantissa" (those with the
    leading bit set); float designs uniform in [0, 1], or mantissas uniform in [1, 2). Raises UnknownNameError.
    """
    if distribution not in DISTRIBUTIONS:
        raise unknown_name("distribution", str(distribution), DISTRIBUTIONS)
    is_float = design.float_format is not None
    if is_float:
        try:
            form = lowered_form(design)
        except DesignError:
            return None  # no form, or one that the normaliser does not leave alone
    else:
        found = design_form(design)
        if found is None:
            return None
        form = found
    w, v = design.shape
    leading = is_float or distribution == "mantissa"
    error = [[entry - (1 << i + j) for j, entry in enumerate(row)] for i, row in enumerate(form.matrix)]
    factors = factorise(error)

    # In units of the integer product; a float product is 4^(w-1) times smaller.
    unit = 4.0 ** (1 - w) if is_float else 1.0
    mean_scale, square_scale = (1 / 9, 1 / 49) if is_float and distribution == "uniform01" else (1.0, 1.0)
    p_max = {True: {"uniform01": 1.0, "mantissa": 4.0}[distribution], False: float((2**w - 1) * (2**v - 1))}[is_float]

    bias, square = _moments(error, leading)
    bias *= unit * mean_scale
    values: dict[str, float | None] = {"bias": bias, "variance": square * unit * unit * square_scale - bias * bias}
    if len(factors) <= 1 and max(w, v) <= MAXIMUM_WIDTH:
        mean_product = _mean_operand(w, leading) * _mean_operand(v, leading) * unit * mean_scale
        values |= _separable(factors[0] if factors else None, leading)
        for name in ("med", "worst_case"):
            values[name] = (values[name] or 0.0) * unit
        if is_float:
            values["error_rate"] = None
            if distribution == "uniform01":
                values["worst_case"] = None  # at the upper end of [0, 1], where no whole binade lies
        med = (values["med"] or 0.0) * mean_scale
        values |= {"med": med, "nmed": med / p_max, "mred_ratio_of_means": med / mean_product}
    names = {"design": design.label, "digest": design.digest, "distribution": distribution, "form": str(form)}
    return ClosedForm(**names, error_rank=len(factors), **values)  # type: ignore[arg-type]


def _moments(error: list[list[int]], leading: bool) -> tuple[float, float]:
    """(E[e], E[e^2]), summed in integers: twice the mean of a bit is 1 or 2, four times a second moment 1, 2 or 4."""
    matrix = np.array(error, dtype=object)

    def moments(width: int) -> tuple[NDArray[Any], NDArray[Any]]:
        twice = np.array([1] * (width - 1) + [2 if leading else 1], dtype=object)
        second = np.outer(twice, twice)
        second[np.diag_indices(width)] = 2 * twice
        return twice, second

    (x_mean, x_second), (y_mean, y_second) = (moments(n) for n in matrix.shape)
    bias = x_mean @ matrix @ y_mean
    square = (matrix * (x_second @ matrix @ y_second)).sum()
    return int(bias) / 4, int(square) / 16


def _mean_operand(width: int, leading: bool) -> float:
    low = 1 << (width - 1) if leading else 0
    return (low + (1 << width) - 1) / 2


def _separable(factor: Factor | None, leading: bool) -> dict[str, float | None]:
    """The metrics of e = c U V, in units of the integer product."""
    if factor is None:
        return dict.fromkeys(("med", "mred", "larger", "error_rate", "worst_case"), 0.0)
    scale = abs(float(factor.coefficient))
    u, v = (_side(weights, leading) for weights in (factor.x_weights, factor.y_weights))
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
    """Of U = sum of weights[i] x_i over one operand X: E|U|, E[|U| / X | X > 0], P(U > 0), P(U < 0), max |U|."""

    mean: float
    relative: float
    positive: float
    negative: float
    greatest: float


def _side(weights: tuple[int, ...], leading: bool) -> _Side:
    # The operand's values in parts that share their high bits, so that memory stays small.
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
        start = max(first - number * low.size, 0)
        values, x = low[start:] + value, operand[start:] + number * low.size
        magnitude = np.abs(values)
        total += int(magnitude.sum())
        positive += int(np.count_nonzero(values > 0))
        negative += int(np.count_nonzero(values < 0))
        greatest = max(greatest, int(magnitude.max(initial=0)))
        met = slice(int(x.size > 0 and x[0] == 0), None)  # all but X = 0
        ratios.append(float(np.sum(magnitude[met] / x[met])))
    count = (1 << len(weights)) - first
    return _Side(
        total / count, math.fsum(ratios) / (count - (not leading)), positive / count, negative / count, greatest
    )
