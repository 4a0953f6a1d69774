"""One-bit ports as buses: Berkeley ABC, BLIF and blasted netlists write `x[3]`, `x_3` or `x3` instead of a bus `x`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from circuits.netlists.netlist import Bus, Netlist

_BRACKETED = re.compile(r"(?P<stem>.+?)(?:\[(?P<a>\d{1,6})\]|<(?P<b>\d{1,6})>|\((?P<c>\d{1,6})\))")
_NUMBERED = re.compile(r"(?P<stem>.+?)(?P<separator>_+|(?<=[^\d_]))(?P<index>\d{1,6})(?P<end>_?)")


@dataclass(frozen=True)
class Buses:
    """`buses`: name -> ports, least significant first; a port that belongs to no bus is one of its own, of one bit.

    In the order of each bus's first port. `notes` name what a user should check.
    """

    buses: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def group_ports(ports: Sequence[str], *, taken: Collection[str] = ()) -> Buses:
    """Buses of the one-bit `ports` of one direction.

    `name[k]`, `name<k>` and `name(k)` are bit k of `name`, also where there is only one; `name_k`, `namek` and
    `name_k_` are where at least two ports differ in k alone. The indices must run without a gap from any lowest one. A
    bus takes no name in `taken`, nor that of another port. A leading backslash (an escaped Verilog name) is no part of
    a name.
    """
    members: dict[tuple[str, str], dict[int, str]] = {}
    repeated = set()
    for port in ports:
        stem = _stem(port)
        if stem is not None:
            style, index = stem
            if index in members.setdefault(style, {}):
                repeated.add(style)
            members[style][index] = port
    reserved = {*taken, *(_plain(port) for port in ports)}
    bus_of: dict[str, tuple[str, str]] = {}
    notes = []
    for style, bits in members.items():
        name, kind = style
        if style in repeated or name in reserved or (kind != "[" and len(bits) < 2):
            continue
        low, high = min(bits), max(bits)
        if high - low + 1 != len(bits):
            missing = next(k for k in range(low, high) if k not in bits)
            notes.append(f"ports {bits[low]} to {bits[high]} form no bus, because index {missing} is missing")
            continue
        reserved.add(name)
        if low > 1:
            notes.append(f"ports {bits[low]} to {bits[high]} form the bus {name}, and {bits[low]} is its bit 0")
        bus_of.update(dict.fromkeys(bits.values(), style))
    buses: dict[str, tuple[str, ...]] = {}
    for port in ports:
        if port in bus_of:
            style = bus_of[port]
            buses[style[0]] = tuple(members[style][index] for index in sorted(members[style]))
        else:
            buses[_plain(port)] = (port,)
    return Buses(buses, tuple(notes))


def group_buses(netlist: Netlist) -> tuple[Netlist, tuple[str, ...]]:
    """`netlist` with its one-bit buses grouped by `group_ports`, inputs and outputs apart; and the notes about that."""
    inputs, notes = _grouped(netlist.inputs, ())
    outputs, more = _grouped(netlist.outputs, tuple(inputs))
    if (inputs, outputs) == (netlist.inputs, netlist.outputs):
        return netlist, (*notes, *more)
    grouped = replace(netlist, inputs=MappingProxyType(inputs), outputs=MappingProxyType(outputs))
    return grouped, (*notes, *more)


def _grouped(buses: Mapping[str, Bus], taken: tuple[str, ...]) -> tuple[dict[str, Bus], tuple[str, ...]]:
    wide = [name for name, bus in buses.items() if len(bus) > 1]
    grouping = group_ports([name for name, bus in buses.items() if len(bus) == 1], taken=(*taken, *wide))
    group_of = {port: name for name, ports in grouping.buses.items() for port in ports}
    grouped: dict[str, Bus] = {}
    for port, bus in buses.items():
        name = group_of.get(port, port)
        grouped.setdefault(name, tuple(buses[bit][0] for bit in grouping.buses[name]) if port in group_of else bus)
    return grouped, grouping.notes


def _stem(port: str) -> tuple[tuple[str, str], int] | None:
    """((name of the bus, style), index): ports of one style only form a bus."""
    plain = _plain(port)
    match = _BRACKETED.fullmatch(plain)
    if match is not None:
        return (match["stem"], "["), int(match["a"] or match["b"] or match["c"])
    match = _NUMBERED.fullmatch(plain)
    if match is not None:
        return (match["stem"], f"{match['separator']}k{match['end']}"), int(match["index"])
    return None


def _plain(port: str) -> str:
    return port.removeprefix("\\").strip()
