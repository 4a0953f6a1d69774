"""A small emitter of LLVM IR text: numbered values, counted loops and conditions.

It checks nothing; LLVM's verifier does, when the text is compiled (see `jit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Function:
    """A `void` function under construction. Values are names such as "%v12"; types are spelled out in the text.

    The function aligns its stack frame to the widest vector that it spills ("stackrealign"). The calling convention
    guarantees 16 bytes only, and LLVM would otherwise be content with that: whether spills of 64 bytes cross cache
    lines, which costs up to a third of the speed, would then depend on where the process's stack happens to begin.
    """

    def __init__(self, name: str, parameters: str) -> None:
        self._lines = [f'define void @{name}({parameters}) "stackrealign" {{', "entry:"]
        self._count = 0
        self._label = "entry"

    def op(self, text: str) -> str:
        """Appends `%new = text`; returns the new value's name."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Appends an instruction that has no result."""
        self._lines.append(f"  {text}")

    def offset(self, pointer: str, byte_count: int | str) -> str:
        """pointer + byte_count (a number or an i64 value)."""
        return pointer if byte_count == 0 else self.op(f"getelementptr i8, ptr {pointer}, i64 {byte_count}")

    def element(self, pointer: str, kind: str, index: str) -> str:
        """The address of element `index` (i64 value) of an array of `kind`."""
        return self.op(f"getelementptr {kind}, ptr {pointer}, i64 {index}")

    @contextmanager
    def loop(self, stop: int | str, start: int | str = 0, step: int | str = 1) -> Iterator[str]:
        """`for i in range(start, stop, step)` over i64; yields the name of i."""
        with self.fold(stop, "i64", [], start, step) as (index, _):
            yield index

    @contextmanager
    def fold(
        self, stop: int | str, kind: str, values: list[str], start: int | str = 0, step: int | str = 1
    ) -> Iterator[tuple[str, list[str]]]:
        """A loop that carries values of type `kind` from one turn to the next, `values` into the first.

        Yields (the name of i, the list of the values' names in this turn). The body replaces elements of the list by
        the values for the next turn; after the loop the list holds the final ones.
        """
        self._count += 1
        number = self._count
        index, head, body, after = f"%i{number}", f"head{number}", f"body{number}", f"after{number}"
        carried = [f"%c{number}.{k}" for k in range(len(values))]
        self.do(f"br label %{head}")
        self._lines.append(f"{head}:")
        # The phi nodes need the names that only the body defines: their lines are filled in afterwards.
        phis = len(self._lines)
        self._lines += [""] * (1 + len(values))
        # The label is read before any new block begins: a phi node must name the block that control comes from. For the
        # same reason the back edge names `self._label` at the end of the body, which is not `body` where that contains
        # loops.
        entered_from = self._label
        # Tested at the head, so that an empty range runs no turn, as in Python.
        more = self.op(f"icmp slt i64 {index}, {stop}")
        self.do(f"br i1 {more}, label %{body}, label %{after}")
        self._begin(body)
        present = list(carried)
        yield index, present
        following = self.op(f"add i64 {index}, {step}")
        rows = [
            ("i64", index, str(start), following),
            *((kind, *row) for row in zip(carried, values, present, strict=True)),
        ]
        for k, (of, name, first, then) in enumerate(rows):
            self._lines[phis + k] = f"  {name} = phi {of} [{first}, %{entered_from}], [{then}, %{self._label}]"
        self.do(f"br label %{head}")
        self._begin(after)
        # Behind the loop the phi values are the final ones: they were updated before the test that failed.
        present[:] = carried

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Runs the body only if the i1 value `condition` is true."""
        self._count += 1
        body, after = f"then{self._count}", f"join{self._count}"
        self.do(f"br i1 {condition}, label %{body}, label %{after}")
        self._begin(body)
        yield
        self.do(f"br label %{after}")
        self._begin(after)

    @contextmanager
    def choice(self, condition: str, kind: str, values: list[str]) -> Iterator[list[str]]:
        """As `when`; yields the list of the values' names, of type `kind`, whose elements the body may replace.

        Behind the body `values` holds its values where it ran, else the ones from before.
        """
        before, entered_from, present = list(values), self._label, list(values)
        with self.when(condition):
            yield present
            left_from = self._label
        for k, (old, new) in enumerate(zip(before, present, strict=True)):
            if new != old:
                values[k] = self.op(f"phi {kind} [{old}, %{entered_from}], [{new}, %{left_from}]")

    def switch(self, value: str, cases: Sequence[int]) -> Iterator[int]:
        """Yields each of `cases`; what is emitted meanwhile runs where the i32 `value` is that number.

        Any other value is undefined behaviour.
        """
        self._count += 1
        number = self._count
        arms = " ".join(f"i32 {case}, label %case{number}.{case}" for case in cases)
        self.do(f"switch i32 {value}, label %never{number} [{arms}]")
        self._begin(f"never{number}")
        self.do("unreachable")
        for case in cases:
            self._begin(f"case{number}.{case}")
            yield case
            self.do(f"br label %join{number}")
        self._begin(f"join{number}")

    def text(self) -> str:
        """The finished function."""
        return "\n".join([*self._lines, "  ret void", "}", ""])

    def _begin(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._label = label
