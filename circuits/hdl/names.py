"""Names of instances, wires and ports in exported files: the same in Verilog and BLIF, legal in both."""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass

from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design
from circuits.floats.arithmetic import FloatFormat
from circuits.floats.float_netlist import float_netlist
from circuits.netlists.gates import AND2
from circuits.netlists.netlist import Component, Netlist

KEYWORDS = frozenset(
    """
    always and assign automatic begin bit buf bufif0 bufif1 byte case casex casez cell cmos config const context
    deassign default defparam design disable do edge else end endcase endconfig endfunction endgenerate endmodule
    endprimitive endspecify endtable endtask enum event export extends final for force forever fork function generate
    genvar global highz0 highz1 if ifnone import incdir include initial inout input instance int integer interface join
    large liblist library localparam logic longint macromodule medium module nand negedge new nmos nor noshowcancelled
    not notif0 notif1 null or output package parameter pmos posedge primitive priority program property pull0 pull1
    pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand rcmos real realtime ref reg release repeat return
    rnmos rpmos rtran rtranif0 rtranif1 scalared sequence shortint shortreal showcancelled signed small specify
    specparam static string strong0 strong1 struct super supply0 supply1 table task this time tran tranif0 tranif1 tri
    tri0 tri1 triand trior trireg type typedef union unique unsigned use var vectored virtual void wait wand weak0
    weak1 while wire with within wor xnor xor
    """.split()  # noqa: SIM905
)
"""Reserved words of Verilog-2001 and the common ones of SystemVerilog: no exported name is one of them."""


class Namer:
    """Legal and distinct names: other characters become "_", a taken name gets "_2", "_3" and so on."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def __call__(self, wanted: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_]", "_", wanted)
        if not re.match(r"[A-Za-z_]", name):
            name = f"n_{name}"
        if name in KEYWORDS:
            name += "_"
        count = self._last.get(name, 0) + 1
        self._last[name] = count
        if count == 1:
            return name
        return self(f"{name}_{count}")


@dataclass(frozen=True)
class Names:
    """Names in one exported netlist: `buses` by the netlist's names, `instances` in order, `nets` by net."""

    module: str
    buses: dict[str, str]
    instances: list[str]
    nets: dict[int, str]


def name_all(netlist: Netlist, module: str) -> Names:
    """Names with row and column where an instance has a place: pp_3_4, sum_3_4, carry_3_4, ama5_r3_c4.

    Input nets are bits of their bus, "x[3]"; the constants have no name. Without a place: and2_7, exact_7_sum.
    """
    namer = Namer()
    bus_of = {net: name for name, bus in netlist.inputs.items() for net in bus}
    buses = {name: namer(name) for name in (*netlist.inputs, *netlist.outputs)}
    nets = {net: f"{buses[name]}[{k}]" for name, bus in netlist.inputs.items() for k, net in enumerate(bus)}
    counts: dict[str, int] = {}
    instances = []
    for instance in netlist.instances:
        part = instance.component
        k = counts[part.name] = counts.get(part.name, 0) + 1
        partial_product = part == AND2 and len({bus_of[net] for net in instance.inputs if net in bus_of}) == 2
        place = None if instance.place is None else tuple(str(n).replace("-", "m") for n in instance.place)
        instances.append(namer(f"{part.name}_i{k}" if place is None else f"{part.name}_r{place[0]}_c{place[1]}"))
        for port, net in zip(part.outputs, instance.outputs, strict=True):
            nets[net] = namer(
                f"{_wire(part, port, partial_product)}_{place[0]}_{place[1]}" if place else _loose(part, port, k)
            )
    return Names(Namer()(module), buses, instances, nets)


def _wire(part: Component, port: str, partial_product: bool) -> str:
    if partial_product:
        return "pp"
    return port if len(part.outputs) > 1 else part.name


def _loose(part: Component, port: str, k: int) -> str:
    return f"{part.name}_{k}" if len(part.outputs) == 1 else f"{part.name}_{k}_{port}"


