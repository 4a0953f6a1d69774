"""The face of the Verilog reader: texts in; a netlist, the signedness of its ports, and notes for the user out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from circuits.errors import DesignError, unknown_name
from circuits.hdl.verilog.components import recognise
from circuits.hdl.verilog.elaborate import Elaborator
from circuits.hdl.verilog.ordering import build_netlist
from circuits.hdl.verilog.ports import top_ports
from circuits.hdl.verilog.syntax.lexer import Macro, tokens
from circuits.hdl.verilog.syntax.raw_modules import RawModule, split_modules
from circuits.hdl.verilog.syntax.tree import Module, failure
from circuits.netlists.netlist import Netlist


@dataclass(frozen=True)
class VerilogCircuit:
    """What Verilog texts describe.

    `signed_ports`: each bus of the netlist, True where it is declared `signed`, as in `netlist.signed`. `notes`: what
    was ignored or assumed, a line each, for the user.
    """

    netlist: Netlist
    signed_ports: Mapping[str, bool]
    notes: tuple[str, ...]


def read_verilog(
    sources: Sequence[tuple[str, str]], *, top: str | None = None, libraries: Sequence[tuple[str, str]] = ()
) -> VerilogCircuit:
    """The circuit of the module `top` of combinational Verilog, hierarchy flattened, gates as drawn.

    `sources` and `libraries`: (file name, text) each; macros hold from one text to the next, and a module of a source
    replaces one of a library. `top` None takes the module of the sources that has ports and that no other one with
    ports instantiates. Only modules that it needs are read, so that test benches may stand beside it.

    Expressions follow IEEE 1364-2005, 5.4 and 5.5: operands are extended to the width of their context before they are
    evaluated, with their sign where the whole context is signed. A module of up to three one-bit inputs that
    instantiates nothing becomes one cell or gate: a full adder an AdderCell (of the library, where name or function
    say so), all else a Gate. The cells of OSU FreePDK45, Nangate45, sky130 and yosys need no definition; + - * and
    comparisons become ripples and arrays of exact adders. Buses keep their names, in the order of the module's ports.

    Raises DesignError naming file, line and net: registers, division and power of signals, z, unknown modules, undriven
    or doubly driven nets, loops, more than `flat.MAXIMUM_GATES` cells and gates.
    """
    macros: dict[str, Macro] = {}
    library = _modules(libraries, macros)
    own = _modules(sources, macros)
    modules = {**library, **own}
    where = sources[-1][0]
    elaborator = Elaborator(modules, where, recognise)
    module = _top(elaborator, own, top, where)
    scope = elaborator.top(module)
    flat = elaborator.flat
    ports = top_ports(flat, scope)
    netlist = build_netlist(
        flat,
        module.name,
        {port.name: (port.place, port.nets) for port in ports if port.direction == "input"},
        {port.name: (port.place, port.nets) for port in ports if port.direction == "output"},
    )
    for name, line in module.ignored:
        flat.note(f"{module.where} line {line}: {name} is ignored")
    netlist = replace(netlist, signed=frozenset(port.name for port in ports if port.signed))
    return VerilogCircuit(netlist, {port.name: port.signed for port in ports}, tuple(flat.notes))


def netlist_from_verilog(text: str, *, where: str, top: str | None = None) -> Netlist:
    """The netlist of one Verilog text, `where` naming it in errors; see `read_verilog`."""
    return read_verilog([(where, text)], top=top).netlist


def _modules(texts: Sequence[tuple[str, str]], macros: dict[str, Macro]) -> dict[str, RawModule]:
    modules: dict[str, RawModule] = {}
    for where, text in texts:
        for raw in split_modules(tokens(text, where, macros), where):
            known = modules.setdefault(raw.name, raw)
            if known is not raw:
                raise failure(
                    raw.place,
                    f"a module must be defined once, but {raw.name!r} already stands in "
                    f"{known.place.seen_from(raw.place)}; remove one",
                )
    return modules


def _top(elaborator: Elaborator, modules: Mapping[str, RawModule], top: str | None, where: str) -> Module:
    """The module named `top`, else the one that is the circuit."""
    if not modules:
        raise DesignError(f"{where} must hold a Verilog module, but holds none; check the file.")
    if top is not None:
        if top not in modules:
            raise DesignError(f"{where}: {unknown_name('top module', top, modules)}")
        return _parsed(elaborator, top)
    names = set(modules)
    circuits = {name: raw for name, raw in modules.items() if raw.has_ports()} or modules
    used = {name for raw in circuits.values() for name in raw.instantiates(names)}
    free = [name for name in circuits if name not in used]
    for candidates in (free, *_narrowed(elaborator, modules, free, where)):
        if len(candidates) == 1:
            return _parsed(elaborator, candidates[0])
    shown = ", ".join((free or list(modules))[:8])
    raise DesignError(f"{where} must have one module that no other uses, but got {shown}; name the top module.")


def _narrowed(
    elaborator: Elaborator, modules: Mapping[str, RawModule], free: Sequence[str], where: str
) -> list[list[str]]:
    """Modules that nothing uses, by what tells a circuit from the unused gates of its library: it has a bus, it stands
    in the last file, it instantiates others."""
    if len(free) < 2:
        return []
    wide = [name for name in free if _has_bus(elaborator, name)]
    last = [name for name in wide or free if modules[name].where == where]
    names = set(elaborator.modules)
    parents = [name for name in wide or free if modules[name].instantiates(names)]
    return [wide, last, parents]


def _has_bus(elaborator: Elaborator, name: str) -> bool:
    """Whether a port has more than one bit; a module that cannot be read is not the circuit."""
    if not any(token.text == "[" for token in elaborator.modules[name].tokens):
        return False
    try:
        probe = Elaborator(elaborator.modules, elaborator.modules[name].where, recognise)
        module = _parsed(elaborator, name)
        scope = probe.scope(module, (), "")
    except DesignError:
        return False
    return any(len(scope.signals[port].nets) > 1 for port in module.ports)


def _parsed(elaborator: Elaborator, name: str) -> Module:
    module = elaborator.module(name)
    assert module is not None
    return module
