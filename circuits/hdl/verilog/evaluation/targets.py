"""What assignments and output ports drive: nets to be driven, never their values."""

from __future__ import annotations

from circuits.hdl.verilog.evaluation.evaluate import Evaluator
from circuits.hdl.verilog.scope import Constant, Dimension, Scope
from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.tree import Concatenation, Expression, Reference


class TargetEvaluator(Evaluator):
    """Nets to be driven: never their values."""

    def __init__(self, outer: Evaluator) -> None:
        super().__init__(outer.flat)
        self.state = outer.state
        self.outer = outer

    def nets(self, scope: Scope, value: Expression) -> list[int]:
        """Of a reference or a concatenation of references."""
        if isinstance(value, Concatenation) and value.count is None:
            return [net for operand in reversed(value.operands) for net in self.nets(scope, operand)]
        if not isinstance(value, Reference):
            raise self.fail(
                scope,
                value.line,
                "only signals and concatenations of them can be driven, but got an expression; drive a wire",
            )
        symbol = self.symbol(scope, value)
        if isinstance(symbol, Constant):
            raise self.fail(scope, value.line, f"a parameter must not be driven, but {value.name!r} is; drive a wire")
        if symbol.direction == "input":
            raise self.fail(
                scope,
                value.line,
                f"an input must not be driven inside its module, but {value.name!r} is; drive a wire or an output",
            )
        return self.reference(scope, value)

    # A target names nets; what they carry at this point does not matter.
    def read(self, scope: Scope, value: Reference, nets: list[int]) -> list[int]:
        return list(nets)

    def constant(self, scope: Scope, value: Expression) -> Constant:
        return self.outer.constant(scope, value)

    def variable_part(
        self, scope: Scope, value: Reference, nets: list[int], dimension: Dimension, number: int
    ) -> list[int]:
        raise self.fail(
            scope, value.line, f"what is driven must have a constant index, but {value.name!r} has not; {SYNTHESISE}"
        )
