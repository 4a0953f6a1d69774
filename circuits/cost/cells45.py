"""The characterised 45 nm table `cells45.json`, as a `Technology`; read on first use.

Made by `python -m circuits characterize` with ngspice; the table's `conditions` hold tool, date, voltage,
temperature, slews, loads and the checksums of the transistor models.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.cost.cell_table import CellData, Technology
from circuits.errors import DesignError, unknown_name
from circuits.netlists.gates import EXTRA_GATES, GATES
from circuits.netlists.netlist import Component

TABLE = Path(__file__).with_name("cells45.json")
"""The committed table."""
CORNERS = ("nom", "ss", "ff")
"""Typical, slow and fast transistors, all at 1.0 V and 25 degrees."""


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return document


def conditions() -> dict[str, Any]:
    """How the table was made."""
    found: dict[str, Any] = _document()["conditions"]
    return found


@lru_cache(maxsize=3)
def technology(corner: str = "nom") -> Technology:
    """The 45 nm technology in a corner: "nom", "ss" (slow) or "ff" (fast)."""
    if corner not in CORNERS:
        raise unknown_name("corner", corner, CORNERS)
    made = conditions()
    return Technology(
        name=f"cmos45_{corner}",
        note=f"45 nm, {made['voltage_V']:g} V, {made['temperature_C']} C, {corner}, {made['tool']} of {made['date']}",
        slews=np.array(made["slews_ps"]),
        loads=np.array(made["loads_fF"]),
        voltage=float(made["voltage_V"]),
        cost_of=lambda component: _cost_of(component, corner),
    )


@lru_cache(maxsize=4096)
def _cost_of(component: Component, corner: str) -> CellData:
    if library_component(component):
        return characterised(component.name, corner, component)
    from circuits.cost.estimates import estimate

    return estimate(component, technology(corner), lambda name: characterised(name, corner))


def library_component(component: Component) -> bool:
    """Whether the table holds exactly this component.

    A cell or gate of the same name may be the user's own; a cell that is new in the library may not be characterised
    yet, and is estimated as long.
    """
    if isinstance(component, AdderCell):
        return CELLS.get(component.name) == component and component.name in _document()["area"]
    return component in GATES.values() or component in EXTRA_GATES


def characterised(name: str, corner: str, component: Component | None = None) -> CellData:
    """The table's entry of that name."""
    entries = _document()["corners"][corner]
    if name not in entries:
        raise DesignError(f"{TABLE.name} must hold {name!r}, but does not; run python -m circuits characterize.")
    entry, area = entries[name], _document()["area"][name]
    published = None if component is None else component.transistors
    return from_entry(name, entry, area["um2"], area["transistors"] if published is None else published)


def from_entry(name: str, entry: dict[str, Any], area: float, transistors: int) -> CellData:
    """A component's data from the table's integers."""
    made = conditions()
    shape = len(made["slews_ps"]), len(made["loads_fF"])
    inputs = len(entry["capacitance"])
    delay = np.full((3, 8, 2, *shape), np.nan)
    slew = delay.copy()
    energy = np.full((3, 8, *shape), np.nan)
    for pin, row, energies, arcs in entry["events"]:
        # Rows of a cell of fewer inputs count its own bits; ours are always 4a + 2b + c.
        wide = row << (3 - inputs)
        energy[pin, wide] = np.reshape(energies, shape) / 1e3
        for output, delays, slews in arcs:
            delay[pin, wide, output] = np.reshape(delays, shape) / 10
            slew[pin, wide, output] = np.reshape(slews, shape) / 10
    return CellData(
        name=name,
        estimated=False,
        transistors=transistors,
        area=area,
        capacitance=tuple(value / 1e3 for value in entry["capacitance"]),
        leakage=float(np.mean(entry["leakage"])) / 1e3,
        delay=_frozen(delay),
        slew=_frozen(slew),
        energy=_frozen(energy),
    )


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array
