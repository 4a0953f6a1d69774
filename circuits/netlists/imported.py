"""A user's own circuit as a multiplier: the conditions that it must meet, and its text form in TOML files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from circuits.cells.adder_cells import AdderCell, cell
from circuits.errors import DesignError
from circuits.netlists.gates import GATES, Gate
from circuits.netlists.netlist import ONE, ZERO, Bus, Component, Instance, Netlist
from circuits.netlists.truth_table import from_text as table_of_text
from circuits.netlists.truth_table import to_text as text_of_table

MINIMUM_WIDTH, MAXIMUM_WIDTH = 2, 64
MAXIMUM_INSTANCES = 200_000
"""Most cells and gates of one imported multiplier."""
NAME = "imported"
"""The name of every imported multiplier's netlist; the design has a name of its own."""
RESERVED = ("gate", "product")
"""Names that no cell or gate of an imported multiplier may have: they begin other lines of its text form."""
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def as_multiplier(netlist: Netlist, *, signed: bool) -> Netlist:
    """`netlist` with buses x, y and product and consecutive nets, so that equal circuits become equal netlists.

    The first input bus is the first operand. A product narrower than w + v bits is extended, with its sign if `signed`.
    Raises DesignError unless there are two input buses of 2 to 64 bits and one output bus of at most w + v + 1 bits,
    and components have distinct names.
    """
    if len(netlist.inputs) != 2 or len(netlist.outputs) != 1:
        raise DesignError(
            f"a multiplier must have two input buses and one output bus, but netlist {netlist.name!r} has inputs "
            f"{_list(netlist.inputs)} and outputs {_list(netlist.outputs)}; join or remove buses."
        )
    for name, bus in netlist.inputs.items():
        if not MINIMUM_WIDTH <= len(bus) <= MAXIMUM_WIDTH:
            raise DesignError(
                f"{MINIMUM_WIDTH} <= operand width <= {MAXIMUM_WIDTH} must hold, but input bus {name!r} of netlist "
                f"{netlist.name!r} has {len(bus)} bits; import a circuit of such a width."
            )
    bits = len(netlist.input_nets)
    (name, product) = next(iter(netlist.outputs.items()))
    if not 1 <= len(product) <= bits + 1:
        raise DesignError(
            f"1 <= product width <= {bits + 1} must hold, but output bus {name!r} of netlist {netlist.name!r} has "
            f"{len(product)} bits; its operands have {' and '.join(str(len(b)) for b in netlist.inputs.values())}."
        )
    if len(netlist.instances) > MAXIMUM_INSTANCES:
        raise DesignError(
            f"an imported multiplier must have at most {MAXIMUM_INSTANCES} cells and gates, but netlist "
            f"{netlist.name!r} has {len(netlist.instances)}; import a smaller one."
        )
    _check_names(netlist)
    fill = product[-1] if signed else ZERO
    return _canonical(netlist, (*product, *[fill] * (bits - len(product))))


def declared_signed(netlist: Netlist) -> bool:
    """Whether the circuit's file declares its operands signed (`input signed` in Verilog); False where it says nothing.

    Raises DesignError where one operand is declared signed and the other is not: both must be read in the same way.
    """
    signed = [name for name in netlist.inputs if name in netlist.signed]
    unsigned = [name for name in netlist.inputs if name not in netlist.signed]
    if signed and unsigned:
        raise DesignError(
            f"both operands must be signed or both unsigned, but in netlist {netlist.name!r} input "
            f"{', '.join(map(repr, signed))} is declared signed and {', '.join(map(repr, unsigned))} is not; choose "
            "one reading: --signed or --unsigned (in Python signed=True or signed=False)."
        )
    return bool(signed)


