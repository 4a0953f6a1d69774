"""A whole netlist at transistor level in ngspice: energy and settling time of every transition of a stimulus.

It is the reference for the cost model (study `cost_validation`) and contains what the model simplifies: glitches,
partial swings, simultaneous transitions and state-dependent capacitances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from circuits.cost.characterize import spice
from circuits.cost.characterize.spice import VOLTAGE
from circuits.cost.characterize.spice_measurements import crossing, integral, ramps
from circuits.cost.characterize.transistors import schematic
from circuits.netlists.netlist import Netlist

STEP = 20e-12
"""Longest time step, s."""


@dataclass(frozen=True)
class Simulated:
    """Results by transition of the stimulus.

    `energy`: J, drawn from the supply over one period, leakage included. `delay`: s, from 50 % of the inputs' ramp to
    the last 50 % crossing of an output; 0 where none crosses. `products`: the outputs as integers, by operand.
    """

    energy: list[float]
    delay: list[float]
    products: list[int]


def deck(netlist: Netlist, values: Sequence[Sequence[int]], *, period: float, slew: float, load: float) -> str:
    """SPICE text: the cells' subcircuits, their instances, sources and loads.

    Inputs are driven through `values`, one sequence of integers for each bus; each output takes `load` F.
    """
    components = dict.fromkeys(instance.component for instance in netlist.instances)
    schematics = {component: schematic(component) for component in components}
    lines = [cell.subcircuit() for cell in schematics.values()]
    lines += ["vzero n0 0 0", f"vone n1 0 {VOLTAGE}"]
    for number, instance in enumerate(netlist.instances):
        nets = " ".join(f"n{net}" for net in (*instance.inputs, *instance.outputs))
        lines.append(f"x{number} {nets} vdd 0 {schematics[instance.component].name}")
    for bus, sequence in zip(netlist.inputs.values(), values, strict=True):
        for k, net in enumerate(bus):
            lines.append(f"vi{net} n{net} 0 pwl({ramps([value >> k & 1 for value in sequence], period, slew)})")
    for number, net in enumerate(netlist.output_nets):
        lines.append(f"cl{number} n{net} 0 {load:g}")
    return "\n".join(lines)


def simulate(
    netlist: Netlist,
    values: Sequence[Sequence[int]],
    models: Sequence[Path],
    *,
    period: float,
    slew: float,
    load: float,
) -> Simulated:
    """Transistor-level simulation of the netlist through the operands `values`; transition k is from k to k + 1."""
    count = len(values[0])
    outputs = [f"n{net}" for net in netlist.output_nets]
    waves = spice.simulate(
        deck(netlist, values, period=period, slew=slew, load=load),
        models,
        ["i(vdd)", *(f"v({name})" for name in dict.fromkeys(outputs))],
        stop=count * period,
        step=STEP,
    )
    time = waves["time"]
    supplied = integral(waves, "i(vdd)")
    energies, delays, products = [], [], []
    for k in range(count):
        start, end = k * period, (k + 1) * period
        low, high = np.interp([start, end], time, supplied)
        settled = [float(np.interp(end - 1e-12, time, waves[name])) > VOLTAGE / 2 for name in outputs]
        products.append(sum(bit << j for j, bit in enumerate(settled)))
        if k == 0:
            continue
        window = (time >= start) & (time < end)
        last = [crossing(time[window], waves[name][window], VOLTAGE / 2) for name in outputs]
        moved = [at - start - slew / 2 for at in last if at == at]  # NaN where an output does not cross
        energies.append(-VOLTAGE * float(high - low))
        delays.append(max(moved, default=0.0))
    return Simulated(energies, delays, products)
