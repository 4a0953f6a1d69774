"""Netlists: combinational circuits as immutable data, instances of cells and gates between named buses.

A net is a wire, identified by a number; net 0 is the constant 0 and net 1 the constant 1. A bus is a tuple of nets, the
least significant bit first. What every function over netlists may rely on:

- Instances stand in topological order: every input of an instance is a constant, an input of the netlist, or an output
  of an earlier instance. One pass over them evaluates the circuit, and there are no loops.
- Every net other than the constants has one driver: a bit of an input bus or one output of one instance.
- Output buses may name any nets, repeatedly, constants included.
- A netlist is the circuit as drawn (unoptimised). Nothing is shared or removed until `simplification.simplify`.

Simulation, cost and export are functions over this data. `print(netlist)` lists it, one instance a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from circuits.cells.adder_cells import AdderCell
from circuits.netlists.gates import Gate

Net = int
"""The number of a wire in its netlist."""

ZERO, ONE = 0, 1
"""The constant nets."""

_DIGEST = "_digest"
"""Where a netlist keeps its digest: no field, so that it is neither compared nor copied by `replace`."""

Bus = tuple[Net, ...]
"""Nets of a number's bits, the least significant first."""

Place = tuple[int, int]
"""(row, column) in a multiplier's array: the bits of the first and of the second operand."""


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
    """One cell or gate as drawn: nets in the order of the component's ports; `place` is None outside the array."""

    component: Component
    inputs: tuple[Net, ...]
    outputs: tuple[Net, ...]
    place: Place | None = None

    def __str__(self) -> str:
        place = "" if self.place is None else f" @ {self.place}"
        outputs, inputs = (", ".join(map(str, nets)) for nets in (self.outputs, self.inputs))
        return f"{outputs} = {self.component.name}({inputs}){place}"


@dataclass(frozen=True)
class Netlist:
    """A combinational circuit as drawn.

    `inputs`, `outputs`: bus name -> nets, least significant bit first, in declaration order. `nets`: number of nets,
    constants included. `signed`: the buses that a file declares as two's complement; a remark about the source, which
    is neither compared nor digested (a Design says how its operands are read). NetlistBuilder guarantees the invariants
    above.
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

    def __str__(self) -> str:
        """A listing for debugging: buses, and instances as `sum, carry = cell(nets) @ (row, column)`."""
        inputs = (f"input {name} = {', '.join(map(str, bus))}" for name, bus in self.inputs.items())
        outputs = (f"output {name} = {', '.join(map(str, bus))}" for name, bus in self.outputs.items())
        return "\n".join([f"netlist {self.name}", *inputs, *map(str, self.instances), *outputs])

    @property
    def input_nets(self) -> Bus:
        """All input nets, bus after bus."""
        return tuple(net for bus in self.inputs.values() for net in bus)

    @property
    def output_nets(self) -> Bus:
        """All output nets, bus after bus."""
        return tuple(net for bus in self.outputs.values() for net in bus)

    def count(self) -> dict[str, int]:
        """Number of instances by component name, most frequent first."""
        counts: dict[str, int] = {}
        for instance in self.instances:
            counts[instance.component.name] = counts.get(instance.component.name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def digest(self) -> str:
        """SHA-256 (hex) of the behaviour: truth tables, connections and buses, without names and places."""
        if _DIGEST not in self.__dict__:
            self.keep_digest(map(digested, self.instances))
        return str(self.__dict__[_DIGEST])

    def keep_digest(self, parts: Iterable[bytes]) -> None:
        """Computes the digest from what `digested` gives for each instance, for whoever has that before."""
        buses = b"".join(repr([list(bus) for bus in buses.values()]).encode() for buses in (self.inputs, self.outputs))
        self.__dict__[_DIGEST] = hashlib.sha256(b"netlist 1" + buses + b"".join(parts)).hexdigest()


def digested(instance: Instance) -> bytes:
    """What an instance adds to the digest of its netlist."""
    return repr((instance.component.tables, instance.inputs, instance.outputs)).encode()


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

    def output(self, name: str, nets: Sequence[Net]) -> None:
        """Declares an output bus of existing nets."""
        assert name not in self._outputs
        self._outputs[name] = tuple(nets)

    def add(self, component: Component, *inputs: Net, place: Place | None = None) -> Bus:
        """Adds an instance of existing nets; returns its output nets, in the order of the component's ports."""
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
