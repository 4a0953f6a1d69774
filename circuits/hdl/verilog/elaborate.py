"""Structural Verilog in: modules elaborated into one flat netlist, every mistake named by file, line and net."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from circuits.cells import CELLS, EXACT, AdderCell
from circuits.errors import DesignError, unknown_name
from circuits.gates import AND2, BUFFER, HALF_ADDER, MUX2, NAND2, NOR2, NOT, OR2, XNOR2, XOR2, Gate
from circuits.hdl.gates import KNOWN, STANDARD_CELLS
from circuits.hdl.verilog.parser import (
    MAXIMUM_BUS,
    PRIMITIVES,
    Assignment,
    Choice,
    Concatenation,
    Constant,
    Expression,
    Module,
    ModuleInstance,
    Not,
    Operation,
    Reduction,
    Reference,
    Signal,
    failure,
    parse,
)
from circuits.imported import RESERVED
from circuits.netlist import ONE, ZERO, Component, Netlist, NetlistBuilder

MAXIMUM_GATES = 200_000
"""Most cells and gates of one netlist read from Verilog; also the most module instances."""
_MAXIMUM_NETS = 2_000_000
_MAXIMUM_HIERARCHY = 40
_GATES = {"&": AND2, "|": OR2, "^": XOR2}
_INVERTED = {"&": NAND2, "|": NOR2, "^": XNOR2}
_CARRY = re.compile(r"(?i)c|y?co?|c_?out|carry.*|.*_(carry|cout|or0)")
_DRIVE = re.compile(r"(?P<base>[A-Z]+[0-9]{0,2})X[0-9]{1,2}")


def netlist_from_verilog(text: str, *, where: str, top: str | None = None) -> Netlist:
    """The netlist of the module `top` of a structural Verilog text, hierarchy flattened, gates as drawn.

    Reads what ArithsGen and EvoApproxLib write (see `verilog_syntax`): gates as expressions, primitives or modules.
    `top` None takes the module that no other instantiates. A module of up to three one-bit inputs that instantiates
    nothing becomes one cell or gate: a full adder an AdderCell (of the library, where name or function say so), all
    else a Gate. The OSU FreePDK45 names AND2X1, FAX1 and so on, with PDKGEN in front or not, need no definition; `+`
    becomes a ripple of exact adders. Buses keep their names, in the order of the module's ports.

    `where` names the file in errors. Raises DesignError naming file, line and net: no Verilog of this subset,
    behavioural code, unknown modules, width mismatches, undriven or doubly driven nets, loops, more than MAXIMUM_GATES
    cells and gates.
    """
    modules = parse(text, where)
    return _Elaborator(modules, where).netlist(_top(modules, top, where))


def _top(modules: dict[str, Module], top: str | None, where: str) -> Module:
    if not modules:
        raise DesignError(f"{where} must hold a Verilog module, but holds none; check the file.")
    if top is not None:
        if top not in modules:
            raise DesignError(f"{where}: {unknown_name('top module', top, modules)}")
        return modules[top]
    used = {item.module for module in modules.values() for item in module.items if isinstance(item, ModuleInstance)}
    free = [module for module in modules.values() if module.name not in used]
    # Files that bring their gate library along leave some of its gates unused.
    wide = [module for module in free if any(module.signals[port].width > 1 for port in module.ports)]
    candidates = free if len(free) == 1 else wide
    if len(candidates) != 1:
        names = ", ".join(module.name for module in (candidates or list(modules.values()))[:8])
        raise DesignError(f"{where} must have one module that no other uses, but got {names}; name the top module.")
    return candidates[0]


@cache
def _standard_cells() -> dict[str, Module]:
    return parse(STANDARD_CELLS, "the standard cells")


def _standard_cell(name: str) -> Module | None:
    """The cell meant by AND2X1, PDKGENAND2X1, or EvoApprox8b's mangled PDKGEPDKGENNAND2X1 and XPDKGEPDKGENNOR2X1."""
    match = _DRIVE.fullmatch(re.sub("PDKGEPDKGENN|PDKGEN", "", name))
    return _standard_cells().get(match["base"]) if match else None


@dataclass(slots=True)
class _Part:
    component: Component
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    line: int


@dataclass(slots=True)
class _Scope:
    module: Module
    prefix: str
    nets: dict[str, list[int]]


