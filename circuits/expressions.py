"""Boolean expressions over the inputs of a full adder, parsed here (never `eval`) into truth tables.

Grammar, loosest binding first; every operator is left-associative:

    or    := xor  (("|" | "+") xor)*
    xor   := and  ("^" and)*
    and   := not  (("&" | "*")? not)*         juxtaposition is AND: "A'B'C + ABC"
    not   := ("~" | "!") not | atom "'"*      a prime is the printed overbar
    atom  := "A" | "B" | "C" | "Cin" | "0" | "1" | "(" or ")"
"""

from __future__ import annotations

import re

from circuits.errors import DesignError

# Truth tables are bytes here: bit r is the value in row r = 4 A + 2 B + Cin.
_INPUTS = {"A": 0b11110000, "B": 0b11001100, "C": 0b10101010, "Cin": 0b10101010, "0": 0, "1": 0xFF}
_TOKEN = re.compile(r"\s*(Cin|[ABC01&*|+^~!()'])")
_MAX_LENGTH = 1000
_MAX_DEPTH = 50


class ExpressionError(DesignError):
    """An expression that does not parse; the message marks the position."""


def truth_table(expression: str) -> str:
    """The 8 characters for rows A B Cin = 000..111 of `expression`; raises ExpressionError with the position marked."""
    if len(expression) > _MAX_LENGTH:
        raise ExpressionError(
            f"an expression must have at most {_MAX_LENGTH} characters, but got {len(expression)}; shorten it."
        )
    table = _Parser(expression).parse()
    return "".join("1" if table >> row & 1 else "0" for row in range(8))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, int]] = []
        position = 0
        end = len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                raise self.failure("names must be A, B, C or Cin, and operators & | ^ ~ ' ( )", start)
            self.tokens.append((match[1], match.start(1)))
            position = match.end()
        self.index = 0
        self.depth = 0

    def failure(self, condition: str, position: int) -> ExpressionError:
        found = repr(self.text[position]) if position < len(self.text) else "the end"
        marked = f"{self.text[:position]}»{self.text[position:]}"
        return ExpressionError(f"{condition}, but got {found} at position {position + 1} of {self.text!r}: {marked}")

    def peek(self) -> str:
        return self.tokens[self.index][0] if self.index < len(self.tokens) else ""

    def position(self) -> int:
        return self.tokens[self.index][1] if self.index < len(self.tokens) else len(self.text)

    def take(self, *symbols: str) -> bool:
        if self.peek() in symbols:
            self.index += 1
            return True
        return False

    def parse(self) -> int:
        table = self.parse_or()
        if self.index < len(self.tokens):
            raise self.failure("an operator or the end must follow an operand", self.position())
        return table

    def parse_or(self) -> int:
        table = self.parse_xor()
        while self.take("|", "+"):
            table |= self.parse_xor()
        return table

    def parse_xor(self) -> int:
        table = self.parse_and()
        while self.take("^"):
            table ^= self.parse_and()
        return table

    def parse_and(self) -> int:
        table = self.parse_not()
        while self.take("&", "*") or self.peek() in {*_INPUTS, "(", "~", "!"}:
            table &= self.parse_not()
        return table

    def parse_not(self) -> int:
        inverted = 0
        while self.take("~", "!"):
            inverted ^= 0xFF
        table = self.parse_atom()
        while self.take("'"):
            table ^= 0xFF
        return table ^ inverted

    def parse_atom(self) -> int:
        symbol = self.peek()
        if symbol in _INPUTS:
            self.index += 1
            return _INPUTS[symbol]
        opening = self.position()
        if self.take("("):
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise self.failure(f"parentheses must nest at most {_MAX_DEPTH} deep", opening)
            table = self.parse_or()
            self.depth -= 1
            if not self.take(")"):
                raise self.failure(f"the parenthesis opened at position {opening + 1} must be closed", self.position())
            return table
        raise self.failure("an operand (A, B, C, Cin, 0, 1 or a parenthesis) must stand here", self.position())
