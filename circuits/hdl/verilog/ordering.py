"""The flat circuit as a netlist: parts in topological order, copies resolved, errors about loops and undriven nets."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from circuits.hdl.verilog.flat import CONSTANT_VALUES, UNKNOWN, DrawnPart, Flat
from circuits.hdl.verilog.syntax.tree import Place
from circuits.netlists.netlist import ONE, ZERO, Netlist, NetlistBuilder

Buses = Mapping[str, tuple[Place, Sequence[int]]]
"""Nets by bus name, least significant first, and where the bus is declared."""


def build_netlist(flat: Flat, name: str, inputs: Buses, outputs: Buses) -> Netlist:
    """The netlist of all parts, as near to the order in the file as the flow of signals allows.

    A part that reads an undriven net is an error, unless no output depends on it: then such parts are left out.
    """
    roots = _roots(flat, outputs)
    order = _order(flat, roots)
    builder = NetlistBuilder(name)
    number = {net: ONE if value else ZERO for net, value in enumerate(CONSTANT_VALUES)}
    for bus, (_, nets) in inputs.items():
        number.update(zip(nets, builder.input(bus, len(nets)), strict=True))
    for part in order:
        outputs_of_part = builder.add(part.component, *(number[roots[net]] for net in part.inputs))
        number.update(zip(part.outputs, outputs_of_part, strict=True))
    for bus, (_, nets) in outputs.items():
        builder.output(bus, [number[roots[net]] for net in nets])
    return builder.build()


def read_nets(flat: Flat, outputs: Sequence[int]) -> set[int]:
    """Roots of all nets that parts or the outputs read."""
    nets = {net for part in flat.parts for net in part.inputs} | set(outputs)
    return {root for root in map(flat.root, nets) if root is not None}


def _roots(flat: Flat, outputs: Buses) -> dict[int, int]:
    """The root of every net that is read; drops parts as `build_netlist` says."""
    roots: dict[int, int] = {}
    undriven = False
    for part in flat.parts:
        for net in part.inputs:
            if net not in roots:
                root = flat.root(net)
                undriven |= root is None
                roots[net] = -1 if root is None else root
    for bus, (place, nets) in outputs.items():
        for net in nets:
            root = flat.root(net)
            if root is None:
                raise flat.undriven(net, place, f"output {bus!r}")
            roots[net] = root
    if undriven:
        _drop_unread_parts(flat, roots, {roots[net] for _, nets in outputs.values() for net in nets})
    if any(roots[net] == UNKNOWN for part in flat.parts for net in part.inputs) or any(
        roots[net] == UNKNOWN for _, nets in outputs.values() for net in nets
    ):
        flat.note("x is read somewhere, and taken as 0")
    return roots


def _drop_unread_parts(flat: Flat, roots: Mapping[int, int], read: set[int]) -> None:
    """Leaves out the parts that no output depends on; one of the others that reads an undriven net is an error."""
    producer = {net: part for part in flat.parts for net in part.outputs}
    waiting = list(read)
    live: set[int] = set()
    while waiting:
        part = producer.get(waiting.pop())
        if part is not None and id(part) not in live:
            live.add(id(part))
            waiting += [roots[net] for net in part.inputs]
    for part in flat.parts:
        for net in part.inputs:
            if id(part) in live and roots[net] < 0:
                raise flat.undriven(net, part.place, f"a {part.component.name}")
    dropped = len(flat.parts) - len(live)
    flat.parts = [part for part in flat.parts if id(part) in live]
    flat.note(f"{dropped} cells and gates that nothing reads are left out: some of their inputs have no driver")


def _order(flat: Flat, roots: Mapping[int, int]) -> list[DrawnPart]:
    producer = {net: k for k, part in enumerate(flat.parts) for net in part.outputs}
    readers: list[list[int]] = [[] for _ in flat.parts]
    missing = [0] * len(flat.parts)
    for k, part in enumerate(flat.parts):
        for net in part.inputs:
            source = producer.get(roots[net])
            if source is not None:
                readers[source].append(k)
                missing[k] += 1
    ready = [k for k, count in enumerate(missing) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        k = heapq.heappop(ready)
        order.append(flat.parts[k])
        for reader in readers[k]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(flat.parts):
        _raise_loop(flat, producer, roots, missing)
    return order


def _raise_loop(flat: Flat, producer: Mapping[int, int], roots: Mapping[int, int], missing: Sequence[int]) -> None:
    """Raises the error about a loop through parts: walks back from any part left over until one comes again."""
    k = next(k for k, count in enumerate(missing) if count)
    seen: dict[int, int] = {}
    nets: list[int] = []
    while k not in seen:
        seen[k] = len(nets)
        net = next(net for net in flat.parts[k].inputs if (p := producer.get(roots[net])) is not None and missing[p])
        nets.append(net)
        k = producer[roots[net]]
    raise flat.loop(nets[seen[k] :])
