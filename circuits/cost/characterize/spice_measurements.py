"""Measures one cell in ngspice: a walk over every single-input transition of its inputs, at one slew and load.

For a transition that starts at t0, with supply current i and input current j, and leakage power P of the row it enters:

    delay        (last 50 % crossing of the output) - (t0 + slew / 2, the 50 % crossing of the input)
    slew         (time from 20 % to 80 % of the output) / 0.6, so that a linear ramp has its full duration
    energy       V x (integral of i over 0.9 periods) - C_load V^2 for each output that rises - P x 0.9 periods
    charge       |integral of j| over the ramp and 0.3 periods; input capacitance = charge / V
    leakage      V x (mean of i and of all input currents over the end of the period, 0.9 to 0.995), for each row

Short-circuit currents and the charging of inner nets are part of `energy`; a transition that changes no output has an
energy too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
    """One transition: input `pin` goes to `value`, and the inputs' row becomes `row` (the first input is the high bit).

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
    """Rows of a closed walk that takes every directed edge of the cube once, starting at row 0 (Hierholzer's
    algorithm).

    Directed edges are the single-input transitions; every row has as many edges in as out, so that the walk exists.
    """
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
    """Measures subcircuit `name` (ports inputs, outputs, vdd, vss) with ramps of `slew` s and `load` F on each output.

    Raises DesignError if an output does not settle at a rail or if the cell is not combinational.
    """
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
    """Running integral of a signal over time, by trapezoids."""
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


class _Recording:
    """The waves of a walk: charges delivered and levels reached, by time (s)."""

    def __init__(self, waves: Waves, inputs: int) -> None:
        self.waves, self.time = waves, waves["time"]
        self._supplied = integral(waves, "i(vdd)")
        self._entered = [integral(waves, f"i(vi{k})") for k in range(inputs)]

    def supplied(self, start: float, end: float) -> float:
        """C that the supply delivers from `start` to `end`."""
        return -self._between(self._supplied, start, end)

    def entered(self, pin: int, start: float, end: float) -> float:
        """C that the source of input `pin` delivers."""
        return -self._between(self._entered[pin], start, end)

    def level(self, output: int, at: float) -> float:
        """V at an output."""
        return float(np.interp(at, self.time, self.waves[f"o{output}"]))

    def _between(self, running: NDArray[np.float64], start: float, end: float) -> float:
        low, high = np.interp([start, end], self.time, running)
        return float(high - low)


def _read(waves: Waves, rows: list[int], inputs: int, outputs: int, slew: float, load: float) -> Measured:
    """The measurements of a walk through `rows`."""
    recording = _Recording(waves, inputs)
    settled: dict[int, list[int]] = {}
    leakage: dict[int, float] = {}
    for k, row in enumerate(rows):
        start, end = (k + 0.9) * PERIOD, (k + 0.995) * PERIOD
        charge = recording.supplied(start, end) + sum(recording.entered(pin, start, end) for pin in range(inputs))
        leakage.setdefault(row, max(charge * VOLTAGE / (end - start), 0.0))
        values = _settled_values(recording, row, end, inputs, outputs)
        if settled.setdefault(row, values) != values:
            raise DesignError(f"the cell must be combinational, but input row {row:0{inputs}b} gives two results.")
    stimulus = _Stimulus(rows, inputs, slew, load)
    events = [_event(recording, stimulus, k, settled, leakage) for k in range(1, len(rows))]
    tables = tuple(
        sum(settled[row][j] << sum((row >> (inputs - 1 - k) & 1) << (2 - k) for k in range(inputs)) for row in settled)
        for j in range(outputs)
    )
    return Measured(events, tables, leakage)


def _settled_values(recording: _Recording, row: int, at: float, inputs: int, outputs: int) -> list[int]:
    """The outputs as bits at time `at`; DesignError if one is far from both rails."""
    values = []
    for j in range(outputs):
        level = recording.level(j, at)
        if min(abs(level), abs(level - VOLTAGE)) > _SETTLED:
            raise DesignError(
                f"outputs must settle within {_SETTLED} V of a rail, but output {j} is at {level:.3f} V in input "
                f"row {row:0{inputs}b} after {PERIOD * 1e9:g} ns; correct the netlist."
            )
        values.append(int(level > VOLTAGE / 2))
    return values


class _Stimulus(NamedTuple):
    """What was simulated: a walk through `rows`, the `slew` (s) of its `inputs` and the `load` (F) of each output."""

    rows: list[int]
    inputs: int
    slew: float
    load: float


def _event(
    recording: _Recording, stimulus: _Stimulus, k: int, settled: dict[int, list[int]], leakage: dict[int, float]
) -> Event:
    """Transition k of the walk, from row k - 1 to row k; the formulas are those of the module.

    `settled`, `leakage`: outputs and supply power (W) by row.
    """
    rows, inputs, slew, load = stimulus
    before, row = rows[k - 1], rows[k]
    pin = inputs - (before ^ row).bit_length()
    start, end = k * PERIOD, (k + 0.9) * PERIOD
    window = (recording.time >= start) & (recording.time <= end)
    time = recording.time[window]
    delays, slews = {}, {}
    rising = 0
    for j, (old, new) in enumerate(zip(settled[before], settled[row], strict=True)):
        if old == new:
            continue
        rising += new
        voltage = recording.waves[f"o{j}"][window]
        delays[j] = crossing(time, voltage, VOLTAGE / 2) - start - slew / 2
        first, last = (crossing(time, voltage, share * VOLTAGE) for share in ((0.2, 0.8) if new else (0.8, 0.2)))
        slews[j] = (last - first) / 0.6
    energy = VOLTAGE * recording.supplied(start, end) - rising * load * VOLTAGE**2
    energy -= leakage[row] * (end - start)
    value = row >> (inputs - 1 - pin) & 1
    charge = recording.entered(pin, start, start + slew + 0.3 * PERIOD) * (1 if value else -1)
    return Event(pin, row, value, delays, slews, energy, charge)
