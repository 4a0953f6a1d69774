"""Random netlists for tests: library cells, gates and random cells over random nets, constants included."""

from __future__ import annotations

import numpy as np

from circuits import CELLS, AdderCell, Netlist
from circuits.netlists.gates import GATES
from circuits.netlists.netlist import NetlistBuilder


def random_netlist(seed: int) -> Netlist:
    """A netlist of 0 to 60 instances; outputs repeat nets, constants and inputs now and then."""
    rng = np.random.default_rng(seed)
    builder = NetlistBuilder(f"random{seed}")
    nets = [0, 1, *builder.input("x", int(rng.integers(1, 6))), *builder.input("y", int(rng.integers(1, 6)))]
    library = [*CELLS.values(), *GATES.values()]
    for _ in range(int(rng.integers(0, 61))):
        if rng.random() < 0.3:
            sum_bits, carry_bits = ("".join(rng.choice(["0", "1"], 8)) for _ in range(2))
            component = AdderCell("random", sum_bits, carry_bits)
        else:
            component = library[int(rng.integers(len(library)))]
        place = (int(rng.integers(4)), int(rng.integers(4))) if rng.random() < 0.5 else None
        inputs = [int(net) for net in rng.choice(nets, len(component.inputs))]
        nets.extend(builder.add(component, *inputs, place=place))
    builder.output("product", [int(net) for net in rng.choice(nets, int(rng.integers(1, 12)))])
    return builder.build()


def evaluate_row(netlist: Netlist, values: dict[int, int]) -> list[int]:
    """Output bits of `netlist` for input bits by net: one instance, one row of its truth tables, at a time."""
    nets = {0: 0, 1: 1, **values}
    for instance in netlist.instances:
        arity = len(instance.component.inputs)
        row = sum(nets[net] << (2 - k) for k, net in enumerate(instance.inputs))
        assert arity <= 3
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            nets[net] = table >> row & 1
    return [nets[net] for net in netlist.output_nets]
