"""Error metrics of a multiplier: exhaustive for integers, sampled with 95 % confidence intervals otherwise.

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

Operand pairs come in chunks of a fixed size, each from its own counter-based stream, and chunk results are added in
their order by math.fsum: the same seed gives the same numbers on any number of threads and any backend, in bounded
memory.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from multiprocessing.pool import ThreadPool
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.designs.design_record import Design
from circuits.engine import integer_operations
from circuits.engine.blocks import BLOCK, LIMB, limbs
from circuits.engine.task_threads import default_threads
from circuits.errors import DesignError, unknown_name
from circuits.floats import arithmetic
from circuits.support.scratch import scratch_array
from circuits.support.statistics import normal_quantile, wilson

DISTRIBUTIONS = ("uniform01", "mantissa")
METHODS = ("auto", "sampled", "exhaustive")
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""The quantiles of |e| and |e / p| that are reported."""
CHUNK = 1 << 16
"""Operand pairs a chunk. Part of the definition of a sample: another size gives other (equally good) numbers."""
AUTOMATIC_EXHAUSTIVE_BITS = 20
MAXIMUM_EXHAUSTIVE_BITS = 32
MAXIMUM_SAMPLES = 10**12
MAXIMUM_BINS = 4096
CONFIDENCE = 0.95
# What the three constants below give: the percent of 1000 samples (300 of 10,000 pairs) that the interval covers where
# there is one; in brackets the percent of samples that have one, if not 100:
#
#                                        300 pairs                 1000 pairs                     10,000 pairs
#                                MED MRED ratio bias     MED MRED ratio bias variance     MED MRED ratio bias variance
#     axfpm        uniform01      95   94   94   95       95   94   96   95    94           95   95   95   95    95
#                  mantissa       95   95   95   95       96   96   96   96    95           93   94   94   93    97
#     axfpm_tiled  uniform01      94   96   96   94       96   95   94   96    93           96   95   95   96    94
#                  mantissa       97   96   96   97       95   95   95   95    96           96   96   97   96    95
#     heap         uniform01  (98)96   96   96   95       94   94   95   95 (84)96          96   95   97   95    95
#                  mantissa       94   95   95   95       94   94   93   95    94           95   94   96   97    95
#     ama1_array   uniform01  (99)94   95   95   95       95   95   95   94 (86)95          94   96   96   95    93
#                  mantissa       95   94   94   95       95   95   95   93    96           95   96   95   97    92
#     ama3, 8 x 8  uniform01      95   (0)  96   95       94   (0)  95   95    95           97   (0)  98   97    95
#                  mantissa       96   94   96   95       94   94   95   94    94           95   94   95   95    97
#
# Without them the variance of axfpm covers 90 % from 100 uniform01 pairs, and the MRED of the last design, over all
# integers, 69 % from 300 and 86 % from 10,000 pairs, because it hangs on products near 1 that most samples lack. A
# bootstrap does not mend that: it draws from the same sample.
LEAST_PAIRS = 300
"""Operand pairs below which no mean gets an interval."""
LEAST_PAIRS_OF_VARIANCE = 1000
"""Operand pairs below which the variance gets none: squared errors are more skewed than errors."""
PAIRS_PER_SKEWNESS = 50
"""A mean gets an interval only from at least this many pairs times the squared skewness of what is averaged."""
_CHUNKS_A_TASK = 16
_EXACT_SUMS = 1 << 16  # chunks whose sums are kept until they are added up

Reals = NDArray[np.float64]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or rate with its 95 % confidence interval; zero-width where every pair was evaluated.

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
        """JSON-ready: value, low, high; None for what is undefined."""
        return {"value": _json(self.value), "low": _json(self.low), "high": _json(self.high)}


