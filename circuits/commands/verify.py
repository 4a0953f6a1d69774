"""`verify`: exact cells in a float format against NumPy's or ml_dtypes' products, pair by pair."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

from circuits.accuracy.format_reference import FORMATS, compare, every_value, reference_dtype
from circuits.designs.design_record import Design
from circuits.engine.task_threads import default_threads
from circuits.multipliers import TOPOLOGIES
from circuits.support.cli import Commands, integer
from circuits.support.options import add_threads


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "verify",
        help="compare float formats with NumPy and ml_dtypes",
        description="Compares the products of exact cells in a float format with those of NumPy (float16) or ml_dtypes "
        "(the other formats), bit for bit. All pairs of a 16-bit format take minutes.",
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: all of them)")
    parser.add_argument(
        "--topology", default="dadda", metavar="NAME", help=f"of the mantissa multiplier: {', '.join(TOPOLOGIES)}"
    )
    parser.add_argument(
        "--pairs", type=integer(1), metavar="N", help="compare about this many operand pairs of a format (default: all)"
    )
    add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line for each format; returns 1 after a mismatch."""
    designs = [
        Design(format=name, topology=arguments.topology, rounding="nearest_even")
        for name in arguments.formats or FORMATS
    ]
    return int(sum(_differs(design, arguments) for design in designs) > 0)


def _differs(design: Design, arguments: argparse.Namespace) -> bool:
    """Compares one format and prints the outcome; True after a mismatch."""
    from rich.progress import Progress

    from circuits.support.terminal import screen

    name = str(design.format)
    count = len(every_value(name))
    rows = None if arguments.pairs is None else min(count, -(-arguments.pairs // count))
    threads = arguments.threads or default_threads()
    started = time.perf_counter()
    with Progress(console=screen(error=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(name, total=(rows or count) * count)
        result = compare(design, rows=rows, threads=threads, advance=partial(progress.advance, task))
    rate = result.pairs / (time.perf_counter() - started) / 1e6
    line = f"{name}: {result.pairs:,} of {count**2:,} pairs, {result.mismatches:,} mismatches"
    print(f"{line} with {reference_dtype(name)}, {rate:.1f} million pairs/s")
    if result.first is not None:
        x, w, got, wanted = result.first
        print(f"  first: {x!r} * {w!r} gave {got!r} instead of {wanted!r}")
    return result.first is not None
