"""Cells of known libraries as small netlists, for languages that instantiate them by name."""

from __future__ import annotations

from functools import lru_cache

from circuits.hdl.verilog.cell_library import library_cell
from circuits.hdl.verilog.components import recognise
from circuits.hdl.verilog.elaborate import Elaborator
from circuits.hdl.verilog.ordering import build_netlist
from circuits.netlists.netlist import Netlist, NetlistBuilder


@lru_cache(maxsize=1024)
def known_cell(name: str) -> Netlist | None:
    """The cell's netlist, a one-bit bus a pin: one component where it is a gate or full adder, else the gates of its
    function. None for a name that no known library has."""
    module = library_cell(name)
    if module is None:
        return None
    elaborator = Elaborator({}, module.where, recognise)
    recognised = recognise(elaborator, module, ())
    if recognised is not None:
        component, order = recognised
        pins = {
            direction: [p for p in module.ports if module.body.signals[p].direction == direction]
            for direction in ("input", "output")
        }
        builder = NetlistBuilder(name)
        nets = builder.add(component, *(builder.input(pin, 1)[0] for pin in pins["input"]))
        for net, k in zip(nets, order, strict=True):
            builder.output(pins["output"][k], [net])
        return builder.build()
    scope = elaborator.top(module)
    buses = {port: (scope.place(scope.signals[port].line), scope.signals[port].nets) for port in module.ports}
    inputs = {port: bus for port, bus in buses.items() if scope.signals[port].direction == "input"}
    outputs = {port: bus for port, bus in buses.items() if scope.signals[port].direction == "output"}
    return build_netlist(elaborator.flat, name, inputs, outputs)
