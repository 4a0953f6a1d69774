"""Numbers as text for people: three significant digits, so that small numbers tell designs apart."""

from __future__ import annotations

import math

SIGNIFICANT = "significant"
"""A table's column has this in place of a format specification to be printed by `significant` (see `number`)."""
_WHOLE = 1e15
"""Larger numbers are printed with an exponent, though float64 holds whole numbers exactly up to 2^53."""


def significant(value: float, digits: int = 3, *, grouped: bool = False, padded: bool = True) -> str:
    """`value` with `digits` significant digits, trailing zeros included: 0.0833, 0.0830, 0.000242, 12.0, 1.20e-07.

    The digits of whole numbers are never rounded away: a whole number is printed as it is (0, 12, 16777216), and other
    values of 10^digits and more to the nearest whole number (1234.5 as 1234). Exponents are used below 10^-4 and from
    10^15 on. `grouped`: commas between thousands. `padded`: with trailing zeros; exact numbers need none. NaN is "-".

    >>> significant(0.08333), significant(1234.5), significant(1.2e-7)
    ('0.0833', '1234', '1.20e-07')
    """
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size < _WHOLE and (value == int(value) or size >= 10**digits):
        return f"{value + 0.0:{',' if grouped else ''}.0f}"  # + 0.0: no "-0"
    # Rounding may carry into the next power of ten (9.996 is 10.0), so the exponent is read after it.
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if size >= _WHOLE or exponent < -4:
        fraction, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{fraction if padded else _without_zeros(fraction)}e{power}"
    text = f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return text if padded else _without_zeros(text)


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: float, specification: str) -> str:
    """`value` by a format specification, or by `significant` with commas where that is SIGNIFICANT; NaN is "-".

    Where the specification would print a value other than 0 as 0, its leading digits are printed instead.
    """
    if math.isnan(value):
        return "-"
    if specification == SIGNIFICANT:
        return significant(value, grouped=True)
    text = format(value, specification)
    return format(value, ".1e") if value and not float(text.replace(",", "")) else text
