"""The parser of modules: ports, declarations, assigns, instances, generate blocks; everything else is refused by line.

Grammar: the combinational part of Verilog-2005, and of SystemVerilog `logic`, `always_comb`, '0 and '1, and steps such
as i++. `specify` and `initial` blocks, attributes and delays are skipped: only settled values count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.lexer import Token
from circuits.hdl.verilog.syntax.statement_parser import VARIABLES, StatementParser
from circuits.hdl.verilog.syntax.tree import (
    PRIMITIVES,
    Always,
    Assignment,
    Body,
    Declaration,
    Expression,
    Function,
    GenerateFor,
    GenerateIf,
    Literal,
    Module,
    ModuleInstance,
    Operation,
    Parameter,
    Place,
    Range,
    Reference,
    Sequence,
    Statement,
    failure,
)

_NETS = ("wire", "tri", "wand", "supply0", "supply1")
_DEFINITIONS = {"module": "endmodule", "macromodule": "endmodule", "primitive": "endprimitive"}
_STRENGTHS = ("supply0", "supply1", "strong0", "strong1", "pull0", "pull1", "weak0", "weak1", "small", "medium")


class RawModule:
    """A module's tokens from its name to before endmodule, not read yet; `names` that it may instantiate."""

    def __init__(self, tokens: list[Token], where: str, implicit: bool, *, primitive: bool = False) -> None:
        self.name = tokens[0].text
        self.line = tokens[0].line
        self.where = where
        self.implicit = implicit
        self.tokens = tokens
        self.primitive = primitive

    @property
    def place(self) -> Place:
        """Where its name stands."""
        return Place(self.where, self.line)

    def instantiates(self, names: set[str] | dict[str, RawModule]) -> set[str]:
        """Those of `names` that stand where a module is instantiated: before a name or a #."""
        tokens = self.tokens
        return {
            token.text
            for token, after in pairwise(tokens[1:])
            if token.kind == "name" and token.text in names and (after.kind == "name" or after.text == "#")
        }

    def has_ports(self) -> bool:
        """Whether a list of ports follows the name, as of any circuit."""
        if self.primitive:
            return False
        index = 1
        if self.tokens[index].text == "#":
            depth = 0
            for index in range(2, len(self.tokens)):
                depth += (self.tokens[index].text == "(") - (self.tokens[index].text == ")")
                if depth == 0:
                    break
            index += 1
        after = [token.text for token in self.tokens[index : index + 2]]
        return after[:1] == ["("] and after[1:] != [")"]

    def parse(self) -> Module:
        """The module as a tree; DesignError names file and line."""
        if self.primitive:
            raise failure(self.place, f"a primitive defined by a table is not read, but {self.name!r} is; {SYNTHESISE}")
        return _ModuleParser(self.tokens, self.where).module(self.implicit)


def split_modules(tokens: list[Token], where: str) -> list[RawModule]:
    """The modules of a text, user-defined primitives among them."""
    modules = []
    implicit = True
    index = 0
    while tokens[index].kind != "end":
        token = tokens[index]
        index += 1
        if token.kind == "nettype":
            implicit = token.text != "none"
        elif token.text in _DEFINITIONS and token.kind == "keyword":
            start = index
            index = _find_end(token.text, _DEFINITIONS[token.text], tokens, index, where)
            inner = [t for t in tokens[start:index] if t.kind != "nettype"]
            if not inner or inner[0].kind != "name":
                message = f"syntax error: expected the name of a module behind '{token.text}'"
                raise failure(Place(where, token.line), message)
            end = Token("end", f"'{_DEFINITIONS[token.text]}'", tokens[index].line)
            modules.append(RawModule([*inner, end], where, implicit, primitive=token.text == "primitive"))
            index += 1
        elif token.text in ("package", "interface", "typedef"):
            raise failure(Place(where, token.line), f"only modules are read, but got '{token.text}'; {SYNTHESISE}")
        elif token.text != ";":
            found = repr(token.text[:40])
            raise failure(Place(where, token.line), f"syntax error: expected 'module', but found {found}")
    return modules


