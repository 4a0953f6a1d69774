"""Structural Verilog-2001 out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from circuits.designs.design_record import Design
from circuits.hdl.covers import expression
from circuits.hdl.names import Namer, Names, component_names, describe, exported_netlist, module_name, name_all
from circuits.netlists.netlist import Component, Netlist


def to_verilog(source: Design | Netlist, *, name: str | None = None, whole: bool = False) -> str:
    """Structural Verilog-2001: one module a kind of cell and gate, then the multiplier with its buses as ports.

    Of a float design, the mantissa multiplier, or with `whole` the whole float multiplier (see `float_netlist`, also
    for its ports). Ports `x`, `y`, `product` (a netlist's own bus names), bit 0 the least significant, `signed` in a
    signed design. `name`: the module's name, by default that of the design or netlist; characters that Verilog does
    not allow become "_". Constants are 1'b0 and 1'b1; outputs that nothing reads are left open.
    """
    netlist = exported_netlist(source, whole=whole)
    names = name_all(netlist, module_name(source, netlist, name))
    modules = component_names(netlist)
    taken = {names.module}
    for part, module in modules.items():
        while module in taken:
            module += "_"
        modules[part] = module
        taken.add(module)
    lines = [f"// {line}".rstrip() for line in describe(source, netlist, names, whole=whole)]
    for part, module in modules.items():
        lines += ["", *_component(part, module)]
    signed = frozenset(names.buses) if isinstance(source, Design) and source.signed else netlist.signed
    lines += ["", *_top(netlist, names, modules, signed)]
    return "\n".join(lines) + "\n"


def _component(part: Component, module: str) -> list[str]:
    namer = Namer()
    inputs = [namer(port) for port in part.inputs]
    outputs = [namer(port) for port in part.outputs]
    ports = [f"input wire {port}" for port in inputs] + [f"output wire {port}" for port in outputs]
    lines = [f"module {module} ({', '.join(ports)});"]
    for port, table in zip(outputs, part.tables, strict=True):
        lines.append(f"    assign {port} = {expression(table, inputs)};")
    return [*lines, "endmodule"]


def _top(netlist: Netlist, names: Names, modules: dict[Component, str], signed: frozenset[str]) -> list[str]:
    ports = [
        f"    {direction} wire {'signed ' if bus_name in signed else ''}[{len(bus) - 1}:0] {names.buses[bus_name]}"
        for direction, buses in (("input", netlist.inputs), ("output", netlist.outputs))
        for bus_name, bus in buses.items()
    ]
    lines = [f"module {names.module} (", ",\n".join(ports), ");"]
    used = {net for instance in netlist.instances for net in instance.inputs} | set(netlist.output_nets)
    wires = [names.nets[net] for instance in netlist.instances for net in instance.outputs if net in used]
    lines += _declare(wires)

    def read(net: int) -> str:
        return f"1'b{net}" if net < 2 else names.nets[net]

    for instance, label in zip(netlist.instances, names.instances, strict=True):
        part = instance.component
        namer = Namer()
        pins = [f".{namer(port)}({read(net)})" for port, net in zip(part.inputs, instance.inputs, strict=True)]
        for port, net in zip(part.outputs, instance.outputs, strict=True):
            pins.append(f".{namer(port)}({names.nets[net] if net in used else ''})")
        lines.append(f"    {modules[part]} {label} ({', '.join(pins)});")
    for bus_name, bus in netlist.outputs.items():
        lines += [f"    assign {names.buses[bus_name]}[{k}] = {read(net)};" for k, net in enumerate(bus)]
    return [*lines, "endmodule"]


def _declare(wires: Iterable[str]) -> list[str]:
    text = ", ".join(wires)
    if not text:
        return []
    wrapped = textwrap.wrap(text, 105, break_long_words=False, break_on_hyphens=False)
    return [f"    wire {line.rstrip(',')};" for line in wrapped]
