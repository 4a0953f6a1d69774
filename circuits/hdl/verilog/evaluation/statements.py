"""Always blocks and functions: statements carried out on nets, branches joined by multiplexers.

A block is executed once, with the value of every variable a net. An if executes both branches from the same values and
joins them; what only one branch assigns has no value afterwards, and a variable without a value at the end is a latch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from circuits.hdl.verilog.evaluation import net_arithmetic
from circuits.hdl.verilog.evaluation.constants import declare
from circuits.hdl.verilog.evaluation.evaluate import ConstantEvaluator, Evaluator
from circuits.hdl.verilog.evaluation.references import NotConstantError
from circuits.hdl.verilog.evaluation.targets import TargetEvaluator
from circuits.hdl.verilog.evaluation.variables import State
from circuits.hdl.verilog.evaluation.widths import Size, joined
from circuits.hdl.verilog.flat import ONE, ZERO, Flat, constant_nets, constant_value, fold_constants
from circuits.hdl.verilog.scope import Scope, Signal
from circuits.hdl.verilog.syntax import tree
from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.tree import (
    Assign,
    Call,
    Case,
    Concatenation,
    Expression,
    If,
    Loop,
    Reference,
    Statement,
)

MAXIMUM_STEPS = 1 << 14
"""Most iterations of all loops, and most calls of functions, of one circuit."""
_MAXIMUM_TABLE = 12
_MAXIMUM_CALL_DEPTH = 20


class StatementEvaluator(Evaluator):
    """An evaluator that also carries out statements."""

    def __init__(self, flat: Flat) -> None:
        super().__init__(flat)
        self.steps = 0
        self.depth = 0
        self.function_scopes: dict[tuple[int, int], Scope] = {}

    # Blocks.

    def always(self, scope: Scope, item: tree.Always) -> None:
        """Drives what a combinational block assigns."""
        place = scope.place(item.line)
        # All targets are known before anything is executed: a read of one before its assignment is an error, not the
        # wire's value.
        targets = [assign.target for assign in _assigns(item.statement)]
        if item.clocked:
            name = _name(targets[0]) if targets else "?"
            raise self.flat.fail(
                place, f"a circuit must be combinational, but {name!r} is a register ({item.clocked}); remove it"
            )
        variables = {net for target in targets for name in _names(target) for net in self.nets_of(scope, name)}
        state = State(variables)
        self.execute(scope, item.statement, state)
        for net, value in state.values.items():
            # Loop and block variables live in the unrolled text only and drive nothing.
            if net in state.loop_variables:
                continue
            if value is None:
                raise self.flat.fail(
                    place,
                    f"an always block must assign every variable on every path, but {self.flat.names[net]!r} keeps its "
                    "value on some (a latch); give it a value first",
                )
            self.flat.drive(net, place, value)

    def nets_of(self, scope: Scope, name: str) -> list[int]:
        """All nets of a signal; none of a name that is declared further inside."""
        symbol = scope.find(name)
        return symbol.nets if isinstance(symbol, Signal) else []

    def execute(self, scope: Scope, statement: Statement, state: State) -> None:
        """Carries out a statement; `state` is changed."""
        outer, self.state = self.state, state
        try:
            match statement:
                case Assign():
                    self.assign(scope, statement, state)
                case If():
                    self.conditional(scope, statement, state)
                case Case():
                    self.case(scope, statement, state)
                case Loop():
                    self.loop(scope, statement, state)
                case tree.Sequence():
                    inner = self.declared(scope, statement, state)
                    for part in statement.statements:
                        self.execute(inner, part, state)
        finally:
            self.state = outer

    def declared(self, scope: Scope, statement: tree.Sequence, state: State) -> Scope:
        """The scope of begin ... end: another one where it declares variables."""
        if not statement.declarations:
            return scope
        inner = Scope(scope.module, scope.body, scope.prefix, scope)
        for declaration in statement.declarations:
            signal = declare(self, inner, declaration)
            state.variables.update(signal.nets)
            state.loop_variables.update(signal.nets)
        return inner

    def assign(self, scope: Scope, statement: Assign, state: State) -> None:
        targets = self.target(scope, statement.target)
        value = self.constant_first(scope, statement.value, len(targets))
        for net, source in zip(targets, value, strict=True):
            # Read later in the block, such a variable is the net itself: a combinational block runs until nothing
            # changes, and the net then has its final value.
            if statement.nonblocking:
                state.deferred.add(net)
            state.values[net] = source

    def constant_first(self, scope: Scope, value: Expression, width: int) -> list[int]:
        """The value as assigned, folded where it is constant."""
        try:
            return ConstantEvaluator(self).assigned(scope, value, width)
        except NotConstantError:
            return self.assigned(scope, value, width)

    def conditional(self, scope: Scope, statement: If, state: State) -> None:
        condition = self.condition(scope, statement.condition)
        known = constant_value([condition])
        if known is not None:
            chosen = statement.yes if known else statement.no
            if chosen is not None:
                self.execute(scope, chosen, state)
            return
        # Both branches start from the same values, and neither sees what the other assigns.
        yes, no = state.branch(), state.branch()
        self.execute(scope, statement.yes, yes)
        if statement.no is not None:
            self.execute(scope, statement.no, no)
        self.join(state, condition, yes, no, scope, statement.line)

    def join(self, state: State, condition: int, yes: State, no: State, scope: Scope, line: int) -> None:
        """`state` becomes `yes` where the condition holds, else `no`."""
        place = scope.place(line)
        for net in {**yes.values, **no.values}:
            values = no.get(net), yes.get(net)
            # Assigned in one branch only, without a value before: a latch unless it is assigned again later.
            if values[0] is None or values[1] is None:
                state.values[net] = None
            else:
                state.values[net] = self.flat.choose(condition, values[0], values[1], place)

    # Case.

    def case(self, scope: Scope, statement: Case, state: State) -> None:
        """A table where all labels are constant and few bits decide, else a chain of comparisons."""
        labels = [label for group, _ in statement.branches for label in group]
        size = joined([self.size(scope, label) for label in (statement.subject, *labels)])
        subject = self.evaluate(scope, statement.subject, size, size.width)
        masks = [[self.label(scope, label, size, statement.kind) for label in group] for group, _ in statement.branches]
        own = self.size(scope, statement.subject)
        # The table is over the subject's own bits; wider labels still compare in the joint width, where the subject
        # has zeros. That does not hold for a signed subject, whose extension varies.
        if own.width <= _MAXIMUM_TABLE and not own.signed and all(mask for group in masks for mask in group):
            self.table(scope, statement, subject[: own.width], masks, state)
        else:
            self.chain(scope, statement, subject, size, masks, state)

    def label(self, scope: Scope, label: Expression, size: Size, kind: str) -> tuple[int, int] | None:
        """(value, bits that count) of a constant label; None of one that is a signal."""
        if isinstance(label, tree.Literal):
            ignored = label.floating if kind == "casez" else label.floating | label.unknown
            if kind == "case" and ignored:
                return -1, (1 << size.width) - 1  # x and z are never equal to 0 or 1
            return label.value, (1 << size.width) - 1 & ~ignored
        try:
            return self.constant_in(scope, label, size).value, (1 << size.width) - 1
        except NotConstantError:
            return None

    def table(
        self,
        scope: Scope,
        statement: Case,
        subject: Sequence[int],
        masks: Sequence[Sequence[tuple[int, int] | None]],
        state: State,
    ) -> None:
        """Every value of the subject chooses a branch; the branches' values are looked up."""
        chosen: list[int | None] = []
        default = next((k for k, (group, _) in enumerate(statement.branches) if not group), None)
        for value in range(1 << len(subject)):
            # Ascending, so that the first branch that matches is taken, as the standard asks of overlapping labels.
            matches = (
                k for k, group in enumerate(masks) for label in group if label and not (value ^ label[0]) & label[1]
            )
            chosen.append(next(matches, default))
        # None, for values without a branch or default, keeps the state as it was.
        states = {k: state.branch() for k in dict.fromkeys(chosen)}
        for k, branch in states.items():
            if k is not None:
                self.execute(scope, statement.branches[k][1], branch)
        place = scope.place(statement.line)
        for net in {net: None for branch in states.values() for net in branch.values}:
            values = {k: branch.get(net) for k, branch in states.items()}
            if any(value is None for value in values.values()):
                state.values[net] = None
            else:
                leaves = [values[k] or 0 for k in chosen]
                state.values[net] = net_arithmetic.select(self.flat, fold_constants(leaves), subject, place)

    def chain(
        self,
        scope: Scope,
        statement: Case,
        subject: Sequence[int],
        size: Size,
        masks: Sequence[Sequence[tuple[int, int] | None]],
        state: State,
    ) -> None:
        """The first branch of which a label is equal, else the default."""
        place = scope.place(statement.line)
        result = state.branch()
        branches = []
        for (group, inner), group_masks in zip(statement.branches, masks, strict=True):
            branch = state.branch()
            self.execute(scope, inner, branch)
            if not group:
                result = branch
                continue
            equal = [
                self.matches(scope, subject, label, mask, size) for label, mask in zip(group, group_masks, strict=True)
            ]
            branches.append((self.flat.fold("|", equal, place), branch))
        # From the last branch to the first, so that the first match is the outermost multiplexer.
        for condition, branch in reversed(branches):
            joined_state = state.branch()
            self.join(joined_state, condition, branch, result, scope, statement.line)
            result = joined_state
        state.values.update(result.values)

    def matches(
        self, scope: Scope, subject: Sequence[int], label: Expression, mask: tuple[int, int] | None, size: Size
    ) -> int:
        place = scope.place(label.line)
        if mask is None:
            nets = self.evaluate(scope, label, size, size.width)
            return net_arithmetic.equal(self.flat, subject, nets, place)
        if mask[0] < 0:
            return ZERO
        positions = [k for k in range(size.width) if mask[1] >> k & 1]
        bits = constant_nets(mask[0], size.width)
        if not positions:
            return ONE
        return net_arithmetic.equal(self.flat, [subject[k] for k in positions], [bits[k] for k in positions], place)

    # Loops.

    def loop(self, scope: Scope, statement: Loop, state: State) -> None:
        """A loop over constants, unrolled."""
        symbol = scope.find(statement.variable)
        if not isinstance(symbol, Signal):
            raise self.fail(
                scope,
                statement.line,
                f"the variable of a loop must be declared (integer {statement.variable};), but is not; declare it",
            )
        state.loop_variables.update(symbol.nets)
        state.variables.update(symbol.nets)
        # The variable is a constant in each turn, so that the body's indices fold and the loop leaves no logic of its
        # own.
        value = statement.start
        while True:
            self.step(scope, statement.line)
            for net, bit in zip(symbol.nets, self.loop_value(scope, value, symbol), strict=True):
                state.values[net] = bit
            if not self.constant(scope, statement.condition).value:
                return
            self.execute(scope, statement.body, state)
            value = statement.step

    def loop_value(self, scope: Scope, value: Expression, symbol: Signal) -> list[int]:
        own = self.size(scope, value)
        size = Size(max(own.width, len(symbol.nets)), own.signed)
        return constant_nets(self.constant_in(scope, value, size).value, len(symbol.nets))

    def step(self, scope: Scope, line: int) -> None:
        """Counts an iteration or a call."""
        self.steps += 1
        if self.steps > MAXIMUM_STEPS:
            raise self.fail(
                scope, line, f"loops and functions must take at most {MAXIMUM_STEPS} steps, but take more; shorten them"
            )

    # Functions.

    def function_size(self, scope: Scope, value: Call) -> Size:
        inner = self.function_scope(scope, value)
        signal = inner.signals[value.name]
        return Size(len(signal.nets), signal.signed)

    def function_scope(self, scope: Scope, value: Call) -> Scope:
        """The scope of a function: its variables, made once."""
        known = scope.function(value.name)
        if known is None:
            raise self.fail(scope, value.line, f"a function must be defined, but {value.name!r} is not; {SYNTHESISE}")
        function, outer = known
        # A function in several instances of a module, or generate blocks, may see different parameters.
        key = (id(function), id(outer))
        if key not in self.function_scopes:
            inner = Scope(outer.module, function.body, f"{outer.prefix}{function.name}.", outer)
            self.function_scopes[key] = inner
            for declaration in function.body.signals.values():
                declare(self, inner, declaration)
        return self.function_scopes[key]

    def run(self, scope: Scope, value: Call, arguments: Evaluator) -> list[int]:
        inner = self.function_scope(scope, value)
        known = scope.function(value.name)
        assert known is not None
        function = known[0]
        if len(value.arguments) != len(function.inputs):
            raise self.fail(
                scope,
                value.line,
                f"function {value.name!r} must get {len(function.inputs)} arguments, but got {len(value.arguments)}; "
                "correct the call",
            )
        self.step(scope, value.line)
        if self.depth >= _MAXIMUM_CALL_DEPTH:
            raise self.fail(
                scope, value.line, f"functions must not call themselves, but {value.name!r} does; rewrite it"
            )
        # The nets are shared by all calls, the values are not: each call has a state of its own.
        variables = {net for signal in inner.signals.values() for net in signal.nets}
        state = State(variables, self.state)
        for name, argument in zip(function.inputs, value.arguments, strict=True):
            signal = inner.signals[name]
            nets = arguments.assigned(scope, argument, len(signal.nets))
            state.values.update(zip(signal.nets, nets, strict=True))
        self.depth += 1
        try:
            self.execute(inner, function.statement, state)
        finally:
            self.depth -= 1
        result = [state.get(net) for net in inner.signals[value.name].nets]
        if None in result:
            raise self.fail(
                scope,
                value.line,
                f"a function must assign its value on every path, but {value.name!r} does not; add it",
            )
        return [net for net in result if net is not None]

    # Targets.

    def target(self, scope: Scope, value: Expression) -> list[int]:
        """The nets of what an assignment or an output port drives."""
        return TargetEvaluator(self).nets(scope, value)


def _assigns(statement: Statement | None) -> Iterator[Assign]:
    match statement:
        case Assign():
            yield statement
        case If():
            yield from _assigns(statement.yes)
            yield from _assigns(statement.no)
        case Case():
            for _, inner in statement.branches:
                yield from _assigns(inner)
        case Loop():
            yield from _assigns(statement.body)
        case tree.Sequence():
            for inner in statement.statements:
                yield from _assigns(inner)


def _names(target: Expression) -> list[str]:
    if isinstance(target, Concatenation):
        return [name for operand in target.operands for name in _names(operand)]
    return [target.name] if isinstance(target, Reference) else []


def _name(target: Expression) -> str:
    return next(iter(_names(target)), "?")
