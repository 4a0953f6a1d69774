"""BLIF in (Berkeley logic interchange format), as this project, yosys and ABC write it.

Read: `.model`, `.inputs`, `.outputs`, `.clock`, `.names` with on-set or off-set rows, `.subckt` and `.gate` of models
in the files or of known standard cells, yosys's `.conn`, ABC's `.short` and `.barbuf`, comments, line continuation.
Timing and annotations (`.delay`, `.attr`, ...) are skipped. Registers are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.errors import DesignError, unknown_name
from circuits.hdl.blif.blif_syntax import Call, Model, Table, failure, parse_models
from circuits.hdl.blif.known_cells import known_cell
from circuits.hdl.buses import group_buses
from circuits.hdl.table_gates import MAXIMUM_INPUTS, add_cover, cover_table
from circuits.hdl.verilog.cell_library import is_register, supply_pin
from circuits.netlists.netlist import ONE, ZERO, Netlist, NetlistBuilder

MAXIMUM_GATES = 200_000
"""Most cells and gates of one netlist read from BLIF; also the most instances of models."""
_MAXIMUM_HIERARCHY = 40


def read_blif(sources: Sequence[tuple[str, str]], *, top: str | None = None) -> tuple[Netlist, tuple[str, ...]]:
    """The flat netlist of the model `top`, and notes for the user, from `sources`: (file name, text) each.

    `top` None takes the model that no other uses; where several are, the first. Ports are one bit each in BLIF and are
    grouped to buses by their names (`hdl.buses`). Tables become gates (`hdl.tables`); two tables in a row over the
    same three inputs that are sum and carry of a library cell become that cell.

    DesignError names file and line: no BLIF, unknown models, undriven or doubly driven nets, loops, registers, more
    than MAXIMUM_GATES cells and gates.
    """
    models: dict[str, Model] = {}
    for where, text in sources:
        for model in parse_models(text, where):
            if model.name in models:
                raise failure(
                    where, model.line, f"a model must be defined once, but {model.name!r} is twice; remove one"
                )
            models[model.name] = model
    return _Flattener(models, _top(models, top, sources[0][0])).netlist()


def _top(models: dict[str, Model], top: str | None, where: str) -> Model:
    if not models:
        raise DesignError(f"{where} must hold a BLIF model, but holds none; check the file.")
    if top is not None:
        if top not in models:
            raise DesignError(f"{where}: {unknown_name('top model', top, models)}")
        return models[top]
    used = {item.model for model in models.values() for item in model.items if isinstance(item, Call)}
    free = [model for model in models.values() if model.name not in used]
    return (free or list(models.values()))[0]


@dataclass(frozen=True, slots=True)
class _Node:
    """What drives `outputs`, over nets of the flat circuit: a table, an adder cell, or a cell of a known library."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    function: Table | AdderCell | Netlist
    where: str
    line: int


