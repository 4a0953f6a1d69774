"""The structural Verilog subset as syntax trees: a tokenizer and a recursive-descent parser, both bounded.

Grammar (Verilog-2001, the structural part):

    module NAME [#(parameter ...)] (ports, in the header or declared below) ; items endmodule
    items: input, output, wire (with ranges and initial assigns), parameter and localparam constants, assign,
           instances by name or position, gate primitives (and or xor nand nor xnor not buf)
    expressions: identifiers, bit and part selects, sized constants, {concatenations}, {n{repetitions}},
                 ~ ! & | ^ ~^ && || ?: and + of equal widths

Everything else is refused with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from circuits.errors import DesignError

T = TypeVar("T")

MAXIMUM_BYTES = 8 * 1024 * 1024
"""Longest Verilog text read, in characters."""
MAXIMUM_BUS = 4096
"""Widest bus."""
_MAXIMUM_DEPTH = 40

PRIMITIVES = ("and", "or", "xor", "nand", "nor", "xnor", "not", "buf")

_BEHAVIOURAL = frozenset(
    """
    always initial reg integer real time realtime event case casex casez if else for while repeat forever begin fork
    function task generate genvar posedge negedge defparam specify primitive force release deassign
    """.split()  # noqa: SIM905
)
_UNSUPPORTED = frozenset(
    "inout tri tri0 tri1 triand trior trireg wand wor supply0 supply1 bufif0 bufif1 notif0 notif1 nmos pmos cmos "  # noqa: SIM905
    "tran pullup pulldown logic bit interface package".split()
)

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\f]+ | //[^\n]* | \(\*(?!\s*\)).*?\*\))
    | (?P<comment>/\*.*?\*/)
    | (?P<line>\n)
    | (?P<directive>`[A-Za-z_]\w*)
    | (?P<name>[A-Za-z_][\w$]* | \\[^\s]+)
    | (?P<number>(?:\d[\d_]*)?\s*'[sS]?[bBoOdDhH]\s*[0-9a-fA-FxXzZ?_]+ | \d[\d_]*)
    | (?P<symbol>\$\w+ | <<<|>>>|===|!==|&&|\|\||~\^|\^~|~&|~\||<<|>>|==|!=|<=|>=|\*\*
        | [()\[\]{};:,.=~!&|^?+\-*/%<>\#@])
    """,
    re.VERBOSE | re.DOTALL,
)
# Binary operators by binding strength.
_LEVELS = {"||": 0, "&&": 1, "|": 2, "^": 3, "~^": 3, "^~": 3, "&": 4, "+": 5}
_ARITHMETIC = frozenset("- * / % ** << >> <<< >>> < > <= >= == != === !==".split())  # noqa: SIM905
_SYNTHESISE = "synthesise the design first (yosys: synth -flatten, then write_verilog)"
_WIDE = f"an expression must be written with ~ & | ^ ?: and +, but got '{{}}'; {_SYNTHESISE}"


