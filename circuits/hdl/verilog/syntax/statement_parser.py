"""The parser of statements: what stands in always blocks and functions."""

from __future__ import annotations

from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.expression_parser import ExpressionParser
from circuits.hdl.verilog.syntax.tree import (
    Assign,
    Case,
    Concatenation,
    Declaration,
    Expression,
    If,
    Literal,
    Loop,
    Operation,
    Range,
    Reference,
    Sequence,
    Statement,
)

_COMPOUND = {"+=": "+", "-=": "-", "*=": "*", "&=": "&", "|=": "|", "^=": "^"}
VARIABLES = ("reg", "logic", "bit", "integer", "int", "genvar")
"""Words that declare a variable."""


class StatementParser(ExpressionParser):
    """Reads statements."""

    def statement(self) -> Statement:
        """Any statement; an empty one is an empty sequence."""
        return self.nested(self._statement)

    def _statement(self) -> Statement:
        token = self.token
        self.no_delay()
        if self.take(";"):
            return Sequence((), (), token.line)
        if self.take("begin"):
            return self.sequence(token.line)
        if self.take("if"):
            return self.conditional(token.line)
        if token.text in ("case", "casez", "casex") and self.take(token.text):
            return self.case(token.text, token.line)
        if self.take("for"):
            return self.loop(token.line)
        if token.kind == "system":  # $display and its like do nothing to signals
            self.skip_to(";")
            return Sequence((), (), token.line)
        if token.kind == "keyword":
            raise self.fail(f"a statement must be an assignment, if, case or for, but got '{token.text}'; {SYNTHESISE}")
        return self.assign()

    def no_delay(self) -> None:
        """Skips a delay before a statement; only values after all delays count."""
        if self.take("#"):
            self.delay_value()

    def delay_value(self) -> None:
        """The delay behind #."""
        if self.token.text == "(":
            self.skip_parentheses()
        elif self.token.kind in ("number", "real", "name"):
            self.advance()
        else:
            self.unexpected("a delay")

    def sequence(self, line: int) -> Sequence:
        """What follows begin."""
        if self.take(":"):
            self.name("the name of a block")
        declarations: list[Declaration] = []
        while self.at(*VARIABLES):
            declarations += self.variables()
        statements = []
        while not self.take("end"):
            statements.append(self.statement())
        if self.take(":"):
            self.name("the name of a block")
        return Sequence(tuple(statements), tuple(declarations), line)

    def conditional(self, line: int) -> If:
        """What follows if."""
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        yes = self.statement()
        return If(condition, yes, self.statement() if self.take("else") else None, line)

    def case(self, kind: str, line: int) -> Case:
        """What follows case."""
        self.expect("(")
        subject = self.expression()
        self.expect(")")
        branches: list[tuple[tuple[Expression, ...], Statement]] = []
        while not self.take("endcase"):
            branches.append((self.labels(), self.statement()))
        return Case(kind, subject, tuple(branches), line)

    def labels(self) -> tuple[Expression, ...]:
        """The labels of a branch of a case and their colon; () for the default."""
        if self.take("default"):
            self.take(":")
            return ()
        labels = [self.expression()]
        while self.take(","):
            labels.append(self.expression())
        self.expect(":")
        return tuple(labels)

    def loop(self, line: int) -> Loop:
        """What follows for."""
        variable, start, condition, step = self.loop_head()
        return Loop(variable, start, condition, step, self.statement(), line)

    def loop_head(self) -> tuple[str, Expression, Expression, Expression]:
        """( variable = start; condition; step ), where the step may be i = ..., i++, i--, i += n or i -= n."""
        self.expect("(")
        self.take("genvar", "integer", "int")
        variable = self.name("the variable of the loop")
        self.expect("=")
        start = self.expression()
        self.expect(";")
        condition = self.expression()
        self.expect(";")
        line = self.token.line
        before = self.take("++", "--")
        if self.name("the variable of the loop") != variable:
            raise self.fail(f"a loop must step its own variable {variable!r}, but steps another; correct it", line)
        operator = before or self.take("++", "--", "=", *_COMPOUND) or self.unexpected("a step such as i = i + 1")
        amount = Literal(1, None, True, line) if operator in ("++", "--") else self.expression()
        self.expect(")")
        if operator == "=":
            return variable, start, condition, amount
        return variable, start, condition, Operation((operator[0],), (Reference(variable, line), amount), line)

    def assign(self) -> Assign:
        """target = value; target <= value; target += value; and so on."""
        line = self.token.line
        if self.token.kind == "name" and self.ahead().text in ("(", ";"):
            raise self.fail(f"a statement must be no task, but {self.token.text!r} is called; {SYNTHESISE}")
        target = self.target()
        operator = self.take("=", "<=", "++", "--", *_COMPOUND)
        if operator is None:
            self.unexpected("'='")
        self.no_delay()
        value: Expression
        value = Literal(1, None, True, line) if operator in ("++", "--") else self.expression()
        if operator not in ("=", "<="):
            value = Operation((operator[0],), (target, value), line)
        self.expect(";")
        return Assign(target, value, operator == "<=", line)

    def target(self) -> Expression:
        """What an assignment drives: a reference or a concatenation of references."""
        line = self.token.line
        if not self.take("{"):
            return self.reference()
        operands = [self.nested(self.target)]
        while self.take(","):
            operands.append(self.nested(self.target))
        self.expect("}")
        return Concatenation(tuple(operands), None, line)

    # Declarations of variables.

    def variables(self) -> list[Declaration]:
        """reg, logic, integer, genvar ... names; without initial values."""
        kind = self.advance().text
        signed, packed = self.shape(kind)
        declarations = []
        while True:
            line = self.token.line
            name = self.name("the name of a signal")
            unpacked = self.ranges()
            declarations.append(Declaration(name, _kind(kind), line, None, signed, packed, unpacked))
            if not self.take(","):
                break
        self.expect(";")
        return declarations

    def shape(self, kind: str) -> tuple[bool, tuple[Range, ...]]:
        """(signed, packed ranges) behind the word of a declaration."""
        if kind in ("integer", "int"):
            signed = self.take("unsigned") is None
            line = self.token.line
            return signed, ((Literal(31, None, True, line), Literal(0, None, True, line)),)
        signed = self.take("signed", "unsigned") == "signed"
        return signed, self.ranges()

    def ranges(self) -> tuple[Range, ...]:
        """[msb:lsb] [msb:lsb] ..."""
        ranges = []
        while self.at("["):
            ranges.append(self.range())
        return tuple(ranges)


def _kind(word: str) -> str:
    return {"int": "integer", "logic": "reg", "bit": "reg"}.get(word, word)
