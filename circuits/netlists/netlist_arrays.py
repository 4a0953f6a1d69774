"""A netlist as arrays, for kernels that walk it: simplification, LUT programs, simulation and cost.

`Netlist` is what generators build and people read; thousands of objects are slow to make and to walk where a search
needs both for every design. The two forms hold the same circuit, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.netlists.netlist import Bus, Component, Instance, Netlist

__all__ = ["NetlistArrays", "arrays_of", "keep_arrays", "netlist_of", "places_of"]

_KEPT = "_arrays"
_PINS = 3
_NOWHERE = -1


@dataclass(frozen=True, eq=False)
class NetlistArrays:
    """Row n is instance n, so that rows stand in topological order.

    `inputs`, `outputs`, `nets`: as in `Netlist`. `components`: the distinct ones; `kinds` int64 [n]: indices into them.
    `pins` int32 [n, 3]: input nets; `driven` int32 [n, m]: output nets, m at least 2; -1 for none. `places` int32
    [n, 2]: (row, column), (-1, -1) outside the array.
    """

    name: str
    inputs: Mapping[str, Bus]
    outputs: Mapping[str, Bus]
    nets: int
    components: tuple[Component, ...]
    kinds: NDArray[np.int64]
    pins: NDArray[np.int32]
    driven: NDArray[np.int32]
    places: NDArray[np.int32]

    @property
    def input_nets(self) -> NDArray[np.int32]:
        """All input nets, bus after bus."""
        return np.array([net for bus in self.inputs.values() for net in bus], dtype=np.int32)

    @property
    def output_nets(self) -> NDArray[np.int32]:
        """All output nets, bus after bus."""
        return np.array([net for bus in self.outputs.values() for net in bus], dtype=np.int32)

    @property
    def tables(self) -> NDArray[np.uint8]:
        """uint8 [components, m]: the truth table of each output; 0 where there is none."""
        tables = np.zeros((max(len(self.components), 1), self.driven.shape[1]), dtype=np.uint8)
        for kind, component in enumerate(self.components):
            tables[kind, : len(component.tables)] = component.tables
        return tables

    def used_kinds(self) -> list[int]:
        """The kinds that have instances, in the order in which these first appear."""
        kinds, first = np.unique(self.kinds, return_index=True)
        return [int(kind) for kind in kinds[np.argsort(first)]]


def arrays_of(netlist: Netlist) -> NetlistArrays:
    """The arrays of a netlist, made once and kept with it; not to be altered."""
    kept = netlist.__dict__.get(_KEPT)
    if kept is None:
        kept = keep_arrays(netlist, _arrays(netlist))
    assert isinstance(kept, NetlistArrays)
    return kept


def keep_arrays(netlist: Netlist, arrays: NetlistArrays) -> NetlistArrays:
    """Tells `arrays_of` the arrays of a netlist, for whoever has them before; returns them."""
    netlist.__dict__[_KEPT] = arrays  # no field, so that it is neither compared nor copied by `replace`
    return arrays


def _arrays(netlist: Netlist) -> NetlistArrays:
    number: dict[Component, int] = {}
    kinds = [number.setdefault(instance.component, len(number)) for instance in netlist.instances]
    count = len(kinds)
    outputs = max([2, *(len(component.outputs) for component in number)])
    return NetlistArrays(
        netlist.name,
        netlist.inputs,
        netlist.outputs,
        netlist.nets,
        tuple(number),
        np.array(kinds, dtype=np.int64),
        _padded([instance.inputs for instance in netlist.instances], _PINS),
        _padded([instance.outputs for instance in netlist.instances], outputs),
        places_of(netlist.instances, count),
    )


def places_of(instances: Any, count: int) -> NDArray[np.int32]:
    """int32 [count, 2]: the places of instances, (-1, -1) for None."""
    nowhere = (_NOWHERE, _NOWHERE)
    places = [nowhere if instance.place is None else instance.place for instance in instances]
    return np.array(places, dtype=np.int32).reshape(count, 2)


def _padded(rows: list[Bus], width: int) -> NDArray[np.int32]:
    padding = [(_NOWHERE,) * (width - length) for length in range(width + 1)]
    filled = [row + padding[len(row)] for row in rows]
    return np.array(filled, dtype=np.int32).reshape(len(rows), width)


def netlist_of(arrays: NetlistArrays) -> Netlist:
    """The netlist that these arrays hold."""
    pins = [tuple(net for net in row if net >= 0) for row in arrays.pins.tolist()]
    driven = [tuple(net for net in row if net >= 0) for row in arrays.driven.tolist()]
    places = [None if place == [_NOWHERE, _NOWHERE] else (place[0], place[1]) for place in arrays.places.tolist()]
    instances = tuple(
        Instance(arrays.components[kind], inputs, outputs, place)
        for kind, inputs, outputs, place in zip(arrays.kinds.tolist(), pins, driven, places, strict=True)
    )
    netlist = Netlist(arrays.name, arrays.inputs, arrays.outputs, instances, arrays.nets)
    keep_arrays(netlist, arrays)
    return netlist
