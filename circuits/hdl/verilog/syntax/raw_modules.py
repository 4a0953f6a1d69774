"""A text cut into modules by their keywords, so that only those which the circuit needs are parsed."""

from __future__ import annotations

from itertools import pairwise

from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.lexer import Token
from circuits.hdl.verilog.syntax.parser import ModuleParser
from circuits.hdl.verilog.syntax.tree import Module, Place, failure

_DEFINITIONS = {"module": "endmodule", "macromodule": "endmodule", "primitive": "endprimitive"}


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
        return ModuleParser(self.tokens, self.where).module(self.implicit)


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
