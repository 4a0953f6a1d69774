"""Options that several command lines share: one name, one meaning, one help text for each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.support.cli import FORMATS, Parser, deprecated_option, integer
from circuits.support.processor import DEVICE_VARIABLE, DEVICES, VARIABLE, VECTOR_BITS
from circuits.support.text import shorten

MAXIMUM_THREADS = 4096
MAXIMUM_WORKERS = 1024


def add_format(parser: Parser, choices: Sequence[str] = FORMATS, *, default: str | None = None) -> None:
    """The option --format: how results are printed (default: the first of `choices`)."""
    parser.add_argument("--format", choices=choices, default=default or choices[0], help="output format")


def add_out(
    parser: Parser, metavar: str = "FILE", *, help: str, default: Path | None = None, required: bool = False
) -> None:
    """The option --out, or -o: the file or folder to write."""
    parser.add_argument("-o", "--out", type=Path, metavar=metavar, default=default, required=required, help=help)
    deprecated_option(parser, "--output", "--out")


def add_cells(parser: Parser) -> None:
    """The option --cells: a user's own cells, for every design named on the command line."""
    parser.add_argument(
        "--cells", type=Path, metavar="FILE", help="TOML file with your own cells, [cells.NAME] (default: none)"
    )


def add_seed(parser: Parser, maximum: int = 2**63, *, help: str) -> None:
    """The option --seed: what every random choice of the command follows from."""
    parser.add_argument("--seed", type=integer(0, maximum), default=0, help=help)


def add_threads(parser: Parser, *, default: int | None = None) -> None:
    """The option --threads: how many threads compute; never changes a result."""
    help_text = "threads to compute with" + ("" if default else " (default: one for each CPU)")
    parser.add_argument("--threads", type=integer(1, MAXIMUM_THREADS), metavar="N", default=default, help=help_text)


class _InEnvironment(argparse.Action):
    """Puts the choice into the environment, where kernels and worker processes look."""

    variable: str

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, values)
        os.environ[self.variable] = values


class _CpuFeatures(_InEnvironment):
    variable = VARIABLE


class _Device(_InEnvironment):
    variable = DEVICE_VARIABLE


def add_cpu_features(parser: Parser) -> None:
    """The option --cpu-features: the vector instructions that kernels may use; never changes a result."""
    parser.add_argument(
        "--cpu-features",
        choices=tuple(VECTOR_BITS),
        action=_CpuFeatures,
        help="vector instructions that kernels may use; never changes the result (default: all that this CPU has)",
    )


def add_device(parser: Parser) -> None:
    """The option --device: where networks run."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        action=_Device,
        help="where networks run; approximate layers give the same results on all, exact ones up to rounding "
        "(default: cpu)",
    )


def add_workers(parser: Parser) -> None:
    """The option --workers: how many processes score designs; never changes a result."""
    parser.add_argument(
        "--workers",
        type=integer(1, MAXIMUM_WORKERS),
        metavar="N",
        help="processes that score designs; never changes the result (default: one for each CPU)",
    )


def add_wire(parser: Parser) -> None:
    """The option --wire-fF."""
    parser.add_argument(
        "--wire-fF",
        dest="wire",
        type=_capacitance,
        default=0.0,
        metavar="W",
        help="femtofarads of wire to every sink: says what they would add to energy and delay",
    )


def _capacitance(text: str) -> float:
    from circuits.cost.left_out import MAXIMUM_WIRE

    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAXIMUM_WIRE:
        limit = f"a number from 0 to {MAXIMUM_WIRE:g}"
        raise argparse.ArgumentTypeError(f"it must be {limit}, but got {shorten(repr(text))}")
    return value
