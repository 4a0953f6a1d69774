"""`export`: a design as structural Verilog, BLIF or a product table."""

from __future__ import annotations

import argparse
import sys

from circuits.designs.design_record import Design
from circuits.engine.product_table import product_table
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import DESIGN_HELP, user_cells
from circuits.exchange.table_files import TABLE_FORMATS, write_table
from circuits.hdl import to_blif, to_verilog
from circuits.hdl.names import exported_netlist
from circuits.support.cli import Commands
from circuits.support.files import write_atomically
from circuits.support.options import add_cells, add_format, add_out

_WRITERS = {"verilog": to_verilog, "blif": to_blif}
_FORMATS = (*_WRITERS, *TABLE_FORMATS)


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write a design as Verilog, BLIF or a product table",
        description="Writes a design's multiplier as drawn (unoptimised), as structural Verilog-2001 or flat BLIF. For "
        "a float design this is the mantissa multiplier, or with --whole the complete float multiplier. "
        "The lut formats hold all products of operands of up to 10 bits, as other tools read them: lut-npy (NumPy), "
        "lut-bin (TFApprox), lut-text (ApproxTorch), lut-c (AdaPT, TransAxx); the first operand is the first axis.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    add_format(parser, _FORMATS)
    add_out(parser, help="file to write (default: standard output)")
    parser.add_argument("--name", help="name of the module (default: the design's)")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="write the complete float multiplier for normal numbers: sign, exponent, normalisation and rounding too",
    )
    parser.add_argument(
        "--exchange", action="store_true", help="write a table with the second operand as its first axis"
    )
    add_cells(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the file, or prints it."""
    design = find_design(arguments.design, user_cells(arguments))
    if arguments.format in TABLE_FORMATS:
        return _write_table(arguments, design)
    if arguments.exchange:
        raise DesignError("--exchange is for product tables; leave it out, or choose one of the lut formats.")
    text = _WRITERS[arguments.format](design, name=arguments.name, whole=arguments.whole)
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(arguments.out, text.encode())
        instances = exported_netlist(design, whole=arguments.whole).instances
        print(f"{arguments.out}: {design.label}, {len(instances)} cells and gates")
    return 0


def _write_table(arguments: argparse.Namespace, design: Design) -> int:
    if arguments.whole or arguments.name is not None:
        raise DesignError("--whole and --name are for circuits, not for product tables; leave them out.")
    if design.format is not None:
        raise DesignError(
            f"a product table is of an integer design, but {design.label} multiplies {design.format}; give an integer "
            "design."
        )
    table = product_table(design)
    content = write_table(table.T if arguments.exchange else table, arguments.format, signed=design.signed)
    if arguments.out is None:
        sys.stdout.buffer.write(content)
    else:
        write_atomically(arguments.out, content)
        print(f"{arguments.out}: {design.label}, {table.shape[0]} x {table.shape[1]} products")
    return 0
