"""Measures one cell in ngspice: a walk over every single-input transition of its inputs, at one slew and load.

Delays run from 50 % of the input ramp to 50 % of the output; a slew is the time between 20 % and 80 % divided by 0.6,
the full swing of a ramp alike. Energy is what the supply delivers over the transition, less leakage, less what the
output loads take (C V^2 for each that rises). Input capacitance is the charge that the input source delivers, over V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from circuits.cost.characterize import spice
from circuits.cost.characterize.spice import VOLTAGE, Waves
from circuits.errors import DesignError

PERIOD = 0.7e-9
"""From one transition of the walk to the next, s."""
STEP = 10e-12
"""Longest time step, s."""
_SETTLED = 0.05
"""How far from a rail, in volts, a settled output may be (weak cells of users, leaky ones)."""


@dataclass(frozen=True)
class Event:
    """One transition: input `pin` goes to `value` while the inputs' row becomes `row` (the first input the high bit).

    `delay`, `slew`: s, by output; absent where it does not change. `energy`: J, internal. `charge`: C, from the input.
    """

    pin: int
    row: int
    value: int
    delay: dict[int, float]
    slew: dict[int, float]
    energy: float
    charge: float


@dataclass(frozen=True)
class Measured:
    """One walk: `events`; `tables`: bit r of each output in row r; `leakage`: W by row."""

    events: list[Event]
    tables: tuple[int, ...]
    leakage: dict[int, float]


def walk(inputs: int) -> list[int]:
    """Rows of a closed walk over every directed edge of the cube, once each (Hierholzer), starting at row 0."""
    unused = {row: [row ^ 1 << k for k in range(inputs)] for row in range(1 << inputs)}
    stack, path = [0], []
    while stack:
        if unused[stack[-1]]:
            stack.append(unused[stack[-1]].pop())
        else:
            path.append(stack.pop())
    return path


def measure(
    subcircuit: str,
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    models: Sequence[Path],
    *,
    slew: float,
    load: float,
) -> Measured:
    """The walk of subcircuit `name` (ports inputs, outputs, vdd, vss) with ramps of `slew` s and `load` F an output."""
    count = len(inputs)
    rows = walk(count)
    lines = [
        subcircuit,
        f"x1 {' '.join(f'i{k}' for k in range(count))} {' '.join(f'o{k}' for k in range(len(outputs)))} vdd 0 {name}",
    ]
    for k in range(len(outputs)):
        lines.append(f"c{k} o{k} 0 {load:g}")
    for k in range(count):
        bits = [row >> (count - 1 - k) & 1 for row in rows]
        lines.append(f"vi{k} i{k} 0 pwl({ramps(bits, PERIOD, slew)})")
    signals = [*(f"v(i{k})" for k in range(count)), *(f"v(o{k})" for k in range(len(outputs)))]
    signals += ["i(vdd)", *(f"i(vi{k})" for k in range(count))]
    waves = spice.simulate("\n".join(lines), models, signals, stop=len(rows) * PERIOD, step=STEP)
    return _read(waves, rows, count, len(outputs), slew, load)


def ramps(bits: Sequence[int], period: float, slew: float) -> str:
    """Points of a piecewise linear source: bit k from k * period on, reached by a ramp of `slew`."""
    points = [f"0 {bits[0] * VOLTAGE:g}"]
    for k in range(1, len(bits)):
        if bits[k] != bits[k - 1]:
            points += [f"{k * period:.6g} {bits[k - 1] * VOLTAGE:g}", f"{k * period + slew:.6g} {bits[k] * VOLTAGE:g}"]
    return " ".join(points)


def integral(waves: Waves, signal: str) -> NDArray[np.float64]:
    """Running integral of a signal over time (trapezoids)."""
    time, values = waves["time"], waves[signal]
    return np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(time))])


def crossing(time: NDArray[np.float64], values: NDArray[np.float64], level: float) -> float:
    """The last time at which `values` cross `level`; NaN if never."""
    above = values > level
    where = np.flatnonzero(above[1:] != above[:-1])
    if not where.size:
        return float("nan")
    k = int(where[-1])
    return float(time[k] + (level - values[k]) / (values[k + 1] - values[k]) * (time[k + 1] - time[k]))


def _read(waves: Waves, rows: list[int], inputs: int, outputs: int, slew: float, load: float) -> Measured:
    time = waves["time"]
    supplied = integral(waves, "i(vdd)")
    entered = [integral(waves, f"i(vi{k})") for k in range(inputs)]

    def between(running: NDArray[np.float64], start: float, end: float) -> float:
        low, high = np.interp([start, end], time, running)
        return float(high - low)

    settled: dict[int, list[int]] = {}
    leakage: dict[int, float] = {}
    for k, row in enumerate(rows):
        start, end = (k + 0.9) * PERIOD, (k + 0.995) * PERIOD
        current = -between(supplied, start, end) - sum(between(charge, start, end) for charge in entered)
        leakage.setdefault(row, max(current * VOLTAGE / (end - start), 0.0))
        levels = [float(np.interp(end, time, waves[f"o{j}"])) for j in range(outputs)]
        for j, level in enumerate(levels):
            if min(abs(level), abs(level - VOLTAGE)) > _SETTLED:
                raise DesignError(
                    f"outputs must settle within {_SETTLED} V of a rail, but output {j} is at {level:.3f} V in input "
                    f"row {row:0{inputs}b} after {PERIOD * 1e9:g} ns; correct the netlist."
                )
        found = [int(level > VOLTAGE / 2) for level in levels]
        if settled.setdefault(row, found) != found:
            raise DesignError(f"the cell must be combinational, but input row {row:0{inputs}b} gives two results.")
    events = []
    for k in range(1, len(rows)):
        before, row = rows[k - 1], rows[k]
        pin = inputs - (before ^ row).bit_length()
        start, end = k * PERIOD, (k + 0.9) * PERIOD
        delays, slews = {}, {}
        rising = 0
        window = (time >= start) & (time <= end)
        for j in range(outputs):
            old, new = settled[before][j], settled[row][j]
            if old == new:
                continue
            rising += new
            t, v = time[window], waves[f"o{j}"][window]
            delays[j] = crossing(t, v, VOLTAGE / 2) - start - slew / 2
            first, last = (crossing(t, v, part * VOLTAGE) for part in ((0.2, 0.8) if new else (0.8, 0.2)))
            slews[j] = (last - first) / 0.6
        energy = -VOLTAGE * between(supplied, start, end) - rising * load * VOLTAGE**2
        energy -= leakage[row] * (end - start)
        value = row >> (inputs - 1 - pin) & 1
        charge = -between(entered[pin], start, start + slew + 0.3 * PERIOD) * (1 if value else -1)
        events.append(Event(pin, row, value, delays, slews, energy, charge))
    tables = tuple(
        sum(settled[row][j] << sum((row >> (inputs - 1 - k) & 1) << (2 - k) for k in range(inputs)) for row in settled)
        for j in range(outputs)
    )
    return Measured(events, tables, leakage)
