"""Instances of modules and gates: their parameters, their connections, and arrays of them.

An instance is elaborated depth first, at the place where it stands: its module's parameters are computed in the scope
of the instance, a scope is made for its ports and wires, and its items are elaborated before the next instance. What
the rest of the elaborator may rely on:

- All ports are connected before the module's items are elaborated: nets outside drive its inputs, and its outputs drive
  nets outside.
- A module of which `recognise` says that it is one cell or gate becomes that component and is never looked into; the
  answer is kept by name and parameters.
- `path` holds the names of the modules that are being elaborated: one that is already in it instantiates itself.
- The numbers of instances and of blocks are bounded, so that a small file cannot ask for an endless circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from circuits.errors import DesignError, unknown_name
from circuits.hdl.verilog.cell_library import is_register, library_cell, library_names, supply_pin
from circuits.hdl.verilog.evaluation.constants import dimension
from circuits.hdl.verilog.evaluation.statements import StatementEvaluator
from circuits.hdl.verilog.evaluation.widths import Size
from circuits.hdl.verilog.flat import GATES, INVERTED, MAXIMUM_GATES, WRITTEN_ZERO, ZERO, Flat
from circuits.hdl.verilog.scope import Constant, Scope, Signal
from circuits.hdl.verilog.syntax.raw_modules import RawModule
from circuits.hdl.verilog.syntax.tree import (
    PRIMITIVES,
    Concatenation,
    Expression,
    Literal,
    Module,
    ModuleInstance,
    Part,
    Place,
    Reference,
)
from circuits.netlists.gates import BUFFER, NOT
from circuits.netlists.netlist import Component

Parameters = tuple[tuple[str, Constant], ...]
Recognised = tuple[Component, tuple[int, ...]]
"""A cell or gate, and for each of its outputs the place of that output among the module's outputs."""
Recognise = Callable[[Any, Module, Parameters], Recognised | None]
"""Takes the elaborator first; its class is defined later than this type."""


