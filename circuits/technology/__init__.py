"""What cells and gates cost, and area, energy and timing of a netlist made of them.

A `Technology` tells the cost of one component; `area`, `energy` and `timing` are functions of a netlist and a
technology. `RELATIVE` is the only one so far: counts and logic depth, no measured value.
"""

from __future__ import annotations

from circuits.technology.activity import evaluate, toggles
from circuits.technology.area import Area, area
from circuits.technology.energy import Energy, energy
from circuits.technology.relative import RELATIVE
from circuits.technology.table import ComponentCost, Technology
from circuits.technology.timing import Timing, timing

__all__ = [
    "RELATIVE",
    "Area",
    "ComponentCost",
    "Energy",
    "Technology",
    "Timing",
    "area",
    "energy",
    "evaluate",
    "timing",
    "toggles",
]
