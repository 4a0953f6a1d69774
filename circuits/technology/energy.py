"""Energy of a netlist: switching activity of every net times what a transition of its driver costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.engine.planes import pack
from circuits.netlist import Netlist
from circuits.technology.activity import evaluate, toggles
from circuits.technology.table import Technology


@dataclass(frozen=True, slots=True)
class Energy:
    """`energy` per operation in the technology's unit, `leakage` included; `activity`: mean toggles of a driven net per
    operation."""

    energy: float
    leakage: float
    activity: float


def energy(netlist: Netlist, technology: Technology, x: NDArray[np.uint64], y: NDArray[np.uint64]) -> Energy:
    """Mean energy of going from each operand pair to the next, over the pairs (`x[k]`, `y[k]`), uint64 [n >= 2].

    Nets settle once an operation: glitches are not counted. The netlist's two inputs are buses of at most 64 bits.
    """
    buses = zip((x, y), netlist.inputs.values(), strict=True)
    planes = np.concatenate([pack(values, len(bus)) for values, bus in buses])
    counts = toggles(evaluate(netlist, planes), len(x)).tolist()
    switched = leakage = 0.0
    driven = driven_nets = 0
    costs = {component: technology.cost_of(component) for component in {i.component for i in netlist.instances}}
    for instance in netlist.instances:
        cost = costs[instance.component]
        leakage += cost.leakage
        for net, per_transition in zip(instance.outputs, cost.energy, strict=True):
            switched += counts[net] * per_transition
            driven += counts[net]
        driven_nets += len(instance.outputs)
    operations = len(x) - 1
    return Energy(switched / operations + leakage, leakage, driven / operations / driven_nets if driven_nets else 0.0)
