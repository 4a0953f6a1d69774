"""`metrics`: error metrics of designs, by sampling, exhaustion and closed form, and their error surfaces."""

from __future__ import annotations

import argparse
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.archives import open_archive
from circuits.cli import add_format, console, integer, print_csv, print_json, say
from circuits.closed_form import ClosedForm, closed_form
from circuits.commands.common import DESIGN_HELP, add_cells, user_cells
from circuits.commands.show import print_errors, tidy_errors
from circuits.designs import Design, find_design
from circuits.engine import BACKENDS
from circuits.errors import DesignError
from circuits.files import open_file
from circuits.metrics import (
    DISTRIBUTIONS,
    MAXIMUM_BINS,
    MAXIMUM_SAMPLES,
    METHODS,
    ErrorMetrics,
    ErrorSurface,
    error_metrics,
    error_surface,
)
from circuits.text import shorten

if TYPE_CHECKING:
    from circuits.commands.common import Commands

_SIDE_BY_SIDE = 4
MAXIMUM_OPERAND_BYTES = 1 << 32
"""Largest operand array that is read."""
MAXIMUM_RATIO = 100
"""Largest ratio of compression: constants reach 1000, operands of networks 10."""
UNCHECKED_BYTES = 1 << 26
"""Arrays up to this size may be compressed in any ratio."""
MAXIMUM_FILE_BYTES = 3 * MAXIMUM_OPERAND_BYTES
"""Largest file of operands: two such arrays, and room for others."""


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "metrics",
        help="error metrics: sampled, exhaustive, closed form, on your operands; error surfaces",
        description="Error metrics of designs with 95 % confidence intervals, beside their closed form where one is "
        "known, or errors over a grid of operands.",
    )
    parser.add_argument("designs", nargs="+", metavar="DESIGN", help=DESIGN_HELP)
    add_cells(parser)
    parser.add_argument("--samples", type=integer(2, MAXIMUM_SAMPLES), default=1_000_000, help="operand pairs")
    parser.add_argument("--seed", type=integer(0), default=0, help="seed of the operands")
    parser.add_argument(
        "--distribution",
        choices=DISTRIBUTIONS,
        default="uniform01",
        help="operands: uniform in [0, 1], or mantissas uniform in [1, 2); integer designs: all, or leading bit set",
    )
    parser.add_argument(
        "--operands", type=Path, metavar="FILE", help="a .npz file with arrays x and w (first operand x): all its pairs"
    )
    parser.add_argument(
        "--method", choices=METHODS, default="auto", help="auto: exhaustive for integer designs of up to 20 bits"
    )
    parser.add_argument(
        "--backend", choices=("auto", *BACKENDS), default="auto", help="what simulates the circuit; never the numbers"
    )
    parser.add_argument(
        "--surface", type=integer(1, MAXIMUM_BINS), metavar="BINS", help="errors over a BINS x BINS grid of operands"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="with --surface: draw the surfaces, .png or .svg"
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the metrics, or the surfaces."""
    cells = user_cells(arguments)
    designs = [find_design(text, cells) for text in arguments.designs]
    options: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("samples", "seed", "distribution", "method", "backend")
    }
    if arguments.operands is not None:
        options["operands"] = read_operands(arguments.operands)
    if arguments.surface is not None:
        return _surfaces(arguments, [error_surface(entry, bins=arguments.surface, **options) for entry in designs])
    if arguments.output is not None:
        raise DesignError("-o draws error surfaces and needs --surface BINS, but got none; give --surface 32, say.")
    found = [(entry, error_metrics(entry, **options), _closed(entry, arguments)) for entry in designs]
    if arguments.format == "json":
        print_json({"designs": [_record(*item) for item in found]})
    elif arguments.format == "csv":
        rows = [row for item in found for row in _tidy(*item)]
        print_csv(["design", "group", "quantity", "value", "low", "high"], rows)
    else:
        for start in range(0, len(found), _SIDE_BY_SIDE):
            part = found[start : start + _SIDE_BY_SIDE]
            out = console()
            print_errors(out, [d.label for d, _, _ in part], [m for _, m, _ in part], [c for _, _, c in part])
            for design, _, closed in part:
                if closed is not None:
                    out.print(f"{design.label}: {closed.form}; its error has rank {closed.error_rank}.")
            if any(design.format is not None and closed is not None for design, _, closed in part):
                out.print("Closed forms leave out the rounding of operands and results.")
    return 0


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
    size = members[f"{name}.npy"].file_size
    if size > MAXIMUM_OPERAND_BYTES:
        raise DesignError(
            f"array {name} in {path} must have at most {MAXIMUM_OPERAND_BYTES} bytes, but has {size}; save fewer pairs."
        )
    packed = members[f"{name}.npy"].compress_size
    if size > UNCHECKED_BYTES and size > MAXIMUM_RATIO * packed:
        raise DesignError(
            f"array {name} in {path} must unpack to at most {MAXIMUM_RATIO} times its size, but has {packed} bytes and "
            f"unpacks to {size}; save it with numpy.savez."
        )
    # numpy asks for the memory of what the header declares before it reads a value.
    with archive.open(members[f"{name}.npy"]) as member:
        read_header = np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(member) != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(member)
    if math.prod(shape) * dtype.itemsize > size:
        raise DesignError(
            f"array {name} in {path} must hold the {math.prod(shape)} values that its header declares, but has {size} "
            "bytes; write it with numpy.savez."
        )
    with archive.open(members[f"{name}.npy"]) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _closed(design: Design, arguments: argparse.Namespace) -> ClosedForm | None:
    return None if arguments.operands is not None else closed_form(design, distribution=arguments.distribution)


def _record(design: Design, errors: ErrorMetrics, closed: ClosedForm | None) -> dict[str, Any]:
    return {
        "design": design.label,
        "errors": errors.to_dict(),
        "closed_form": None if closed is None else closed.to_dict(),
    }


def _tidy(design: Design, errors: ErrorMetrics, closed: ClosedForm | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"design": design.label, "group": "errors", **quantity} for quantity in tidy_errors(errors)
    ]
    for name, value in () if closed is None else closed.to_dict().items():
        if name not in ("design", "digest") and value is not None:
            rows.append({"design": design.label, "group": "closed form", "quantity": name, "value": value})
    return rows


def _surfaces(arguments: argparse.Namespace, found: list[ErrorSurface]) -> int:
    if arguments.output is not None:
        from circuits.heatmap import save_surfaces

        save_surfaces(found, arguments.output)
        say(f"{arguments.output}: {', '.join(surface.design for surface in found)}")
    elif arguments.format == "json":
        print_json({"surfaces": [surface.to_dict() for surface in found]})
    else:
        rows = [row for surface in found for row in _bins(surface)]
        if arguments.format == "csv":
            print_csv(list(rows[0]), rows)
        else:
            raise DesignError(
                "an error surface must go to a file or be printed as json or csv, but got the table format; add "
                "-o FILE.png or --format csv."
            )
    return 0


def _bins(surface: ErrorSurface) -> list[dict[str, Any]]:
    """One row a bin; empty fields where no pair was."""
    rows = []
    for i, j in np.ndindex(surface.count.shape):
        means = {name: float(getattr(surface, name)[i, j]) for name in ("bias", "med", "mred")}
        rows.append(
            {
                "design": surface.design,
                "x_low": surface.x_edges[i],
                "x_high": surface.x_edges[i + 1],
                "w_low": surface.w_edges[j],
                "w_high": surface.w_edges[j + 1],
                "count": int(surface.count[i, j]),
                **{name: None if np.isnan(value) else value for name, value in means.items()},
            }
        )
    return rows