def _find_end(kind: str, closing: str, tokens: list[Token], index: int, where: str) -> int:
    line = tokens[index - 1].line
    while tokens[index].text != closing or tokens[index].kind != "keyword":
        token = tokens[index]
        if token.kind == "end" or (token.text == "module" and token.kind == "keyword"):
            found = "the end of the file" if token.kind == "end" else f"another module in line {token.line}"
            raise failure(Place(where, line), f"a {kind} must end in '{closing}', but {found} follows; add it")
        index += 1
    return index


class _ModuleParser(StatementParser):
    """Reads one module."""

    body: Body
    parsed: Module

    def module(self, implicit: bool) -> Module:
        line = self.token.line
        self.parsed = module = Module(self.name("the name of a module"), self.where, line, implicit=implicit)
        module.body = self.body = Body(module.name, line)
        while self.take("import"):
            self.skip_to(";")
        if self.take("#"):
            self.expect("(")
            if not self.at(")"):
                self.parameters(local=False)
            self.expect(")")
        if self.take("(") and not self.take(")"):
            self.header(module)
            self.expect(")")
        self.expect(";")
        while self.token.kind != "end":
            self.item()
        self.check_ports(module)
        return module

    def check_ports(self, module: Module) -> None:
        for port in module.ports:
            declared = module.body.signals.get(port)
            if declared is None or declared.direction is None:
                raise self.fail(
                    f"port {port!r} of module {module.name!r} must be declared input or output, but is not; declare it",
                    module.line,
                )

    def header(self, module: Module) -> None:
        """The list of ports, declared there or only named."""
        current: Declaration | None = None
        while True:
            line = self.token.line
            if self.at("input", "output", "inout"):
                direction = self.advance().text
                kind, signed, packed = self.port_type()
                current = Declaration("", kind, line, direction, signed, packed)
            elif current is not None and self.at("[", "signed", "wire", *VARIABLES):
                kind, signed, packed = self.port_type()
                current = replace(current, kind=kind, signed=signed, packed=packed)
            name = self.name("a port name")
            if name in module.ports:
                raise self.fail(f"a port must be listed once, but got {name!r} again; remove one", line)
            module.ports.append(name)
            if current is not None:
                self.body.signals[name] = replace(current, name=name, line=line, unpacked=self.ranges())
                self.initial_value(name)
            if not self.take(","):
                return

    def port_type(self) -> tuple[str, bool, tuple[Range, ...]]:
        """(kind, signed, packed ranges) behind a direction."""
        word = self.take(*_NETS, *VARIABLES, "var") or "wire"
        if word == "var":
            word = self.take(*VARIABLES) or "reg"
        signed, packed = self.shape(word)
        return ("wire" if word in _NETS else "reg"), signed, packed

    def initial_value(self, name: str) -> None:
        """The value in a declaration: an assign of a net, of a variable the value where nothing else drives it."""
        line = self.token.line
        if self.take("="):
            variable = self.body.signals[name].kind != "wire"
            items = self.body.initial_values if variable else self.body.items
            items.append(Assignment(Reference(name, line), self.expression(), line))

    # Items.

    def item(self) -> None:
        token = self.token
        if token.kind == "name":
            self.instances(self.advance().text)
            return
        if token.text in PRIMITIVES and token.kind == "keyword":
            self.advance()
            self.instances(token.text)
            return
        read = self._items.get(token.text) if token.kind in ("keyword", "symbol") else None
        if read is None:
            self.unexpected("a declaration, an assign, an instance or 'endmodule'")
        self.advance()
        read(self, token)

    def direction(self, token: Token) -> None:
        """input, output or inout behind a header that only names the ports."""
        kind, signed, packed = self.port_type()
        while True:
            line = self.token.line
            name = self.name("a signal name")
            declaration = Declaration(name, kind, line, token.text, signed, packed, self.ranges())
            self.declare(declaration)
            self.initial_value(name)
            if not self.take(","):
                break
        self.expect(";")

    def nets(self, token: Token) -> None:
        """wire, supply0 and so on, and variables, with values."""
        if self.at("("):
            self.skip_parentheses()  # a drive strength
        kind = token.text
        self.take("vectored", "scalared")
        if kind == "wire":
            self.take("logic")
        signed, packed = self.shape(kind)
        self.delay()
        kind = {"tri": "wire", "logic": "reg", "bit": "reg", "int": "integer"}.get(kind, kind)
        if kind == "wand":
            raise self.fail(f"a wire must have one driver, but 'wand' may have more; {SYNTHESISE}", token.line)
        while True:
            line = self.token.line
            name = self.name("a signal name")
            self.declare(Declaration(name, kind, line, None, signed, packed, self.ranges()))
            self.initial_value(name)
            if not self.take(","):
                break
        self.expect(";")

    def delay(self) -> None:
        if self.take("#"):
            self.delay_value()

    def declare(self, declaration: Declaration) -> None:
        """Adds a signal; a port declared before takes its kind from a second declaration without direction."""
        name, line = declaration.name, declaration.line
        if declaration.direction and name not in self.parsed.ports:
            raise self.fail(
                f"an {declaration.direction} must be listed in the module's header, but {name!r} is not; add it", line
            )
        if any(name == parameter.name for parameter in self.body.parameters):
            raise self.fail(f"a name must be declared once, but {name!r} is a parameter; rename it", line)
        known = self.body.signals.get(name)
        if known is None:
            self.body.signals[name] = declaration
            return
        if (known.direction is None) == (declaration.direction is None):
            raise self.fail(
                f"a signal must be declared once, but {name!r} already stands in line {known.line}; remove one", line
            )
        port, other = (known, declaration) if known.direction else (declaration, known)
        self.body.repeated.append(declaration)
        self.body.signals[name] = replace(
            port, kind=other.kind, signed=port.signed or other.signed, unpacked=port.unpacked or other.unpacked
        )

    def assigns(self, token: Token) -> None:
        if self.at("("):
            self.skip_parentheses()
        self.delay()
        while True:
            line = self.token.line
            target = self.target()
            self.expect("=")
            self.body.items.append(Assignment(target, self.expression(), line))
            if not self.take(","):
                break
        self.expect(";")

    def parameter_item(self, token: Token) -> None:
        self.index -= 1
        self.parameters(local=token.text == "localparam")
        self.expect(";")

    def parameters(self, *, local: bool) -> None:
        """[parameter] [type] NAME = value, ...; a list in a header may hold several of them."""
        kind: tuple[Range | None, bool] | None = None
        while True:
            word = self.take("parameter", "localparam")
            if word or self.at("[", "signed", "integer", "int", "logic", "bit", "real", "time"):
                local = local or word == "localparam"
                kind = self.parameter_type()
            line = self.token.line
            name = self.name("a parameter name")
            if name in self.body.signals or any(name == known.name for known in self.body.parameters):
                raise self.fail(f"a name must be declared once, but parameter {name!r} is again; rename it", line)
            self.expect("=")
            value = self.expression()
            self.body.parameters.append(Parameter(name, value, local, kind, line))
            if not self.take(","):
                return

    def parameter_type(self) -> tuple[Range | None, bool] | None:
        if self.take("integer", "int"):
            self.take("signed")
            return None, self.take("unsigned") is None
        word = self.take("logic", "bit", "reg")
        signed = self.take("signed", "unsigned") == "signed"
        if self.at("["):
            return self.range(), signed
        if word:
            zero = Literal(0, None, True, self.token.line)
            return (zero, zero), signed
        return (None, True) if signed else None

    def defparam(self, token: Token) -> None:
        raise self.fail(
            "a parameter must be set where the module is instantiated, #(.W(8)), but got 'defparam'; move it"
        )

    def skip_block(self, token: Token) -> None:
        """specify and its like."""
        self.skip_to(f"end{token.text}", None)

    def initial(self, token: Token) -> None:
        self.parsed.ignored.append(("an initial block", token.line))
        depth = 0
        while self.token.kind != "end":
            inner = self.advance()
            if inner.kind == "keyword":
                depth += (inner.text in ("begin", "case", "casez", "casex", "fork")) - (
                    inner.text in ("end", "endcase", "join")
                )
            if depth <= 0 and (inner.text == ";" or inner.text == "end") and not self.at("else"):
                return

    def tasks(self, token: Token) -> None:
        self.skip_to(f"end{token.text}")

    def semicolon(self, token: Token) -> None:
        pass

    # Always blocks and functions.

    def always(self, token: Token) -> None:
        clocked = ""
        if token.text in ("always_ff", "always_latch"):
            clocked = token.text
        elif token.text == "always":
            clocked = self.sensitivity(token)
        statement = self.statement()
        self.body.items.append(Always(statement, clocked, token.line))

    def sensitivity(self, token: Token) -> str:
        """@* or @(a or b, ...); returns the edges in it, "" where there are none."""
        if not self.take("@"):
            raise self.fail(f"an always block must begin with @*, but begins with {self.token.text!r}; {SYNTHESISE}")
        if self.take("*"):
            return ""
        if self.token.kind == "name":
            self.advance()
            return ""
        start = self.index
        self.skip_parentheses()
        words = self.tokens[start + 1 : self.index - 1]
        edges = any(word.text in ("posedge", "negedge") for word in words)
        return " ".join(word.text for word in words[:8]) if edges else ""

    def function(self, token: Token) -> None:
        """function [automatic] [signed] [range] name [(inputs)]; declarations statement endfunction."""
        self.take("automatic")
        word = self.take("integer", "int", "logic", "reg") or "reg"
        signed, packed = self.shape(word)
        line = self.token.line
        name = self.name("the name of a function")
        outer, self.body = self.body, Body(name, line)
        self.body.signals[name] = Declaration(name, "reg", line, None, signed, packed)
        inputs: list[str] = []
        if self.take("("):
            self.function_ports(inputs)
        self.expect(";")
        while self.at("input", *VARIABLES):
            if self.at("input"):
                self.function_input(inputs)
                self.expect(";")
            else:
                for declaration in self.variables():
                    self.body.signals.setdefault(declaration.name, declaration)
        statements: list[Statement] = []
        while not self.take("endfunction"):
            statements.append(self.statement())
        if self.take(":"):
            self.name("the name of the function")
        function = Function(name, tuple(inputs), self.body, Sequence(tuple(statements), (), line), line)
        self.body = outer
        self.body.functions[name] = function

    def function_ports(self, inputs: list[str]) -> None:
        while not self.take(")"):
            self.function_input(inputs)

    def function_input(self, inputs: list[str]) -> None:
        """input [range] name, name ..."""
        self.expect("input")
        _, signed, packed = self.port_type()
        while True:
            line = self.token.line
            name = self.name("the name of an input")
            inputs.append(name)
            self.body.signals[name] = Declaration(name, "reg", line, None, signed, packed)
            if not self.take(",") or self.at("input"):
                return

    # Instances.

    def instances(self, kind: str) -> None:
        parameters: tuple[tuple[str | None, Expression | None], ...] = ()
        if self.at("(") and kind in PRIMITIVES and self.ahead().text in _STRENGTHS:
            self.skip_parentheses()
        if self.take("#"):
            if kind in PRIMITIVES or not self.at("("):
                self.delay_value()
            else:
                parameters = self.pins()
        while True:
            token = self.token
            name = f"{kind} in line {token.line}" if self.at("(") else self.name("an instance name")
            array = self.range() if self.at("[") else None
            if not self.at("("):
                self.unexpected("'('")
            self.body.items.append(ModuleInstance(kind, name, self.pins(), token.line, parameters, array))
            if not self.take(","):
                break
        self.expect(";")

    def pins(self) -> tuple[tuple[str | None, Expression | None], ...]:
        """( connections ), by name or by position."""
        self.expect("(")
        pins: list[tuple[str | None, Expression | None]] = []
        if not self.take(")"):
            while True:
                pins.append(self.pin())
                if not self.take(","):
                    break
            self.expect(")")
        return tuple(pins)

    def pin(self) -> tuple[str | None, Expression | None]:
        if not self.take("."):
            return None, None if self.at(",", ")") else self.expression()
        if self.take("*"):
            raise self.fail("the ports of an instance must be listed, but got '.*'; write .port(signal) for each")
        line = self.token.line
        port = self.name("a port name")
        if not self.take("("):  # .port is short for .port(port)
            return port, Reference(port, line)
        value = None if self.at(")") else self.expression()
        self.expect(")")
        return port, value

    # Generate blocks.

    def generate(self, token: Token) -> None:
        while not self.take("endgenerate"):
            self.item()

    def generate_for(self, token: Token) -> None:
        variable, start, condition, step = self.loop_head()
        body = self.block()
        self.body.items.append(GenerateFor(variable, start, condition, step, body, token.line))

    def generate_if(self, token: Token) -> None:
        branches: list[tuple[Expression | None, Body]] = []
        while True:
            self.expect("(")
            condition = self.expression()
            self.expect(")")
            branches.append((condition, self.block()))
            if not self.take("else"):
                break
            if not self.take("if"):
                branches.append((None, self.block()))
                break
        self.body.items.append(GenerateIf(tuple(branches), token.line))

    def generate_case(self, token: Token) -> None:
        self.expect("(")
        subject = self.expression()
        self.expect(")")
        branches: list[tuple[Expression | None, Body]] = []
        default: Body | None = None
        while not self.take("endcase"):
            labels = self.labels()
            body = self.block()
            if not labels:
                default = body
            branches += [(Operation(("==",), (subject, label), token.line), body) for label in labels]
        if default is not None:
            branches.append((None, default))
        self.body.items.append(GenerateIf(tuple(branches), token.line))

    def bare_block(self, token: Token) -> None:
        """begin ... end on its own in a generate region."""
        self.index -= 1
        self.body.items.append(GenerateIf(((None, self.block()),), token.line))

    def block(self) -> Body:
        """One item, or begin [: name] ... end."""
        return self.nested(self._block)

    def _block(self) -> Body:
        outer, line = self.body, self.token.line
        self.body = Body("", line)
        if self.take("begin"):
            if self.take(":"):
                self.body.name = self.name("the name of a block")
            while not self.take("end"):
                self.item()
            if self.take(":"):
                self.name("the name of a block")
        elif not self.take(";"):
            self.item()
        inner, self.body = self.body, outer
        return inner

    _items: dict[str, Callable[[_ModuleParser, Token], None]] = {  # noqa: RUF012
        **dict.fromkeys(("input", "output", "inout"), direction),
        **dict.fromkeys((*_NETS, *VARIABLES), nets),
        **dict.fromkeys(("parameter", "localparam"), parameter_item),
        **dict.fromkeys(("always", "always_comb", "always_ff", "always_latch"), always),
        "assign": assigns,
        "defparam": defparam,
        "specify": skip_block,
        "task": tasks,
        "specparam": lambda self, token: self.skip_to(";"),
        "initial": initial,
        "function": function,
        "generate": generate,
        "for": generate_for,
        "if": generate_if,
        "case": generate_case,
        "begin": bare_block,
        ";": semicolon,
    }
