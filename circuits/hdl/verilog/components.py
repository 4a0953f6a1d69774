"""Modules that are one cell or gate: up to three one-bit inputs, up to four one-bit outputs, no instances inside."""

from __future__ import annotations

import re

from circuits.cells.adder_cells import CELLS, EXACT, AdderCell
from circuits.errors import DesignError
from circuits.hdl.cell_gates import KNOWN
from circuits.hdl.verilog.elaborate import Elaborator
from circuits.hdl.verilog.instances import Parameters, Recognised
from circuits.hdl.verilog.ordering import build_netlist
from circuits.hdl.verilog.syntax.tree import PRIMITIVES, Always, Assignment, Module, ModuleInstance
from circuits.netlists.gates import Gate
from circuits.netlists.imported import RESERVED
from circuits.netlists.netlist import ONE, ZERO, Component, Netlist

_CARRY = re.compile(r"(?i)c|y?co?|c_?out|carry.*|.*_(carry|cout|or0)")
_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def recognise(elaborator: Elaborator, module: Module, parameters: Parameters) -> Recognised | None:
    """(component, which declared output each of its outputs is) of a module that is one cell or gate, else None.

    A full adder is an AdderCell (of the library, where name or function say so), all else a Gate.
    """
    inner = _function(module, parameters, elaborator)
    if inner is None:
        return None
    tables = _tables(inner)
    name = _NAME.sub("_", re.sub(r"^(cell|gate)_", "", module.name))
    name = (name if re.match(r"[A-Za-z_]", name) and name not in RESERVED else f"m_{name}")[:48]
    inputs, outputs = list(inner.inputs), list(inner.outputs)
    order = tuple(range(len(outputs)))
    component: Component
    if len(inputs) == 3 and len(outputs) == 2:
        if tables[::-1] == EXACT.tables or (
            tables != EXACT.tables and _CARRY.fullmatch(outputs[0]) and not _CARRY.fullmatch(outputs[1])
        ):
            order = (1, 0)
        component = _cell(name, tables[order[0]], tables[order[1]])
    elif (len(inputs), tables) in KNOWN:
        component = KNOWN[len(inputs), tables]
    elif len(outputs) == 2 and (len(inputs), tables[::-1]) in KNOWN:
        component, order = KNOWN[len(inputs), tables[::-1]], (1, 0)
    else:
        transistors = sum(part.component.transistors or 0 for part in inner.instances)
        ports = [tuple(_port(port) for port in names) for names in (inputs, outputs)]
        component = Gate(name, ports[0], ports[1], tables, transistors)
    return _distinct(elaborator, component), order


def _function(module: Module, parameters: Parameters, outer: Elaborator) -> Netlist | None:
    """The netlist of a module that may be one component; None of any other."""
    directions = [module.body.signals[port].direction for port in module.ports]
    counts = directions.count("input"), directions.count("output")
    if not (1 <= counts[0] <= 3 and 1 <= counts[1] <= 4 and sum(counts) == len(directions)):
        return None
    for item in module.body.items:
        primitive = isinstance(item, ModuleInstance) and item.module in PRIMITIVES
        if not (primitive or isinstance(item, Assignment) or (isinstance(item, Always) and not item.clocked)):
            return None
    inner = Elaborator({}, module.where, lambda *_: None)
    try:
        scope = inner.scope(module, parameters, "")
        if any(len(scope.signals[port].nets) > 1 for port in module.ports):
            return None
        inner = Elaborator({}, module.where, lambda *_: None)
        scope = inner.top(module, parameters)
        buses = {port: (scope.place(scope.signals[port].line), scope.signals[port].nets) for port in module.ports}
        netlist = build_netlist(
            inner.flat,
            module.name,
            {port: bus for port, bus in buses.items() if scope.signals[port].direction == "input"},
            {port: bus for port, bus in buses.items() if scope.signals[port].direction == "output"},
        )
    except DesignError:
        return None  # an output without a driver, say: what is read of it decides, as the module is elaborated
    for note in inner.flat.notes:
        outer.flat.note(note)
    return netlist


def _port(name: str) -> str:
    """A port's name as text forms of netlists take it."""
    word = _NAME.sub("_", name)[:48]
    return word if re.match(r"[A-Za-z_]", word) else f"p_{word}"


def _cell(name: str, sum_table: int, carry_table: int) -> AdderCell:
    """The library's cell of that name or the exact one, where the function agrees; else a new cell."""
    for known in (CELLS.get(name), EXACT):
        if known is not None and known.tables == (sum_table, carry_table):
            return known
    sums, carries = ("".join("1" if t >> r & 1 else "0" for r in range(8)) for t in (sum_table, carry_table))
    return AdderCell(f"{name}_imported" if name in CELLS else name, sums, carries, source="imported from Verilog")


def _distinct(elaborator: Elaborator, component: Component) -> Component:
    """`component`, renamed where another one has its name."""
    name, count = component.name, 1
    while elaborator.component_names.setdefault(component.name, component) != component:
        count += 1
        fields = {key: getattr(component, key) for key in component.__dataclass_fields__}
        component = type(component)(**{**fields, "name": f"{name}_{count}"})
    return component


def _tables(netlist: Netlist) -> tuple[int, ...]:
    """Truth tables of a netlist of up to three one-bit inputs, as Gate has them."""
    columns = (0b11110000, 0b11001100, 0b10101010)
    values = {ZERO: 0, ONE: 0xFF, **dict(zip(netlist.input_nets, columns, strict=False))}
    for instance in netlist.instances:
        inputs = [values[net] for net in instance.inputs]
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            rows = (sum((value >> r & 1) << (2 - k) for k, value in enumerate(inputs)) for r in range(8))
            values[net] = sum((table >> row & 1) << r for r, row in enumerate(rows))
    return tuple(values[net] for net in netlist.output_nets)