def signedness_notes(netlist: Netlist, *, signed: bool) -> list[str]:
    """Notes on ports that the file declares otherwise than `signed` reads them; [] where there are none."""
    ports = [*netlist.inputs, *netlist.outputs]
    declared = [name for name in ports if name in netlist.signed]
    others = [name for name in ports if name not in netlist.signed]
    chosen = "two's complement" if signed else "unsigned"
    if not declared:
        return [f"no port is declared signed, but all are read as {chosen}"] if signed else []
    if signed and not others:
        return []
    rest = f", {_ports_are(others)} not" if others else ""
    return [f"{_ports_are(declared)} declared signed{rest}; all are read as {chosen}"]


def _ports_are(ports: list[str]) -> str:
    return f"port {ports[0]} is" if len(ports) == 1 else f"ports {', '.join(ports)} are"


def exchange_operands(netlist: Netlist) -> Netlist:
    """`netlist` with its input buses exchanged: the second one becomes the first operand."""
    inputs = dict(reversed(list(netlist.inputs.items())))
    return replace(netlist, inputs=MappingProxyType(inputs))


def _check_names(netlist: Netlist) -> None:
    """Raises DesignError unless names are words that the text form can hold, each with one meaning."""
    known: dict[str, Component] = {}
    for component in {instance.component for instance in netlist.instances}:
        words = (component.name, *component.inputs, *component.outputs)
        if not all(_WORD.fullmatch(word) for word in words) or component.name in RESERVED:
            raise DesignError(
                f"names of gates and their ports must be a letter followed by letters, digits, '_', '.' or '-', and "
                f"none of {', '.join(RESERVED)}, but netlist {netlist.name!r} has gate {component.name!r}; rename it."
            )
        if known.setdefault(component.name, component) != component:
            raise DesignError(
                f"cells and gates of one design must have distinct names, but two of netlist {netlist.name!r} are "
                f"named {component.name!r}; rename one."
            )


def _canonical(netlist: Netlist, product: Bus) -> Netlist:
    """`netlist` with consecutive nets (constants, inputs, outputs of the instances) and the given product bus."""
    number = {ZERO: ZERO, ONE: ONE}
    for net in netlist.input_nets:
        number[net] = len(number)
    instances = []
    try:
        for instance in netlist.instances:
            inputs = tuple(number[net] for net in instance.inputs)
            for net in instance.outputs:
                number[net] = len(number)
            outputs = tuple(number[net] for net in instance.outputs)
            instances.append(Instance(instance.component, inputs, outputs, instance.place))
        result = tuple(number[net] for net in product)
    except KeyError as error:
        raise DesignError(
            f"every net must be an input or the output of an earlier instance, but net {error} of netlist "
            f"{netlist.name!r} is not; build the netlist with NetlistBuilder."
        ) from None
    buses = [tuple(number[net] for net in bus) for bus in netlist.inputs.values()]
    inputs_by_name = MappingProxyType(dict(zip(("x", "y"), buses, strict=True)))
    return Netlist(NAME, inputs_by_name, MappingProxyType({"product": result}), tuple(instances), len(number))


def to_text(netlist: Netlist) -> str:
    """The text form of a canonical netlist, one instance a line.

        x 8
        y 8
        gate mux2 a b s : y 00100111 : 12
        and2 2 10 @ 0 0
        product 18 0 ...

    Nets 0 and 1 are the constants; then come the bits of x, those of y, and the outputs of the instances in order.
    `gate` declares a gate that GATES does not have: inputs, each output with its values in rows 000..111, transistors.
    `@` precedes the place, row and column.
    """
    lines = [f"{name} {len(bus)}" for name, bus in netlist.inputs.items()]
    for component in dict.fromkeys(instance.component for instance in netlist.instances):
        if isinstance(component, Gate) and GATES.get(component.name) != component:
            tables = map(text_of_table, component.tables)
            outputs = " ".join(f"{port} {table}" for port, table in zip(component.outputs, tables, strict=True))
            inputs = " ".join(component.inputs)
            lines.append(f"gate {component.name} {inputs} : {outputs} : {component.transistors}")
    for instance in netlist.instances:
        place = "" if instance.place is None else f" @ {instance.place[0]} {instance.place[1]}"
        lines.append(f"{instance.component.name} {' '.join(map(str, instance.inputs))}{place}")
    lines.append(f"product {' '.join(map(str, netlist.outputs['product']))}")
    return "\n".join(lines) + "\n"


