"""Expressions drawn as gates, or folded to constants: one evaluator that carries context width and signedness.

`size` is the self-determined width and sign; `evaluate` the value in a context. A context of `width` bits is asked only
for its low `bits` (what an assignment keeps), so that extension beyond them draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.hdl.verilog.evaluation import net_arithmetic
from circuits.hdl.verilog.evaluation.references import NotConstantError, ReferenceReader, extend
from circuits.hdl.verilog.evaluation.widths import (
    BITWISE,
    COMPARISONS,
    LOGICAL,
    ONE_BIT,
    REDUCTIONS,
    SHIFTS,
    UNSIZED,
    Size,
    joined,
)
from circuits.hdl.verilog.flat import INVERTED, ONE, UNKNOWN, ZERO, constant_nets, constant_value, fold_constants
from circuits.hdl.verilog.scope import Constant, Scope
from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.expression_parser import MAXIMUM_BUS
from circuits.hdl.verilog.syntax.tree import (
    Call,
    Choice,
    Concatenation,
    Expression,
    Literal,
    Operation,
    Place,
    Reference,
    Unary,
)
from circuits.netlists.gates import MUX2

_SIGN_CASTS = {"$signed": True, "$unsigned": False}


class Evaluator(ReferenceReader):
    """Draws expressions into a flat circuit."""

    # Widths.

    def size(self, scope: Scope, value: Expression) -> Size:
        """Self-determined width and sign."""
        match value:
            case Literal():
                return Size(value.width or UNSIZED, value.signed)
            case Reference():
                return self.reference_size(scope, value)
            case Concatenation():
                width = sum(self.size(scope, operand).width for operand in value.operands)
                width *= 1 if value.count is None else self.repetitions(scope, value)
                if width > MAXIMUM_BUS:
                    raise self.fail(
                        scope,
                        value.line,
                        f"a concatenation must have at most {MAXIMUM_BUS} bits, but has more; split it",
                    )
                # Unsigned whatever the operands are (IEEE 1364-2005, 5.5.1), as are selections and comparisons.
                return Size(width, False)
            case Unary():
                return ONE_BIT if value.operator in REDUCTIONS else self.size(scope, value.operand)
            case Choice():
                return joined([self.size(scope, operand) for operand in value.values])
            case Call():
                return self.call_size(scope, value)
            case Operation(operators, operands):
                if operators[0] in COMPARISONS or operators[0] in LOGICAL:
                    return ONE_BIT
                # The right operand of a shift or a power stands in no context: it neither widens the result nor makes
                # it unsigned.
                if operators[0] in SHIFTS or operators[0] == "**":
                    return self.size(scope, operands[0])
                return joined([self.size(scope, operand) for operand in operands])

    def repetitions(self, scope: Scope, value: Concatenation) -> int:
        """How often a concatenation is repeated."""
        assert value.count is not None
        count = self.constant(scope, value.count).number
        if not 1 <= count <= MAXIMUM_BUS:
            raise self.fail(
                scope, value.line, f"1 <= repetitions <= {MAXIMUM_BUS} must hold, but got {count}; correct it"
            )
        return count

    def call_size(self, scope: Scope, value: Call) -> Size:
        if value.name in _SIGN_CASTS and len(value.arguments) == 1:
            return Size(self.size(scope, value.arguments[0]).width, _SIGN_CASTS[value.name])
        if value.name in ("$clog2", "$bits"):
            return Size(UNSIZED, True)
        return self.function_size(scope, value)

    def function_size(self, scope: Scope, value: Call) -> Size:
        """The width and sign of a function's value; functions of modules come with `statements`."""
        raise self.fail(scope, value.line, f"a function must be known, but got {value.name!r}; {SYNTHESISE}")

    # Values.

    def evaluate(self, scope: Scope, value: Expression, size: Size, bits: int) -> list[int]:
        """The low `bits` nets of `value` in a context of `size`, bits <= size.width."""
        match value:
            case Literal():
                return extend(self.literal(scope, value, size), size, bits)
            case Reference():
                return extend(self.reference(scope, value), size, bits)
            case Concatenation():
                return extend(self.concatenation(scope, value), size, bits)
            case Unary():
                return self.unary(scope, value, size, bits)
            case Operation():
                return self.operation(scope, value, size, bits)
            case Choice():
                return self.choice(scope, value, size, bits)
            case Call():
                return extend(self.call(scope, value), size, bits)

    def self_determined(self, scope: Scope, value: Expression) -> list[int]:
        """The value in its own width and sign."""
        size = self.size(scope, value)
        return self.evaluate(scope, value, size, size.width)

    def assigned(self, scope: Scope, value: Expression, width: int) -> list[int]:
        """The value as assigned to a target of `width` bits."""
        own = self.size(scope, value)
        return self.evaluate(scope, value, Size(max(own.width, width), own.signed), width)

    def condition(self, scope: Scope, value: Expression) -> int:
        """One net: whether any bit of the value is 1."""
        nets = self.self_determined(scope, value)
        known = constant_value(nets)
        if known is not None and (len(nets) >= UNSIZED or ZERO in nets or ONE in nets):
            return ONE if known else ZERO
        return self.flat.fold("|", nets, scope.place(value.line))

    def literal(self, scope: Scope, value: Literal, size: Size) -> list[int]:
        """Written constants, x bits as unknown ones."""
        if value.floating:
            raise self.fail(scope, value.line, "a signal must be 0 or 1, but got z; only driven circuits are read")
        width = value.width or UNSIZED
        nets = [UNKNOWN if value.unknown >> k & 1 else value.value >> k & 1 for k in range(width)]
        return nets * size.width if value.fill else nets

    def concatenation(self, scope: Scope, value: Concatenation) -> list[int]:
        self.size(scope, value)
        nets: list[int] = []
        for operand in reversed(value.operands):
            if isinstance(operand, Literal) and operand.width is None:
                raise self.fail(
                    scope,
                    operand.line,
                    f"a constant in a concatenation must have a width, but got {operand.value}; write it as 4'b0101, "
                    "say",
                )
            nets += self.self_determined(scope, operand)
        return nets if value.count is None else nets * self.repetitions(scope, value)

    def unary(self, scope: Scope, value: Unary, size: Size, bits: int) -> list[int]:
        place = scope.place(value.line)
        match value:
            case Unary("~", Operation((operator,), (_, _)) as inner) if operator.strip("&|^") == "":
                # One gate with an inverted output, because that is what such a netlist means; an AND and a NOT would
                # cost more.
                return self.inverted_pair(scope, inner, size, bits)
            case Unary("~"):
                nets = self.evaluate(scope, value.operand, size, bits)
                return [self.flat.invert(net, place) for net in nets]
            case Unary("+"):
                return self.evaluate(scope, value.operand, size, bits)
            case Unary("-"):
                return net_arithmetic.negate(self.flat, self.evaluate(scope, value.operand, size, bits), place)
            case Unary("!"):
                net = self.flat.invert(self.condition(scope, value.operand), place)
            case _:
                nets = self.self_determined(scope, value.operand)
                net = self.flat.fold(value.operator[-1], nets, place)
                if value.operator[0] == "~":
                    net = self.flat.invert(net, place)
        return extend([net], Size(size.width, False), bits)

    def inverted_pair(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        """~(a & b) and its like: gates with an inverted output. && and || see whether their operands are not 0."""
        operator = value.operators[0]
        if operator in LOGICAL:
            rows = [extend([self.condition(scope, part)], Size(size.width, False), bits) for part in value.operands]
        else:
            rows = [self.evaluate(scope, part, size, bits) for part in value.operands]
        gate = INVERTED[operator[0]]
        return [self.flat.draw(gate, pair, scope.place(value.line)) for pair in zip(*rows, strict=True)]

    def operation(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        operator = value.operators[0]
        if operator in BITWISE:
            return self.bitwise(scope, value, size, bits)
        if operator in ("+", "-"):
            return self.sum(scope, value, size, bits)
        if operator in SHIFTS:
            return self.shift(scope, value, size, bits)
        if operator in ("*", "/", "%"):
            return self.product(scope, value, size, bits)
        if operator == "**":
            return self.power(scope, value, size, bits)
        place = scope.place(value.line)
        if operator in LOGICAL:
            conditions = [self.condition(scope, part) for part in value.operands]
            net = self.flat.fold(operator[0], conditions, place)
        else:
            net = self.comparison(scope, value)
        # One bit, unsigned, whatever the context: it is extended by zeros.
        return extend([net], Size(size.width, False), bits)

    def bitwise(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        """A gate a bit for every operator, from left to right; inversions (of ~^) come last."""
        place = scope.place(value.line)
        rows = [self.evaluate(scope, operand, size, bits) for operand in value.operands]
        operator = value.operators[0][-1]
        if value.operators == ("~^",):
            return [self.flat.draw(INVERTED["^"], pair, place) for pair in zip(*rows, strict=True)]
        nets = [self.flat.fold(operator, column, place) for column in zip(*rows, strict=True)]
        #   ~(a ^ b) ^ c = ~(a ^ b ^ c):  inversions move to the end, where pairs of them cancel.
        if sum(operator == "~^" for operator in value.operators) % 2:
            return [self.flat.invert(net, place) for net in nets]
        return nets

    def sum(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        rows = []
        for sign, operand in zip(("+", *value.operators), value.operands, strict=True):
            row = self.evaluate(scope, operand, size, bits)
            # The rest of the row is looked at too: a signed single bit is extended by itself and is no carry.
            single = self.size(scope, operand).width == 1 and all(net == ZERO for net in row[1:])
            rows.append((sign, row, single))
        return net_arithmetic.add_up(self.flat, rows, scope.place(value.line))

    def shift(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        """Shifts by the self-determined second operand; >>> repeats the sign in a signed context."""
        place = scope.place(value.line)
        # The low bits of a left shift need low bits only; a right shift brings down those beyond, up to the context's
        # width.
        leftwards = all(operator in ("<<", "<<<") for operator in value.operators)
        nets = self.evaluate(scope, value.operands[0], size, bits if leftwards else size.width)
        for operator, operand in zip(value.operators, value.operands[1:], strict=True):
            amount = self.self_determined(scope, operand)
            if operator in ("<<", "<<<"):
                nets = net_arithmetic.shift_left(self.flat, nets, amount, place)
            else:
                fill = nets[-1] if operator == ">>>" and size.signed else ZERO
                nets = net_arithmetic.shift_right(self.flat, nets, amount, fill, place)
        return nets[:bits]

    def product(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        """Products as arrays of exact adders; quotients only of constants."""
        place = scope.place(value.line)
        # As for a right shift: quotients and remainders depend on all bits.
        if any(operator != "*" for operator in value.operators):
            bits = size.width
        nets = self.evaluate(scope, value.operands[0], size, bits)
        for operator, operand in zip(value.operators, value.operands[1:], strict=True):
            right = self.evaluate(scope, operand, size, bits)
            if operator == "*":
                if all(constant_value(row) is None and sum(net != ZERO for net in row) > 1 for row in (nets, right)):
                    self.flat.note(
                        f"{place.where} line {place.line}: '*' is drawn as an array of exact adders, a row a bit"
                    )
                nets = net_arithmetic.multiply(self.flat, nets, right, place)
            else:
                nets = self.quotient(scope, operator, nets, right, size, place)
        return nets

    def quotient(
        self, scope: Scope, operator: str, left: Sequence[int], right: Sequence[int], size: Size, place: Place
    ) -> list[int]:
        """/ and % of constants, towards zero."""
        pair = [constant_value(row) for row in (left, right)]
        if pair[0] is None or not pair[1]:
            what = "of a signal" if pair[0] is None or pair[1] is None else "by 0"
            raise self.flat.fail(place, f"'{operator}' {what} is not read; {SYNTHESISE}")
        a, b = (Constant(number or 0, size.width, size.signed).number for number in pair)
        # Python's // rounds down, Verilog's / towards zero; the remainder then has the sign of the first operand.
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return constant_nets(quotient if operator == "/" else a - b * quotient, size.width)

    def power(self, scope: Scope, value: Operation, size: Size, bits: int) -> list[int]:
        """** of constants."""
        nets = fold_constants(self.evaluate(scope, value.operands[0], size, size.width))
        for operand in value.operands[1:]:
            own = self.size(scope, operand)
            base, exponent = constant_value(nets), constant_value(self.self_determined(scope, operand))
            if base is None or exponent is None:
                raise self.fail(scope, value.line, f"'**' of a signal is not read; {SYNTHESISE}")
            number = Constant(exponent, own.width, own.signed).number
            if number < 0:
                raise self.fail(scope, value.line, f"'**' must have an exponent from 0, but got {number}; correct it")
            # The base is read as unsigned, which modulo 2^width makes no difference.
            nets = constant_nets(pow(base, number, 1 << size.width), size.width)
        return nets[:bits]

    def comparison(self, scope: Scope, value: Operation) -> int:
        """One net; both operands stand in a context of their own."""
        size = joined([self.size(scope, operand) for operand in value.operands])
        left, right = (self.evaluate(scope, operand, size, size.width) for operand in value.operands)
        place = scope.place(value.line)
        # One comparator serves all four: a <= b is NOT (b < a), a >= b is NOT (a < b), and a > b is b < a.
        match value.operators[0]:
            case "==" | "===":
                return net_arithmetic.equal(self.flat, left, right, place)
            case "!=" | "!==":
                return self.flat.invert(net_arithmetic.equal(self.flat, left, right, place), place)
            case "<":
                return net_arithmetic.less(self.flat, left, right, size.signed, place)
            case ">":
                return net_arithmetic.less(self.flat, right, left, size.signed, place)
            case "<=":
                return self.flat.invert(net_arithmetic.less(self.flat, right, left, size.signed, place), place)
            case _:
                return self.flat.invert(net_arithmetic.less(self.flat, left, right, size.signed, place), place)

    def choice(self, scope: Scope, value: Choice, size: Size, bits: int) -> list[int]:
        """Multiplexers, the last condition first; a constant condition draws none."""
        place = scope.place(value.line)
        conditions = [self.condition(scope, condition) for condition in value.conditions]
        result = self.evaluate(scope, value.values[-1], size, bits)
        # The last condition is drawn first, so that the first one that holds is the outermost multiplexer and wins.
        for condition, operand in zip(reversed(conditions), reversed(value.values[:-1]), strict=True):
            row = self.evaluate(scope, operand, size, bits)
            if condition in (ZERO, ONE):
                result = row if condition == ONE else result
            else:
                pairs = zip(result, row, strict=True)
                result = [self.flat.draw(MUX2, (no, yes, condition), place) for no, yes in pairs]
        return result

    def call(self, scope: Scope, value: Call) -> list[int]:
        if value.name in _SIGN_CASTS and len(value.arguments) == 1:
            return self.self_determined(scope, value.arguments[0])
        if value.name == "$clog2" and len(value.arguments) == 1:
            number = self.constant(scope, value.arguments[0]).value
            #   ceil(log2 n) = bits of n - 1;  0 for n = 0, by definition.
            return constant_nets(max(number - 1, 0).bit_length(), UNSIZED)
        if value.name == "$bits" and len(value.arguments) == 1:
            return constant_nets(self.size(scope, value.arguments[0]).width, UNSIZED)
        return self.function(scope, value)

    def function(self, scope: Scope, value: Call) -> list[int]:
        """The value of a call of a module's function."""
        return self.run(scope, value, self)

    def run(self, scope: Scope, value: Call, arguments: Evaluator) -> list[int]:
        """The value of a call whose arguments another evaluator evaluates; see `statements`."""
        raise self.fail(scope, value.line, f"a function must be known, but got {value.name!r}; {SYNTHESISE}")

    # Constants.

    def constant(self, scope: Scope, value: Expression) -> Constant:
        """The value of a constant expression, in its own width."""
        if isinstance(value, Literal) and not value.unknown | value.floating:
            return Constant(value.value, value.width or UNSIZED, value.signed)
        size = self.size(scope, value)
        return self.constant_in(scope, value, size)

    def constant_in(self, scope: Scope, value: Expression, size: Size) -> Constant:
        """The value of a constant expression in a context."""
        constants = ConstantEvaluator(self)
        number = constant_value(constants.evaluate(scope, value, size, size.width))
        if number is None:
            raise self.fail(scope, value.line, "a constant must be known, but reads x; correct it")
        return Constant(number, size.width, size.signed)


class ConstantEvaluator(Evaluator):
    """Folds constant expressions; draws nothing and refuses signals, but for variables with a constant value."""

    draws = False

    def __init__(self, outer: Evaluator) -> None:
        super().__init__(outer.flat)
        self.outer = outer
        self.state = outer.state

    def literal(self, scope: Scope, value: Literal, size: Size) -> list[int]:
        return fold_constants(super().literal(scope, value, size))

    def read(self, scope: Scope, value: Reference, nets: list[int]) -> list[int]:
        nets = super().read(scope, value, nets)
        if any(net > UNKNOWN for net in nets):
            message = f"a constant must not read a signal, but {value.name!r} is one; use a parameter or a number"
            raise NotConstantError(str(self.fail(scope, value.line, message)))
        return fold_constants(nets)

    def reference(self, scope: Scope, value: Reference) -> list[int]:
        return fold_constants(super().reference(scope, value))

    def function_size(self, scope: Scope, value: Call) -> Size:
        return self.outer.function_size(scope, value)

    def function(self, scope: Scope, value: Call) -> list[int]:
        nets = fold_constants(self.outer.run(scope, value, self))
        if any(net > UNKNOWN for net in nets):
            message = f"a constant must not read a signal, but {value.name!r} does; use constant arguments"
            raise NotConstantError(str(self.fail(scope, value.line, message)))
        return nets
