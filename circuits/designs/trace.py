"""Every step of one product: operands, partial products, the circuit's product, normalisation, rounding, error."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from circuits.designs.design_record import Design
from circuits.designs.partial_rows import PartialRow, partial_rows
from circuits.floats import arithmetic


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
    signed multipliers, whose partial products are not those ANDs. `column_rows`: of other trees the bits that they
    compress, row by row over all product columns (`circuits.designs.partial_rows`). `product`,
    `exact_product`: the circuit's and the exact mantissa product, None where the circuit is not used. `shift`: places
    that the normaliser moves the product to the right, `raised`: what it adds to the exponent; `exponent`: the
    result's before rounding. `dropped`: bits below the fraction. `rounding` and `result_bits`, the result's code in
    the design's own format, are None for integers.
    """

    design: str
    definition: dict[str, str]
    operands: tuple[Operand, Operand]
    rows: tuple[str, ...]
    column_rows: tuple[PartialRow, ...]
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
        """A JSON-ready dict; numbers that JSON does not have become strings."""
        record = {name: plain(value) for name, value in vars(self).items() if name not in ("operands", "column_rows")}
        record["column_rows"] = [f"{row.label}: {row.bits}" for row in self.column_rows]
        for name, operand in zip(("x", "w"), self.operands, strict=True):
            record[name] = {**{key: plain(getattr(operand, key)) for key in operand.__dataclass_fields__}}
            record[name]["bits"] = operand.bits
        return record


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
    column_rows: tuple[PartialRow, ...] = ()
    product = exact_product = shift = raised = exponent = None
    missing, fraction, dropped = False, "", ""
    if left.mantissa is not None and right.mantissa is not None:
        netlist_bits = len(design.netlist().outputs["product"])
        bits = netlist_bits
        product = int(design.multiply_integers([left.mantissa], [right.mantissa])[0])
        exact_product = left.mantissa * right.mantissa
        plain = design.architecture.plain_partial_products
        if plain and not design.signed and design.circuit is None:
            rows = tuple(_row(design, i, left.mantissa, right.mantissa) for i in range(design.shape[0]))
        else:
            column_rows = partial_rows(design, left.mantissa, right.mantissa)
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
        column_rows,
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


def plain(value: Any) -> Any:
    """A JSON-ready form of numbers, text, lists and dicts; numbers that JSON does not have become strings."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else str(float(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value]
