"""The colours of cells and gates: one legend for every drawing, in files and in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from circuits.cells.adder_cells import EXACT
from circuits.netlists.gates import HALF_ADDER

__all__ = ["EDGE", "GATES_ONLY", "Style", "cell_styles"]

GATES_ONLY = "gates only (partial products)"
"""The legend's name for places without an adder."""
EDGE = "#4d4d4d"
"""The colour of a cell's outline."""

# seaborn's "colorblind" palette (Waskom, JOSS 2021) without its grey; a hatch a round where there are more cells.
_COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#ece133", "#56b4e9")
_HATCHES = ("", "///", "...", "xxx", "\\\\\\")
_NEUTRAL: Mapping[str, str] = MappingProxyType(
    {EXACT.name: "#b5b5b5", HALF_ADDER.name: "#dedede", GATES_ONLY: "#faf4e1"}
)


@dataclass(frozen=True)
class Style:
    """How one kind of cell is filled; `hatch` as matplotlib names it, empty for none."""

    colour: str
    hatch: str = ""


def cell_styles(names: Iterable[str]) -> dict[str, Style]:
    """Name -> style: neutral for exact cells, half adders and gates, a colour and hatch by position for all others.

    Drawings that are looked at together get equal colours by being given the same names first.
    """
    distinct = list(dict.fromkeys(names))
    styles = {name: Style(_NEUTRAL[name]) for name in distinct if name in _NEUTRAL}
    for k, name in enumerate(name for name in distinct if name not in _NEUTRAL):
        styles[name] = Style(_COLOURS[k % len(_COLOURS)], _HATCHES[k // len(_COLOURS) % len(_HATCHES)])
    return styles
