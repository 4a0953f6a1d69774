"""`pareto`: many circuits, one's own and others', measured and drawn as one front."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.accuracy.measurement import error_metrics
from circuits.cost.cost_model import cost_report
from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.errors import DesignError, unknown_name
from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import user_cells
from circuits.support.cli import Commands, console, print_csv, print_json, say, table
from circuits.support.files import require_writable, write_atomically
from circuits.support.options import add_cells, add_format, add_out
from circuits.support.progress import progress_bars

_ERRORS = ("nmed", "med", "mred", "error_rate", "bias", "worst_case", "mae_percent", "wce_percent")
_COSTS = ("energy", "delay", "area", "transistors")
COLUMNS = (*_ERRORS, *_COSTS)
"""What can be measured; smaller is better in all of them (the magnitude of the bias)."""
_PLOT = "pareto_{}_{}"


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "pareto",
        help="measure many circuits and draw their front",
        description="Measures many circuits, in Verilog, BLIF or TOML files or by name, and shows which of them no "
        "other beats in the given columns; a file that cannot be read is reported and left out.",
    )
    parser.add_argument(
        "designs", nargs="+", metavar="FILE", help="Verilog, BLIF or .toml file, or the name of a design"
    )
    add_cells(parser)
    parser.add_argument(
        "--columns", default="nmed,energy", metavar="X,Y,...", help=f"columns to compare in, of {', '.join(COLUMNS)}"
    )
    add_out(parser, "DIR", help="folder for front.csv and the plot of the first two columns (default: none is written)")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and draws."""
    columns = [name.strip() for name in arguments.columns.split(",") if name.strip()]
    for name in columns:
        if name not in COLUMNS:
            raise unknown_name("column", name, COLUMNS)
    if len(set(columns)) != len(columns) or len(columns) < 2:
        raise DesignError(f"two or more different columns must be given, but got {arguments.columns!r}; add one.")
    if arguments.out is not None:
        require_writable(arguments.out)
    designs, unread = _read_all(arguments)
    rows: list[dict[str, Any]] = []
    with progress_bars() as bars:
        bar = bars.add_task("circuits", total=len(designs))
        for design in designs:
            rows.append({"circuit": design.label, **measured(design, columns)})
            bars.advance(bar)
    points = [[row[name] for name in columns] for row in rows]
    for row, best in zip(rows, on_front(points), strict=True):
        row["front"] = best
    rows.sort(key=lambda row: row[columns[0]])
    _print(arguments.format, columns, rows, unread)
    if arguments.out is not None:
        _write(arguments.out, columns, rows, quiet=arguments.format != "table")
    return 0


def _read_all(arguments: argparse.Namespace) -> tuple[list[Design], list[str]]:
    """(designs of one kind of operands each, one line for each file that is none)."""
    cells = user_cells(arguments)
    designs, unread = [], []
    for text in arguments.designs:
        try:
            designs.append(find_design(text, cells))
        except DesignError as error:
            unread.append(str(error))
    if not designs:
        raise DesignError(f"a circuit must be readable, but none is: {unread[0]}")
    return told_apart(designs), unread


def measured(design: Design, columns: Sequence[str]) -> dict[str, float]:
    """The columns of a design: errors over all pairs of integers up to 20 bits, cost as drawn without glitches."""
    values: dict[str, float] = {}
    if set(columns) & set(_ERRORS):
        errors = error_metrics(design)
        percent = 100 / 2.0 ** sum(design.shape)
        values |= {name: getattr(errors, name).value for name in ("nmed", "med", "mred", "error_rate")}
        values |= {
            "bias": abs(errors.bias.value),
            "worst_case": errors.worst_case,
            "mae_percent": errors.med.value * percent,
            "wce_percent": errors.worst_case * percent,
        }
    if set(columns) & set(_COSTS):
        drawn = cost_report(design).drawn
        values |= {name: float(getattr(drawn, name)) for name in _COSTS}
    return {name: values[name] for name in columns}


def on_front(points: Sequence[Sequence[float]]) -> list[bool]:
    """Which points no other one beats: nowhere larger and somewhere smaller."""
    return [
        not any(
            all(o <= p for o, p in zip(other, point, strict=True)) and tuple(other) != tuple(point) for other in points
        )
        for point in points
    ]


def _print(form: str, columns: Sequence[str], rows: list[dict[str, Any]], unread: Sequence[str]) -> None:
    if form == "json":
        print_json({"columns": list(columns), "circuits": rows, "not_read": list(unread)})
    elif form == "csv":
        print_csv(["circuit", *columns, "front"], rows)
    else:
        listing = table("circuit", *columns, "front", right=columns)
        for row in rows:
            listing.add_row(row["circuit"], *(f"{row[name]:.5g}" for name in columns), "*" if row["front"] else "")
        out = console()
        out.print(listing)
        out.print(f"{sum(row['front'] for row in rows)} of {len(rows)} circuits are on the front (*).")
        for line in unread:
            out.print(f"left out: {line}")


def _write(folder: Path, columns: Sequence[str], rows: list[dict[str, Any]], *, quiet: bool) -> None:
    from circuits.drawing.figure_files import render
    from circuits.drawing.front_drawing import front_figure

    lines = [",".join(["circuit", *columns, "front"])]
    for row in rows:
        name = str(row["circuit"]).replace('"', '""')
        lines.append(",".join([f'"{name}"', *(repr(row[column]) for column in columns), str(row["front"])]))
    write_atomically(folder / "front.csv", ("\n".join(lines) + "\n").encode())
    stem = _PLOT.format(*columns[:2])
    files = render(lambda: front_figure(rows, columns[0], columns[1]), salt="pareto")
    for kind, content in files.items():
        write_atomically(folder / f"{stem}.{kind}", content)
    if not quiet:
        say(f"Written to {folder}: front.csv, {', '.join(f'{stem}.{kind}' for kind in files)}.")
