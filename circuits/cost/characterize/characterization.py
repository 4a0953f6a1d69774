"""The 45 nm table from transistor models, by ngspice (`python -m circuits characterize`).

Every library cell and gate is simulated at transistor level (`transistors`), first its truth table is checked, then it
is walked through all its single-input transitions at SLEWS x LOADS in each corner (`measure`). The result is the table
that `circuits.cost` reads.
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


def characterise(folder: Path, parts: Sequence[Component] | None = None) -> dict[str, Any]:
    """The table, JSON-ready: conditions, then for each corner every component by name (see `cells45`)."""
    parts = components() if parts is None else parts
    drawn = {part.name: (part, schematic(part)) for part in parts}
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
            name: {"um2": round(made.area, 3), "transistors": made.transistors} for name, (_, made) in drawn.items()
        },
        "corners": {},
    }
    for corner in CORNERS:
        models = spice.model_files(folder, corner)
        entries = table["corners"][corner] = {}
        for number, (name, (part, made)) in enumerate(drawn.items(), 1):
            print(f"\r{corner}: {number}/{len(drawn)} {name:<16}", end="", file=sys.stderr, flush=True)
            entries[name] = _entry(part, made, models)
    print(file=sys.stderr)
    return table


def _entry(part: Component, made: Schematic, models: Sequence[Path]) -> dict[str, Any]:
    grid: list[Measured] = []
    for slew in SLEWS:
        for load in LOADS:
            found = measure(made.subcircuit(), made.name, made.inputs, made.outputs, models, slew=slew, load=load)
            if not grid:
                check_tables(part, found.tables)
            grid.append(found)
    return entry(grid)


def check_tables(part: Component, found: Sequence[int]) -> None:
    """DesignError unless the simulated truth tables, over the rows of the part's inputs, are the part's."""
    step = 1 << (3 - len(part.inputs))
    for port, expected, table in zip(part.outputs, part.tables, found, strict=True):
        for row in range(0, 8, step):
            if (expected ^ table) >> row & 1:
                raise DesignError(
                    f"the transistors of {part.name!r} must give its truth table, but output {port} is "
                    f"{table >> row & 1} in row {row:03b}; correct its schematic."
                )


def entry(grid: Sequence[Measured]) -> dict[str, Any]:
    """One component of the table from its walks at SLEWS x LOADS, slews outermost."""
    first = grid[0]
    inputs = max(event.pin for event in first.events) + 1
    charges: list[list[float]] = [[] for _ in range(inputs)]
    events = []
    for k, event in enumerate(first.events):
        same = [found.events[k] for found in grid]
        charges[event.pin] += [one.charge for one in same]
        arcs = [
            [
                output,
                [_round(one.delay[output], 1e13) for one in same],
                [_round(one.slew[output], 1e13) for one in same],
            ]
            for output in event.delay
        ]
        events.append([event.pin, event.row, [_round(one.energy, 1e18) for one in same], arcs])
    return {
        "capacitance": [_round(sum(values) / len(values) / spice.VOLTAGE, 1e18) for values in charges],
        "leakage": [_round(first.leakage[row], 1e12) for row in sorted(first.leakage)],
        "events": sorted(events, key=lambda event: event[:2]),
    }


def _round(value: float, scale: float) -> int:
    return round(value * scale)


def dumps(table: dict[str, Any]) -> str:
    """JSON text, a component a line."""
    lines = [
        "{",
        f'"conditions": {json.dumps(table["conditions"], indent=1)},',
        f'"area": {json.dumps(table["area"])},',
    ]
    lines.append('"corners": {')
    corners = []
    for corner, entries in table["corners"].items():
        rows = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in entries.items()
        )
        corners.append(f'"{corner}": {{\n{rows}\n}}')
    return "\n".join([*lines, ",\n".join(corners), "}", "}"])
