"""`export`: a design as structural Verilog or BLIF."""

from __future__ import annotations

import argparse
import sys

from circuits.commands.design_options import DESIGN_HELP, user_cells
from circuits.designs.named_designs import find_design
from circuits.hdl import to_blif, to_verilog
from circuits.hdl.names import exported_netlist
from circuits.support.cli import Commands
from circuits.support.files import write_atomically
from circuits.support.options import add_cells, add_format, add_out

_WRITERS = {"verilog": to_verilog, "blif": to_blif}


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write a design as Verilog or BLIF",
        description="Writes a design's multiplier as drawn (unoptimised), as structural Verilog-2001 or flat BLIF. For "
        "a float design this is the mantissa multiplier, or with --whole the complete float multiplier.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    add_format(parser, tuple(_WRITERS))
    add_out(parser, help="file to write (default: standard output)")
    parser.add_argument("--name", help="name of the module (default: the design's)")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="write the complete float multiplier for normal numbers: sign, exponent, normalisation and rounding too",
    )
    add_cells(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the file, or prints it."""
    design = find_design(arguments.design, user_cells(arguments))
    text = _WRITERS[arguments.format](design, name=arguments.name, whole=arguments.whole)
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(arguments.out, text.encode())
        instances = exported_netlist(design, whole=arguments.whole).instances
        print(f"{arguments.out}: {design.label}, {len(instances)} cells and gates")
    return 0
