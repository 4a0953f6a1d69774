"""BLIF out (Berkeley logic interchange format), as yosys and ABC read it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from circuits.designs.design_record import Design
from circuits.hdl.covers import minimal_cover
from circuits.hdl.names import Names, describe, exported_netlist, module_name, name_all
from circuits.netlists.netlist import Netlist


def to_blif(source: Design | Netlist, *, name: str | None = None, whole: bool = False) -> str:
    """One flat BLIF model: a minimal `.names` table for every output of a cell or gate, wires named as in `to_verilog`.

    Of a float design, the mantissa multiplier, or with `whole` the whole float multiplier (see `float_netlist`, also
    for its ports). Bus bits are x[0], x[1], ..., the least significant first (yosys: `read_blif -wideports`). `name`:
    the model's name, by default that of the design or netlist. Flat, because ABC flattens subcircuits anyway and yosys
    keeps the bus bits together only at the top.
    """
    netlist = exported_netlist(source, whole=whole)
    names = name_all(netlist, module_name(source, netlist, name))
    lines = [f"# {line}".rstrip() for line in describe(source, netlist, names, whole=whole)]
    lines += [f".model {names.module}"]
    lines += _list(".inputs", [names.nets[net] for net in netlist.input_nets])
    lines += _list(
        ".outputs", [f"{names.buses[key]}[{k}]" for key, bus in netlist.outputs.items() for k in range(len(bus))]
    )
    lines += _body(netlist, names)
    return "\n".join([*lines, ".end"]) + "\n"


def _body(netlist: Netlist, names: Names) -> list[str]:
    # No comments here: yosys does not read them between tables.
    constants = {0: "$false", 1: "$true"}
    used = {net for instance in netlist.instances for net in instance.inputs} | set(netlist.output_nets)
    nets = {**names.nets, **constants}
    lines = []
    for net in sorted(used & constants.keys()):
        lines += [f".names {nets[net]}", *(["1"] if net else [])]
    for instance in netlist.instances:
        inputs = " ".join(nets[net] for net in instance.inputs)
        count = len(instance.inputs)
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            if net not in used:
                continue
            lines.append(f".names {inputs} {nets[net]}")
            for mask, value in minimal_cover(table):
                row = "".join(("1" if value & 4 >> k else "0") if mask & 4 >> k else "-" for k in range(count))
                lines.append(f"{row} 1")
    for bus_name, bus in netlist.outputs.items():
        for k, net in enumerate(bus):
            lines += [f".names {nets[net]} {names.buses[bus_name]}[{k}]", "1 1"]
    return lines


def _list(keyword: str, entries: Iterable[str]) -> list[str]:
    wrapped = textwrap.wrap(" ".join(entries), 105, break_long_words=False, break_on_hyphens=False)
    return [
        (f"{keyword} " if k == 0 else "    ") + line + (" \\" if k + 1 < len(wrapped) else "")
        for k, line in enumerate(wrapped)
    ]
