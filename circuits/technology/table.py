"""The interface of a technology: what one component costs, and in which units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuits.netlist import Component


@dataclass(frozen=True, slots=True)
class ComponentCost:
    """What one cell or gate costs in some technology.

    `transistors`; `estimated` when that count is not a published one. `area`; `energy`: per output, of one transition
    of that output; `leakage` per operation; `delay[output][input]`: of that arc, None where the output does not depend
    on the input. Units are the technology's.
    """

    transistors: int
    estimated: bool
    area: float
    energy: tuple[float, ...]
    leakage: float
    delay: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Technology:
    """A technology as data: `cost_of` gives the cost of a component.

    `characterised`: True when the numbers were measured or simulated at transistor level; `note` is what every print of
    a cost carries beside it.
    """

    name: str
    characterised: bool
    note: str
    area_unit: str
    energy_unit: str
    delay_unit: str
    cost_of: Callable[[Component], ComponentCost]