class _Flattener:
    """Nets are numbers in the order in which they are met; `names` has them as the file does, with the instances above
    them in front."""

    def __init__(self, models: dict[str, Model], top: Model) -> None:
        self.models = models
        self.top = top
        self.names: list[str] = []
        self.nodes: list[_Node] = []
        self.driver: dict[int, _Node] = {}
        self.path: list[str] = []
        self.calls = 0

    def netlist(self) -> tuple[Netlist, tuple[str, ...]]:
        """The flat netlist and notes about its buses; one-bit ports are grouped last."""
        ports = {name: self.new(name) for name in dict.fromkeys(self.top.inputs)}
        nets = dict(ports)
        self.flatten(self.top, nets, "")
        outputs = list(dict.fromkeys(self.top.outputs))
        if not outputs:
            raise failure(
                self.top.where, self.top.line, f"model {self.top.name!r} must have an output, but has none; add it"
            )
        builder = NetlistBuilder(self.top.name)
        number = {net: builder.input(name, 1)[0] for name, net in ports.items()}
        for net in number:
            if net in self.driver:
                node = self.driver[net]
                raise failure(
                    node.where, node.line, f"an input must not be driven, but {self.names[net]!r} is; correct it"
                )
        self.emit(builder, number)
        for name in outputs:
            builder.output(name, [self.read(number, nets.get(name), name, self.top)])
        return group_buses(builder.build())

    def read(self, number: dict[int, int], net: int | None, name: str, model: Model) -> int:
        """The number in the netlist of an output's net."""
        if net is None or net not in number:
            raise failure(model.where, model.line, f"output {name!r} must be driven, but nothing drives it; drive it")
        return number[net]

    def new(self, name: str) -> int:
        self.names.append(name)
        return len(self.names) - 1

    def flatten(self, model: Model, nets: dict[str, int], prefix: str) -> None:
        """Adds the model's nodes; `nets` holds its ports and gets its other nets."""
        if model.name in self.path or len(self.path) > _MAXIMUM_HIERARCHY:
            raise failure(
                model.where,
                model.line,
                f"models must be nested at most {_MAXIMUM_HIERARCHY} deep and never in themselves, but {model.name!r} "
                "is; flatten the design first",
            )
        self.path.append(model.name)

        def net(name: str) -> int:
            if name not in nets:
                nets[name] = self.new(prefix + name)
            return nets[name]

        previous: Table | None = None
        for item in model.items:
            if isinstance(item, Call):
                self.call(model, item, {port: net(name) for port, name in item.pins.items()}, prefix)
                previous = None
                continue
            cell = None if previous is None else _library_cell(previous, item)
            if cell is None:
                inputs = tuple(map(net, item.inputs))
                self.node(_Node(inputs, (net(item.output),), item, model.where, item.line))
                previous = item
            else:
                first = self.nodes.pop()
                del self.driver[first.outputs[0]]
                outputs = (first.outputs[0], net(item.output))
                if cell[1]:
                    outputs = outputs[::-1]
                self.node(_Node(first.inputs, outputs, cell[0], model.where, item.line))
                previous = None
        self.path.pop()

    def node(self, node: _Node) -> None:
        if len(self.nodes) >= MAXIMUM_GATES:
            raise failure(
                node.where,
                node.line,
                f"a netlist must have at most {MAXIMUM_GATES} tables, but has more; import a part of it",
            )
        self.nodes.append(node)
        for net in node.outputs:
            if net in self.driver:
                raise failure(
                    node.where,
                    node.line,
                    f"net {self.names[net]!r} must have one driver, but line {self.driver[net].line} drives it too; "
                    "remove one",
                )
            self.driver[net] = node

    def call(self, model: Model, call: Call, pins: dict[str, int], prefix: str) -> None:
        """Adds the nodes of a `.subckt` or `.gate`."""
        self.calls += 1
        if self.calls > MAXIMUM_GATES:
            raise failure(
                model.where,
                call.line,
                f"a design must have at most {MAXIMUM_GATES} instances, but has more; import a part of it",
            )
        inner = self.models.get(call.model) or self.cell(model, call)
        ports = {*inner.inputs, *inner.outputs}
        for port in pins:
            if port not in ports and not (isinstance(inner, Netlist) and supply_pin(port)):
                error = str(unknown_name("port", port, ports)).removesuffix(".")
                raise failure(model.where, call.line, f"instance of {call.model!r}: {error}")
        missing = [port for port in inner.inputs if port not in pins]
        if missing:
            raise failure(
                model.where,
                call.line,
                f"every input must be connected, but {missing[0]!r} of {call.model!r} is not; connect it",
            )
        prefix = f"{prefix}{call.model}_{self.calls}."
        if isinstance(inner, Model):
            self.flatten(inner, pins, prefix)
            return
        inputs = tuple(pins[port] for port in inner.inputs)
        outputs = tuple(pins[port] if port in pins else self.new(prefix + port) for port in inner.outputs)
        self.node(_Node(inputs, outputs, inner, model.where, call.line))

    def cell(self, model: Model, call: Call) -> Netlist:
        """The cell of a known library that a call names."""
        if is_register(call.model):
            raise failure(
                model.where,
                call.line,
                f"a multiplier must be combinational, but {call.model!r} is a register; import the circuit between the "
                "registers",
            )
        cell = known_cell(call.model)
        if cell is None:
            error = str(unknown_name("model", call.model, self.models)).removesuffix(".")
            raise failure(model.where, call.line, f"{error}; or give its library as a further file")
        return cell

    # In topological order, as near to the file's order as that allows.

    def emit(self, builder: NetlistBuilder, number: dict[int, int]) -> None:
        """Adds every node after those that it reads."""
        for node in self.nodes:
            stack = [node]
            waiting: dict[int, None] = {}  # identities of the nodes on the stack whose inputs are being added
            while stack:
                last = stack[-1]
                if last.outputs[0] in number:
                    stack.pop()
                    waiting.pop(id(last), None)
                    continue
                unknown = [net for net in last.inputs if net not in number]
                if not unknown:
                    number.update(zip(last.outputs, _add(builder, last, number), strict=True))
                    continue
                waiting[id(last)] = None
                for net in unknown:
                    source = self.driver.get(net)
                    if source is None:
                        raise failure(
                            last.where,
                            last.line,
                            f"net {self.names[net]!r} must have a driver, but a table reads it and nothing drives it; "
                            "drive it or remove the reader",
                        )
                    if id(source) in waiting:
                        raise failure(
                            source.where,
                            source.line,
                            f"a combinational circuit must have no loop, but net {self.names[net]!r} depends on "
                            "itself; break it",
                        )
                    stack.append(source)


def _add(builder: NetlistBuilder, node: _Node, number: dict[int, int]) -> tuple[int, ...]:
    inputs = [number[net] for net in node.inputs]
    function = node.function
    if isinstance(function, AdderCell):
        return builder.add(function, *inputs)
    if isinstance(function, Netlist):
        return _copy(builder, function, inputs)
    inverted = "0" in function.values
    add = lambda gate, *nets: builder.add(gate, *nets)[0]  # noqa: E731
    return (add_cover(add, function.cover, inputs, inverted=inverted),)


def _copy(builder: NetlistBuilder, cell: Netlist, inputs: Sequence[int]) -> tuple[int, ...]:
    """Adds the instances of `cell`; the nets of its outputs."""
    number = {ZERO: ZERO, ONE: ONE, **dict(zip(cell.input_nets, inputs, strict=True))}
    for instance in cell.instances:
        nets = builder.add(instance.component, *(number[net] for net in instance.inputs))
        number.update(zip(instance.outputs, nets, strict=True))
    return tuple(number[net] for net in cell.output_nets)


def _library_cell(first: Table, second: Table) -> tuple[AdderCell, bool] | None:
    """The library cell whose sum and carry two tables are, and whether the carry comes first."""
    if len(first.inputs) != 3 or first.inputs != second.inputs or len(set(first.inputs)) != 3:
        return None
    tables = tuple(_byte(table) for table in (first, second))
    for cell in CELLS.values():
        if cell.tables in (tables, tables[::-1]):
            return cell, cell.tables != tables
    return None


def _byte(table: Table) -> int:
    assert len(table.inputs) <= MAXIMUM_INPUTS
    covered = cover_table(tuple(table.cover), len(table.inputs))
    return covered ^ 0xFF if "0" in table.values else covered
