"""A position in a list of tokens: what every part of the parser steps with, and how it words a syntax error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from circuits.errors import DesignError
from circuits.hdl.verilog.syntax.lexer import Token
from circuits.hdl.verilog.syntax.tree import Place, failure

T = TypeVar("T")

MAXIMUM_DEPTH = 40
"""Deepest nesting of expressions and of statements."""
SYNTHESISE = "let yosys turn the file into gates (circuits import FILE --synthesise)"
"""The advice where a file is right but more than this reader takes."""

_UNSUPPORTED = frozenset(
    "bufif0 bufif1 byte cmos edge event final force fork forever join nmos notif0 notif1 package pmos primitive "  # noqa: SIM905
    "pulldown pullup rcmos real realtime release repeat rnmos rpmos rtran struct task time tran tri0 tri1 triand "
    "trior trireg typedef wait wand while wor always_ff always_latch disable deassign".split()
)


class Cursor:
    """Steps through tokens, the last of kind "end"."""

    def __init__(self, tokens: Sequence[Token], where: str) -> None:
        self.tokens = tokens
        self.where = where
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.index]

    def ahead(self, count: int = 1) -> Token:
        """The token `count` after the next one."""
        return self.tokens[min(self.index + count, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Steps over the next token and returns it."""
        token = self.tokens[self.index]
        if token.kind != "end":
            self.index += 1
        return token

    def take(self, *texts: str) -> str | None:
        """Steps over the next token if it is one of these symbols or keywords."""
        token = self.tokens[self.index]
        if token.text not in texts or token.kind not in ("symbol", "keyword"):
            return None
        return self.advance().text

    def at(self, *texts: str) -> bool:
        """Whether the next token is one of these symbols or keywords."""
        token = self.tokens[self.index]
        return token.text in texts and token.kind in ("symbol", "keyword")

    def expect(self, text: str) -> Token:
        """Steps over the token `text`, or raises."""
        token = self.token
        if self.take(text) is None:
            self.unexpected(f"'{text}'")
        return token

    def name(self, wanted: str) -> str:
        """Steps over a name, or raises saying that `wanted` was expected."""
        if self.token.kind != "name":
            self.unexpected(wanted)
        return self.advance().text

    def unexpected(self, wanted: str) -> NoReturn:
        """Raises the syntax error at the next token."""
        token = self.token
        if token.kind == "keyword" and token.text in _UNSUPPORTED:
            raise self.fail(f"only combinational Verilog is read, but got '{token.text}'; {SYNTHESISE}")
        found = token.text if token.kind == "end" else repr(token.text[:40])
        raise self.fail(f"syntax error: expected {wanted}, but found {found}")

    def fail(self, message: str, line: int | None = None) -> DesignError:
        """The error at `line`, by default that of the next token."""
        return failure(Place(self.where, self.token.line if line is None else line), message)

    def nested(self, parse: Callable[[], T]) -> T:
        """`parse()`, one level deeper."""
        self.depth += 1
        if self.depth > MAXIMUM_DEPTH:
            raise self.fail(
                f"an expression must be nested at most {MAXIMUM_DEPTH} deep, but is deeper; name the parts with wires"
            )
        value = parse()
        self.depth -= 1
        return value

    def skip_parentheses(self) -> None:
        """Steps over a balanced ( ... )."""
        line = self.expect("(").line
        depth = 1
        while depth:
            if self.token.kind == "end":
                raise self.fail("a parenthesis must be closed, but is not; close it", line)
            text = self.advance()
            if text.kind == "symbol":
                depth += (text.text == "(") - (text.text == ")")

    def skip_to(self, closing: str, opening: str | None = None) -> None:
        """Steps behind the keyword or symbol `closing`, over nested pairs of `opening` and it."""
        line = self.token.line
        depth = 1
        while depth:
            if self.token.kind == "end":
                raise self.fail(f"'{closing}' must follow, but the module ends; add it", line)
            token = self.advance()
            if token.kind in ("symbol", "keyword"):
                depth += (token.text == opening) - (token.text == closing)