class InstanceElaborator:
    """The half of the elaborator that knows instances; `Elaborator` adds modules and their items.

    `recognise` says which modules are one cell or gate (see `components`).
    """

    def __init__(
        self,
        modules: Mapping[str, RawModule],
        where: str,
        recognise: Recognise,
    ) -> None:
        self.modules = modules
        self.flat = Flat(where)
        self.evaluator = StatementEvaluator(self.flat)
        self.recognise = recognise
        self.parsed: dict[str, Module] = {}
        self.path: list[str] = []
        self.instances = 0
        self.blocks = 0
        self.inner_modules = 0
        self.components: dict[tuple[str, Parameters], Recognised | None] = {}
        self.component_names: dict[str, Component] = {}

    # Modules.

    def module(self, name: str) -> Module | None:
        """A module of the sources, or a cell of a known library; parsed once."""
        if name not in self.parsed:
            raw = self.modules.get(name)
            module = raw.parse() if raw is not None else library_cell(name)
            if module is None:
                return None
            self.parsed[name] = module
        return self.parsed[name]

    def scope(self, module: Module, parameters: Parameters, prefix: str) -> Scope:
        """The names of a module instance; prefix: path of the instance."""
        raise NotImplementedError

    def inner(self, module: Module, scope: Scope, place: Place) -> None:
        """Elaborates an instantiated module that is no single cell."""
        raise NotImplementedError

    def imply(self, scope: Scope, value: Expression | None) -> None:
        """Verilog's implicit one-bit wires, unless `default_nettype none."""
        if isinstance(value, Concatenation):
            for operand in value.operands:
                self.imply(scope, operand)
        if not isinstance(value, Reference) or value.parts or value.path or not scope.module.implicit:
            return
        if scope.find(value.name) is None:
            net = self.flat.new(scope.prefix + value.name)
            scope.signals[value.name] = Signal((), 0, False, None, "wire", [net], value.line)

    # Instances.

    def instance(self, scope: Scope, item: ModuleInstance) -> None:
        self.instances += 1
        if self.instances > MAXIMUM_GATES:
            raise self.fail(
                scope,
                item.line,
                f"a design must have at most {MAXIMUM_GATES} module instances, but has more; import a part of it",
            )
        if item.array is not None:
            self.instance_array(scope, item)
            return
        if item.module in PRIMITIVES:
            self.primitive(scope, item)
            return
        module = self.module(item.module)
        if module is None:
            raise self.unknown_module(scope, item)
        parameters = self.parameters(scope, item, module)
        key = (module.name, parameters)
        if key not in self.components:
            self.components[key] = self.recognise(self, module, parameters)
        recognised = self.components[key]
        inner = self.scope(module, parameters, f"{scope.prefix}{item.name}.") if recognised is None else None
        nets = self.connect(scope, item, module, inner, recognised)
        if inner is not None:
            self.inner(module, inner, scope.place(item.line))
            return
        assert recognised is not None
        component, order = recognised
        outputs = [nets[port] for port in module.ports if module.body.signals[port].direction == "output"]
        inputs = [nets[port] for port in module.ports if module.body.signals[port].direction == "input"]
        self.flat.add(component, inputs, [outputs[k] for k in order], scope.place(item.line))

    def instance_array(self, scope: Scope, item: ModuleInstance) -> None:
        """One instance an index: a pin as wide as all ports together is shared out, any other one goes to each."""
        assert item.array is not None
        msb, lsb = dimension(self.evaluator, scope, item.array, item.line)
        count = abs(msb - lsb) + 1
        widths = self.port_widths(scope, item)
        inner = Scope(scope.module, scope.body, scope.prefix, scope)
        shares: list[list[Expression | None]] = []
        for k, (port, value) in enumerate(item.pins):
            self.imply(scope, value)
            width = widths.get(port if port is not None else k, 1)
            shares.append(self.shares(inner, value, width, count, f"{item.name}.{k}", item.line))
        for k in range(count):
            index = lsb + k if msb >= lsb else lsb - k
            pins = tuple((port, share[k]) for (port, _), share in zip(item.pins, shares, strict=True))
            self.instance(inner, replace(item, name=f"{item.name}[{index}]", pins=pins, array=None))

    def port_widths(self, scope: Scope, item: ModuleInstance) -> dict[str | int, int]:
        """The width of each port of the instantiated module, by name and by position; all 1 of a gate."""
        module = None if item.module in PRIMITIVES else self.module(item.module)
        if module is None:
            return {}
        probe = type(self)(self.modules, module.where, self.recognise)
        ports = probe.scope(module, self.parameters(scope, item, module), "").signals
        widths: dict[str | int, int] = {port: len(ports[port].nets) for port in module.ports}
        return {**widths, **{k: widths[port] for k, port in enumerate(module.ports)}}

    def shares(
        self, scope: Scope, value: Expression | None, width: int, count: int, name: str, line: int
    ) -> list[Expression | None]:
        """What each instance of an array connects, the first the least significant part."""
        if value is None or self.evaluator.size(scope, value).width != width * count or count == 1:
            return [value] * count
        scope.signals[name] = Signal(
            ((width * count - 1, 0),), 0, False, None, "wire", self.nets_of(scope, value), line
        )
        bounds = [
            (Literal(k * width + width - 1, None, True, line), Literal(k * width, None, True, line))
            for k in range(count)
        ]
        return [Reference(name, line, (Part(":", high, low),)) for high, low in bounds]

    def nets_of(self, scope: Scope, value: Expression) -> list[int]:
        """The nets that an expression stands for: those of signals themselves, which may be driven."""
        if isinstance(value, Reference | Concatenation):
            try:
                return self.evaluator.target(scope, value)
            except DesignError:
                pass  # an input or a repetition: it is only read
        return self.evaluator.self_determined(scope, value)

    def unknown_module(self, scope: Scope, item: ModuleInstance) -> DesignError:
        if is_register(item.module):
            return self.fail(
                scope,
                item.line,
                f"a circuit must be combinational, but instance {item.name!r} of {item.module!r} is a register; remove "
                "it",
            )
        error = unknown_name("module", item.module, [*self.modules, *library_names()])
        advice = "; give the file that defines it before this one" if not self.modules.get(item.module) else ""
        return self.fail(scope, item.line, f"instance {item.name!r}: {str(error).removesuffix('.')}{advice}")

    def parameters(self, scope: Scope, item: ModuleInstance, module: Module) -> Parameters:
        """The values given to a module's parameters, by name or by position."""
        public = [parameter.name for parameter in module.body.parameters if not parameter.local]
        values: list[tuple[str, Constant]] = []
        what = f"instance {item.name!r} of {item.module!r}"
        for k, (name, value) in enumerate(item.parameters):
            if name is None and k >= len(public):
                raise self.fail(
                    scope, item.line, f"{what} must get at most {len(public)} parameters, but gets more; remove some"
                )
            chosen = public[k] if name is None else name
            if chosen not in public:
                error = unknown_name("parameter", chosen, public)
                raise self.fail(scope, item.line, f"{what}: {str(error).removesuffix('.')}")
            if value is not None:
                values.append((chosen, self.evaluator.constant(scope, value)))
        return tuple(values)

    def connect(
        self,
        scope: Scope,
        item: ModuleInstance,
        module: Module,
        inner: Scope | None,
        recognised: Recognised | None,
    ) -> dict[str, int]:
        """Drives the ports of the inner scope and what its outputs drive; of a recognised cell, the nets by port."""
        pins = self.pins(scope, item, module)
        nets: dict[str, int] = {}
        for port in module.ports:
            direction = module.body.signals[port].direction
            signal = inner.signals[port] if inner is not None else None
            value = pins.get(port)
            self.imply(scope, value)
            if direction == "input":
                sources = self.input_nets(scope, item, port, value, signal, recognised, module)
                if signal is None:
                    nets[port] = sources[0]
                for net, source in zip(signal.nets if signal else (), sources, strict=False):
                    self.flat.drive(net, scope.place(item.line), source)
            elif direction == "inout":
                if not supply_pin(port):
                    raise self.fail(
                        scope, item.line, f"a port must be input or output, but {port!r} of {module.name!r} is inout"
                    )
            elif signal is None:
                nets[port] = self.output_net(scope, item, port, value)
            elif value is not None:
                self.output(scope, item, port, value, signal)
        return nets

    def pins(self, scope: Scope, item: ModuleInstance, module: Module) -> dict[str, Expression | None]:
        """What each port is connected to."""
        what = f"instance {item.name!r} of {item.module!r}"
        pins: dict[str, Expression | None] = {}
        named = [port is not None for port, _ in item.pins]
        if any(named) and not all(named):
            raise self.fail(
                scope, item.line, f"{what} must connect all ports by name or all by position, but mixes; choose one"
            )
        if not any(named) and len(item.pins) > len(module.ports):
            raise self.fail(
                scope,
                item.line,
                f"{what} must have at most {len(module.ports)} pins, but got {len(item.pins)}; remove some",
            )
        for k, (port, value) in enumerate(item.pins):
            name = module.ports[k] if port is None else port
            if name not in module.ports:
                if item.module not in self.modules and supply_pin(name):
                    continue
                error = unknown_name("port", name, module.ports)
                raise self.fail(scope, item.line, f"{what}: {str(error).removesuffix('.')}")
            if name in pins:
                raise self.fail(scope, item.line, f"{what} must connect a port once, but {name!r} twice; remove one")
            pins[name] = value
        return pins

    def input_nets(
        self,
        scope: Scope,
        item: ModuleInstance,
        port: str,
        value: Expression | None,
        signal: Signal | None,
        recognised: Recognised | None,
        module: Module,
    ) -> Sequence[int]:
        """The nets that an input port gets; none where it is left open and its readers decide."""
        width = len(signal.nets) if signal else 1
        if value is None:
            if recognised is not None and _reads(recognised[0], _input_index(module, port)):
                raise self.fail(
                    scope,
                    item.line,
                    f"every input must be connected, but {port!r} of instance {item.name!r} of {item.module!r} is not; "
                    "connect it",
                )
            return [WRITTEN_ZERO] if recognised is not None else []
        own = self.evaluator.size(scope, value)
        self.check_width(scope, item, port, value, (width, own.width), cut=own.width > width)
        return self.evaluator.assigned(scope, value, width)

    def output_net(self, scope: Scope, item: ModuleInstance, port: str, value: Expression | None) -> int:
        """The net that a recognised cell drives."""
        if value is None:
            return self.flat.new(f"{scope.prefix}{item.name}.{port}")
        targets = self.evaluator.target(scope, value)
        if len(targets) == 1:
            return targets[0]
        self.check_width(scope, item, port, value, (1, len(targets)), cut=False)
        net = self.flat.new(f"{scope.prefix}{item.name}.{port}")
        for k, target in enumerate(targets):
            self.flat.drive(target, scope.place(item.line), ZERO if k else net)
        return net

    def output(self, scope: Scope, item: ModuleInstance, port: str, value: Expression, signal: Signal) -> None:
        """Drives what an output port is connected to, extended or cut as an assignment."""
        targets = self.evaluator.target(scope, value)
        widths = len(signal.nets), len(targets)
        self.check_width(scope, item, port, value, widths, cut=widths[0] > widths[1])
        fill = signal.nets[-1] if signal.signed else ZERO
        sources = signal.nets + [fill] * (len(targets) - len(signal.nets))
        for target, source in zip(targets, sources, strict=False):
            self.flat.drive(target, scope.place(item.line), source)

    def check_width(
        self, scope: Scope, item: ModuleInstance, port: str, value: Expression, widths: tuple[int, int], *, cut: bool
    ) -> None:
        """Notes a connection of other `widths` (of port and value), which Verilog pads or cuts; plain numbers fit."""
        if widths[0] != widths[1] and not (isinstance(value, Literal) and value.value >> widths[0] == 0):
            place = scope.place(item.line)
            self.flat.note(
                f"{place.where} line {place.line}: port {port!r} of instance {item.name!r} has {widths[0]} bits but is "
                f"connected to {widths[1]}; {'cut' if cut else 'padded'}, as Verilog does"
            )

    # Gate primitives.

    def primitive(self, scope: Scope, item: ModuleInstance) -> None:
        values = []
        for port, value in item.pins:
            if port is not None or value is None:
                raise self.fail(
                    scope, item.line, f"a gate {item.module!r} must be connected by position; list its pins"
                )
            self.imply(scope, value)
            values.append(value)
        single = item.module in ("not", "buf")
        if len(values) < (2 if single else 3):
            raise self.fail(
                scope,
                item.line,
                f"a gate {item.module!r} must have an output and {'an input' if single else 'two inputs'}, but got "
                f"{len(values)} pins; add the missing ones",
            )
        targets = values[:-1] if single else values[:1]
        outputs = [self.bit(scope, self.evaluator.target(scope, target), item) for target in targets]
        inputs = [self.input_bit(scope, source, item) for source in values[len(targets) :]]
        place = scope.place(item.line)
        if single:
            for net in outputs:
                self.flat.add(NOT if item.module == "not" else BUFFER, inputs, [net], place)
            return
        operator = {"and": "&", "nand": "&", "or": "|", "nor": "|"}.get(item.module, "^")
        inverted = item.module in ("nand", "nor", "xnor")
        first = self.flat.fold(operator, inputs[:-1], place)
        self.flat.add((INVERTED if inverted else GATES)[operator], [first, inputs[-1]], outputs, place)

    def input_bit(self, scope: Scope, value: Expression, item: ModuleInstance) -> int:
        if isinstance(value, Literal):
            return self.evaluator.evaluate(scope, value, Size(value.width or 32, value.signed), 1)[0]
        return self.bit(scope, self.evaluator.self_determined(scope, value), item)

    def bit(self, scope: Scope, nets: Sequence[int], item: ModuleInstance) -> int:
        if len(nets) != 1:
            raise self.fail(
                scope,
                item.line,
                f"pins of a gate {item.module!r} must have one bit, but {self.flat.text(nets)} has {len(nets)}; select "
                "one",
            )
        return nets[0]

    def fail(self, scope: Scope, line: int, message: str) -> DesignError:
        """The error at a line of the module."""
        return self.flat.fail(scope.place(line), message)


def _input_index(module: Module, port: str) -> int:
    inputs = [name for name in module.ports if module.body.signals[name].direction == "input"]
    return inputs.index(port)


def _reads(component: Component, index: int) -> bool:
    """Whether any output of the component depends on an input."""
    flip = 4 >> index
    return any((table >> row ^ table >> (row ^ flip)) & 1 for table in component.tables for row in range(8))
