"""Which operand pairs an error measurement evaluates, and in which order.

Operand pairs come in chunks of a fixed size. A drawn chunk has its own counter-based random stream, so that chunk k is
the same whichever thread draws it and however many chunks come before. Results are handed back in chunk order: the same
seed gives the same numbers on any number of threads and any backend, in bounded memory.

A `Sampling` is the caller's request. Together with a design it becomes a `Plan`: the number of pairs, their meaning in
words, and the function that makes each chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.designs.design_record import Design
from circuits.engine.scratch import scratch_array
from circuits.engine.task_threads import default_threads
from circuits.errors import DesignError, unknown_name

DISTRIBUTIONS = ("uniform01", "mantissa")
METHODS = ("auto", "sampled", "exhaustive")
CHUNK = 1 << 16
"""Operand pairs a chunk. Part of the definition of a sample: another size gives other (equally good) numbers."""
AUTOMATIC_EXHAUSTIVE_BITS = 20
"""Widest w + v that method "auto" evaluates exhaustively."""
MAXIMUM_EXHAUSTIVE_BITS = 32
MAXIMUM_SAMPLES = 10**12
_CHUNKS_A_TASK = 16

Pairs = tuple[NDArray[Any], NDArray[Any]]
"""First and second operands, one-dimensional arrays of the same length."""
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The caller's request; `error_metrics` describes the fields. Raises DesignError for values out of range."""

    samples: int = 1_000_000
    distribution: str = "uniform01"
    seed: int = 0
    operands: tuple[ArrayLike, ArrayLike] | None = None
    method: str = "auto"
    threads: int | None = None
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise unknown_name("distribution", str(self.distribution), DISTRIBUTIONS)
        if self.method not in METHODS:
            raise unknown_name("method", str(self.method), METHODS)
        check_integer("samples", self.samples, 2, MAXIMUM_SAMPLES)
        check_integer("seed", self.seed, 0, 2**64 - 1)
        if self.operands is not None and self.method == "exhaustive":
            raise DesignError("method must be 'auto' with operands=..., but got 'exhaustive'; leave one of them out.")

    def plan(self, design: Design) -> Plan:
        """What to evaluate of `design`; DesignError where the request does not suit it."""
        if self.operands is not None:
            return _trace_plan(design, self.operands)
        if design.float_format is not None:
            if self.method == "exhaustive":
                raise DesignError(
                    f"method='exhaustive' needs an integer design, but got format={design.format!r}; use 'sampled'."
                )
            return _float_plan(self)
        return _integer_plan(design, self)


