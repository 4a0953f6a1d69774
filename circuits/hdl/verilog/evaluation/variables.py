"""The values of variables while an always block or a function is carried out."""

from __future__ import annotations


class State:
    """The values of variables at a point of a block: net of the variable -> net of its value.

    A value None: assigned on some path only. `variables`: nets that the block assigns; they must not be read before.
    `deferred`: those assigned by <=, which read as the net itself. A branch is a state whose `parent` it started from.
    """

    def __init__(self, variables: set[int], parent: State | None = None) -> None:
        self.variables = variables
        self.parent = parent
        self.values: dict[int, int | None] = {}
        self.deferred: set[int] = parent.deferred if parent else set()
        self.loop_variables: set[int] = parent.loop_variables if parent else set()

    def branch(self) -> State:
        """A state that starts from this one."""
        return State(self.variables, self)

    def get(self, net: int) -> int | None:
        """The value of a variable; None where it has none."""
        state: State | None = self
        while state is not None:
            # The innermost assignment hides earlier ones, even where its value is None.
            if net in state.values:
                return state.values[net]
            state = state.parent
        return None

    def is_variable(self, net: int) -> bool:
        """Whether the block, or one that called it, assigns the net."""
        state: State | None = self
        while state is not None:
            if net in state.variables:
                return True
            state = state.parent
        return False

    def read(self, net: int) -> int | None:
        """What a reader of the net gets; None where it has no value yet."""
        if net in self.deferred or not self.is_variable(net):
            return net
        return self.get(net)
