"""Modules elaborated into the flat circuit: declarations, assigns and generate blocks."""

from __future__ import annotations

from circuits.hdl.verilog.evaluation.constants import declare, dimension, parameter_value
from circuits.hdl.verilog.instances import InstanceElaborator, Parameters
from circuits.hdl.verilog.scope import Constant, Scope
from circuits.hdl.verilog.syntax.tree import (
    Always,
    Assignment,
    Body,
    GenerateFor,
    GenerateIf,
    Item,
    Module,
    ModuleInstance,
    Place,
)

_MAXIMUM_HIERARCHY = 40
_MAXIMUM_BLOCKS = 1 << 14
_MAXIMUM_INNER = 20_000


class Elaborator(InstanceElaborator):
    """Reads modules into `flat`."""

    # Modules.

    def top(self, module: Module, parameters: Parameters = ()) -> Scope:
        """Elaborates the top module; its inputs are driven from outside."""
        scope = self.scope(module, parameters, "")
        for port in module.ports:
            signal = scope.signals[port]
            if signal.direction != "output":
                for net in signal.nets:
                    self.flat.drivers[net] = (scope.place(signal.line), None)
        self.path.append(module.name)
        self.items(scope, module.body)
        self.path.pop()
        return scope

    def scope(self, module: Module, parameters: Parameters, prefix: str) -> Scope:
        """The names of a module: parameters, then signals, of which ports come first."""
        scope = Scope(module, module.body, prefix)
        given = dict(parameters)
        for parameter in module.body.parameters:
            value = None if parameter.local else given.get(parameter.name)
            scope.constants[parameter.name] = parameter_value(self.evaluator, scope, parameter, value)
        for port in module.ports:
            declare(self.evaluator, scope, module.body.signals[port])
        self.declarations(scope, module.body)
        return scope

    def declarations(self, scope: Scope, body: Body) -> None:
        """Signals that are not declared yet; two declarations of one port must agree."""
        for name, declaration in body.signals.items():
            if declaration.kind != "genvar" and name not in scope.signals:
                declare(self.evaluator, scope, declaration)
        for declaration in body.repeated:
            ranges = [dimension(self.evaluator, scope, bounds, declaration.line) for bounds in declaration.packed]
            known = body.signals[declaration.name]
            expected = [dimension(self.evaluator, scope, bounds, known.line) for bounds in known.packed]
            if ranges != expected:
                texts = [" ".join(f"[{m}:{n}]" for m, n in shape or [(0, 0)]) for shape in (expected, ranges)]
                raise self.fail(
                    scope,
                    declaration.line,
                    f"declarations of {declaration.name!r} must agree, but got {texts[0]} in line {known.line} and "
                    f"{texts[1]}; correct one",
                )

    def items(self, scope: Scope, body: Body) -> None:
        """Elaborates what a module or a generate block holds."""
        for item in body.items:
            self.item(scope, item)
        for initial in body.initial_values:
            if all(self.flat.drivers[net] is None for net in self.evaluator.target(scope, initial.target)):
                self.evaluator.constant(scope, initial.value)  # what it depends on would be read at time 0 only
                self.assignment(scope, initial)

    def item(self, scope: Scope, item: Item) -> None:
        match item:
            case ModuleInstance():
                self.instance(scope, item)
            case Assignment():
                self.assignment(scope, item)
            case Always():
                self.evaluator.always(scope, item)
            case GenerateFor():
                self.generate_for(scope, item)
            case GenerateIf():
                self.generate_if(scope, item)

    def inner(self, module: Module, scope: Scope, place: Place) -> None:
        """Elaborates an instantiated module that is no single cell."""
        self.inner_modules += 1
        if self.inner_modules > _MAXIMUM_INNER:
            raise self.flat.fail(
                place,
                f"a design must have at most {_MAXIMUM_INNER} instances of modules that are no single cell, but has "
                "more; import a part of it",
            )
        own = Place(module.where, module.line)
        where = place.seen_from(own)
        self.flat.inside.append(f" (inside {self.path[-1]!r}, instantiated in {where})")
        if module.name in self.path:
            raise self.flat.fail(own, f"a module must not contain itself, but {module.name!r} does; break the cycle")
        if len(self.path) >= _MAXIMUM_HIERARCHY:
            raise self.flat.fail(
                own,
                f"modules must be nested at most {_MAXIMUM_HIERARCHY} deep, but {module.name!r} is deeper; flatten the "
                "design first",
            )
        self.path.append(module.name)
        self.flat.inside[-1] = f" (inside {module.name!r}, instantiated in {where})"
        self.items(scope, module.body)
        self.flat.inside.pop()
        self.path.pop()

    # Assigns and generate blocks.

    def assignment(self, scope: Scope, item: Assignment) -> None:
        self.imply(scope, item.target)
        target = self.evaluator.target(scope, item.target)
        value = self.evaluator.assigned(scope, item.value, len(target))
        place = scope.place(item.line)
        for net, source in zip(target, value, strict=True):
            self.flat.drive(net, place, source)

    def generate_for(self, scope: Scope, item: GenerateFor) -> None:
        """A scope an iteration, in which the genvar is a constant."""
        name = item.body.name
        blocks = scope.blocks.setdefault(name, {}) if name else {}
        head = Scope(scope.module, scope.body, scope.prefix, scope)
        value = self.evaluator.constant(head, item.start)
        while True:
            head.constants[item.variable] = Constant(value.number & 0xFFFFFFFF, 32, True)
            if not self.evaluator.constant(head, item.condition).value:
                return
            self.count_block(scope, item.line)
            index = head.constants[item.variable].number
            self.block(head, item.body, f"{name}[{index}]", blocks, index)
            value = self.evaluator.constant(head, item.step)

    def generate_if(self, scope: Scope, item: GenerateIf) -> None:
        for condition, body in item.branches:
            if condition is None or self.evaluator.constant(scope, condition).value:
                self.count_block(scope, item.line)
                name = body.name
                self.block(scope, body, name, scope.blocks.setdefault(name, {}) if name else {}, None)
                return

    def block(self, outer: Scope, body: Body, name: str, blocks: dict[int | None, Scope], index: int | None) -> None:
        """One generate block. Genvars are constants of the scope around it, copied so that a loop may go on."""
        prefix = f"{outer.prefix}{name}." if name else outer.prefix
        inner = Scope(outer.module, body, prefix, outer, constants=dict(outer.constants) if index is not None else {})
        blocks[index] = inner
        for parameter in body.parameters:
            inner.constants[parameter.name] = parameter_value(self.evaluator, inner, parameter, None)
        self.declarations(inner, body)
        self.items(inner, body)

    def count_block(self, scope: Scope, line: int) -> None:
        self.blocks += 1
        if self.blocks > _MAXIMUM_BLOCKS:
            raise self.fail(
                scope, line, f"a design must have at most {_MAXIMUM_BLOCKS} generate blocks, but has more; shorten it"
            )
