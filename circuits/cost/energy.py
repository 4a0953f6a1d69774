"""Energy of a netlist: switching activity of every net times the energy of its transitions, and leakage.

    energy of an operation = internal + loading
    internal = energy that cells draw inside when their pins change, crossing currents included (characterised table)
    loading  = sum over nets of C V^2 for each rise, C the input capacitances that the net drives
    leakage  = sum over cells of the mean over their input rows (nW), charged over one delay by `cost_model`

**Zero delay** ("none"): every net settles once per operation. Toggles are counted by net, so that the state in which a
cell switches is not known: internal energy takes the fit of `transition_energies`, and a toggle costs C V^2 / 2, since
over many operations rises and falls are equally frequent.

**Event-driven** ("arc_delay"): every change takes the energy of its own transition (pin, row), slew and load, and
glitches are counted (`event_simulation`).
"""

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
from circuits.cost.kernel_records import Activity, CellTables, FanOut, Stimulus
from circuits.engine.bit_planes import Planes, pack
from circuits.errors import unknown_name
from circuits.netlists.netlist import ONE, Netlist
from circuits.netlists.netlist_arrays import NetlistArrays

GLITCHES = ("none", "arc_delay")
"""Activity models. "none": nets settle once an operation (zero delay). "arc_delay": every arc takes its characterised
delay, so that nets glitch; pulses too short for their ramp are swallowed."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Mean over operations, without the energy of the circuits that drive the inputs.

    `energy` fJ = `internal` + `loading`, leakage not included; `leakage` nW; `activity`: mean toggles of a driven net;
    `glitches`: the activity model.
    """

    energy: float
    internal: float
    loading: float
    leakage: float
    activity: float
    glitches: str


@dataclass(frozen=True, eq=False)
class Transitions:
    """Results of the event-driven simulation, by transition from one operand to the next.

    `energy` fJ without leakage, the sum of `internal` and `loading`; `settled` ps, the last change of an output.
    `toggles` int64 [nets]: over all transitions.
    """

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
    """Mean energy of going from each operand to the next.

    `operands`: one uint64 array [n >= 2] for each input bus (of at most 64 bits). `glitches`: in GLITCHES; raises
    UnknownNameError for other names.
    """
    return circuit_energy(circuit_of(netlist, technology), operands, glitches=glitches)


def circuit_energy(circuit: Circuit, operands: Sequence[NDArray[np.uint64]], *, glitches: str = "none") -> Energy:
    """`netlist_energy` of a circuit."""
    if glitches not in GLITCHES:
        raise unknown_name("activity model", glitches, GLITCHES)
    operations = len(operands[0]) - 1
    leakage = float(np.array([cost.leakage for cost in circuit.costs] or [0.0])[circuit.kinds].sum())
    if glitches == "none":
        counts = toggles(_settle(circuit.arrays, operands), operations + 1)
        internal, loading = _counted(circuit, counts)
    else:
        walk = transitions(circuit, operands)
        counts, internal, loading = walk.toggles, float(walk.internal.sum()), float(walk.loading.sum())
    driven = circuit.outputs[circuit.outputs >= 0]
    # Input nets are left out, as is the energy of the circuits that drive them.
    activity = float(counts[driven].mean() / operations) if driven.size else 0.0
    internal, loading = internal / operations, loading / operations
    return Energy(internal + loading, internal, loading, leakage, activity, glitches)


def _settle(netlist: NetlistArrays, operands: Sequence[NDArray[np.uint64]]) -> Planes:
    """Settled values of all nets, one lane for each operand."""
    buses = zip(operands, netlist.inputs.values(), strict=True)
    return evaluate(netlist, np.concatenate([pack(values, len(bus)) for values, bus in buses]))


def _counted(circuit: Circuit, counts: NDArray[np.int64]) -> tuple[float, float]:
    """(internal, loading) fJ over all operations, from the number of toggles of each net."""
    energies = [transition_energies(component, pattern, circuit.technology) for component, pattern in circuit.patterns]
    tables = stacked(energies, circuit.technology, 5)
    # Toggles alone do not say which slew or which other pins came with them: typical slew, mean load, fitted energy.
    per_toggle = interpolate(tables[circuit.variants], circuit.technology, TYPICAL_SLEW, mean_loads(circuit))
    nets = np.concatenate([circuit.inputs, circuit.outputs], axis=1)
    toggled = np.where(nets >= 0, counts[np.maximum(nets, 0)], 0)
    driven = circuit.outputs[circuit.outputs >= 0]
    # C V^2 for each rise; half of the toggles are rises.
    loading = float((counts[driven] * circuit.loads[driven]).sum()) * circuit.technology.voltage**2 / 2
    return float((per_toggle * toggled).sum()), loading


def transitions(circuit: Circuit, operands: Sequence[NDArray[np.uint64]]) -> Transitions:
    """Event-driven simulation of the operands one after the other.

    All inputs change at once, with slew INPUT_SLEW; the netlist starts settled at the first operand.
    """
    from circuits.cost import event_simulation

    netlist = circuit.arrays
    count = len(operands[0])
    bits = [
        np.array(values, dtype=np.uint64)[:, None] >> np.arange(len(bus), dtype=np.uint64) & np.uint64(1)
        for values, bus in zip(operands, netlist.inputs.values(), strict=True)
    ]
    # One lane: bit 0 of each plane's first word.
    first = _settle(netlist, [values[:1] for values in operands])
    stimulus = Stimulus(
        np.concatenate(bits, axis=1).astype(np.uint8), (first[:, 0] & np.uint64(1)).astype(np.uint8), INPUT_SLEW
    )
    internal, loading, settled = np.zeros(count - 1), np.zeros(count - 1), np.zeros(count - 1)
    activity = Activity(internal, loading, settled, np.zeros(netlist.nets, dtype=np.int64))
    event_simulation.simulate(
        circuit.wiring, _fan_out(circuit), _cell_tables(circuit), circuit.grid, stimulus, activity
    )
    return Transitions(internal + loading, internal, loading, settled, activity.toggles)


def _fan_out(circuit: Circuit) -> FanOut:
    """Pins sorted by the net that drives them; constants and absent pins have no events."""
    netlist = circuit.arrays
    nets = circuit.inputs.ravel()
    # Entry 3 n + p of `nets` is pin p of instance n. Stable, so that the order of events, and with it every result, is
    # the netlist's own.
    order = np.argsort(nets, kind="stable")
    order = order[nets[order] > ONE]
    is_output = np.zeros(netlist.nets, dtype=np.uint8)
    is_output[netlist.output_nets] = 1
    # Readers of net k: entries first[k] .. first[k + 1] - 1 of the sorted pins.
    return FanOut(np.searchsorted(nets[order], np.arange(netlist.nets + 1)), order // 3, order % 3, is_output)


def _cell_tables(circuit: Circuit) -> CellTables:
    technology, costs = circuit.technology, circuit.costs
    functions = np.zeros((len(costs), 2), dtype=np.int64)
    for kind, component in enumerate(circuit.components):
        functions[kind, : len(component.tables)] = component.tables
    return CellTables(
        circuit.kinds,
        mean_loads(circuit),
        functions,
        stacked([cost.delay for cost in costs], technology, 3, 8, 2),
        stacked([cost.slew for cost in costs], technology, 3, 8, 2),
        stacked([cost.energy for cost in costs], technology, 3, 8),
        technology.voltage,
    )
