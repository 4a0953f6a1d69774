"""`multiply`: one product, with every step of it on request."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.commands.common import DESIGN_HELP, add_cells, user_cells
from circuits.designs.design_record import Design
from circuits.designs.named_designs import find_design
from circuits.errors import DesignError
from circuits.floats import arithmetic
from circuits.multipliers import TOPOLOGIES
from circuits.support.cli import console, print_json, table
from circuits.support.text import shorten

if TYPE_CHECKING:
    from circuits.commands.common import Commands

_LONGEST = 1024
"""Bits of an integer operand that are read; the design says how many it takes."""


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "multiply",
        help="one product, with every step of it on request",
        description="One product of a design. The first operand is the activation, the second the weight.",
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
        help="show operands, partial product bits, product, normaliser, rounding and the error (default: the result)",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="how to print")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the product."""
    design = find_design(arguments.design, user_cells(arguments))
    trace = trace_product(design, _number(design, "X", arguments.x), _number(design, "W", arguments.w))
    if arguments.format == "json":
        print_json(trace.to_dict() if arguments.trace else {"design": trace.design, "result": _plain(trace.result)})
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


@dataclass(frozen=True)
class Operand:
    """One operand: the number given, and its value, sign, unbiased exponent and mantissa in the design's format.

    `mantissa` is None for zero, infinity and NaN, which never reach the circuit.
    """

    given: Any
    value: Any
    sign: int
    exponent: int | None
    mantissa: int | None
    width: int

    @property
    def bits(self) -> str:
        """The mantissa, most significant bit first: "1.0110" for a float, plain digits for an integer."""
        if self.mantissa is None:
            return "none"
        digits = f"{self.mantissa:0{self.width}b}"
        return digits if self.exponent is None else f"{digits[0]}.{digits[1:]}"


