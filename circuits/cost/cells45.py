"""The characterised 45 nm table `cells45.json`, as a `Technology`; read on first use.

`python -m circuits characterize` makes it with ngspice. Its `conditions` hold tool, date,
voltage, temperature, slews, loads and the checksums of the transistor models. Numbers are integers: delays and slews in
0.1 ps, energies in aJ, capacitances in aF, leakage in pW.
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
from circuits.cost.estimates import estimate
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
    """How the table was made: tool, date, models, voltage, temperature, slews and loads."""
    record: dict[str, Any] = _document()["conditions"]
    return record


@lru_cache(maxsize=3)
def technology(corner: str = "nom") -> Technology:
    """The 45 nm technology in a corner: "nom", "ss" (slow) or "ff" (fast); raises UnknownNameError for others."""
    if corner not in CORNERS:
        raise unknown_name("corner", corner, CORNERS)
    record = conditions()
    return Technology(
        name=f"cmos45_{corner}",
        note=f"45 nm, {record['voltage_V']:g} V, {record['temperature_C']} C, {corner}, "
        f"{record['tool']} of {record['date']}",
        slews=np.array(record["slews_ps"]),
        loads=np.array(record["loads_fF"]),
        voltage=float(record["voltage_V"]),
        cost_of=lambda component: _cost_of(component, corner),
    )


@lru_cache(maxsize=4096)
def _cost_of(component: Component, corner: str) -> CellData:
    if library_component(component):
        return characterised(component.name, corner, component)
    return estimate(component, technology(corner), lambda name: characterised(name, corner))


def library_component(component: Component) -> bool:
    """Whether the table holds exactly this component.

    A cell or gate of the same name may be the user's own. A cell that is new in the library may not be characterised
    yet; until then it is estimated.
    """
    if isinstance(component, AdderCell):
        return CELLS.get(component.name) == component and component.name in _document()["area"]
    return component in GATES.values() or component in EXTRA_GATES


def characterised(name: str, corner: str, component: Component | None = None) -> CellData:
    """The table's data for a name; `component` may declare another transistor count, which then counts."""
    cells = _document()["corners"][corner]
    if name not in cells:
        raise DesignError(f"{TABLE.name} must hold {name!r}, but does not; run python -m circuits characterize.")
    record, area = cells[name], _document()["area"][name]
    declared = None if component is None else component.transistors
    return from_record(name, record, area["um2"], area["transistors"] if declared is None else declared)


def from_record(name: str, record: dict[str, Any], area: float, transistors: int) -> CellData:
    """A component's data from the table's integers; `events` holds [pin, row, energies, [output, delays, slews]
    ...]."""
    shape = len(conditions()["slews_ps"]), len(conditions()["loads_fF"])
    inputs = len(record["capacitance"])
    delay = np.full((3, 8, 2, *shape), np.nan)
    slew = delay.copy()
    energy = np.full((3, 8, *shape), np.nan)
    for pin, own_row, energies, arcs in record["events"]:
        # The table numbers rows by the cell's own inputs; ours are always 4a + 2b + c.
        row = own_row << (3 - inputs)
        energy[pin, row] = np.reshape(energies, shape) / 1e3
        for output, delays, slews in arcs:
            delay[pin, row, output] = np.reshape(delays, shape) / 10
            slew[pin, row, output] = np.reshape(slews, shape) / 10
    return CellData(
        name=name,
        estimated=False,
        transistors=transistors,
        area=area,
        capacitance=tuple(value / 1e3 for value in record["capacitance"]),
        leakage=float(np.mean(record["leakage"])) / 1e3,
        delay=_frozen(delay),
        slew=_frozen(slew),
        energy=_frozen(energy),
    )


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array