@dataclass(frozen=True, slots=True)
class Token:
    """kind: name, number, symbol or end."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A whole signal, or the bits msb..lsb of it."""

    name: str
    line: int
    select: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """`width` None: an unsized number, which takes the width of its place."""

    value: int
    width: int | None
    line: int


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Parts, the most significant first, repeated `count` times."""

    parts: tuple[Expression, ...]
    count: int
    line: int


@dataclass(frozen=True, slots=True)
class Not:
    """Bitwise inversion."""

    operand: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Operation:
    """`operator` & | ^ + over operands of one width, from left to right."""

    operator: str
    operands: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Reduction:
    """`operator` & | ^ over the bits of the operand; also &&, || and ! see their operands so."""

    operator: str
    operand: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Choice:
    """condition ? yes : no."""

    condition: Expression
    yes: Expression
    no: Expression
    line: int


Expression = Reference | Constant | Concatenation | Not | Operation | Reduction | Choice


@dataclass(frozen=True, slots=True)
class Assignment:
    """target = value."""

    target: Expression
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """`pins`: by name (port, expression or None) or by position (None, expression or None)."""

    module: str
    name: str
    pins: tuple[tuple[str | None, Expression | None], ...]
    line: int


@dataclass(slots=True)
class Signal:
    """A declared signal: bits msb..lsb (either order), direction "input", "output" or None."""

    line: int
    msb: int = 0
    lsb: int = 0
    direction: str | None = None
    signed: bool = False

    @property
    def width(self) -> int:
        """Number of bits."""
        return abs(self.msb - self.lsb) + 1

    def position(self, index: int) -> int | None:
        """Where bit `index` stands, 0 the least significant; None outside the range."""
        offset = index - self.lsb if self.msb >= self.lsb else self.lsb - index
        return offset if 0 <= offset < self.width else None


@dataclass(slots=True)
class Module:
    """One module as written; `ports` in header order."""

    name: str
    line: int
    ports: list[str] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    items: list[Assignment | ModuleInstance] = field(default_factory=list)
    implicit: bool = True


def failure(where: str, line: int, message: str) -> DesignError:
    """The error at a line of a file."""
    return DesignError(f"{where} line {line}: {message}.")


def parse(text: str, where: str) -> dict[str, Module]:
    """The modules of a Verilog text by name, in order; DesignError names `where`, the line and what to correct."""
    return _Parser(_tokens(text, where), where).modules()


def _tokens(text: str, where: str) -> list[Token]:
    if len(text) > MAXIMUM_BYTES:
        raise DesignError(
            f"{where} must have at most {MAXIMUM_BYTES} characters, but has {len(text)}; split off what is not needed."
        )
    tokens: list[Token] = []
    line = 1
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise failure(
                where,
                line,
                f"a Verilog token must stand here, but got {text[position : position + 12]!r}; correct the syntax",
            )
        kind = match.lastgroup or ""
        found = match[0]
        position = match.end()
        if kind == "directive":
            position = _skip_directive(found, text, position, where, line, tokens)
        elif kind in ("name", "number", "symbol"):
            tokens.append(Token(kind, found, line))
        line += found.count("\n")
    tokens.append(Token("end", "the end of the file", line))
    return tokens


def _skip_directive(name: str, text: str, position: int, where: str, line: int, tokens: list[Token]) -> int:
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    if name == "`default_nettype":
        tokens.append(Token("nettype", text[position:end].split("//")[0].strip(), line))
    elif name not in ("`timescale", "`celldefine", "`endcelldefine", "`resetall"):
        raise failure(
            where,
            line,
            f"only `timescale, `celldefine and `default_nettype may be used, but got {name}; "
            "preprocess the file first (iverilog -E)",
        )
    return end


class _Parser:
    def __init__(self, tokens: list[Token], where: str) -> None:
        self.tokens = tokens
        self.where = where
        self.index = 0
        self.depth = 0
        self.implicit = True
        self.constants: dict[str, int] = {}

    # Tokens.

    @property
    def token(self) -> Token:
        token = self.tokens[self.index]
        while token.kind == "nettype":
            self.implicit = token.text != "none"
            self.index += 1
            token = self.tokens[self.index]
        return token

    def advance(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.index += 1
        return token

    def take(self, *texts: str) -> str | None:
        token = self.token
        if token.kind not in ("symbol", "name") or token.text not in texts:
            return None
        return self.advance().text

    def expect(self, text: str) -> Token:
        token = self.token
        if self.take(text) is None:
            self.unexpected(f"'{text}'")
        return token

    def unexpected(self, wanted: str) -> NoReturn:
        token = self.token
        if token.kind == "name" and token.text in _BEHAVIOURAL:
            raise self.fail(
                f"a structural netlist (wires, assigns, instances) must stand here, but got the behavioural "
                f"'{token.text}'; {_SYNTHESISE}"
            )
        if token.text in _UNSUPPORTED:
            raise self.fail(f"only input, output and wire may be declared, but got '{token.text}'; rewrite it")
        got = token.text if token.kind == "end" else repr(token.text)
        raise self.fail(f"{wanted} must stand here, but got {got}; correct the syntax")

    def fail(self, message: str, line: int | None = None) -> DesignError:
        return failure(self.where, self.token.line if line is None else line, message)

    def name(self, wanted: str) -> str:
        token = self.token
        if token.kind != "name" or token.text in _BEHAVIOURAL or token.text in _UNSUPPORTED:
            self.unexpected(wanted)
        return self.advance().text.removeprefix("\\")

    # Modules.

    def modules(self) -> dict[str, Module]:
        found: dict[str, Module] = {}
        while self.token.kind != "end":
            self.expect("module")
            module = self.module()
            if module.name in found:
                raise self.fail(
                    f"a module must be defined once, but {module.name!r} already stands in line "
                    f"{found[module.name].line}; remove one",
                    module.line,
                )
            found[module.name] = module
        return found

    def module(self) -> Module:
        line = self.token.line
        module = Module(self.name("a module name"), line, implicit=self.implicit)
        self.constants = {}
        if self.take("#"):
            self.expect("(")
            while True:
                self.take("parameter")
                self.constant()
                if not self.take(","):
                    break
            self.expect(")")
        if self.take("(") and not self.take(")"):
            self.header(module)
            self.expect(")")
        self.expect(";")
        while not self.take("endmodule"):
            self.item(module)
        for port in module.ports:
            if port not in module.signals or module.signals[port].direction is None:
                raise self.fail(
                    f"port {port!r} of module {module.name!r} must be declared input or output, but is not; declare it",
                    line,
                )
        return module

    def header(self, module: Module) -> None:
        current: Signal | None = None
        while True:
            line = self.token.line
            direction = self.take("input", "output")
            if direction:
                self.take("wire")
                signed = self.take("signed") is not None
                self.take("wire")
                current = Signal(line, *self.range(), direction, signed)
            elif current is not None and self.token.text == "[":
                current = Signal(line, *self.range(), current.direction, current.signed)
            name = self.name("a port name")
            if name in module.ports:
                raise self.fail(f"a port must be listed once, but got {name!r} again; remove one", line)
            module.ports.append(name)
            if current is not None:
                module.signals[name] = Signal(line, current.msb, current.lsb, current.direction, current.signed)
            if not self.take(","):
                return

    def item(self, module: Module) -> None:
        token = self.token
        if self.take("input", "output", "wire"):
            self.declaration(module, token)
        elif self.take("assign"):
            self.assignments(module)
        elif self.take("parameter", "localparam"):
            self.take("signed")
            self.range()
            while True:
                self.constant()
                if not self.take(","):
                    break
            self.expect(";")
        elif token.text in PRIMITIVES:
            self.advance()
            self.instances(module, token.text)
        else:
            kind = self.name("a declaration, an assign, an instance or 'endmodule'")
            if self.token.text == "#":
                raise self.fail(
                    f"an instance must have no parameters or delays, but module {kind!r} gets some; "
                    "flatten it first (yosys: hierarchy, flatten)"
                )
            self.instances(module, kind)

    def constant(self) -> None:
        name = self.name("a parameter name")
        self.expect("=")
        self.constants[name] = self.integer()

    def declaration(self, module: Module, token: Token) -> None:
        direction = None if token.text == "wire" else token.text
        if direction:
            self.take("wire")
        signed = self.take("signed") is not None
        self.take("wire")
        msb, lsb = self.range()
        while True:
            line = self.token.line
            name = self.name("a signal name")
            if name in self.constants:
                raise self.fail(f"a name must be declared once, but {name!r} is a parameter; rename it", line)
            known = module.signals.get(name)
            if direction and name not in module.ports:
                raise self.fail(
                    f"an {direction} must be listed in the module's header, but {name!r} is not; add it", line
                )
            if known is not None and (known.direction is None) == (direction is None):
                raise self.fail(
                    f"a signal must be declared once, but {name!r} already stands in line {known.line}; remove one",
                    line,
                )
            if known is not None and (known.msb, known.lsb) != (msb, lsb):
                raise self.fail(
                    f"declarations of {name!r} must agree, but got [{known.msb}:{known.lsb}] in line "
                    f"{known.line} and [{msb}:{lsb}]; correct one",
                    line,
                )
            kept = direction or (known.direction if known else None)
            module.signals[name] = Signal(line, msb, lsb, kept, signed or (known is not None and known.signed))
            if direction is None and self.take("="):
                module.items.append(Assignment(Reference(name, line), self.expression(), line))
            if not self.take(","):
                break
        self.expect(";")

    def range(self) -> tuple[int, int]:
        if not self.take("["):
            return 0, 0
        line = self.token.line
        msb = self.integer()
        self.expect(":")
        lsb = self.integer()
        self.expect("]")
        if abs(msb - lsb) >= MAXIMUM_BUS:
            raise self.fail(f"a bus must have at most {MAXIMUM_BUS} bits, but got [{msb}:{lsb}]; split it", line)
        return msb, lsb

    def integer(self) -> int:
        """A constant expression of numbers, parameters, + - * and parentheses."""
        return self.nested(self.integer_sum)

    def integer_sum(self) -> int:
        value = self.integer_product()
        while operator := self.take("+", "-"):
            right = self.integer_product()
            value = value + right if operator == "+" else value - right
        return self.bounded(value)

    def integer_product(self) -> int:
        value = self.integer_atom()
        while self.take("*"):
            value = self.bounded(value * self.integer_atom())
        return value

    def integer_atom(self) -> int:
        if self.take("("):
            value = self.integer()
            self.expect(")")
            return value
        if self.take("-"):
            return -self.nested(self.integer_atom)
        token = self.token
        if token.kind == "number":
            return self.bounded(self.number().value)
        if token.kind == "name" and token.text in self.constants:
            return self.constants[self.advance().text]
        return self.unexpected("a constant number or parameter")

    def bounded(self, value: int) -> int:
        if abs(value) > 1 << 20:
            raise self.fail(f"a constant must be at most 2^20, but got {value}; correct it")
        return value

    def assignments(self, module: Module) -> None:
        if self.token.text == "#":
            raise self.fail("an assign must have no delay, but got '#'; remove it")
        while True:
            line = self.token.line
            target = self.primary()
            self.expect("=")
            module.items.append(Assignment(target, self.expression(), line))
            if not self.take(","):
                break
        self.expect(";")

    def instances(self, module: Module, kind: str) -> None:
        while True:
            token = self.token
            if kind in PRIMITIVES and token.text == "(":
                name = f"{kind} in line {token.line}"
            else:
                name = self.name("an instance name")
            if self.token.text == "[":
                raise self.fail(f"instance {name!r} must be a single one, but is an array; write the instances out")
            self.expect("(")
            pins: list[tuple[str | None, Expression | None]] = []
            if not self.take(")"):
                while True:
                    pins.append(self.pin())
                    if not self.take(","):
                        break
                self.expect(")")
            module.items.append(ModuleInstance(kind, name, tuple(pins), token.line))
            if not self.take(","):
                break
        self.expect(";")

    def pin(self) -> tuple[str | None, Expression | None]:
        if self.take("."):
            port = self.name("a port name")
            self.expect("(")
            value = None if self.token.text == ")" else self.expression()
            self.expect(")")
            return port, value
        return None, None if self.token.text in (",", ")") else self.expression()

    # Expressions, loosest binding first.

    def expression(self) -> Expression:
        return self.nested(self.choice)

    def nested(self, parse: Callable[[], T]) -> T:
        self.depth += 1
        if self.depth > _MAXIMUM_DEPTH:
            raise self.fail(
                f"an expression must be nested at most {_MAXIMUM_DEPTH} deep, but is deeper; name the parts with wires"
            )
        value = parse()
        self.depth -= 1
        return value

    def choice(self) -> Expression:
        line = self.token.line
        condition = self.binary()
        if not self.take("?"):
            return condition
        yes = self.expression()
        self.expect(":")
        return Choice(condition, yes, self.expression(), line)

    def binary(self) -> Expression:
        """Operators by precedence; a run of one level becomes one operation, however long."""
        values = [self.unary()]
        operators: list[Token] = []
        while (token := self.token).kind == "symbol" and token.text in _LEVELS:
            self.advance()
            while operators and _LEVELS[operators[-1].text] > _LEVELS[token.text]:
                _reduce(values, operators)
            operators.append(token)
            values.append(self.unary())
        while operators:
            _reduce(values, operators)
        if token.kind == "symbol" and token.text in _ARITHMETIC:
            raise self.fail(_WIDE.format(token.text))
        return values[0]

    def unary(self) -> Expression:
        line = self.token.line
        operator = self.take("~", "!", "&", "|", "^", "~&", "~|", "~^", "^~")
        if operator is None:
            return self.primary()
        operand = self.nested(self.unary)
        if operator == "~":
            return Not(operand, line)
        if operator == "!":
            return Not(Reduction("|", operand, line), line)
        reduced = Reduction(operator.strip("~") or "^", operand, line)
        return Not(reduced, line) if "~" in operator else reduced

    def primary(self) -> Expression:
        token = self.token
        if self.take("("):
            value = self.expression()
            self.expect(")")
            return value
        if self.take("{"):
            return self.nested(lambda: self.concatenation(token.line))
        if token.kind == "number":
            return self.number()
        if token.text.startswith("$"):
            raise self.fail(_WIDE.format(token.text))
        if token.kind == "name" and token.text in self.constants:
            return Constant(self.constants[self.advance().text], None, token.line)
        name = self.name("an operand (a signal, a constant or a parenthesis)")
        if self.token.text == "." or self.token.text == "(":
            raise self.fail(
                f"an operand must be a signal, but {name!r} is followed by '{self.token.text}'; "
                "hierarchical names and function calls are not read"
            )
        if not self.take("["):
            return Reference(name, token.line)
        high = self.integer()
        low = self.integer() if self.take(":") else high
        self.expect("]")
        return Reference(name, token.line, (high, low))

    def concatenation(self, line: int) -> Expression:
        count = 1
        repeated = False
        token = self.token
        after = self.tokens[self.index + 1] if token.kind != "end" else token
        if (token.kind == "number" or token.text in self.constants) and after.text == "{":
            count = self.integer_atom()
            self.expect("{")
            repeated = True
            if not 1 <= count <= MAXIMUM_BUS:
                raise self.fail(f"1 <= repetitions <= {MAXIMUM_BUS} must hold, but got {count}; correct it", line)
        parts = [self.expression()]
        while self.take(","):
            parts.append(self.expression())
        self.expect("}")
        if repeated:
            self.expect("}")
        return Concatenation(tuple(parts), count, line)

    def number(self) -> Constant:
        token = self.advance()
        text = token.text.replace("_", "").replace(" ", "").replace("\t", "").lower()
        size, quote, digits = text.partition("'")
        if not quote:
            if len(size) > 10:
                raise self.fail(
                    f"an unsized number must have at most 10 digits, but got {size!r}; correct it", token.line
                )
            return Constant(int(size), None, token.line)
        digits = digits.removeprefix("s")
        base = {"b": 2, "o": 8, "d": 10, "h": 16}[digits[0]]
        width = int(size[:10]) if size else None
        try:
            value = int(digits[1 : MAXIMUM_BUS + 2], base)
        except ValueError:
            raise self.fail(
                f"a constant must have digits of its base and no x or z, but got {token.text!r}; correct it", token.line
            ) from None
        if width is not None and not (1 <= width <= MAXIMUM_BUS and value >> width == 0):
            raise self.fail(
                f"a constant must fit its width of 1 to {MAXIMUM_BUS} bits, but got {token.text!r}; correct it",
                token.line,
            )
        return Constant(value, width, token.line)


def _reduce(values: list[Expression], operators: list[Token]) -> None:
    """Joins the last run of operators of one level, and their operands, into one value."""
    level = _LEVELS[operators[-1].text]
    first = len(operators)
    while first and _LEVELS[operators[first - 1].text] == level:
        first -= 1
    run = operators[first:]
    operands = tuple(values[first:])
    line = run[0].line
    made: Expression
    if level < 2:
        made = Operation(run[0].text[0], tuple(Reduction("|", operand, line) for operand in operands), line)
    else:
        made = Operation(run[0].text.strip("~"), operands, line)
    if sum("~" in token.text for token in run) % 2:
        made = Not(made, line)
    del operators[first:], values[first:]
    values.append(made)