@dataclass(frozen=True)
class Plan:
    """The operand pairs of one measurement.

    - `method`, `distribution`, `count` (of pairs), `seed`, `p_max`, `p_max_meaning`: as `ErrorMetrics` reports them;
      `p_max` is None where the largest exact product has yet to be found.
    - `ranges`: least and greatest value of each operand, the greatest of integers one beyond.
    - `pairs`: (chunk number, pairs in it) -> the chunk, in arrays that the calling thread may reuse for its next one.
    """

    method: str
    distribution: str
    count: int
    seed: int | None
    p_max: float | None
    p_max_meaning: str
    ranges: tuple[tuple[float, float], tuple[float, float]]
    pairs: Callable[[int, int], Pairs]

    def results(self, measure: Callable[[NDArray[Any], NDArray[Any]], Result], threads: int | None) -> Iterator[Result]:
        """Yields `measure(x, w)` of every chunk, in chunk order, evaluated on `threads` threads (None: all cores)."""
        count = -(-self.count // CHUNK)
        workers = min(threads or default_threads(), count - 1)

        def result(chunk: int) -> Result:
            return measure(*self.pairs(chunk, min(CHUNK, self.count - chunk * CHUNK)))

        # The first one alone: it builds and compiles what the others then find in caches.
        yield result(0)
        if workers <= 1:
            yield from map(result, range(1, count))
            return
        # At least eight tasks a worker, where there are chunks enough, keep the last worker from working alone.
        size = min(_CHUNKS_A_TASK, max(1, count // (8 * workers)))

        def results(first: int) -> list[Result]:
            return [result(chunk) for chunk in range(first, min(first + size, count))]

        with ThreadPool(workers) as pool:
            # imap hands results back in the order of the tasks, whichever is done first.
            for task in pool.imap(results, range(1, count, size)):
                yield from task


def check_integer(what: str, value: Any, low: int, high: int) -> None:
    """Raises DesignError unless `value` is an integer of Python or NumPy from `low` to `high`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
        raise DesignError(f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range.")


def _stream(seed: int, chunk: int) -> np.random.Generator:
    """The chunk's own stream: Philox (Salmon et al., SC 2011), key the seed, the chunk in the counter's high word."""
    # Philox counts 256 bits up from the start value. A chunk takes far fewer than 2^192 steps, so that chunks never
    # overlap.
    return np.random.Generator(np.random.Philox(key=np.array([seed, 0], np.uint64), counter=[0, 0, 0, chunk]))


# Float operands.


@lru_cache(maxsize=4)  # a search measures one design after another with the same few chunks
def uniform01(seed: int, chunk: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """First and second operands, float32 [size], of one chunk of `size` <= CHUNK pairs of "uniform01"; read-only."""
    # Rounding to float32 turns values from 1 - 2^-25 on into 1: the operands lie in [0, 1], not in [0, 1).
    operands = _stream(seed, chunk).random((2, size)).astype(np.float32)
    operands.flags.writeable = False
    return operands[0], operands[1]


def _mantissas(seed: int, chunk: int, size: int) -> Pairs:
    """Operands uniform in [1, 2): random fraction bits below the exponent of 1.0, which is 0x3F800000."""
    bits = _stream(seed, chunk).integers(0, 1 << 23, (2, size), dtype=np.uint32)
    x, w = (bits | np.uint32(0x3F800000)).view(np.float32)
    return x, w


def _float_plan(sampling: Sampling) -> Plan:
    mantissas = sampling.distribution == "mantissa"
    limits = (1.0, 2.0) if mantissas else (0.0, 1.0)
    supremum = "4, the supremum of products of mantissas in [1, 2)"
    largest = "1, the largest product of operands in [0, 1]"
    return Plan(
        method="sampled",
        distribution=sampling.distribution,
        count=sampling.samples,
        seed=sampling.seed,
        p_max=4.0 if mantissas else 1.0,
        p_max_meaning=supremum if mantissas else largest,
        ranges=(limits, limits),
        pairs=partial(_mantissas if mantissas else uniform01, sampling.seed),
    )


# Integer operands.


@dataclass(frozen=True)
class _Integers:
    """Integer operands low <= value < low + 2^bits, of each side."""

    lows: tuple[int, int]
    bits: tuple[int, int]
    dtype: type[np.int64] | type[np.uint64]

    @property
    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(low, low + 2^bits) of each side."""
        x, y = ((float(low), float(low + 2**bits)) for low, bits in zip(self.lows, self.bits, strict=True))
        return x, y

    def enumerated(self, chunk: int, size: int) -> Pairs:
        """Pairs number chunk * CHUNK and on, ordered by the first operand, then by the second."""
        index = np.arange(chunk * CHUNK, chunk * CHUNK + size, dtype=self.dtype)
        x, y = index >> self.dtype(self.bits[1]), index & self.dtype(2 ** self.bits[1] - 1)
        return x + self.dtype(self.lows[0]), y + self.dtype(self.lows[1])

    def enumerated_words(self, chunk: int, size: int) -> Pairs:
        """The same in uint32, in arrays that the next chunk reuses: unsigned operands from 0, w + v <= 32."""
        # Imported here because numba takes longer to import than all of this package.
        from circuits.accuracy.exact_sums import enumerate_pairs

        x, y = scratch_array("pairs", (2, size), np.uint32)
        enumerate_pairs(chunk * CHUNK, self.bits[1], x, y)
        return x, y

    def drawn(self, seed: int, chunk: int, size: int) -> Pairs:
        """Independent pairs, uniform over all."""
        stream = _stream(seed, chunk)
        x, y = (
            # The inclusive bound: the exclusive one, 2^64 for 64-bit operands, does not fit into the dtype.
            stream.integers(low, low + 2**bits - 1, size, dtype=self.dtype, endpoint=True)
            for low, bits in zip(self.lows, self.bits, strict=True)
        )
        return x, y


def _integer_plan(design: Design, sampling: Sampling) -> Plan:
    w, v = design.shape
    leading_one = sampling.distribution == "mantissa"
    if design.signed and leading_one:
        raise DesignError("distribution 'mantissa' needs unsigned operands, but got signed=True; use 'uniform01'.")
    if sampling.method == "exhaustive" and w + v > MAXIMUM_EXHAUSTIVE_BITS:
        raise DesignError(
            f"w + v <= {MAXIMUM_EXHAUSTIVE_BITS} must hold for method='exhaustive', but got {w} + {v}; use 'sampled'."
        )
    if design.signed:
        operands = _Integers((-(2 ** (w - 1)), -(2 ** (v - 1))), (w, v), np.int64)
        p_max, meaning = 2 ** (w + v - 2), f"2^{w - 1} 2^{v - 1}, the largest product"
    else:
        lows = (2 ** (w - 1), 2 ** (v - 1)) if leading_one else (0, 0)
        operands = _Integers(lows, (w - leading_one, v - leading_one), np.uint64)
        p_max, meaning = (2**w - 1) * (2**v - 1), f"(2^{w} - 1)(2^{v} - 1), the largest product"
    name = "integers with the leading bit set" if leading_one else "all integers"
    automatic = sampling.method == "auto" and w + v <= AUTOMATIC_EXHAUSTIVE_BITS
    if sampling.method == "exhaustive" or automatic:
        as_words = not design.signed and not leading_one  # w + v <= 32 holds for every exhaustive plan
        return Plan(
            method="exhaustive",
            distribution=name,
            count=2 ** sum(operands.bits),
            seed=None,
            p_max=float(p_max),
            p_max_meaning=meaning,
            ranges=operands.ranges,
            pairs=operands.enumerated_words if as_words else operands.enumerated,
        )
    return Plan(
        method="sampled",
        distribution=f"uniform over {name}",
        count=sampling.samples,
        seed=sampling.seed,
        p_max=float(p_max),
        p_max_meaning=meaning,
        ranges=operands.ranges,
        pairs=partial(operands.drawn, sampling.seed),
    )


# The caller's operands.


def _trace_plan(design: Design, operands: tuple[ArrayLike, ArrayLike]) -> Plan:
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

    def pairs(chunk: int, size: int) -> Pairs:
        selected = slice(chunk * CHUNK, chunk * CHUNK + size)
        return x.flat[selected], w.flat[selected]

    return Plan(
        method="trace",
        distribution="trace",
        count=x.size,
        seed=None,
        p_max=None,
        p_max_meaning="the largest |exact product| of the trace",
        ranges=(ranges[0], ranges[1]),
        pairs=pairs,
    )