@dataclass(frozen=True)
class Trace:
    """Every step of one product. Bits are strings, most significant first, except where a field says otherwise.

    `rows`: partial product row i, bits j = v-1..0 ("-" where truncated away), of weight 2^(i + j); none for Booth's and
    signed multipliers, whose partial products are not those ANDs. `product`,
    `exact_product`: the circuit's and the exact mantissa product, None where the circuit is not used. `shift`: places
    that the normaliser moves the product to the right, `raised`: what it adds to the exponent; `exponent`: the
    result's before rounding. `dropped`: bits below the fraction. `rounding` and `result_bits`, the result's code in
    the design's own format, are None for integers.
    """

    design: str
    definition: dict[str, str]
    operands: tuple[Operand, Operand]
    rows: tuple[str, ...]
    product_bits: int
    product: int | None
    exact_product: int | None
    shift: int | None
    raised: int | None
    hidden_one_missing: bool
    exponent: int | None
    fraction: str
    dropped: str
    rounding: str | None
    result: Any
    result_bits: str | None
    exact: Any
    error: float
    relative_error: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers that JSON does not have are strings."""
        made = {name: _plain(value) for name, value in vars(self).items() if name != "operands"}
        for name, operand in zip(("x", "w"), self.operands, strict=True):
            made[name] = {**{key: _plain(getattr(operand, key)) for key in operand.__dataclass_fields__}}
            made[name]["bits"] = operand.bits
        return made


def trace_product(design: Design, x: Any, w: Any) -> Trace:
    """The steps of `x` times `w`; integers for integer designs, float32 otherwise. Raises DesignError out of range."""
    fmt = design.float_format
    result_bits = None
    result: Any
    if fmt is None:
        result = int(design.multiply_integers([x], [w])[0])
        operands = tuple(Operand(v, v, 0, None, v, n) for v, n in zip((x, w), design.shape, strict=True))
    else:
        rules = {"rounding": design.rounding, "subnormals": str(design.subnormals)}
        result = design.multiply([x], [w])[0]
        result_bits = arithmetic.bit_pattern(fmt, result)
        operands = tuple(_operand(fmt, v, arithmetic.quantize(fmt, [v], **rules)[0]) for v in (x, w))
    left, right = operands
    bits = sum(design.shape)
    rows: tuple[str, ...] = ()
    product = exact_product = shift = raised = exponent = None
    missing, fraction, dropped = False, "", ""
    if left.mantissa is not None and right.mantissa is not None:
        netlist_bits = len(design.netlist().outputs["product"])
        bits = netlist_bits
        product = int(design.multiply_integers([left.mantissa], [right.mantissa])[0])
        exact_product = left.mantissa * right.mantissa
        plain = TOPOLOGIES[design.topology].plain_partial_products
        if plain and not design.signed and design.circuit is None:
            rows = tuple(_row(design, i, left.mantissa, right.mantissa) for i in range(design.shape[0]))
        if fmt is not None:
            assert left.exponent is not None
            assert right.exponent is not None
            top = 2 * fmt.width - 2
            shift = max(product.bit_length() - 1 - top, 0)
            raised = min(shift, 1) if design.normalization == "released" else shift
            missing = not product >> (top + shift) & 1
            exponent = left.exponent + right.exponent + raised
            below = f"{product & (1 << (top + shift)) - 1:0{top + shift}b}"
            fraction, dropped = below[: fmt.fraction_bits], below[fmt.fraction_bits :]
    exact = x * w if fmt is None else float(x) * float(w)
    error = float(result - exact) if fmt is None else float(result) - exact
    relative = None if exact == 0 or not np.isfinite(error) else _ratio(result, exact)
    return Trace(
        design.label,
        design.describe(),
        (left, right),
        rows,
        bits,
        product,
        exact_product,
        shift,
        raised,
        missing,
        exponent,
        fraction,
        dropped,
        None if fmt is None else design.rounding,
        result,
        result_bits,
        exact,
        error,
        relative,
    )


def _ratio(result: Any, exact: Any) -> float:
    if isinstance(exact, int):
        return float(Fraction(int(result) - exact, exact))
    return (float(result) - float(exact)) / float(exact)


def _operand(fmt: arithmetic.FloatFormat, given: np.float32, value: np.float32) -> Operand:
    sign = int(np.signbit(value))
    if not np.isfinite(value) or value == 0:
        return Operand(given, value, sign, None, None, fmt.width)
    fraction, exponent = np.frexp(abs(float(value)))
    return Operand(given, value, sign, int(exponent) - 1, int(np.ldexp(fraction, fmt.width)), fmt.width)


def _row(design: Design, i: int, x: int, y: int) -> str:
    """Partial products pp(i, v-1) ... pp(i, 0); "-" where the column is truncated away."""
    v = design.shape[1]
    bit = x >> i & 1
    return "".join("-" if i + j < design.truncate_columns else str(bit & y >> j) for j in range(v - 1, -1, -1))


def _print(trace: Trace) -> None:
    out = console()
    definition = table("definition", trace.design)
    for name, value in trace.definition.items():
        definition.add_row(name, value)
    out.print(definition)
    out.print()

    shown = table("operand", "given", "in the format", "sign", "exponent", "mantissa")
    for name, operand in zip(("x (rows)", "w (columns)"), trace.operands, strict=True):
        exponent = "none" if operand.exponent is None else f"2^{operand.exponent}"
        sign = "-" if operand.sign else "+"
        shown.add_row(name, _text(operand.given), _text(operand.value), sign, exponent, operand.bits)
    out.print(shown)
    out.print()

    if trace.product is None or trace.exact_product is None:
        out.print("A zero, infinity or NaN never reaches the circuit: IEEE rules and the XOR of the signs decide.")
    else:
        bits = trace.product_bits
        lines = [f"partial products, row i = bit i of x, over product columns {bits - 1} ... 0"]
        for i, row in enumerate(trace.rows):
            lines.append(f"  {i:>7} {(row + ' ' * i).rjust(bits)}")
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


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else str(float(value))
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value]
