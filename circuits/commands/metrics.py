"""`metrics`: error metrics of designs, by sampling, exhaustion and closed form, and their error surfaces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from circuits.accuracy.closed_forms import ClosedForm, closed_form_metrics
from circuits.accuracy.error_types import ErrorMetrics, ErrorSurface
from circuits.accuracy.measurement import error_metrics
from circuits.accuracy.surfaces import MAXIMUM_BINS, error_surface
from circuits.commands.error_table import SIDE_BY_SIDE, print_errors, tidy_errors
from circuits.commands.operands import add_distribution, add_pairs, read_operands
from circuits.designs.design_record import Design
from circuits.engine import BACKENDS
from circuits.errors import DesignError
from circuits.exchange.design_files import find_designs
from circuits.exchange.design_options import DESIGN_HELP, user_cells
from circuits.support.cli import Commands, console, integer, print_csv, print_json, say
from circuits.support.options import add_cells, add_cpu_features, add_format, add_out, add_seed


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
    add_pairs(parser, all_of="of integer designs up to 20 bits")
    add_seed(parser, help="seed of the operands")
    add_distribution(parser)
    parser.add_argument(
        "--operands",
        type=Path,
        metavar="FILE",
        help="use all operand pairs of this .npz file, arrays x (first operand) and w (default: random pairs)",
    )
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what simulates the circuit; never changes a number",
    )
    parser.add_argument(
        "--surface",
        type=integer(1, MAXIMUM_BINS),
        metavar="BINS",
        help="compute the error surface over a BINS x BINS grid of operands (default: error metrics)",
    )
    add_out(parser, help="with --surface: picture of the surfaces to write, .png or .svg (default: none)")
    parser.add_argument(
        "--color-scale",
        choices=("auto", "linear", "log"),
        default="auto",
        help="with -o: colour scale, which all designs share; auto: relative errors logarithmic where one exceeds 1",
    )
    add_cpu_features(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the metrics, or the surfaces."""
    cells = user_cells(arguments)
    designs = find_designs(arguments.designs, cells)
    options: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("samples", "seed", "distribution", "method", "backend")
    }
    if arguments.operands is not None:
        options["operands"] = read_operands(arguments.operands)
    if arguments.surface is not None:
        return _surfaces(arguments, [error_surface(design, bins=arguments.surface, **options) for design in designs])
    if arguments.out is not None:
        raise DesignError("-o draws error surfaces and needs --surface BINS, but got none; give --surface 32, say.")
    results = [(design, error_metrics(design, **options), _closed(design, arguments)) for design in designs]
    if arguments.format == "json":
        print_json({"designs": [_record(*result) for result in results]})
    elif arguments.format == "csv":
        rows = [row for result in results for row in _tidy(*result)]
        print_csv(["design", "group", "quantity", "value", "low", "high"], rows)
    else:
        for start in range(0, len(results), SIDE_BY_SIDE):
            group = results[start : start + SIDE_BY_SIDE]
            out = console()
            print_errors(out, [d.label for d, _, _ in group], [m for _, m, _ in group], [c for _, _, c in group])
            for design, _, closed in group:
                if closed is not None:
                    out.print(f"{design.label}: {closed.form}; its error has rank {closed.error_rank}.")
            if any(design.format is not None and closed is not None for design, _, closed in group):
                out.print("Closed forms leave out the rounding of operands and results.")
    return 0


def _closed(design: Design, arguments: argparse.Namespace) -> ClosedForm | None:
    return None if arguments.operands is not None else closed_form_metrics(design, distribution=arguments.distribution)


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


def _surfaces(arguments: argparse.Namespace, surfaces: list[ErrorSurface]) -> int:
    if arguments.out is not None:
        from circuits.drawing.heatmap import save_surfaces

        save_surfaces(surfaces, arguments.out, arguments.color_scale)
        say(f"{arguments.out}: {', '.join(surface.design for surface in surfaces)}")
    elif arguments.format == "json":
        print_json({"surfaces": [surface.to_dict() for surface in surfaces]})
    else:
        rows = [row for surface in surfaces for row in _bins(surface)]
        if arguments.format == "csv":
            print_csv(list(rows[0]), rows)
        else:
            raise DesignError(
                "an error surface must go to a file or be printed as json or csv, but got the table format; add "
                "-o FILE.png or --format csv."
            )
    return 0


def _bins(surface: ErrorSurface) -> list[dict[str, Any]]:
    """One row for each bin; the means of a bin without operand pairs are None."""
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
