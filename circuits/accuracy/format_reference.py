"""Products of a float design against NumPy's or ml_dtypes' products in the same format, pair by pair.

float16 is compared with NumPy, bfloat16 and both fp8 formats with ml_dtypes, each over all operand pairs (2^32 for the
16-bit formats, which takes minutes) or over some first operands with all second ones: bit for bit, any NaN equal to any
NaN. Where the format flushes subnormals by default (bfloat16), so does the reference: operands, and products that are
tiny after rounding with unbounded exponent. ml_dtypes is in the `test` extra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.designs.design_record import Design
from circuits.errors import missing_package, unknown_name
from circuits.floats import arithmetic

_DTYPES = {
    "float16": "float16",
    "bfloat16": "bfloat16",
    "fp8_e4m3": "float8_e4m3fn",
    "fp8_e5m2": "float8_e5m2",
}
FORMATS = tuple(_DTYPES)
"""The formats that NumPy or ml_dtypes multiply."""
_PAIRS_A_BATCH = 1 << 19

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Result over `pairs` operand pairs; `first` is the first (x, w, got, expected) that differs, or None."""

    pairs: int
    mismatches: int
    first: tuple[float, float, float, float] | None


def reference_dtype(name: str) -> np.dtype[np.generic]:
    """The dtype that multiplies like the format `name`; ImportError says how to get ml_dtypes."""
    if name not in _DTYPES:
        raise unknown_name("format", name, FORMATS)
    if name == "float16":
        return np.dtype(np.float16)
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(missing_package(f"comparing {name}", "ml_dtypes", "test")) from None
    dtype: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, _DTYPES[name]))
    return dtype


def every_value(name: str) -> Floats:
    """All values of the format by code, NaN and infinities included; float32."""
    dtype = reference_dtype(name)
    codes = np.arange(1 << 8 * dtype.itemsize, dtype=f"<u{dtype.itemsize}")
    return codes.view(dtype).astype(np.float32)


def expected(name: str, x: Floats, w: Floats, subnormals: str) -> Floats:
    """The products that NumPy or ml_dtypes gives, broadcast, under the subnormal rule; x and w hold format values."""
    dtype, fmt = reference_dtype(name), arithmetic.float_format(name)
    smallest = 2.0**fmt.minimum_exponent
    flush = subnormals == "flush"
    if flush:
        x, w = (np.where(np.abs(a) < smallest, np.copysign(np.float32(0), a), a) for a in (x, w))
    with np.errstate(all="ignore"):
        product: Floats = (x.astype(dtype) * w.astype(dtype)).astype(np.float32)
        if flush:
            fraction, exponent = np.frexp(x.astype(np.float64) * w)
            rounded = np.ldexp(np.rint(np.ldexp(fraction, fmt.width)), exponent - fmt.width)
            product = np.where(np.abs(rounded) < smallest, np.copysign(np.float32(0), product), product)
    return product


def compare(
    design: Design, *, rows: int | None = None, threads: int = 1, advance: Callable[[int], None] = lambda pairs: None
) -> Comparison:
    """Compares products of `design` with the reference: `rows` first operands (default: all) with all second ones.

    A part of the rows is a seeded random choice. Calls `advance` with the number of pairs of each finished batch.
    """
    name = str(design.format)
    values = every_value(name)
    chosen = values if rows is None else np.random.default_rng(0).permutation(values)[:rows]
    size = max(1, _PAIRS_A_BATCH // len(values))

    def batch(start: int) -> Comparison:
        x, w = chosen[start : start + size, None], values[None, :]
        got, wanted = design.multiply(x, w), expected(name, x, w, str(design.subnormals))
        wrong = (got.view(np.uint32) != wanted.view(np.uint32)) & ~(np.isnan(got) & np.isnan(wanted))
        first = None
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            first = float(x[i, 0]), float(w[0, j]), float(got[i, j]), float(wanted[i, j])
        return Comparison(got.size, int(wrong.sum()), first)

    pairs = mismatches = 0
    first = None
    with ThreadPoolExecutor(threads) as pool:
        for done in _in_order(pool, batch, range(0, len(chosen), size), 2 * threads):
            pairs, mismatches, first = pairs + done.pairs, mismatches + done.mismatches, first or done.first
            advance(done.pairs)
    return Comparison(pairs, mismatches, first)


def _in_order(
    pool: ThreadPoolExecutor, task: Callable[[int], Comparison], starts: Sequence[int], ahead: int
) -> Iterator[Comparison]:
    """Results in order, at most `ahead` tasks submitted beyond the one awaited."""
    pending = [pool.submit(task, start) for start in starts[:ahead]]
    for start in [*starts[ahead:], *[None] * len(pending)]:
        yield pending.pop(0).result()
        if start is not None:
            pending.append(pool.submit(task, start))
