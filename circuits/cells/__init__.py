"""Full-adder cells as data, and the Boolean expressions in which they are written."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "circuits.cells.adder_cells": (
            "AdderCell",
            "CELLS",
            "EXACT",
            "cell",
            "load_cells",
        ),
    },
)
