"""Operand pairs of a command line: the options that say which, and a user's own from a .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from circuits.accuracy.sampling import DISTRIBUTIONS, METHODS
from circuits.accuracy.sampling import MAXIMUM_SAMPLES as MAXIMUM_PAIRS
from circuits.cost.cost_model import MAXIMUM_SAMPLES
from circuits.errors import DesignError
from circuits.support.archives import open_archive, read_array
from circuits.support.cli import Parser, integer
from circuits.support.files import open_file
from circuits.support.text import shorten

MAXIMUM_OPERAND_BYTES = 1 << 32
"""Largest operand array that is read."""
MAXIMUM_FILE_BYTES = 3 * MAXIMUM_OPERAND_BYTES
"""Largest file of operands: two such arrays, and room for others."""


def add_pairs(parser: Parser, *, all_of: str) -> None:
    """The options --samples and --method of error metrics. `all_of`: where the method auto takes all pairs."""
    parser.add_argument(
        "--samples",
        type=integer(2, MAXIMUM_PAIRS),
        default=1_000_000,
        help="sampled operand pairs for the error metrics",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help=f"how operand pairs are chosen; auto: all pairs {all_of}, else a sample",
    )


def add_distribution(parser: Parser) -> None:
    """The option --distribution of sampled operands."""
    parser.add_argument(
        "--distribution",
        choices=DISTRIBUTIONS,
        default="uniform01",
        help="of operands: uniform in [0, 1], or mantissas uniform in [1, 2); for integers: any, or leading bit set",
    )


def add_cost_samples(parser: Parser) -> None:
    """The option --cost-samples."""
    parser.add_argument(
        "--cost-samples",
        type=integer(2, MAXIMUM_SAMPLES),
        default=2048,
        help="consecutive operand pairs for the switching activity",
    )


def read_operands(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Arrays x and w of a .npz file; DesignError names what is wrong with it. Nothing in it is executed.

    Sizes are checked before anything is unpacked, and an array's header before its memory is asked for.
    """
    with open_file(path, limit=MAXIMUM_FILE_BYTES, what="a readable .npz file", advice="check it") as stream:
        try:
            with open_archive(stream, path) as archive:
                x, w = (_read_array(archive, name, path) for name in ("x", "w"))
        except DesignError:
            raise
        except ValueError as error:
            reason = shorten(str(error), 200)
            raise DesignError(
                f"{path} must hold arrays of numbers, but: {reason}; write it with numpy.savez."
            ) from None
        except Exception as error:  # zipfile, the decompressors and numpy promise no type for what is damaged
            reason = shorten(str(error) or type(error).__name__, 200)
            raise DesignError(f"{path} must be a .npz file, but: {reason}; write it with numpy.savez.") from None
    for name, array in (("x", x), ("w", w)):
        if array.dtype.kind not in "fiub":
            raise DesignError(f"array {name} in {path} must hold numbers, but has dtype {array.dtype}; convert it.")
    return x, w


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    members = {entry.filename: entry for entry in archive.infolist()}
    if not {"x.npy", "w.npy"} <= members.keys():
        names = ", ".join(sorted(member.removesuffix(".npy") for member in members)) or "none"
        raise DesignError(
            f"{path} must hold arrays x and w, but holds {shorten(names, 200)}; save them by those names."
        )
    return read_array(archive, name, path, limit=MAXIMUM_OPERAND_BYTES, advice="save fewer pairs")
