"""`python -m circuits.commands.verify_formats`: exact cells in a format equal NumPy's or ml_dtypes' products, pair by pair.

float16 is compared with NumPy, bfloat16 and both fp8 with ml_dtypes, each over all operand pairs (2^32 for the 16-bit
formats, which takes minutes) or over some first operands with all second ones, bit for bit, any NaN equal to any NaN.
Rounding is nearest_even; where the format's default flushes subnormals (bfloat16), so does the reference: operands, and
products that are tiny after rounding with unbounded exponent. ml_dtypes is in the `test` extra.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from circuits.designs.design_record import Design
from circuits.engine.task_threads import default_threads
from circuits.errors import missing_package, unknown_name
from circuits.floats import arithmetic
from circuits.multipliers import TOPOLOGIES
from circuits.support.cli import Parser, guarded, integer

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
    """Outcome over `pairs` operand pairs; `first` is an (x, w, got, expected) that differs, or None."""

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
    """Products of `design` against the reference: `rows` first operands (all by default) with all second operands.

    Some rows are a seeded random choice. `advance` is told the number of pairs of each batch done.
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
        for part in _in_order(pool, batch, range(0, len(chosen), size), 2 * threads):
            pairs, mismatches, first = pairs + part.pairs, mismatches + part.mismatches, first or part.first
            advance(part.pairs)
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


def main(argv: Sequence[str] | None = None) -> int:
    """One line a format; 1 on a mismatch, 2 after one line about a user's mistake."""
    parser = Parser(prog="python -m circuits.commands.verify_formats", description=str(__doc__).split("\n")[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(FORMATS)}; all by default")
    parser.add_argument("--topology", default="dadda", help=f"of the mantissa multiplier: {', '.join(TOPOLOGIES)}")
    parser.add_argument("--pairs", type=integer(1), help="about so many operand pairs a format; all by default")
    parser.add_argument("--threads", type=integer(1, 1024), default=default_threads(), help="threads")
    arguments = parser.parse_args(argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from rich.progress import Progress

    from circuits.support.terminal import screen

    designs = [
        Design(format=name, topology=arguments.topology, rounding="nearest_even")
        for name in arguments.formats or FORMATS
    ]
    failed = False
    for design in designs:
        name = str(design.format)
        count = len(every_value(name))
        rows = None if arguments.pairs is None else min(count, -(-arguments.pairs // count))
        started = time.perf_counter()
        with Progress(console=screen(error=True), transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task(name, total=(rows or count) * count)

            advance = partial(progress.advance, task)
            result = compare(design, rows=rows, threads=arguments.threads, advance=advance)
        rate = result.pairs / (time.perf_counter() - started) / 1e6
        line = f"{name}: {result.pairs:,} of {count**2:,} pairs, {result.mismatches:,} mismatches"
        print(f"{line} with {reference_dtype(name)}, {rate:.1f} million pairs/s")
        if result.first is not None:
            x, w, got, wanted = result.first
            print(f"  first: {x!r} * {w!r} gave {got!r} instead of {wanted!r}")
            failed = True
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