def from_text(text: str, cells: Mapping[str, AdderCell]) -> Netlist:
    """The netlist that `to_text` wrote; `cells` are the ones embedded in the same file. DesignError names the line."""
    gates: dict[str, Gate] = {}
    instances: list[Instance] = []
    inputs: dict[str, Bus] = {}
    product: Bus | None = None
    nets = 2
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            if product is not None:
                raise DesignError("nothing may follow the product; remove the line.")
            if len(inputs) < 2:
                if words[0] != ("x", "y")[len(inputs)] or len(words) != 2:
                    raise DesignError("the first lines must be 'x WIDTH' and 'y WIDTH'; correct them.")
                width = _number(words[1], MAXIMUM_WIDTH)
                inputs[words[0]] = tuple(range(nets, nets + width))
                nets += width
            elif words[0] == "gate":
                gate = _gate(line)
                gates[gate.name] = gate
            elif words[0] == "product":
                product = tuple(_number(word, nets - 1) for word in words[1:])
            else:
                instances.append(_instance(words, nets, gates, cells))
                nets += len(instances[-1].outputs)
        except DesignError as error:
            raise DesignError(f"line {number} of [netlist] text: {error}") from None
        if len(instances) > MAXIMUM_INSTANCES:
            raise DesignError(f"[netlist] text must have at most {MAXIMUM_INSTANCES} instances; import a smaller one.")
    if product is None:
        raise DesignError("[netlist] text must end in a 'product' line, but has none; add it.")
    return Netlist(NAME, MappingProxyType(inputs), MappingProxyType({"product": product}), tuple(instances), nets)


def _instance(words: list[str], nets: int, gates: Mapping[str, Gate], cells: Mapping[str, AdderCell]) -> Instance:
    name = words[0]
    component = cells.get(name) or gates.get(name) or GATES.get(name) or cell(name)
    pins, _, coordinates = " ".join(words[1:]).partition("@")
    numbers = tuple(_number(word, nets - 1) for word in pins.split())
    position = coordinates.split()
    if len(numbers) != len(component.inputs) or len(position) not in (0, 2):
        raise DesignError(
            f"{name!r} must have {len(component.inputs)} nets and at most a place '@ ROW COLUMN', but got "
            f"{' '.join(words[1:])!r}; correct it."
        )
    place = (_number(position[0], 10**6), _number(position[1], 10**6)) if position else None
    return Instance(component, numbers, tuple(range(nets, nets + len(component.outputs))), place)


def _gate(line: str) -> Gate:
    match = re.fullmatch(r"\s*gate (?P<inputs>[^:]+) : (?P<outputs>[^:]+) : (?P<transistors>[0-9]{1,9})\s*", line)
    words = match["inputs"].split() if match else []
    pairs = match["outputs"].split() if match else []
    ports, tables = pairs[::2], pairs[1::2]
    if (
        match is None
        or not 2 <= len(words) <= 4
        or not all(_WORD.fullmatch(word) for word in (*words, *ports))
        or len(ports) != len(tables)
        or not all(re.fullmatch(r"[01]{8}", table) for table in tables)
    ):
        raise DesignError("a gate must be 'gate NAME INPUTS : OUTPUT TABLE ... : TRANSISTORS'; correct it.")
    values = tuple(map(table_of_text, tables))
    return Gate(words[0], tuple(words[1:]), tuple(ports), values, int(match["transistors"]))


def _number(word: str, highest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", word) or int(word) > highest:
        raise DesignError(f"expected an integer from 0 to {highest}, but got {word!r}; correct it.")
    return int(word)


def _list(buses: Mapping[str, Bus]) -> str:
    return ", ".join(f"{name} ({len(bus)})" for name, bus in buses.items()) or "none"
