"""Floating-point formats and multiplication around a mantissa multiplier, as arithmetic and as a netlist."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "circuits.floats.arithmetic": (
            "FORMATS",
            "FloatFormat",
            "float_format",
        ),
    },
)
