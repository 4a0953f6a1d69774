"""Netlists: immutable instances of cells and gates between named buses.

A net is an integer; net 0 is the constant 0 and net 1 the constant 1. A bus is a tuple of nets, least significant bit
first. Instances stand in topological order: every input of an instance is a constant, an input of the netlist or an
output of an earlier instance. Simulation, cost and export are functions over this data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from circuits.cells.adder_cells import AdderCell
from circuits.netlists.gates import Gate

ZERO, ONE = 0, 1
"""The constant nets."""

Bus = tuple[int, ...]


class Buses(dict[str, Bus]):
    """Bus name -> nets, read-only. Unlike a mapping proxy it can be copied and pickled, as dataclasses.asdict needs."""

    def _refuse(self, *arguments: object, **named: object) -> NoReturn:
        raise TypeError("the buses of a netlist are read-only; build another netlist.")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[Buses], tuple[dict[str, Bus]]]:
        return Buses, (dict(self),)


Component = AdderCell | Gate


@dataclass(frozen=True, slots=True)
class Instance:
    """One cell or gate as drawn. `place`: (row, column) in the array, or None outside it."""

    component: Component
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    place: tuple[int, int] | None = None


@dataclass(frozen=True)
class Netlist:
    """A combinational circuit as drawn.

    `inputs`, `outputs`: bus name -> nets, least significant bit first, in declaration order. `nets`: number of nets,
    constants included. `signed`: the buses that a file declares two's complement; a remark about the source, no part of
    what is compared or digested (a Design says how its operands are read). Built by NetlistBuilder, which guarantees
    the order and single drivers.
    """

    name: str
    inputs: Mapping[str, Bus]
    outputs: Mapping[str, Bus]
    instances: tuple[Instance, ...]
    nets: int
    signed: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", Buses(self.inputs))
        object.__setattr__(self, "outputs", Buses(self.outputs))

    def __hash__(self) -> int:
        return hash((self.nets, len(self.instances), self.output_nets))

    @property
    def input_nets(self) -> Bus:
        """All input nets, bus after bus."""
        return tuple(net for bus in self.inputs.values() for net in bus)

    @property
    def output_nets(self) -> Bus:
        """All output nets, bus after bus."""
        return tuple(net for bus in self.outputs.values() for net in bus)

    def count(self) -> dict[str, int]:
        """Instances by component name, most frequent first."""
        counts: dict[str, int] = {}
        for instance in self.instances:
            counts[instance.component.name] = counts.get(instance.component.name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def digest(self) -> str:
        """SHA-256 (hex) of the behaviour: truth tables, connections and buses, no names and no places."""
        digest = hashlib.sha256(b"netlist 1")
        for buses in (self.inputs, self.outputs):
            digest.update(repr([list(bus) for bus in buses.values()]).encode())
        for instance in self.instances:
            digest.update(repr((instance.component.tables, instance.inputs, instance.outputs)).encode())
        return digest.hexdigest()


class NetlistBuilder:
    """Collects instances in topological order; `build()` freezes them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._inputs: dict[str, Bus] = {}
        self._outputs: dict[str, Bus] = {}
        self._instances: list[Instance] = []
        self._nets = 2

    def input(self, name: str, width: int) -> Bus:
        """A new input bus of `width` nets."""
        assert name not in self._inputs
        self._inputs[name] = self._new(width)
        return self._inputs[name]

    def output(self, name: str, nets: Sequence[int]) -> None:
        """Declares an output bus."""
        assert name not in self._outputs
        self._outputs[name] = tuple(nets)

    def add(self, component: Component, *inputs: int, place: tuple[int, int] | None = None) -> Bus:
        """Adds an instance; returns its output nets in the component's order."""
        assert len(inputs) == len(component.inputs)
        assert all(0 <= net < self._nets for net in inputs)
        outputs = self._new(len(component.outputs))
        self._instances.append(Instance(component, inputs, outputs, place))
        return outputs

    def build(self) -> Netlist:
        """The immutable netlist."""
        return Netlist(self.name, self._inputs, self._outputs, tuple(self._instances), self._nets)

    def _new(self, count: int) -> Bus:
        first = self._nets
        self._nets += count
        return tuple(range(first, self._nets))
