"""The parser of expressions: binding strengths, literals, brackets."""

from __future__ import annotations

from circuits.hdl.verilog.syntax.cursor import MAXIMUM_DEPTH, SYNTHESISE, Cursor
from circuits.hdl.verilog.syntax.lexer import Token
from circuits.hdl.verilog.syntax.tree import (
    Call,
    Choice,
    Concatenation,
    Expression,
    Literal,
    Operation,
    Part,
    Range,
    Reference,
    Unary,
)

MAXIMUM_BUS = 4096
"""Widest bus and literal, in bits."""
_MAXIMUM_OPERANDS = 20_000

# Binary operators by binding strength (IEEE 1364-2005, table 5-4).
_LEVELS = {
    "||": 0,
    "&&": 1,
    "|": 2,
    "^": 3,
    "~^": 3,
    "^~": 3,
    "&": 4,
    **dict.fromkeys(("==", "!=", "===", "!=="), 5),
    **dict.fromkeys(("<", "<=", ">", ">="), 6),
    **dict.fromkeys(("<<", ">>", "<<<", ">>>"), 7),
    "+": 8,
    "-": 8,
    "*": 9,
    "/": 9,
    "%": 9,
    "**": 10,
}
_PAIRED = (5, 6)
"""Levels whose result has one bit: a run of them is one operation inside the other."""
_UNARY = ("~", "!", "-", "+", "&", "|", "^", "~&", "~|", "~^", "^~")
_BASES = {"b": 2, "o": 8, "d": 10, "h": 16}


class ExpressionParser(Cursor):
    """Reads expressions, loosest binding first."""

    def expression(self) -> Expression:
        """Any expression."""
        return self.nested(self.choice)

    def choice(self) -> Expression:
        """A chain of ?: (right-associative), or what binds tighter."""
        line = self.token.line
        value = self.binary()
        conditions, values = [], []
        while self.take("?"):
            conditions.append(value)
            values.append(self.expression())
            self.expect(":")
            value = self.binary()
        return Choice(tuple(conditions), (*values, value), line) if conditions else value

    def binary(self) -> Expression:
        """Operators by binding strength; a run of one strength becomes one operation, however long."""
        values = [self.unary()]
        if self.at("'"):
            raise self.fail(
                f"a cast is read only as $signed or $unsigned, but got one with an apostrophe; {SYNTHESISE}"
            )
        operators: list[Token] = []
        pairs = 0
        while (token := self.token).kind == "symbol" and token.text in _LEVELS:
            self.advance()
            while operators and _LEVELS[operators[-1].text] > _LEVELS[token.text]:
                _reduce(values, operators)
            if operators and _LEVELS[token.text] in _PAIRED and _LEVELS[operators[-1].text] == _LEVELS[token.text]:
                _reduce(values, operators)
                pairs += 1
                if pairs > MAXIMUM_DEPTH:
                    raise self.fail(f"at most {MAXIMUM_DEPTH} comparisons may follow each other; write parentheses")
            operators.append(token)
            values.append(self.unary())
            if len(values) > _MAXIMUM_OPERANDS:
                raise self.fail(f"an expression must have at most {_MAXIMUM_OPERANDS} operands in a row; split it")
        while operators:
            _reduce(values, operators)
        return values[0]

    def unary(self) -> Expression:
        """Operators before an operand."""
        line = self.token.line
        operator = self.take(*_UNARY)
        if operator is None:
            return self.primary()
        operand = self.nested(self.unary)
        return Unary("~^" if operator == "^~" else operator, operand, line)

    def primary(self) -> Expression:
        """An operand."""
        token = self.token
        if self.take("("):
            value = self.expression()
            self.expect(")")
            return value
        if self.take("{"):
            return self.nested(lambda: self.concatenation(token.line))
        if token.kind == "number":
            return self.number()
        if token.kind == "system":
            self.advance()
            return Call(token.text, self.arguments(), token.line)
        if token.kind in ("real", "string"):
            raise self.fail(f"an operand must be a signal or an integer, but got {token.text[:40]}; correct it")
        self.name_expected()
        if self.ahead().text == "(" and self.ahead().kind == "symbol":
            return Call(self.advance().text, self.arguments(), token.line)
        return self.reference()

    def name_expected(self) -> None:
        """Raises unless a name follows."""
        if self.token.kind != "name":
            self.unexpected("an operand (a signal, a constant or a parenthesis)")

    def arguments(self) -> tuple[Expression, ...]:
        """( expression, ... )."""
        self.expect("(")
        values = [self.expression()]
        while self.take(","):
            values.append(self.expression())
        self.expect(")")
        return tuple(values)

    def reference(self) -> Reference:
        """A name with brackets; dots lead into generate blocks."""
        path: list[tuple[str, Expression | None]] = []
        while True:
            line = self.token.line
            name = self.name("the name of a signal")
            parts = []
            while self.take("["):
                parts.append(self.part())
            if not self.take("."):
                return Reference(name, line, tuple(parts), tuple(path))
            if len(parts) > 1 or any(part.kind for part in parts):
                raise self.fail(f"a generate block must have one index, but {name!r} has a range; correct it")
            path.append((name, parts[0].high if parts else None))

    def part(self) -> Part:
        """What stands in brackets, and the closing one."""
        high = self.expression()
        kind = self.take(":", "+:", "-:") or ""
        low = self.expression() if kind else None
        self.expect("]")
        return Part(kind, high, low)

    def range(self) -> Range:
        """[msb : lsb]."""
        self.expect("[")
        line = self.token.line
        part = self.part()
        if part.low is None:  # [n] of an array is [0 : n - 1]
            return Literal(0, None, True, line), Operation(("-",), (part.high, Literal(1, None, True, line)), line)
        if part.kind != ":":
            raise self.fail(f"a range must be [msb:lsb], but got '{part.kind}'; correct it", line)
        return part.high, part.low

    def concatenation(self, line: int) -> Expression:
        """What follows an opening brace."""
        first = self.expression()
        if self.take("{"):
            inner = self.list_of_operands()
            self.expect("}")
            return Concatenation(inner, first, line)
        operands = [first]
        while self.take(","):
            operands.append(self.expression())
        self.expect("}")
        return Concatenation(tuple(operands), None, line)

    def list_of_operands(self) -> tuple[Expression, ...]:
        """expression, ... }."""
        operands = [self.expression()]
        while self.take(","):
            operands.append(self.expression())
        self.expect("}")
        return tuple(operands)

    def number(self) -> Literal:
        """A literal; a value wider than its size loses its upper bits (IEEE 1364-2005, 3.5.1)."""
        token = self.advance()
        text = "".join(token.text.split()).replace("_", "").lower()
        size, quote, digits = text.partition("'")
        if not quote:
            if len(size) > 10:
                raise self.fail(
                    f"an unsized number must have at most 10 digits, but got {len(size)}; write a size", token.line
                )
            return Literal(int(size), None, True, token.line)
        if digits in ("0", "1", "x", "z"):
            bit = int(digits == "1")
            return Literal(bit, 1, False, token.line, int(digits == "x"), int(digits == "z"), fill=True)
        signed = digits[0] == "s"
        digits = digits.removeprefix("s")
        if len(digits) > MAXIMUM_BUS + 1 or len(size) > 5 or (size and not 1 <= int(size) <= MAXIMUM_BUS):
            raise self.fail(
                f"a constant must have a width of 1 to {MAXIMUM_BUS} bits, but got {token.text[:40]!r}; correct it",
                token.line,
            )
        width = int(size) if size else None
        try:
            value, unknown, floating = _digits(digits[1:], _BASES[digits[0]], width or 32)
        except ValueError:
            raise self.fail(
                f"a constant must have digits of its base, but got {token.text[:40]!r}; correct it", token.line
            ) from None
        return Literal(value, width, signed, token.line, unknown, floating)