def exported_netlist(source: Design | Netlist, *, whole: bool) -> Netlist:
    """The netlist that is written for `source`: with `whole`, a float design's multiplier with all that is around its
    mantissa circuit. DesignError where an integer design is asked for the whole."""
    if not isinstance(source, Design):
        return source
    return float_netlist(source) if whole else source.netlist()


def module_name(source: Design | Netlist, netlist: Netlist, name: str | None) -> str:
    """The name asked for, else the design's, else the netlist's."""
    return name or (source.name if isinstance(source, Design) else None) or netlist.name


def describe(source: Design | Netlist, netlist: Netlist, names: Names, *, whole: bool) -> list[str]:
    """Header lines, plain ASCII: what the circuit is, its digest, the meaning of buses and of names."""
    lines = []
    if isinstance(source, Design):
        lines += [f"{source.label}: {_kind(source, whole)}"]
        lines += [f"  {key}: {value}" for key, value in source.describe().items()]
        lines += [f"  digest: {source.digest}", *_about_format(source, whole)]
    else:
        lines += [f"{netlist.name}: netlist", f"  digest: {netlist.digest()}"]
    buses = [
        f"{kind} {names.buses[name]} ({len(bus)} bits)"
        for kind, group in (("input", netlist.inputs), ("output", netlist.outputs))
        for name, bus in group.items()
    ]
    lines += [f"Bit 0 of every bus is the least significant: {', '.join(buses)}."]
    if "x" in netlist.inputs and "y" in netlist.inputs:
        lines += ["x is the first operand (activation), y the second (weight)."]
    spots = [(instance.component.name, instance.place) for instance in netlist.instances if instance.place is not None]
    if spots:
        shared = len(set(spots)) < len(spots)
        lines += [
            "Row i stands for bit i of the first operand and i + j for the product column: pp_i_j (partial product), "
            "sum_i_j, carry_i_j, CELL_ri_cj." + (" Further ones at the same place end in _2, _3, ..." if shared else "")
        ]
    counts = ", ".join(f"{count} {name}" for name, count in netlist.count().items())
    lines += [f"As drawn: {counts or 'no instances'}."]
    wrapped = []
    for line in lines:
        indent = "    " if line.startswith("  ") else ""
        wrapped += textwrap.wrap(line, 110, subsequent_indent=indent, break_on_hyphens=False)
    return [line.encode("ascii", "backslashreplace").decode() for line in wrapped]


def _kind(design: Design, whole: bool) -> str:
    if whole:
        return "whole float multiplier"
    return "mantissa multiplier" if design.format else "integer multiplier"


def _about_format(design: Design, whole: bool) -> list[str]:
    fmt = design.float_format
    if fmt is None:
        return []
    if not whole:
        return [
            f"This is the mantissa circuit of the {fmt.name} multiplier, hidden ones included: sign, "
            "exponent, normalisation and rounding are not part of it."
        ]
    exponents, fractions = fmt.exponent_bits, fmt.fraction_bits
    return [
        f"x (activation) and w (weight) are words of {fmt.name}: {fractions} bits of fraction, the lowest, {exponents} "
        f"of exponent (bias {fmt.bias}), and the sign.",
        f"Outputs: fraction, exponent (with the bias; {exponents + 2} bits, two's complement) and sign of the product, "
        "for operands and products that are normal numbers. Zeros, subnormals, infinities and NaN are not handled; an "
        f"exponent below 1 is an underflow, one above {_highest_exponent(fmt)} an overflow.",
    ]


def _highest_exponent(fmt: FloatFormat) -> int:
    """The biased exponent of the largest finite number."""
    return math.frexp(fmt.largest)[1] - 1 + fmt.bias


def component_names(netlist: Netlist) -> dict[Component, str]:
    """A module name for every distinct component: cell_NAME for adder cells, gate_NAME for gates."""
    namer = Namer()
    names: dict[Component, str] = {}
    for instance in netlist.instances:
        part = instance.component
        if part not in names:
            names[part] = namer(f"{'cell' if isinstance(part, AdderCell) else 'gate'}_{part.name}")
    return names
