"""What an error measurement returns, and what its numbers mean.

With p the exact product, p~ the design's and e = p~ - p, over N operand pairs:

    MED    mean |e|                                     mean error distance
    NMED   MED / P_max                                  P_max is stated with every result
    MRED   mean |e / p|                                 mean of the ratios, over the pairs with p != 0
    MRED (ratio of means)   mean |e| / mean |p|         what the paper prints as MRED (DA Table 8)
    bias   mean e;   variance  mean (e - bias)^2
    error rate              share of wrong results
    larger                  share of results with |p~| > |p|

MED and NMED: Liang, Han, Lombardi, "New metrics for the reliability of approximate and probabilistic adders", IEEE
Transactions on Computers 62(9), 2013. MRED with its rule for zeros varies between authors; ours is above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or rate with its 95 % confidence interval, which has no width where every pair was evaluated.

    `low` and `high` are NaN where the sample is too small for an interval that covers what it claims (see
    `ErrorMetrics`). `needed` is then the least number of pairs that can give one, judged by this sample; it is None
    where there is an interval, and where all sampled pairs agree, so that the sample cannot tell.
    """

    value: float
    low: float
    high: float
    needed: int | None = None

    @property
    def half_width(self) -> float:
        """Half the width of the interval; NaN where there is none."""
        return (self.high - self.low) / 2

    @property
    def has_interval(self) -> bool:
        """Whether `low` and `high` are numbers."""
        return not math.isnan(self.low)

    def to_dict(self) -> dict[str, float | None]:
        """Value, low and high, ready for JSON; what is undefined is None."""
        return {"value": _json_number(self.value), "low": _json_number(self.low), "high": _json_number(self.high)}


@dataclass(frozen=True)
class ErrorMetrics:
    """Error metrics of one design over one operand distribution; the module's docstring holds the formulas.

    - `design`, `digest`: label and behaviour digest of the design.
    - `method`: "sampled", "exhaustive" or "trace" (the caller's operands, all pairs, with intervals as if the pairs
      were independent draws). `distribution`: what the operands were. `samples`: the number of pairs N; `seed`: None
      where nothing was drawn.
    - `p_max`, `p_max_meaning`: the P_max of `nmed`: 1 for uniform01; 4, the supremum of the product, for mantissas in
      [1, 2); (2^w - 1)(2^v - 1) for integers, 2^(w + v - 2) for signed ones; the largest |p| of a trace.
    - `med`, `bias`, `variance`: in the product's own unit (squared for the variance).
    - `mred`, `mred_ratio_of_means`: relative. Pairs with p = 0 are left out of `mred` and of the relative quantiles and
      worst case; `relative_samples` pairs remain. NaN where none does.
    - `error_rate`: integers: p~ != p. Floats: p~ differs from the product of the operands in the design's format,
      rounded by the design's rounding, so that correct rounding is no error. All other metrics take p exactly.
    - `larger`: |p~| > |p|, p exact.
    - `worst_case` = max |e| at operands `worst_case_at`; `worst_relative` = max |e / p| at `worst_relative_at`.
    - `quantiles`, `relative_quantiles`: probability -> quantile of |e| and |e / p| (the smallest value that at least
      that share of the pairs does not exceed), rounded to 10 significant bits (relative error at most 2^-10).
    - `not_finite`: pairs whose result overflowed to infinity or NaN; only `error_rate` takes them in, where a correctly
      rounded product that overflows as well is no error.

    Intervals: normal for means, Wilson for rates, the delta method for the ratio of means, and
    (fourth central moment - variance^2) / N as the variance of the variance. Quantiles and worst cases have none.
    A normal interval is given only where the sample is large enough for it (`circuits.accuracy.interval_rules`).
    """

    design: str
    digest: str
    method: str
    distribution: str
    samples: int
    relative_samples: int
    not_finite: int
    seed: int | None
    p_max: float
    p_max_meaning: str
    med: Estimate
    nmed: Estimate
    mred: Estimate
    mred_ratio_of_means: Estimate
    error_rate: Estimate
    larger: Estimate
    bias: Estimate
    variance: Estimate
    worst_case: float
    worst_case_at: tuple[float, float]
    worst_relative: float
    worst_relative_at: tuple[float, float]
    quantiles: Mapping[float, float] = field(compare=False)
    relative_quantiles: Mapping[float, float] = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON: estimates as value, low, high; what is undefined as None."""
        return _plain_fields(self)


@dataclass(frozen=True)
class ErrorSurface:
    """Errors binned over both operands.

    `x_edges` float64 [bins + 1], `w_edges` likewise: bin k holds edge k <= operand < edge k + 1 (the last one also its
    right edge). `count` int64 [bins, bins], first index the first operand; `bias`, `med`: mean e and mean |e| of each
    bin; `mred`: mean |e / p| over its pairs with p != 0; NaN in empty bins.
    """

    design: str
    digest: str
    method: str
    distribution: str
    samples: int
    seed: int | None
    x_edges: NDArray[np.float64]
    w_edges: NDArray[np.float64]
    count: NDArray[np.int64]
    bias: NDArray[np.float64]
    med: NDArray[np.float64]
    mred: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON: arrays as nested lists, NaN as None."""
        return _plain_fields(self)


def _plain_fields(result: ErrorMetrics | ErrorSurface) -> dict[str, Any]:
    return {item.name: _plain(getattr(result, item.name)) for item in fields(result)}


def _plain(value: Any) -> Any:
    """`value` in dictionaries, lists and numbers that JSON can hold."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return _json_number(value) if isinstance(value, float) else value


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
