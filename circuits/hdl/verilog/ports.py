"""The ports of the top module as buses: one-bit ports grouped, clocks and supplies that nothing reads left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from circuits.hdl.buses import group_ports
from circuits.hdl.verilog.flat import Flat
from circuits.hdl.verilog.ordering import read_nets
from circuits.hdl.verilog.scope import Scope
from circuits.hdl.verilog.syntax.tree import Place

_UNREAD = re.compile(
    r"(?i)_*(i_|in_)?(clk|clock|ck|clr|rst|reset|a?rst|areset|nrst|en|ena|enable|ce|start|scan\w*|test\w*|vdd\w*|vss\w*|"
    r"vcc\w*|gnd\w*|vpwr|vgnd|vpb|vnb|vpp|vbb|power|ground)(_?(n|b|ni|i|in|l))?_*"
)


@dataclass(frozen=True, slots=True)
class Port:
    """A bus of the top module: its nets, least significant first."""

    name: str
    direction: str
    nets: tuple[int, ...]
    signed: bool
    place: Place


def top_ports(flat: Flat, scope: Scope) -> list[Port]:
    """The buses of the top module, in the order of its header."""
    ports = []
    for name in scope.module.ports:
        signal = scope.signals[name]
        if signal.arrays:
            raise flat.fail(scope.place(signal.line), f"a port must be a bus, but {name!r} is an array; flatten it")
        place = scope.place(signal.line)
        ports.append(Port(name, signal.direction or "", tuple(signal.nets), signal.signed, place))
    if not any(port.direction == "output" for port in ports):
        raise flat.fail(
            Place(scope.module.where, scope.module.line),
            f"a circuit must have an output, but module {scope.module.name!r} has none; add it",
        )
    ports = _without_unread(flat, ports)
    for port in ports:
        if port.direction == "inout":
            raise flat.fail(port.place, f"a port must be input or output, but {port.name!r} is inout; change it")
    return _grouped(flat, ports)


def _without_unread(flat: Flat, ports: list[Port]) -> list[Port]:
    """Ports without clocks, resets and supplies of one bit that nothing reads."""
    candidates = [
        port for port in ports if port.direction != "output" and len(port.nets) == 1 and _UNREAD.fullmatch(port.name)
    ]
    if not candidates:
        return ports
    read = read_nets(flat, [net for port in ports if port.direction == "output" for net in port.nets])
    dropped = [port for port in candidates if port.nets[0] not in read]
    for port in dropped:
        flat.note(f"port {port.name!r} is ignored: nothing reads it")
    return [port for port in ports if port not in dropped]


def _grouped(flat: Flat, ports: list[Port]) -> list[Port]:
    """One-bit ports a[0], a_0 or a0 and so on as buses, where a multiplier's three buses are not there already."""
    directions = [port.direction for port in ports]
    if (directions.count("input"), directions.count("output")) == (2, 1):
        return ports
    named = {port.name: port for port in ports}
    taken = {port.name for port in ports if len(port.nets) > 1}
    bus_of: dict[str, Port] = {}
    for direction in ("input", "output"):
        single = [port.name for port in ports if port.direction == direction and len(port.nets) == 1]
        grouping = group_ports(single, taken=taken)
        for note in grouping.notes:
            flat.note(note)
        for name, bits in grouping.buses.items():
            if bits == (name,):
                continue
            members = [named[bit] for bit in bits]
            signed = any(port.signed for port in members)
            bus = Port(name, direction, tuple(port.nets[0] for port in members), signed, members[0].place)
            flat.note(f"ports {members[0].name!r} to {members[-1].name!r} are read as one bus {bus.name!r}")
            bus_of.update(dict.fromkeys(bits, bus))
            taken.add(name)
    return list(dict.fromkeys(bus_of.get(port.name, port) for port in ports))
