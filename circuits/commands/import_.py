"""`import`: a user's own multiplier in structural Verilog as a design."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.cli import add_format, console, print_csv, print_json, table
from circuits.designs import Design
from circuits.errors import DesignError
from circuits.files import write_atomically
from circuits.hdl import netlist_from_verilog
from circuits.hdl.verilog import MAXIMUM_BYTES
from circuits.simplify import simplify

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "import",
        help="read your own multiplier from structural Verilog",
        description="Reads a multiplier from structural Verilog (as ArithsGen and EvoApproxLib write it), says what it "
        "found and writes it as a design that every other command takes. The first input bus is the first operand.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a Verilog file")
    parser.add_argument("--top", metavar="NAME", help="the multiplier's module (default: the one that no other uses)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="TOML", help="the design's file (default: none is written)"
    )
    parser.add_argument("--signed", action="store_true", help="operands are two's complement (default: unsigned)")
    parser.add_argument(
        "--float",
        metavar="FORMAT",
        help="make it the mantissa multiplier of this float format, float32 for instance (default: an integer design)",
    )
    parser.add_argument("--name", help="the design's name (default: the module's)")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads, reports, writes."""
    output = arguments.output
    if output is not None and output.suffix != ".toml":
        raise DesignError(f"the design's file must end in .toml, but got {str(output)!r}; rename it.")
    netlist = netlist_from_verilog(_read(arguments.file), where=str(arguments.file), top=arguments.top)
    design = Design(netlist=netlist, format=arguments.float, signed=arguments.signed, name=arguments.name)
    (x, y), (product,) = netlist.inputs, netlist.outputs
    bits = len(netlist.outputs[product])
    found = {
        "module": netlist.name,
        "x (first operand)": f"{x}, {len(netlist.inputs[x])} bits",
        "y (second operand)": f"{y}, {len(netlist.inputs[y])} bits",
        "product": f"{product}, {bits} bits{_extension(bits, design)}",
        "format": design.describe()["format"],
        "cells and gates": ", ".join(f"{count} {name}" for name, count in netlist.count().items()) or "none",
        "as drawn": str(len(netlist.instances)),
        "after simplification": str(len(simplify(design.netlist()).instances)),
        "digest": design.digest,
        "written to": str(output or "no file"),
    }
    if output is not None:
        write_atomically(output, design.to_toml().encode())
    if arguments.format == "json":
        print_json(found)
    elif arguments.format == "csv":
        print_csv(list(found), [found])
    else:
        shown = table("found", str(arguments.file))
        for key, value in found.items():
            shown.add_row(key, value)
        console().print(shown)
    return 0


def _extension(bits: int, design: Design) -> str:
    missing = sum(design.shape) - bits
    return f", extended by {missing} ({'the sign' if design.signed else 'zeros'})" if missing > 0 else ""


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAXIMUM_BYTES:
            raise DesignError(f"{path} must have at most {MAXIMUM_BYTES} bytes, but has {size}; split it.")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DesignError(f"{path} must be a readable file, but: {error.strerror}; check the path.") from None