class _Elaborator:
    """Nets are numbers, 0 and 1 the constants. A driver is (line, net it copies or None): a copy, else a part or an
    input of the top module."""

    def __init__(self, modules: dict[str, Module], where: str) -> None:
        self.modules = modules
        self.where = where
        self.names = ["1'b0", "1'b1"]
        self.drivers: list[tuple[int, int | None] | None] = [(0, None), (0, None)]
        self.parts: list[_Part] = []
        self.path: list[str] = []
        self.instance_lines: list[int] = []
        self.instances = 0
        self.components: dict[str, tuple[Component, tuple[int, ...]] | None] = {}
        self.component_names: dict[str, Component] = {}

    def fail(self, line: int, message: str) -> DesignError:
        if self.instance_lines:
            message += f" (inside {self.path[-1]!r}, instantiated in line {self.instance_lines[-1]})"
        return failure(self.where, line, message)

    # From modules to parts.

    def netlist(self, top: Module) -> Netlist:
        """The flat netlist of `top`."""
        ports = {port: self.signal_nets(port, top.signals[port], "") for port in top.ports}
        if not any(top.signals[port].direction == "output" for port in top.ports):
            raise self.fail(top.line, f"a circuit must have an output, but module {top.name!r} has none; add it")
        for port, nets in ports.items():
            if top.signals[port].direction == "input":
                for net in nets:
                    self.drivers[net] = (top.signals[port].line, None)
        self.elaborate(_Scope(top, "", dict(ports)))
        order, roots = self.order()
        builder = NetlistBuilder(top.name)
        number = {ZERO: ZERO, ONE: ONE}
        for port, nets in ports.items():
            if top.signals[port].direction == "input":
                number.update(zip(nets, builder.input(port, len(nets)), strict=True))
        for part in order:
            made = builder.add(part.component, *(number[roots[net]] for net in part.inputs))
            number.update(zip(part.outputs, made, strict=True))
        for port, nets in ports.items():
            if top.signals[port].direction == "output":
                line = top.signals[port].line
                builder.output(port, [number[self.root(net, line, f"output {port!r}")] for net in nets])
        return builder.build()

    def elaborate(self, scope: _Scope) -> None:
        module = scope.module
        if module.name in self.path:
            raise self.fail(module.line, f"a module must not contain itself, but {module.name!r} does; break the cycle")
        if len(self.path) >= _MAXIMUM_HIERARCHY:
            raise self.fail(
                module.line,
                f"modules must be nested at most {_MAXIMUM_HIERARCHY} deep, but "
                f"{module.name!r} is deeper; flatten the design first",
            )
        self.path.append(module.name)
        for name, signal in module.signals.items():
            if name not in scope.nets:
                scope.nets[name] = self.signal_nets(name, signal, scope.prefix)
        for item in module.items:
            if isinstance(item, ModuleInstance):
                self.instance(scope, item)
            else:
                self.assignment(scope, item)
        self.path.pop()

    def assignment(self, scope: _Scope, item: Assignment) -> None:
        if isinstance(item.target, Reference) and item.target.select is None:
            self.declare(scope, item.target)
        target = self.target(scope, item.target)
        value = self.evaluate(scope, item.value, len(target))
        if len(value) != len(target):
            raise self.fail(
                item.line,
                f"both sides of an assign must have one width, but {self.text(target)} has "
                f"{len(target)} bits and its value {len(value)}; correct one",
            )
        for net, source in zip(target, value, strict=True):
            self.drive(net, item.line, source)

    def instance(self, scope: _Scope, item: ModuleInstance) -> None:
        self.instances += 1
        if self.instances > MAXIMUM_GATES:
            raise self.fail(
                item.line,
                f"a design must have at most {MAXIMUM_GATES} module instances, but has more; import a part of it",
            )
        if item.module in PRIMITIVES:
            self.primitive(scope, item)
            return
        module = self.modules.get(item.module) or _standard_cell(item.module)
        if module is None:
            error = unknown_name("module", item.module, [*self.modules, *(f"{n}X1" for n in _standard_cells())])
            raise self.fail(item.line, f"instance {item.name!r}: {str(error).removesuffix('.')}")
        nets = self.connect(scope, item, module)
        found = self.component(module)
        if found is None:
            self.instance_lines.append(item.line)
            self.elaborate(_Scope(module, f"{scope.prefix}{item.name}.", nets))
            self.instance_lines.pop()
            return
        component, order = found
        inputs = [nets[port][0] for port in module.ports if module.signals[port].direction == "input"]
        outputs = [nets[port][0] for port in module.ports if module.signals[port].direction == "output"]
        self.add(component, inputs, [outputs[k] for k in order], item.line)

    def connect(self, scope: _Scope, item: ModuleInstance, module: Module) -> dict[str, list[int]]:
        """The nets of the instance's ports."""
        what = f"instance {item.name!r} of {item.module!r}"
        pins: dict[str, Expression | None] = {}
        named = [port is not None for port, _ in item.pins]
        if any(named) and not all(named):
            raise self.fail(
                item.line, f"{what} must connect all ports by name or all by position, but mixes; choose one"
            )
        if not any(named) and len(item.pins) > len(module.ports):
            raise self.fail(
                item.line, f"{what} must have at most {len(module.ports)} pins, but got {len(item.pins)}; remove some"
            )
        for k, (port, value) in enumerate(item.pins):
            name = module.ports[k] if port is None else port
            if name not in module.ports:
                error = unknown_name("port", name, module.ports)
                raise self.fail(item.line, f"{what}: {str(error).removesuffix('.')}")
            if name in pins:
                raise self.fail(item.line, f"{what} must connect a port once, but {name!r} twice; remove one")
            pins[name] = value
        nets = {}
        for port in module.ports:
            signal = module.signals[port]
            value = pins.get(port)
            if value is None and signal.direction == "input":
                raise self.fail(item.line, f"every input must be connected, but {port!r} of {what} is not; connect it")
            if value is None:
                nets[port] = self.signal_nets(port, signal, f"{scope.prefix}{item.name}.")
                continue
            if isinstance(value, Reference) and value.select is None:
                self.declare(scope, value)
            if signal.direction == "output":
                nets[port] = self.target(scope, value)
            else:
                nets[port] = self.evaluate(scope, value, signal.width)
            if len(nets[port]) != signal.width:
                raise self.fail(
                    item.line,
                    f"port {port!r} of {what} must get {signal.width} bits, but got "
                    f"{len(nets[port])}, {self.text(nets[port])}; correct the connection",
                )
        return nets

    def primitive(self, scope: _Scope, item: ModuleInstance) -> None:
        values = []
        for port, value in item.pins:
            if port is not None or value is None:
                raise self.fail(item.line, f"a gate {item.module!r} must be connected by position; list its pins")
            if isinstance(value, Reference) and value.select is None:
                self.declare(scope, value)
            values.append(value)
        single = item.module in ("not", "buf")
        if len(values) < (2 if single else 3):
            raise self.fail(
                item.line,
                f"a gate {item.module!r} must have an output and "
                f"{'an input' if single else 'two inputs'}, but got {len(values)} pins; add the missing ones",
            )
        targets = values[:-1] if single else values[:1]
        outputs = [self.bit(self.target(scope, target), item) for target in targets]
        inputs = [self.bit(self.evaluate(scope, source, 1), item) for source in values[len(targets) :]]
        if single:
            for net in outputs:
                self.add(NOT if item.module == "not" else BUFFER, inputs, [net], item.line)
            return
        operator = {"and": "&", "nand": "&", "or": "|", "nor": "|"}.get(item.module, "^")
        inverted = item.module in ("nand", "nor", "xnor")
        first = self.fold(operator, inputs[:-1], item.line)
        self.add((_INVERTED if inverted else _GATES)[operator], [first, inputs[-1]], outputs, item.line)

    def bit(self, nets: Sequence[int], item: ModuleInstance) -> int:
        if len(nets) != 1:
            raise self.fail(
                item.line,
                f"pins of a gate {item.module!r} must have one bit, but {self.text(nets)} has {len(nets)}; select one",
            )
        return nets[0]

    # Modules as cells and gates.

    def component(self, module: Module) -> tuple[Component, tuple[int, ...]] | None:
        """(component, which declared output each of its outputs is) of a module that is one cell or gate, else None."""
        key = module.name
        if key not in self.components:
            self.components[key] = self.make_component(module)
        return self.components[key]

    def make_component(self, module: Module) -> tuple[Component, tuple[int, ...]] | None:
        inputs = [port for port in module.ports if module.signals[port].direction == "input"]
        outputs = [port for port in module.ports if module.signals[port].direction == "output"]
        simple = all(isinstance(item, Assignment) or item.module in PRIMITIVES for item in module.items)
        if not (simple and 1 <= len(inputs) <= 3 and 1 <= len(outputs) <= 4):
            return None
        if any(module.signals[port].width > 1 for port in module.ports):
            return None
        inner = _Elaborator({}, self.where).netlist(module)
        tables = _tables(inner)
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", re.sub(r"^(cell|gate)_", "", module.name))
        name = (name if re.match(r"[A-Za-z_]", name) and name not in RESERVED else f"m_{name}")[:48]
        made: Component
        order = tuple(range(len(outputs)))
        if len(inputs) == 3 and len(outputs) == 2:
            if tables[::-1] == EXACT.tables or (
                tables != EXACT.tables and _CARRY.fullmatch(outputs[0]) and not _CARRY.fullmatch(outputs[1])
            ):
                order = (1, 0)
            made = _cell(name, tables[order[0]], tables[order[1]])
        elif (len(inputs), tables) in KNOWN:
            made = KNOWN[len(inputs), tables]
        elif len(outputs) == 2 and (len(inputs), tables[::-1]) in KNOWN:
            made, order = KNOWN[len(inputs), tables[::-1]], (1, 0)
        else:
            transistors = sum(part.component.transistors or 0 for part in inner.instances)
            made = Gate(name, tuple(inputs), tuple(outputs), tables, transistors)
        return self.distinct(made), order

    def distinct(self, component: Component) -> Component:
        """`component`, renamed where another one has its name."""
        name, count = component.name, 1
        while self.component_names.setdefault(component.name, component) != component:
            count += 1
            fields = {key: getattr(component, key) for key in component.__dataclass_fields__}
            component = type(component)(**{**fields, "name": f"{name}_{count}"})
        return component

    # Expressions.

    def width(self, scope: _Scope, value: Expression) -> int | None:
        """The self-determined width; None for an unsized constant."""
        match value:
            case Reference():
                return len(self.reference(scope, value))
            case Constant():
                return value.width
            case Concatenation():
                return value.count * sum(self.width(scope, part) or 0 for part in value.parts)
            case Not():
                return self.width(scope, value.operand)
            case Operation():
                return max((w for w in (self.width(scope, part) for part in value.operands) if w), default=None)
            case Reduction():
                return 1
            case Choice():
                return self.width(scope, value.yes) or self.width(scope, value.no)

    def evaluate(self, scope: _Scope, value: Expression, wanted: int | None) -> list[int]:
        """Nets of `value`, least significant first. `wanted` is the width of its place: unsized constants take it and
        sums may fill it; the caller checks the rest."""
        match value:
            case Reference():
                return self.reference(scope, value)
            case Constant():
                width = value.width or wanted
                if width is None or value.value >> width:
                    raise self.fail(
                        value.line,
                        f"a constant must have a width that holds it, but got {value.value}; write it as 4'b0101, say",
                    )
                return [ONE if value.value >> k & 1 else ZERO for k in range(width)]
            case Concatenation():
                nets: list[int] = []
                for part in reversed(value.parts):
                    nets += self.evaluate(scope, part, None)
                    if len(nets) * value.count > MAXIMUM_BUS:
                        raise self.fail(
                            value.line, f"a concatenation must have at most {MAXIMUM_BUS} bits, but has more; split it"
                        )
                return nets * value.count
            case Not(Operation(operator, (left, right))) if operator in _INVERTED:
                pair = self.operands(scope, (left, right), wanted, value.line)
                return [self.gate(_INVERTED[operator], bits, value.line) for bits in zip(*pair, strict=True)]
            case Not():
                return [self.invert(net, value.line) for net in self.evaluate(scope, value.operand, wanted)]
            case Operation("+"):
                return self.sum(scope, value, wanted)
            case Operation():
                rows = self.operands(scope, value.operands, wanted, value.line)
                return [self.fold(value.operator, bits, value.line) for bits in zip(*rows, strict=True)]
            case Reduction():
                return [self.fold(value.operator, self.evaluate(scope, value.operand, None), value.line)]
            case Choice():
                condition = self.evaluate(scope, value.condition, 1)
                if len(condition) != 1:
                    raise self.fail(
                        value.line,
                        f"a condition must have one bit, but {self.text(condition)} has {len(condition)}; select one",
                    )
                no, yes = self.operands(scope, (value.no, value.yes), wanted, value.line)
                return [self.gate(MUX2, (a, b, condition[0]), value.line) for a, b in zip(no, yes, strict=True)]

    def operands(self, scope: _Scope, values: Sequence[Expression], wanted: int | None, line: int) -> list[list[int]]:
        """Operands of one width."""
        own = max((w for w in (self.width(scope, part) for part in values) if w), default=wanted)
        rows = [self.evaluate(scope, part, own) for part in values]
        for row in rows[1:]:
            if len(row) != len(rows[0]):
                raise self.fail(
                    line,
                    f"operands must have one width, but {self.text(rows[0])} has {len(rows[0])} bits "
                    f"and {self.text(row)} has {len(row)}; correct one",
                )
        return rows

    def sum(self, scope: _Scope, value: Operation, wanted: int | None) -> list[int]:
        rows = self.operands(scope, value.operands, None, value.line)
        width = len(rows[0])
        if wanted == width + 1:
            for part in value.operands:
                if isinstance(part, Reference) and scope.module.signals.get(part.name, Signal(0)).signed:
                    raise self.fail(
                        value.line,
                        f"a widening sum must be unsigned, but {part.name!r} is signed; extend the operands by hand",
                    )
            rows = [[*row, ZERO] for row in rows]
        total = rows[0]
        for row in rows[1:]:
            carry = ZERO
            made = []
            for a, b in zip(total, row, strict=True):
                present = [net for net in (a, b, carry) if net != ZERO]
                if len(present) < 2:
                    made.append(present[0] if present else ZERO)
                    carry = ZERO
                    continue
                adder = EXACT if len(present) == 3 else HALF_ADDER
                bits = [self.new("a sum"), self.new("a carry")]
                self.add(adder, present, bits, value.line)
                made.append(bits[0])
                carry = bits[1]
            total = made
        return total

    def invert(self, net: int, line: int) -> int:
        return net ^ 1 if net in (ZERO, ONE) else self.gate(NOT, (net,), line)

    def fold(self, operator: str, nets: Sequence[int], line: int) -> int:
        result = nets[0]
        for net in nets[1:]:
            result = self.gate(_GATES[operator], (result, net), line)
        return result

    def gate(self, component: Gate, inputs: Sequence[int], line: int) -> int:
        output = self.new("an expression")
        self.add(component, inputs, [output], line)
        return output

    def reference(self, scope: _Scope, value: Reference) -> list[int]:
        nets = scope.nets.get(value.name)
        if nets is None:
            error = unknown_name("signal", value.name, scope.nets)
            raise self.fail(value.line, f"module {scope.module.name!r}: {str(error).removesuffix('.')}")
        if value.select is None:
            return list(nets)
        signal = scope.module.signals[value.name]
        high, low = (signal.position(index) for index in value.select)
        if high is None or low is None or high < low:
            selected = ":".join(map(str, dict.fromkeys(value.select)))
            raise self.fail(
                value.line,
                f"a selection must lie in [{signal.msb}:{signal.lsb}] of {value.name!r}, in that "
                f"order, but got [{selected}]; correct it",
            )
        return nets[low : high + 1]

    def target(self, scope: _Scope, value: Expression) -> list[int]:
        """The nets of what an assign or an output port drives."""
        if isinstance(value, Concatenation) and value.count == 1:
            return [net for part in reversed(value.parts) for net in self.target(scope, part)]
        if not isinstance(value, Reference):
            raise self.fail(
                value.line, "only signals and concatenations of them can be driven, but got an expression; drive a wire"
            )
        nets = self.reference(scope, value)
        if scope.module.signals[value.name].direction == "input":
            raise self.fail(
                value.line,
                f"an input must not be driven inside its module, but {value.name!r} is; drive a wire or an output",
            )
        return nets

    def declare(self, scope: _Scope, value: Reference) -> None:
        """Verilog's implicit one-bit wires, unless `default_nettype none."""
        if value.name not in scope.nets and scope.module.implicit:
            scope.nets[value.name] = [self.new(scope.prefix + value.name)]
            scope.module.signals[value.name] = Signal(value.line)

    # Nets.

    def signal_nets(self, name: str, signal: Signal, prefix: str) -> list[int]:
        if signal.width == 1:
            return [self.new(prefix + name)]
        step = 1 if signal.msb >= signal.lsb else -1
        return [self.new(f"{prefix}{name}[{signal.lsb + step * k}]") for k in range(signal.width)]

    def new(self, name: str) -> int:
        if len(self.names) >= _MAXIMUM_NETS:
            raise DesignError(
                f"{self.where} must have at most {_MAXIMUM_NETS} nets, but has more; import a part of it."
            )
        self.names.append(name)
        self.drivers.append(None)
        return len(self.names) - 1

    def text(self, nets: Sequence[int]) -> str:
        names = [self.names[net] for net in nets[:2]]
        return "net " + ", ".join(map(repr, names)) + ("..." if len(nets) > 2 else "")

    def drive(self, net: int, line: int, source: int | None) -> None:
        known = self.drivers[net]
        if known is not None:
            raise self.fail(
                line, f"net {self.names[net]!r} must have one driver, but line {known[0]} drives it too; remove one"
            )
        self.drivers[net] = (line, source)

    def add(self, component: Component, inputs: Sequence[int], outputs: Sequence[int], line: int) -> None:
        if len(self.parts) >= MAXIMUM_GATES:
            raise self.fail(
                line, f"a netlist must have at most {MAXIMUM_GATES} cells and gates, but has more; import a part of it"
            )
        for net in outputs:
            self.drive(net, line, None)
        self.parts.append(_Part(component, tuple(inputs), tuple(outputs), line))

    def root(self, net: int, line: int, reader: str) -> int:
        """The net that `net` copies in the end, driven by a part, an input or a constant."""
        path: dict[int, None] = {}
        while True:
            driver = self.drivers[net]
            if driver is None:
                raise self.fail(
                    line,
                    f"net {self.names[net]!r} must have a driver, but {reader} reads it and nothing "
                    "drives it; drive it or remove the reader",
                )
            if driver[1] is None:
                break
            if net in path:
                passed = list(path)
                self.loop(passed[passed.index(net) :])
            path[net] = None
            net = driver[1]
        for copy in path:
            self.drivers[copy] = ((self.drivers[copy] or (0, 0))[0], net)
        return net

    def loop(self, nets: Sequence[int]) -> None:
        driver = self.drivers[nets[0]]
        assert driver is not None
        shown = [self.names[net] for net in nets]
        shown = shown if len(shown) <= 8 else [*shown[:7], "..."]
        raise self.fail(
            driver[0],
            "a combinational circuit must have no loop, but nets "
            f"{' -> '.join([*shown[::-1], shown[-1]])} form one; break it",
        )

    def order(self) -> tuple[list[_Part], dict[int, int]]:
        """Parts in topological order, as near to the order in the file as that allows, and the root of each input."""
        roots: dict[int, int] = {}
        producer = {net: k for k, part in enumerate(self.parts) for net in part.outputs}
        readers: list[list[int]] = [[] for _ in self.parts]
        missing = [0] * len(self.parts)
        for k, part in enumerate(self.parts):
            for net in part.inputs:
                if net not in roots:
                    roots[net] = self.root(net, part.line, f"a {part.component.name}")
                source = producer.get(roots[net])
                if source is not None:
                    readers[source].append(k)
                    missing[k] += 1
        ready = [k for k, count in enumerate(missing) if not count]
        heapq.heapify(ready)
        order = []
        while ready:
            k = heapq.heappop(ready)
            order.append(self.parts[k])
            for reader in readers[k]:
                missing[reader] -= 1
                if not missing[reader]:
                    heapq.heappush(ready, reader)
        if len(order) < len(self.parts):
            self.part_loop(producer, roots, missing)
        return order, roots

    def part_loop(self, producer: dict[int, int], roots: dict[int, int], missing: list[int]) -> None:
        """Raises the error about a loop through parts: walks back from any part left over until one comes again."""
        k = next(k for k, count in enumerate(missing) if count)
        seen: dict[int, int] = {}
        nets: list[int] = []
        while k not in seen:
            seen[k] = len(nets)
            net = next(n for n in self.parts[k].inputs if (p := producer.get(roots[n])) is not None and missing[p])
            nets.append(net)
            k = producer[roots[net]]
        self.loop(nets[seen[k] :])


def _cell(name: str, sum_table: int, carry_table: int) -> AdderCell:
    """The library's cell of that name or the exact one, where the function agrees; else a new cell."""
    for known in (CELLS.get(name), EXACT):
        if known is not None and known.tables == (sum_table, carry_table):
            return known
    sums, carries = ("".join("1" if t >> r & 1 else "0" for r in range(8)) for t in (sum_table, carry_table))
    return AdderCell(f"{name}_imported" if name in CELLS else name, sums, carries, source="imported from Verilog")


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