def _digits(digits: str, base: int, width: int) -> tuple[int, int, int]:
    """(value, x bits, z bits) of a literal's digits; x or z in the highest place extends to the full width."""
    if base == 10:
        if digits in ("x", "z", "?"):
            every = (1 << width) - 1
            return 0, every if digits == "x" else 0, every if digits != "x" else 0
        if len(digits) > 1300:  # more than MAXIMUM_BUS bits need
            raise ValueError
        return int(digits) & (1 << width) - 1 if width else int(digits), 0, 0
    bits = base.bit_length() - 1
    ones = f"{base - 1:x}"
    masks = []
    for marks in ("x", "z?"):
        mask = int("".join(ones if digit in marks else "0" for digit in digits), base)
        if digits[0] in marks:
            mask |= (1 << width) - 1 >> bits * len(digits) << bits * len(digits)
        masks.append(mask & (1 << width) - 1)
    value = int("".join("0" if digit in "xz?" else digit for digit in digits), base)
    return value & (1 << width) - 1, masks[0], masks[1]


def _reduce(values: list[Expression], operators: list[Token]) -> None:
    """Joins the last run of operators of one level, and their operands, into one operation."""
    level = _LEVELS[operators[-1].text]
    first = len(operators)
    while first and _LEVELS[operators[first - 1].text] == level:
        first -= 1
    run = operators[first:]
    operation = Operation(
        tuple("~^" if token.text == "^~" else token.text for token in run), tuple(values[first:]), run[0].line
    )
    del operators[first:], values[first:]
    values.append(operation)
