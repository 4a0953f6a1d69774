"""`multiply`: one product, with every step of it on request."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from circuits.designs.design_record import Design
from circuits.designs.trace import Trace, plain, trace_product
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import DESIGN_HELP, user_cells
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.options import add_cells, add_format
from circuits.support.text import shorten

_LONGEST = 1024
"""Bits of an integer operand that are read; the design says how many it takes."""


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "multiply",
        help="one product, with every step of it on request",
        description="Multiplies two numbers with a design. The first operand is the activation, the second the weight.",
    )
    # argparse takes "-1.5" for a number but "-inf" and "-1e5" for options.
    parser._negative_number_matcher = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    parser.add_argument("x", metavar="X", help="first operand (activation): a number, nan or inf")
    parser.add_argument("w", metavar="W", help="second operand (weight)")
    add_cells(parser)
    parser.add_argument(
        "--trace",
        action="store_true",
        help="print operands, partial product bits, product, normaliser, rounding and error (default: the result only)",
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the product."""
    design = find_design(arguments.design, user_cells(arguments))
    trace = trace_product(design, _number(design, "X", arguments.x), _number(design, "W", arguments.w))
    if arguments.format == "json":
        print_json(trace.to_dict() if arguments.trace else {"design": trace.design, "result": plain(trace.result)})
    elif arguments.format == "csv":
        result = {"quantity": "result", "value": plain(trace.result)}
        rows = _quantities(trace.to_dict()) if arguments.trace else [result]
        print_csv(["design", "quantity", "value"], [{"design": trace.design, **row} for row in rows])
    elif arguments.trace:
        _print(trace)
    else:
        print(_text(trace.result))
    return 0


def _number(design: Design, name: str, text: str) -> Any:
    kind = "an integer" if design.float_format is None else "a number"
    try:
        if design.float_format is None:
            value = int(text, 0)
            if value.bit_length() > _LONGEST:
                raise ValueError
            return value
        with np.errstate(over="ignore"):
            return np.float32(float(text))
    except ValueError:
        raise DesignError(f"{name} must be {kind}, but got {shorten(repr(text))}; correct it.") from None


def _quantities(record: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """One row for each quantity of a trace; those of nested dicts are named "x bits", lists are joined by blanks."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _quantities(value, f"{prefix}{name} ")
        elif name != "design":
            text = " ".join(map(str, value)) if isinstance(value, list) else value
            yield {"quantity": f"{prefix}{name}", "value": text}


def _print(trace: Trace) -> None:
    out = console()
    definition = table("definition", trace.design)
    for name, value in trace.definition.items():
        definition.add_row(name, value)
    out.print(definition)
    out.print()

    operands = table("operand", "given", "in the format", "sign", "exponent", "mantissa")
    for name, operand in zip(("x (rows)", "w (columns)"), trace.operands, strict=True):
        exponent = "none" if operand.exponent is None else f"2^{operand.exponent}"
        sign = "-" if operand.sign else "+"
        operands.add_row(name, _text(operand.given), _text(operand.value), sign, exponent, operand.bits)
    out.print(operands)
    out.print()

    if trace.product is None or trace.exact_product is None:
        out.print("A zero, infinity or NaN never reaches the circuit: IEEE rules and the XOR of the signs decide.")
    else:
        bits = trace.product_bits
        lines = [f"partial products, row i = bit i of x, over product columns {bits - 1} ... 0"] if trace.rows else []
        for i, row in enumerate(trace.rows):
            lines.append(f"  {i:>7} {(row + ' ' * i).rjust(bits)}")
        if trace.column_rows:
            lines.append(f"rows of partial products, over product columns {bits - 1} ... 0")
            wide = max(len(row.label) for row in trace.column_rows)
            lines += [f"  {row.label:>{max(7, wide)}} {row.bits}" for row in trace.column_rows]
        wrong = "".join("^" if trace.product >> k & 1 != trace.exact_product >> k & 1 else " " for k in range(bits))
        lines += [
            f"  product {trace.product:0{bits}b}  {trace.product}",
            f"    exact {trace.exact_product:0{bits}b}  {trace.exact_product}",
        ]
        if "^" in wrong:
            lines.append(f"  differs {wrong[::-1]}".rstrip())
        if trace.shift is not None:
            lines += ["", _normaliser(trace)]
            lines.append(
                f"rounding  {trace.rounding}: fraction {trace.fraction}, below it {trace.dropped or 'nothing'}"
            )
        for line in (*lines, ""):
            out.print(line, soft_wrap=True)
    pattern = "" if trace.result_bits is None else f"  = {trace.result_bits}"
    out.print(f"result    {_text(trace.result)}{pattern}")
    relative = "" if trace.relative_error is None else f", relative {trace.relative_error:+.6g}"
    error = f", error {trace.error:+.6g}{relative}" if math.isfinite(trace.error) else ""
    out.print(f"exact     {_text(trace.exact)}{error}")


def _normaliser(trace: Trace) -> str:
    implied = "; the circuit left the hidden one at 0, it is implied" if trace.hidden_one_missing else ""
    return f"normalise shift right by {trace.shift}, exponent +{trace.raised}: 2^{trace.exponent}{implied}"


def _text(value: Any) -> str:
    """The shortest decimal that reads back."""
    return str(value)
