"""Boolean expressions over the inputs of a full adder, parsed here (never `eval`) into truth tables.

Grammar, loosest binding first; binary operators are left-associative:

    or    := xor  (OR xor)*
    xor   := and  ((XOR | XNOR) and)*
    and   := not  (AND? not)*         juxtaposition is AND: "A'B'C + ABC"
    not   := NOT not | atom PRIME*
    atom  := name | "0" | "1" | "(" or ")"

Every operator may be written in any notation that papers and languages use, mixed at will:

    OR      |  ||  +  ∨  or                   + is Boolean addition, never arithmetic
    XOR     ^  ⊕  ⊻  xor                      XNOR: ⊙  xnor
    AND     &  &&  *  .  ·  ⋅  ×  ∧  and
    NOT     ~  !  ¬  not                      PRIME: '  ′  ’  or a combining overbar, as in A̅
    names   A, B and the carry in C, Ci, Cin, C_i, C_in or C_{in} (subscripts too: Cᵢₙ), in upper or lower case;
            A and B also with the index i: Ai, A_i, Aᵢ

A constant must be separated: digits that touch another digit, a letter or a prime are refused, so that neither
truth-table rows ("01101001") nor literals of other languages ("0b0110", "1'b1") are read as products of constants.
"""

from __future__ import annotations

import re
import unicodedata

from circuits.errors import DesignError
from circuits.netlists.truth_table import FALSE, INPUTS, TRUE, to_text

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<OR>   \|\|? | [+∨] | (?i:or) )
    | (?P<XNOR> ⊙ | (?i:xnor) )
    | (?P<XOR>  [\^⊕⊻] | (?i:xor) )
    | (?P<AND>  &&? | [*.·⋅∙•×∧] | (?i:and) )
    | (?P<NOT>  [~!¬∼] | (?i:not) )
    | (?P<PRIME> ['′’\u0304\u0305] )
    | (?P<OPEN>  \( )
    | (?P<CLOSE> \) )
    | (?P<CIN>  [Cc] (?: _?(?i:in|i) | _\{(?i:in|i)\} | ᵢₙ? )? )
    | (?P<A>    [Aa] (?: _?[Ii] | _\{[Ii]\} | ᵢ )? )
    | (?P<B>    [Bb] (?: _?[Ii] | _\{[Ii]\} | ᵢ )? )
    | (?P<DIGITS> [0-9] [0-9A-Za-z_'′’]* )
    )""",
    re.VERBOSE,
)
_OPERANDS = {**dict(zip(("A", "B", "CIN"), INPUTS, strict=True)), "0": FALSE, "1": TRUE}
"""Operands of an expression and their truth tables; operators work on tables."""

_MAX_LENGTH = 1000
_MAX_DEPTH = 50


class ExpressionError(DesignError):
    """An expression is malformed; the message marks the position."""


def truth_table(expression: str) -> str:
    """The 8 characters 0/1 for rows A B Cin = 000..111; raises ExpressionError, with the position marked."""
    if len(expression) > _MAX_LENGTH:
        raise ExpressionError(
            f"an expression must have at most {_MAX_LENGTH} characters, but got {len(expression)}; shorten it."
        )
    return to_text(_Parser(expression).parse())


class _Parser:
    """A recursive-descent parser that evaluates as it goes: each method returns the truth table of what it has read.

    A token's kind is the name of its group in `_TOKEN`, or the digit itself for a constant.
    """

    def __init__(self, text: str) -> None:
        # In decomposed form an overbar is always a character of its own; Unicode also has letters with one (U+0100).
        self.text = unicodedata.normalize("NFD", text)
        self.tokens: list[tuple[str, int]] = []
        position = 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None:
                start = position + len(self.text[position:]) - len(self.text[position:].lstrip())
                raise self.failure("names must be A, B, C or Cin, and operators & | ^ ~ ' ( )", start)
            kind = str(match.lastgroup)
            start = match.start(kind)
            if kind == "DIGITS":
                kind = match[kind]
                if kind not in _OPERANDS:
                    raise self.failure("a constant must be 0 or 1 and separated from other characters", start)
            self.tokens.append((kind, start))
            position = match.end()
        self.index = 0
        self.depth = 0

    def failure(self, condition: str, position: int) -> ExpressionError:
        character = repr(self.text[position]) if position < len(self.text) else "the end"
        marked = f"{self.text[:position]}»{self.text[position:]}"
        where = f"at position {position + 1} of {self.text!r}: {marked}"
        return ExpressionError(f"{condition}, but got {character} {where}")

    def peek(self) -> str:
        return self.tokens[self.index][0] if self.index < len(self.tokens) else ""

    def position(self) -> int:
        return self.tokens[self.index][1] if self.index < len(self.tokens) else len(self.text)

    def take(self, *kinds: str) -> bool:
        if self.peek() in kinds:
            self.index += 1
            return True
        return False

    def parse(self) -> int:
        table = self.parse_or()
        if self.index < len(self.tokens):
            raise self.failure("expected an operator or the end after an operand", self.position())
        return table

    def parse_or(self) -> int:
        table = self.parse_xor()
        while self.take("OR"):
            table |= self.parse_xor()
        return table

    def parse_xor(self) -> int:
        table = self.parse_and()
        while (kind := self.peek()) in ("XOR", "XNOR"):
            self.index += 1
            table ^= self.parse_and() ^ (TRUE if kind == "XNOR" else 0)
        return table

    def parse_and(self) -> int:
        table = self.parse_not()
        while self.take("AND") or self.peek() in {*_OPERANDS, "OPEN", "NOT"}:
            table &= self.parse_not()
        return table

    def parse_not(self) -> int:
        inverted = 0
        while self.take("NOT"):
            inverted ^= TRUE
        table = self.parse_atom()
        while self.take("PRIME"):
            table ^= TRUE
        return table ^ inverted

    def parse_atom(self) -> int:
        kind = self.peek()
        if kind in _OPERANDS:
            self.index += 1
            return _OPERANDS[kind]
        opening = self.position()
        if self.take("OPEN"):
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise self.failure(f"parentheses must nest at most {_MAX_DEPTH} deep", opening)
            table = self.parse_or()
            self.depth -= 1
            if not self.take("CLOSE"):
                raise self.failure(f"the parenthesis opened at position {opening + 1} must be closed", self.position())
            return table
        raise self.failure("expected an operand (A, B, C, Cin, 0, 1 or a parenthesis)", self.position())
