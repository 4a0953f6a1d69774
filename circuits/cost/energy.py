"""Energy of a netlist: switching activity of every net times what its transitions cost, and leakage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.cost.activity import evaluate, toggles
from circuits.cost.cell_table import Technology
from circuits.cost.circuit import (
    INPUT_SLEW,
    TYPICAL_SLEW,
    Circuit,
    circuit_of,
    interpolate,
    mean_loads,
    stacked,
    transition_energies,
)
from circuits.engine.bit_planes import Planes, pack
from circuits.errors import unknown_name
from circuits.netlists.netlist import Netlist

GLITCHES = ("none", "arc_delay")
"""Activity models. "none": nets settle once an operation (zero delay). "arc_delay": every arc takes its characterised
delay, so that nets glitch; pulses too short for their ramp are swallowed."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Per operation: `energy` fJ = `internal` + `loading`, without leakage; `leakage` nW; `activity`: mean toggles of a
    driven net; `glitches`: the activity model. What the operands' drivers spend is not included."""

    energy: float
    internal: float
    loading: float
    leakage: float
    activity: float
    glitches: str


@dataclass(frozen=True, eq=False)
class Transitions:
    """Arc-delay simulation, by transition: `energy` fJ without leakage, `internal` and `loading` its parts; `settled`
    ps, the last change of an output; `toggles` int64 by net, over all."""

    energy: NDArray[np.float64]
    internal: NDArray[np.float64]
    loading: NDArray[np.float64]
    settled: NDArray[np.float64]
    toggles: NDArray[np.int64]


def netlist_energy(
    netlist: Netlist,
    technology: Technology,
    operands: Sequence[NDArray[np.uint64]],
    *,
    glitches: str = "none",
) -> Energy:
    """Mean energy of going from each operand to the next: one uint64 array [n >= 2] for each input bus (<= 64 bits)."""
    return circuit_energy(circuit_of(netlist, technology), operands, glitches=glitches)


def circuit_energy(made: Circuit, operands: Sequence[NDArray[np.uint64]], *, glitches: str = "none") -> Energy:
    """`netlist_energy` of a circuit."""
    if glitches not in GLITCHES:
        raise unknown_name("activity model", glitches, GLITCHES)
    operations = len(operands[0]) - 1
    leakage = float(np.array([entry.leakage for entry in made.data] or [0.0])[made.parts].sum())
    if glitches == "none":
        counts = toggles(_settle(made.netlist, operands), operations + 1)
        internal, loading = _counted(made, counts)
    else:
        found = transitions(made, operands)
        counts, internal, loading = found.toggles, float(found.internal.sum()), float(found.loading.sum())
    driven = made.outputs[made.outputs >= 0]
    activity = float(counts[driven].mean() / operations) if driven.size else 0.0
    internal, loading = internal / operations, loading / operations
    return Energy(internal + loading, internal, loading, leakage, activity, glitches)


def _settle(netlist: Netlist, operands: Sequence[NDArray[np.uint64]]) -> Planes:
    buses = zip(operands, netlist.inputs.values(), strict=True)
    return evaluate(netlist, np.concatenate([pack(values, len(bus)) for values, bus in buses]))


def _counted(made: Circuit, counts: NDArray[np.int64]) -> tuple[float, float]:
    """(internal, loading) fJ over all operations, from toggles by net."""
    energies = [transition_energies(part, pattern, made.technology) for part, pattern in made.patterns]
    tables = stacked(energies, made.technology, 5)
    per_toggle = interpolate(tables[made.variants], made.technology, TYPICAL_SLEW, mean_loads(made))
    nets = np.concatenate([made.inputs, made.outputs], axis=1)
    toggled = np.where(nets >= 0, counts[np.maximum(nets, 0)], 0)
    driven = made.outputs[made.outputs >= 0]
    loading = float((counts[driven] * made.loads[driven]).sum()) * made.technology.voltage**2 / 2
    return float((per_toggle * toggled).sum()), loading


def transitions(made: Circuit, operands: Sequence[NDArray[np.uint64]]) -> Transitions:
    """Arc-delay simulation of the operands one after the other; all inputs change at once, with slew INPUT_SLEW."""
    from circuits.cost import event_simulation

    netlist, technology = made.netlist, made.technology
    count = len(operands[0])
    bits = [
        np.array(values, dtype=np.uint64)[:, None] >> np.arange(len(bus), dtype=np.uint64) & np.uint64(1)
        for values, bus in zip(operands, netlist.inputs.values(), strict=True)
    ]
    settled_planes = _settle(netlist, [values[:1] for values in operands])
    values = (settled_planes[:, 0] & np.uint64(1)).astype(np.uint8)
    pins = made.inputs.ravel()
    order = np.argsort(pins, kind="stable")
    order = order[pins[order] > 1]
    fan_start = np.searchsorted(pins[order], np.arange(netlist.nets + 1))
    outputs = np.zeros(netlist.nets, dtype=np.uint8)
    outputs[list(netlist.output_nets)] = 1
    internal, loading, settled = np.zeros(count - 1), np.zeros(count - 1), np.zeros(count - 1)
    counts = np.zeros(netlist.nets, dtype=np.int64)
    tables = np.zeros((len(made.data), 2), dtype=np.int64)
    for k, part in enumerate(made.components):
        tables[k, : len(part.tables)] = part.tables
    event_simulation.simulate(
        made.parts,
        made.inputs,
        made.outputs,
        made.loads,
        mean_loads(made),
        fan_start,
        order // 3,
        order % 3,
        tables,
        stacked([entry.delay for entry in made.data], technology, 3, 8, 2),
        stacked([entry.slew for entry in made.data], technology, 3, 8, 2),
        stacked([entry.energy for entry in made.data], technology, 3, 8),
        technology.slews,
        technology.loads,
        np.array(netlist.input_nets, dtype=np.int64),
        np.concatenate(bits, axis=1).astype(np.uint8),
        outputs,
        values,
        INPUT_SLEW,
        technology.voltage,
        internal,
        loading,
        settled,
        counts,
    )
    return Transitions(internal + loading, internal, loading, settled, counts)
