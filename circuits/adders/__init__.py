"""Approximate adders: the final adder of a multiplier, the accumulator of a layer, or a design of their own.

A kind of adder is one file with an ADDER and one line in ADDERS. `adder("loa(lower=4)", 16)` is a stand-alone one.
"""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "circuits.adders.adder_kinds": ("ADDERS", "AdderKind", "chosen_adder"),
        "circuits.adders.stand_alone": ("AdderDesign", "adder"),
    },
)