@dataclass(frozen=True)
class ErrorMetrics:
    """Error metrics of one design over one operand distribution; formulas in the module's docstring.

    - `design`, `digest`: label and behaviour digest of the design.
    - `method`: "sampled", "exhaustive" or "trace" (the caller's operands, all pairs, with intervals as if the pairs
      were independent draws). `distribution`: what the operands were. `samples`: pairs N; `seed`: None if none drawn.
    - `p_max`, `p_max_meaning`: the P_max of `nmed`: 1 for uniform01; 4, the supremum of the product, for mantissas in
      [1, 2); (2^w - 1)(2^v - 1) for integers, 2^(w + v - 2) for signed ones; the largest |p| met for a trace.
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
    A normal interval is given only for a sample large enough for it, N >= max(LEAST_PAIRS, PAIRS_PER_SKEWNESS g), or
    LEAST_PAIRS_OF_VARIANCE, with g the squared skewness of what is averaged (`_Histogram.squared_skewness`).
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
        """JSON-ready; estimates as value, low, high; what is undefined as None."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}


def error_metrics(
    design: Design,
    *,
    samples: int = 1_000_000,
    distribution: str = "uniform01",
    seed: int = 0,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
    method: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> ErrorMetrics:
    """Error metrics of `design` against the exact product.

    Float designs: `samples` pairs of float32 operands, `distribution` "uniform01" (uniform in [0, 1], rounded to
    float32) or "mantissa" (uniform in [1, 2)). The exact product is that of the float32 operands, in float64 without
    rounding; a conversion into a narrower format counts as the design's error.

    Integer designs: "uniform01" means uniform over all operands, "mantissa" (unsigned ones) uniform over those with
    the leading bit set. `method` "exhaustive" evaluates all 2^(w + v) pairs (w + v <= 32), "auto" does so up to
    w + v = 20 bits.

    `operands=(x, w)`: the caller's own arrays (broadcast against each other; first operand = activation), for instance
    recorded from a layer; every pair is evaluated, `samples`, `distribution` and `seed` are not used.

    `threads`: None takes all cores. `backend`: what simulates the circuit (see `circuits.engine.BACKENDS`); "auto" is
    the interpreted engine unless compiling the design pays. Neither changes the result. Raises DesignError on arguments
    out of range.
    """
    plan = _plan(design, samples, distribution, seed, operands, method)
    errors = _error_function(design, plan, backend)
    counters = _Counters()
    totals = _Totals(plan)
    for part in _chunks(plan, lambda x, w: _measure(errors, counters.mine(), x, w), threads):
        totals.add(part)
    return totals.result(design, *counters.histograms(totals))


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
    x_edges: Reals
    w_edges: Reals
    count: NDArray[np.int64]
    bias: Reals
    med: Reals
    mred: Reals

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: arrays as nested lists, NaN as None."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}


def error_surface(
    design: Design,
    *,
    bins: int = 32,
    samples: int = 1_000_000,
    distribution: str = "uniform01",
    seed: int = 0,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
    method: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> ErrorSurface:
    """Mean errors over a `bins` x `bins` grid of equal operand intervals; the other arguments as for `error_metrics`.

    Pairs whose result is not finite are left out.
    """
    _check_integer("bins", bins, 1, MAXIMUM_BINS)
    plan = _plan(design, samples, distribution, seed, operands, method)
    edges = [np.linspace(low, high, bins + 1) for low, high in plan.ranges]
    errors = _error_function(design, plan, backend)

    def measure(x: NDArray[Any], w: NDArray[Any]) -> Reals:
        e, p, _, finite = errors(x, w)
        cell = np.zeros(e.size, dtype=np.int64)
        for values, (low, high) in zip((x, w), plan.ranges, strict=True):
            # Where the operand's interval is a single value (a trace of constants), all pairs are in bin 0.
            scaled = (values.astype(np.float64) - low) * (bins / (high - low) if high > low else 0.0)
            cell = cell * bins + np.clip(scaled.astype(np.int64), 0, bins - 1)
        if finite is not None:
            cell, e, p = cell[finite], e[finite], p[finite]
        nonzero = p != 0
        relative = np.abs(e[nonzero] / p[nonzero])
        weights: Iterable[tuple[NDArray[np.int64], Reals | None]] = (
            (cell, None),
            (cell, e),
            (cell, np.abs(e)),
            (cell[nonzero], None),
            (cell[nonzero], relative),
        )
        return np.stack([np.bincount(c, weight, bins * bins).astype(np.float64) for c, weight in weights])

    total = np.zeros((5, bins * bins))
    for part in _chunks(plan, measure, threads):
        total += part
    count, signed, distance, nonzero_count, relative = total.reshape(5, bins, bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = signed / count, distance / count, relative / nonzero_count
    return ErrorSurface(
        design.label,
        design.digest,
        plan.method,
        plan.distribution,
        plan.count,
        plan.seed,
        edges[0],
        edges[1],
        count.astype(np.int64),
        *means,
    )


# What is evaluated: a plan of chunks of operand pairs.


@dataclass(frozen=True)
class _Plan:
    method: str
    distribution: str
    count: int
    seed: int | None
    p_max: float | None
    p_max_meaning: str
    ranges: tuple[tuple[float, float], tuple[float, float]]
    pairs: Callable[[int, int], tuple[NDArray[Any], NDArray[Any]]]
    """(chunk number, pairs in it) -> first and second operands."""


def _plan(
    design: Design,
    samples: int,
    distribution: str,
    seed: int,
    operands: tuple[ArrayLike, ArrayLike] | None,
    method: str,
) -> _Plan:
    if distribution not in DISTRIBUTIONS:
        raise unknown_name("distribution", str(distribution), DISTRIBUTIONS)
    if method not in METHODS:
        raise unknown_name("method", str(method), METHODS)
    _check_integer("samples", samples, 2, MAXIMUM_SAMPLES)
    _check_integer("seed", seed, 0, 2**64 - 1)
    if operands is not None:
        if method == "exhaustive":
            raise DesignError("method must be 'auto' with operands=..., but got 'exhaustive'; leave one of them out.")
        return _trace_plan(design, operands)
    if design.float_format is not None:
        if method == "exhaustive":
            raise DesignError(
                f"method='exhaustive' needs an integer design, but got format={design.format!r}; use 'sampled'."
            )
        return _float_plan(samples, distribution, seed)
    return _integer_plan(design, samples, distribution, seed, method)


def _float_plan(samples: int, distribution: str, seed: int) -> _Plan:
    def mantissa(chunk: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        bits = _stream(seed, chunk).integers(0, 1 << 23, (2, size), dtype=np.uint32)
        x, w = (bits | np.uint32(0x3F800000)).view(np.float32)
        return x, w

    if distribution == "uniform01":
        meaning = "1, the largest product of operands in [0, 1]"
        return _Plan(
            "sampled", "uniform01", samples, seed, 1.0, meaning, ((0.0, 1.0), (0.0, 1.0)), partial(uniform01, seed)
        )
    meaning = "4, the supremum of products of mantissas in [1, 2)"
    return _Plan("sampled", "mantissa", samples, seed, 4.0, meaning, ((1.0, 2.0), (1.0, 2.0)), mantissa)


def uniform01(seed: int, chunk: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """First and second operands of one chunk of `size` <= CHUNK pairs of "uniform01"."""
    x, w = _stream(seed, chunk).random((2, size)).astype(np.float32)
    return x, w


def _integer_plan(design: Design, samples: int, distribution: str, seed: int, method: str) -> _Plan:
    w, v = design.shape
    leading_one = distribution == "mantissa"
    if design.signed and leading_one:
        raise DesignError("distribution 'mantissa' needs unsigned operands, but got signed=True; use 'uniform01'.")
    drawn_bits = (w - leading_one, v - leading_one)
    if design.signed:
        lows, p_max = (-(2 ** (w - 1)), -(2 ** (v - 1))), 2 ** (w + v - 2)
        meaning = f"2^{w - 1} 2^{v - 1}, the largest product"
    else:
        lows, p_max = (2 ** (w - 1) * leading_one, 2 ** (v - 1) * leading_one), (2**w - 1) * (2**v - 1)
        meaning = f"(2^{w} - 1)(2^{v} - 1), the largest product"
    name = "integers with the leading bit set" if leading_one else "all integers"
    ranges = tuple((float(low), float(low + 2**bits)) for low, bits in zip(lows, drawn_bits, strict=True))
    dtype = np.int64 if design.signed else np.uint64
    narrow = not design.signed and not leading_one and sum(design.shape) <= MAXIMUM_EXHAUSTIVE_BITS

    def enumerated(chunk: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        if narrow:
            x32, y32 = scratch_array("pairs", (2, size), np.uint32)
            _tally().enumerate_pairs(chunk * CHUNK, v, x32, y32)
            return x32, y32
        index = np.arange(chunk * CHUNK, chunk * CHUNK + size, dtype=dtype)
        x, y = index >> dtype(drawn_bits[1]), index & dtype(2 ** drawn_bits[1] - 1)
        return x + dtype(lows[0]), y + dtype(lows[1])

    def drawn(chunk: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        stream = _stream(seed, chunk)
        x, y = (
            stream.integers(low, low + 2**bits - 1, size, dtype=dtype, endpoint=True)
            for low, bits in zip(lows, drawn_bits, strict=True)
        )
        return x, y

    if method == "exhaustive" and w + v > MAXIMUM_EXHAUSTIVE_BITS:
        raise DesignError(
            f"w + v <= {MAXIMUM_EXHAUSTIVE_BITS} must hold for method='exhaustive', but got {w} + {v}; use 'sampled'."
        )
    if method == "exhaustive" or (method == "auto" and w + v <= AUTOMATIC_EXHAUSTIVE_BITS):
        count = int(2 ** sum(drawn_bits))
        return _Plan("exhaustive", name, count, None, float(p_max), meaning, (ranges[0], ranges[1]), enumerated)
    uniform = f"uniform over {name}"
    return _Plan("sampled", uniform, samples, seed, float(p_max), meaning, (ranges[0], ranges[1]), drawn)


def _trace_plan(design: Design, operands: tuple[ArrayLike, ArrayLike]) -> _Plan:
    if not isinstance(operands, (tuple, list)) or len(operands) != 2:
        raise DesignError("operands must be a pair (x, w) of arrays, but got something else; pass operands=(x, w).")
    arrays = [np.asarray(values) for values in operands]
    if design.float_format is not None:
        with np.errstate(over="ignore"):
            arrays = [array.astype(np.float32) for array in arrays]
        for name, array in zip(("x", "w"), arrays, strict=True):
            if not np.isfinite(array).all():
                raise DesignError(
                    f"operands must be finite, but {name} holds {array[~np.isfinite(array)][0]}; drop those pairs."
                )
    try:
        x, w = np.broadcast_arrays(*arrays)
    except ValueError:
        raise DesignError(
            f"operands must broadcast, but have shapes {arrays[0].shape} and {arrays[1].shape}; reshape one."
        ) from None
    if x.size < 2:
        raise DesignError(f"operands must hold at least 2 pairs, but hold {x.size}; pass more.")
    ranges = tuple((float(array.min()), float(array.max())) for array in arrays)

    def pairs(chunk: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        part = slice(chunk * CHUNK, chunk * CHUNK + size)
        return x.flat[part], w.flat[part]

    meaning = "the largest |exact product| of the trace"
    return _Plan("trace", "trace", x.size, None, None, meaning, (ranges[0], ranges[1]), pairs)


def _stream(seed: int, chunk: int) -> np.random.Generator:
    """The chunk's own stream: Philox (Salmon et al., SC 2011), key the seed, the chunk in the counter's high word."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, 0], np.uint64), counter=[0, 0, 0, chunk]))


def _chunks(
    plan: _Plan, measure: Callable[[NDArray[Any], NDArray[Any]], Result], threads: int | None
) -> Iterator[Result]:
    """The chunks' results in chunk order."""
    count = -(-plan.count // CHUNK)
    workers = min(threads or default_threads(), count - 1)

    def one(chunk: int) -> Result:
        return measure(*plan.pairs(chunk, min(CHUNK, plan.count - chunk * CHUNK)))

    # The first one alone: it builds and compiles what the others then find in caches.
    yield one(0)
    if workers <= 1:
        yield from map(one, range(1, count))
        return
    size = min(_CHUNKS_A_TASK, max(1, count // (8 * workers)))

    def task(first: int) -> list[Result]:
        return [one(chunk) for chunk in range(first, min(first + size, count))]

    with ThreadPool(workers) as pool:
        for results in pool.imap(task, range(1, count, size)):
            yield from results


# What is measured of a chunk, and how chunks add up.


Errors = Callable[[NDArray[Any], NDArray[Any]], tuple[Reals, Reals, int | None, NDArray[np.bool_] | None]]
"""(x, w) -> e, p, wrong results and which results are finite. e and p are float64, rounded only where they need more
than 53 bits, in arrays that the next call reuses; None stands for the count of e != 0, and for all being finite."""


def _error_function(design: Design, plan: _Plan, backend: str) -> Errors:
    backend = integer_operations.choose_backend(backend, design.program(), plan.count, otherwise="interpreted")
    if design.float_format is not None:
        return lambda x, w: _float_errors(design, backend, x, w)
    if max(design.shape) <= LIMB and len(design.program().results) <= 62:
        return _word_errors(design, plan, backend)
    return lambda x, w: _wide_errors(design, backend, x, w)


def _word_errors(design: Design, plan: _Plan, backend: str) -> Errors:
    """Of operands of up to 32 bits."""
    program = design.program()
    run = integer_operations.product_words(program, backend)
    bits = len(program.results)

    def errors(x: NDArray[Any], w: NDArray[Any]) -> tuple[Reals, Reals, None, None]:
        if plan.method == "trace":
            for values, name, width in zip((x, w), program.inputs, design.shape, strict=True):
                integer_operations.check(values, name, width, design.signed)
        if object in (x.dtype, w.dtype):
            x, w = x.astype(np.int64), w.astype(np.int64)
        lanes = -(-x.size // BLOCK) * BLOCK
        words = []
        for name, values in (("x", x), ("y", w)):
            if values.dtype == np.uint32 and lanes == values.size:
                words.append(values.reshape(1, lanes))
            else:
                words.append(scratch_array(name, (1, lanes), np.uint32))
                words[-1][0, : x.size] = values  # two's complement where negative
        product = scratch_array("product", (2, lanes), np.uint32)
        product[limbs(bits) :] = 0
        run(words[0], words[1], product)
        e, p = scratch_array("errors", (2, x.size), np.float64)
        if bits <= LIMB and not design.signed:
            _tally().errors_of_narrow_integers(product[0], words[0][0], words[1][0], e, p)
        else:
            whole = (x.astype(np.int64, copy=False), w.astype(np.int64, copy=False))
            _tally().errors_of_integers(product, *whole, -bits if design.signed else bits, e, p)
        return e, p, None, None

    return errors


def _wide_errors(
    design: Design, backend: str, x: NDArray[Any], w: NDArray[Any]
) -> tuple[Reals, Reals, int | None, NDArray[np.bool_] | None]:
    """Of operands or products that need Python's integers."""
    product = design.multiply_integers(x, w, backend=backend).astype(object)
    exact = x.astype(object) * w.astype(object)
    return (product - exact).astype(np.float64), exact.astype(np.float64), None, None


def _float_errors(
    design: Design, backend: str, x: NDArray[Any], w: NDArray[Any]
) -> tuple[Reals, Reals, int | None, NDArray[np.bool_] | None]:
    fmt = design.float_format
    assert fmt is not None
    result = design.multiply(x, w, backend=backend)
    if fmt.name == "float32":
        e, p = scratch_array("errors", (2, x.size), np.float64)
        count, is_right = _tally().errors_of_floats(result, x, w, design.rounding == "nearest_even", e, p)
        if is_right:
            return e, p, count, None
    result = result.astype(np.float64)
    exact = x.astype(np.float64) * w.astype(np.float64)
    converted = exact
    rules = {"rounding": design.rounding, "subnormals": str(design.subnormals)}
    if fmt.name != "float32" or (design.subnormals == "flush" and min(np.abs(x).min(), np.abs(w).min()) < 2.0**-126):
        with np.errstate(invalid="ignore"):
            converted = arithmetic.quantize(fmt, x, **rules).astype(np.float64) * arithmetic.quantize(fmt, w, **rules)
    correct = round_product(fmt, converted, **rules)
    finite = np.isfinite(result)
    wrong = result != correct
    if finite.all():
        return result - exact, exact, int(np.count_nonzero(wrong)), None
    wrong &= ~(np.isnan(result) & np.isnan(correct))
    return result - exact, exact, int(np.count_nonzero(wrong)), finite


def round_product(fmt: arithmetic.FloatFormat, product: Reals, *, rounding: str, subnormals: str) -> Reals:
    """float64 `product` (exact, or infinity or NaN) rounded once into `fmt`, as float64: `circuits.floats.arithmetic` step 5."""
    drop = 52 - fmt.fraction_bits
    bits = product.view(np.int64)
    if rounding == "nearest_even":
        # Half an ulp less one, plus the last kept bit: ties go to even; a carry moves into the exponent as it should.
        bits = bits + (((bits >> drop) & 1) + ((1 << (drop - 1)) - 1))
    rounded = (bits & np.int64(-1 << drop)).view(np.float64)
    smallest = 2.0**fmt.minimum_exponent
    tiny = np.abs(rounded) < smallest
    if tiny.any():
        if subnormals == "flush":
            replaced = np.zeros_like(product)
        else:
            quantum = smallest * 2.0**-fmt.fraction_bits
            scaled = product / quantum
            replaced = (np.trunc(scaled) if rounding == "truncate" else np.rint(scaled)) * quantum
        rounded = np.where(tiny, replaced, rounded)
    over = np.abs(rounded) > fmt.largest
    if over.any():
        rounded = np.where(over, np.copysign(np.inf, product) if fmt.infinity else np.nan, rounded)
    return rounded


@dataclass(frozen=True, slots=True)
class _Part:
    """What one chunk adds beside its histograms: counts, sums, extremes (see `tally`) and the places of maxima."""

    pairs: int
    finite: int
    wrong: int
    nonzero: int
    larger: int
    sums: tuple[float, ...]
    extremes: tuple[float, ...]
    worst_at: tuple[float, float]
    worst_relative_at: tuple[float, float]


def _measure(errors: Errors, counts: NDArray[np.int64], x: NDArray[Any], w: NDArray[Any]) -> _Part:
    pairs = x.size
    e, p, wrong, finite = errors(x, w)
    if finite is not None:
        e, p, x, w = e[finite], p[finite], x[finite], w[finite]
    sums, e_wrong, nonzero, larger, worst, worst_relative, extremes = _tally().tally(e, p, counts[0], counts[1])

    def place(index: int) -> tuple[float, float]:
        return (math.nan, math.nan) if index < 0 else (_number(x[index]), _number(w[index]))

    return _Part(
        pairs,
        e.size,
        e_wrong if wrong is None else wrong,
        nonzero,
        larger,
        sums,
        tuple(extremes.tolist()),
        place(worst),
        place(worst_relative),
    )


class _Counters:
    """Histograms of |e| and |e / p| of every thread: whole numbers, so that it does not matter which thread counts."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[NDArray[np.int64]] = []

    def mine(self) -> NDArray[np.int64]:
        """int64 [2, BINS] of the calling thread. The pages of bins that nothing falls into cost nothing."""
        held: NDArray[np.int64] | None = getattr(self._own, "counts", None)
        if held is None:
            held = self._own.counts = np.zeros((2, _tally().BINS), dtype=np.int64)
            self._all.append(held)
        return held

    def histograms(self, totals: _Totals) -> tuple[_Histogram, _Histogram]:
        """Of |e| and of |e / p|, the pairs with p = 0 left out of the latter."""
        made = []
        for kind, (low, high) in enumerate((totals.extremes[0:2], totals.extremes[2:4])):
            # Bin 0 holds the zeros; nothing else comes near it.
            first, beyond = (max(_bin(low), 1), _bin(high) + 1) if high > 0 else (1, 1)
            counts = np.zeros(max(beyond - first, 0), dtype=np.int64)
            for held in self._all:
                counts += held[kind, first:beyond]
            zeros = sum(int(held[kind, 0]) for held in self._all)
            made.append(_Histogram(zeros - (totals.finite - totals.nonzero if kind else 0), first, counts))
        return made[0], made[1]


def _bin(value: float) -> int:
    """The bin of a magnitude (see `tally`)."""
    shift: int = _tally().BIN_SHIFT
    return int(np.float64(value).view(np.int64)) + (1 << (shift - 1)) >> shift


def _tally() -> ModuleType:
    """The numba kernels, imported at first use: numba takes longer to import than all of this package."""
    from circuits.accuracy import exact_sums

    return exact_sums


def _number(value: Any) -> float:
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


@dataclass(frozen=True)
class _Histogram:
    """`counts[k]` values in bin `first` + k; `zeros` apart, because they lie half a million bins below the others."""

    zeros: int
    first: int
    counts: NDArray[np.int64]

    def quantiles(self) -> dict[float, float]:
        """Probability -> the smallest value that at least that share of the values does not exceed; NaN without any."""
        cumulative = self.zeros + np.concatenate(([0], np.cumsum(self.counts)))
        total = int(cumulative[-1])
        if not total:
            return dict.fromkeys(QUANTILES, math.nan)
        places = np.searchsorted(cumulative, [max(1, math.ceil(q * total)) for q in QUANTILES])
        keys = np.where(places == 0, 0, self.first + places - 1).astype(np.int64)
        values = (keys << _tally().BIN_SHIFT).view(np.float64)
        return {q: float(value) for q, value in zip(QUANTILES, values, strict=True)}

    def squared_skewness(self, power: int = 1) -> float:
        """`squared_skewness` of the values, each raised to `power`; infinite where all are equal or there is none."""
        occupied = np.flatnonzero(self.counts)
        if not occupied.size:
            return math.inf
        values = (self.first + occupied << _tally().BIN_SHIFT).view(np.float64)
        # The skewness has no unit; the largest value as the unit keeps high powers finite.
        values = np.append((values / values[-1]) ** power, 0.0)
        weights = np.append(self.counts[occupied], self.zeros) / (self.counts.sum() + self.zeros)
        centred = values - weights @ values
        return squared_skewness(*(float(weights @ centred**k) for k in (2, 3, 4)))


def squared_skewness(variance: float, third: float, fourth: float) -> float:
    """max(skewness^2, (kurtosis - 1) / 2), from central moments; infinite without variance.

    Decides how large a sample the normal interval of a mean needs. W. G. Cochran, "Sampling Techniques", 3rd edition,
    1977, section 2.15, asks for N > 25 skewness^2, with the true skewness; that of a sample is smaller for heavy tails,
    so PAIRS_PER_SKEWNESS doubles it. Cochran's rule is blind to rare errors of both signs. An error of probability q
    has the kurtosis 1 / q, so that the second term asks for 25 of them.
    """
    if not variance > 0:
        return math.inf
    skewness = third / (variance * math.sqrt(variance))
    return max(skewness * skewness, (fourth / (variance * variance) - 1) / 2)


class _Totals:
    """Chunks added up in their order."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.pairs = self.finite = self.nonzero = self.wrong = self.larger = 0
        self.sums: list[tuple[float, ...]] = []
        self.extremes: tuple[float, ...] = (math.inf, 0.0, math.inf, 0.0, 0.0)
        self.worst_at = self.worst_relative_at = (math.nan, math.nan)

    def add(self, part: _Part) -> None:
        """Adds the next chunk."""
        # The first maximum stays; a maximum of 0 too has its place.
        if part.extremes[1] > self.extremes[1] or not self.finite:
            self.worst_at = part.worst_at
        if part.extremes[3] > self.extremes[3] or not self.nonzero:
            self.worst_relative_at = part.worst_relative_at
        self.extremes = tuple(
            choose(a, b) for choose, a, b in zip((min, max, min, max, max), self.extremes, part.extremes, strict=True)
        )
        self.pairs += part.pairs
        self.finite += part.finite
        self.nonzero += part.nonzero
        self.wrong += part.wrong
        self.larger += part.larger
        self.sums.append(part.sums)
        if len(self.sums) > _EXACT_SUMS:
            self.sums = [self._summed()]

    def _summed(self) -> tuple[float, ...]:
        return tuple(math.fsum(column) for column in zip(*self.sums, strict=True))

    def result(self, design: Design, histogram: _Histogram, relative_histogram: _Histogram) -> ErrorMetrics:
        """The metrics of everything added."""
        plan, n = self.plan, self.finite
        sums = dict(zip(_tally().SUMS, self._summed(), strict=True))
        mean = {name: total / n if n else math.nan for name, total in sums.items()}
        exhaustive = plan.method == "exhaustive"

        def estimate(
            value: float, variance: float, count: int, skewness: float, low: float = 0.0, least: int = LEAST_PAIRS
        ) -> Estimate:
            """Normal interval of a mean over `count` values; `skewness`: squared, of these values."""
            if exhaustive:
                return Estimate(value, value, value)
            needed = max(least, math.ceil(PAIRS_PER_SKEWNESS * skewness)) if math.isfinite(skewness) else None
            if needed is None or count < needed:
                return Estimate(value, math.nan, math.nan, needed)
            half = normal_quantile(CONFIDENCE) * math.sqrt(max(variance, 0.0) / count)
            return Estimate(value, max(value - half, low), value + half)

        def rate(successes: int, trials: int) -> Estimate:
            if not trials:
                return Estimate(math.nan, math.nan, math.nan)
            value = successes / trials
            return Estimate(value, value, value) if exhaustive else Estimate(value, *wilson(successes, trials))

        med, bias = mean["|e|"], mean["e"]
        variance = max(mean["e2"] - bias * bias, 0.0)
        fourth = mean["e4"] - 4 * bias * mean["e3"] + 6 * bias * bias * mean["e2"] - 3 * bias**4
        third = mean["e3"] - 3 * bias * mean["e2"] + 2 * bias**3
        skewness = histogram.squared_skewness()
        med_estimate = estimate(med, mean["e2"] - med * med, n, skewness)
        p_max = self.extremes[4] if plan.p_max is None else plan.p_max
        mred = sums["r"] / self.nonzero if self.nonzero else math.nan
        mred_variance = sums["r2"] / self.nonzero - mred * mred if self.nonzero else math.nan
        exact = mean["|p|"]
        ratio = med / exact if exact else math.nan
        # Delta method: Var(a / b) = (Var a - 2 R Cov(a, b) + R^2 Var b) / b^2.
        ratio_variance = (
            (mean["e2"] - 2 * ratio * mean["|e||p|"] + ratio * ratio * mean["p2"]) / exact**2 if exact else math.nan
        )
        # The squared coefficient of variation stands in for the squared skewness where the sums lack a third moment:
        # they agree for rare events, of probability q: (1 - q) / q against (1 - 2q)^2 / (q (1 - q)).
        product_spread = mean["p2"] / exact**2 - 1 if exact else math.inf
        # A variance that is all cancellation means that the errors agree as far as float64 tells.
        varies = variance > 1e-12 * mean["e2"] and variance * variance > 0
        squared_error_spread = fourth / (variance * variance) - 1 if varies else math.inf
        bias_skewness = squared_skewness(variance, third, fourth) if varies else math.inf
        return ErrorMetrics(
            design=design.label,
            digest=design.digest,
            method=plan.method,
            distribution=plan.distribution,
            samples=self.pairs,
            relative_samples=self.nonzero,
            not_finite=self.pairs - n,
            seed=plan.seed,
            p_max=p_max,
            p_max_meaning=plan.p_max_meaning,
            med=med_estimate,
            nmed=_scaled(med_estimate, p_max),
            mred=estimate(mred, mred_variance, self.nonzero, relative_histogram.squared_skewness()),
            mred_ratio_of_means=estimate(ratio, ratio_variance, n, max(skewness, product_spread)),
            error_rate=rate(self.wrong, self.pairs),
            larger=rate(self.larger, n),
            bias=estimate(bias, variance, n, bias_skewness, low=-math.inf),
            variance=estimate(
                variance,
                fourth - variance * variance,
                n,
                max(histogram.squared_skewness(power=2), squared_error_spread),
                least=LEAST_PAIRS_OF_VARIANCE,
            ),
            worst_case=self.extremes[1] if n else math.nan,
            worst_case_at=self.worst_at,
            worst_relative=self.extremes[3] if self.nonzero else math.nan,
            worst_relative_at=self.worst_relative_at,
            quantiles=histogram.quantiles(),
            relative_quantiles=relative_histogram.quantiles(),
        )


def _scaled(estimate: Estimate, by: float) -> Estimate:
    if not by:
        return Estimate(math.nan, math.nan, math.nan)
    return Estimate(estimate.value / by, estimate.low / by, estimate.high / by, estimate.needed)


def _check_integer(what: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
        raise DesignError(f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range.")


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return _json(value) if isinstance(value, float) else value
