"""`library`: the evolved multipliers that come with the project."""

from __future__ import annotations

import argparse

from circuits.designs.design_library import LIBRARY, facts
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.options import add_format

_NUMBERS = ("mae_percent", "wce_percent", "error_rate", "mred", "bias", "energy", "delay", "area", "gates")
_HEADINGS = ("MAE [%]", "WCE [%]", "error rate", "MRED", "bias", "energy [fJ]", "delay [ps]", "area [um^2]", "gates")


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "library",
        help="list the library of evolved multipliers",
        description="Lists the evolved multipliers that come with the project, with their errors over all operands and "
        "their cost as drawn; every command takes their names.",
    )
    parser.add_argument(
        "prefix", nargs="?", default="", help="list only names that begin like this, such as u8_mae (default: all)"
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the list."""
    rows = []
    for name in LIBRARY:
        if name.startswith(arguments.prefix):
            stated = facts(name)
            rows.append({"name": name, **{key: float(stated[key]) for key in _NUMBERS}, "file": f"{name}.toml"})
    if arguments.format == "json":
        print_json({"library": rows})
    elif arguments.format == "csv":
        print_csv(["name", *_NUMBERS, "file"], rows)
    else:
        listing = table("circuit", *_HEADINGS, right=_HEADINGS)
        for row in rows:
            listing.add_row(str(row["name"]), *(f"{row[key]:.4g}" for key in _NUMBERS))
        out = console()
        out.print(listing)
        out.print(
            f"{len(rows)} circuits; MAE and WCE in per cent of 2^(w + v), energy without glitches. `show NAME` prints "
            "the whole definition."
        )
    return 0
