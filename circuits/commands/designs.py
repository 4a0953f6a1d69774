"""`designs`: the named designs."""

from __future__ import annotations

import argparse

from circuits.designs.named_designs import NAMED
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.options import add_format


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("designs", help="list the named designs", description="Lists the named designs.")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the list."""
    rows = []
    for name, design in NAMED.items():
        rows.append({"name": name, "label": design.label, **design.describe(), "digest": design.digest})
    if arguments.format == "json":
        print_json({"designs": rows})
    elif arguments.format == "csv":
        print_csv(list(rows[0]), rows)
    else:
        listing = table("design", "topology", "cells", "A,B,Cin", "tile", "rounding", "normalize")
        for row, design in zip(rows, NAMED.values(), strict=True):
            tile = "none" if design.tile is None else f"{design.tile} x {design.tile}"
            listing.add_row(
                row["label"],
                design.topology,
                design.placement.describe().removesuffix(" everywhere"),
                ",".join(design.ports),
                tile,
                design.rounding,
                design.normalization,
            )
        out = console()
        out.print(listing)
        out.print("\np, s, c: partial product, running sum, carry. `show NAME` prints the whole definition.")
    return 0
