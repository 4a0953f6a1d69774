"""`export`: a design as structural Verilog or BLIF."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import DESIGN_HELP, add_cells, user_cells
from circuits.designs.named_designs import find_design
from circuits.hdl import to_blif, to_verilog
from circuits.hdl.names import exported_netlist
from circuits.support.files import write_atomically

if TYPE_CHECKING:
    from circuits.commands.common import Commands

_WRITERS = {"verilog": to_verilog, "blif": to_blif}


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write a design as Verilog or BLIF",
        description="Writes the multiplier of a design as drawn: structural Verilog-2001, or flat BLIF. Of a float "
        "design the mantissa multiplier is written, unless --whole asks for the whole one.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    parser.add_argument("--format", choices=tuple(_WRITERS), default="verilog", help="what to write")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: standard output)")
    parser.add_argument("--name", help="name of the module (default: the design's)")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="the whole float multiplier, for normal numbers: sign, exponent, normalisation and rounding too",
    )
    add_cells(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the file."""
    design = find_design(arguments.design, user_cells(arguments))
    text = _WRITERS[arguments.format](design, name=arguments.name, whole=arguments.whole)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        write_atomically(arguments.output, text.encode())
        instances = exported_netlist(design, whole=arguments.whole).instances
        print(f"{arguments.output}: {design.label}, {len(instances)} cells and gates")
    return 0
