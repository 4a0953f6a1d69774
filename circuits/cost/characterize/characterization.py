"""The 45 nm table from transistor models, by ngspice (`python -m circuits characterize`).

Every library cell and gate (`transistors`) is simulated through all its single-input transitions at SLEWS x LOADS in
each corner (`spice_measurements`), after its truth table has been checked. The result is the table that `circuits.cost`
reads. With --cell it characterises a user's subcircuit instead and writes it as TOML.

A component's record in the table, R rows of its truth table, S x L grid points (slews outermost):

    capacitance  aF of each input: charge delivered by the input source over V, the mean over its transitions and grid
    leakage      pW in each row, at the first grid point: it depends on the row, since series transistors leak less
    events       [pin, row after the transition, energies aJ [S L], arcs]; an arc for each output that changes:
                 [output, delays 0.1 ps [S L], slews 0.1 ps [S L]]
"""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.cost.cells45 import CORNERS
from circuits.cost.characterize import spice
from circuits.cost.characterize.spice_measurements import Measured, measure
from circuits.cost.characterize.transistors import LENGTH, UNIT_N, UNIT_P, Schematic, components, schematic
from circuits.errors import DesignError
from circuits.netlists.netlist import Component

SLEWS = (20e-12, 80e-12)
"""Input ramps, s."""
LOADS = (1e-15, 5e-15, 15e-15)
"""Loads of every output, F: an inverter takes 0.7 fF, a mirror adder's input 5 fF."""


def require_models(folder: Path) -> None:
    """DesignError unless ngspice is installed and `folder` has the transistor models of every corner."""
    spice.ngspice()
    for corner in CORNERS:
        spice.model_files(folder, corner)


def characterise(folder: Path, chosen: Sequence[Component] | None = None) -> dict[str, Any]:
    """The table of the `chosen` components (default: all), JSON-ready: conditions, areas, then a record of each
    component by corner and name. `folder`: the transistor models."""
    chosen = components() if chosen is None else chosen
    schematics = {component.name: (component, schematic(component)) for component in chosen}
    files = [path for corner in CORNERS for path in spice.model_files(folder, corner)]
    table: dict[str, Any] = {
        "conditions": {
            "made_by": "python -m circuits characterize",
            "tool": spice.version(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "models": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
            "voltage_V": spice.VOLTAGE,
            "temperature_C": spice.TEMPERATURE,
            "unit_inverter_nm": {"n": UNIT_N, "p": UNIT_P, "length": LENGTH},
            "slews_ps": [1e12 * slew for slew in SLEWS],
            "loads_fF": [1e15 * load for load in LOADS],
            "units": "delays and slews 0.1 ps, energies aJ, capacitances aF, leakage pW, areas um^2",
        },
        "area": {
            name: {"um2": round(cell.area, 3), "transistors": cell.transistors}
            for name, (_, cell) in schematics.items()
        },
        "corners": {},
    }
    for corner in CORNERS:
        models = spice.model_files(folder, corner)
        records = table["corners"][corner] = {}
        for number, (name, (component, cell)) in enumerate(schematics.items(), 1):
            print(f"\r{corner}: {number}/{len(schematics)} {name:<16}", end="", file=sys.stderr, flush=True)
            records[name] = _characterised(component, cell, models)
    print(file=sys.stderr)
    return table


def _characterised(component: Component, cell: Schematic, models: Sequence[Path]) -> dict[str, Any]:
    """The record of one component, from a walk at every slew and load."""
    grid: list[Measured] = []
    for slew in SLEWS:
        for load in LOADS:
            walk = measure(cell.subcircuit(), cell.name, cell.inputs, cell.outputs, models, slew=slew, load=load)
            if not grid:
                check_tables(component, walk.tables)
            grid.append(walk)
    return record(grid)


def check_tables(component: Component, simulated: Sequence[int]) -> None:
    """DesignError unless the simulated truth tables are the component's, over the rows of its inputs."""
    step = 1 << (3 - len(component.inputs))
    for port, expected, table in zip(component.outputs, component.tables, simulated, strict=True):
        for row in range(0, 8, step):
            if (expected ^ table) >> row & 1:
                raise DesignError(
                    f"the transistors of {component.name!r} must give its truth table, but output {port} is "
                    f"{table >> row & 1} in row {row:03b}; correct its schematic."
                )


def record(grid: Sequence[Measured]) -> dict[str, Any]:
    """The record of a component from its walks at SLEWS x LOADS, slews outermost; see the module."""
    first = grid[0]
    inputs = max(event.pin for event in first.events) + 1
    charges: list[list[float]] = [[] for _ in range(inputs)]
    events = []
    for k, event in enumerate(first.events):
        same = [walk.events[k] for walk in grid]  # the same transition at every grid point
        charges[event.pin] += [point.charge for point in same]
        arcs = [
            [
                output,
                [_round(point.delay[output], 1e13) for point in same],
                [_round(point.slew[output], 1e13) for point in same],
            ]
            for output in event.delay
        ]
        events.append([event.pin, event.row, [_round(point.energy, 1e18) for point in same], arcs])
    return {
        "capacitance": [_round(sum(values) / len(values) / spice.VOLTAGE, 1e18) for values in charges],
        "leakage": [_round(first.leakage[row], 1e12) for row in sorted(first.leakage)],
        "events": sorted(events, key=lambda event: event[:2]),
    }


def _round(value: float, scale: float) -> int:
    return round(value * scale)


def dumps(table: dict[str, Any]) -> str:
    """The table as JSON text, one component a line, so that a new cell is one line of a diff."""
    lines = [
        "{",
        f'"conditions": {json.dumps(table["conditions"], indent=1)},',
        f'"area": {json.dumps(table["area"])},',
    ]
    lines.append('"corners": {')
    corners = []
    for corner, records in table["corners"].items():
        rows = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in records.items()
        )
        corners.append(f'"{corner}": {{\n{rows}\n}}')
    return "\n".join([*lines, ",\n".join(corners), "}", "}"])
