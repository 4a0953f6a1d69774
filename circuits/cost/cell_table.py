"""The interface of a technology: what one component costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.netlists.netlist import Component

AREA_UNIT, ENERGY_UNIT, DELAY_UNIT, POWER_UNIT = "um^2", "fJ", "ps", "nW"
"""Units of every technology; capacitances are fF."""


@dataclass(frozen=True, eq=False)
class CellData:
    """What one cell or gate costs.

    `estimated`: some number is neither characterised nor given by the user. `area` um^2; `capacitance` fF of each
    input; `leakage` nW, the mean over the rows of the truth table (it depends on the row).

    Tables by transition (pin, row after it; row = 4a + 2b + c) at the technology's slews x loads: `delay` and `slew`
    [3, 8, 2 outputs, S, L] ps, NaN where the output does not change; `energy` [3, 8, S, L] fJ drawn inside, without the
    charges of inputs and loads, NaN where there is no such input. A component of fewer inputs has its rows at c = 0
    (and b = 0).
    """

    name: str
    estimated: bool
    transistors: int
    area: float
    capacitance: tuple[float, ...]
    leakage: float
    delay: NDArray[np.float64]
    slew: NDArray[np.float64]
    energy: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Technology:
    """A technology as data: `cost_of` gives the cost of a component.

    `slews` ps and `loads` fF: the grid of every table. `voltage` V. `note`: conditions and provenance, to be printed
    with costs.
    """

    name: str
    note: str
    slews: NDArray[np.float64]
    loads: NDArray[np.float64]
    voltage: float
    cost_of: Callable[[Component], CellData]
