"""`topologies`: multiplier architectures and adders, with their options and sources."""

from __future__ import annotations

import argparse
from typing import Any

from circuits.adders.adder_kinds import ADDERS
from circuits.designs.spelled_designs import EXAMPLE
from circuits.multipliers import FAMILIES, TOPOLOGIES
from circuits.support.cli import Commands, console, integer, print_csv, print_json, table
from circuits.support.options import add_format

_COLUMNS = ("kind", "name", "option", "meaning", "values", "source")


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "topologies",
        help="list multiplier architectures, families and adders with their options",
        description="Lists the multiplier architectures, the families of approximate multipliers and the adders: the "
        "options of each, their values for operands of --width bits, and where it was published.",
    )
    parser.add_argument("--width", type=integer(4, 32), default=8, help="operand bits that the values are printed for")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the lists."""
    rows = _rows(arguments.width)
    if arguments.format == "json":
        print_json({"width": arguments.width, "topologies": rows})
        return 0
    if arguments.format == "csv":
        print_csv(list(_COLUMNS), rows)
        return 0
    out = console()
    listing = table("kind", "name", "option", f"values at {arguments.width} bits", "meaning")
    for row in rows:
        listing.add_row(row["kind"], row["name"], row["option"], row["values"], row["meaning"])
    out.print(listing)
    out.print(f'\nA design: {EXAMPLE}, in TOML options = {{ k = 4 }}. A final adder: final_adder = "loa(lower=4)".\n')
    sources = table("kind", "name", "source")
    for row in {(row["kind"], row["name"]): row for row in rows if row["source"]}.values():
        sources.add_row(row["kind"], row["name"], row["source"])
    out.print(sources)
    return 0


def _rows(width: int) -> list[dict[str, Any]]:
    """One row for each option; one for what has none."""
    rows: list[dict[str, Any]] = []
    groups = (
        ("array or tree", TOPOLOGIES, (width, width)),
        ("family", FAMILIES, (width, width)),
        ("adder", ADDERS, (width,)),
    )
    for kind, registry, widths in groups:
        for name, entry in registry.items():
            first = {"kind": kind, "name": name, "source": entry.source}
            if not entry.options:
                rows.append({**first, "option": "", "meaning": "", "values": ""})
            for option, declared in entry.options.items():
                values = declared.range_text(widths)
                rows.append({**first, "option": option, "meaning": declared.meaning, "values": values})
    return rows
