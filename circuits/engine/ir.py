"""A small emitter of LLVM IR text: numbered values and counted loops, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Function:
    """A `void` function under construction. Values are names such as "%v12"; types are spelled in the text."""

    def __init__(self, name: str, parameters: str) -> None:
        self._lines = [f"define void @{name}({parameters}) {{", "entry:"]
        self._count = 0
        self._label = "entry"

    def op(self, text: str) -> str:
        """Appends `%new = text`; returns the new value's name."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Appends an instruction without result."""
        self._lines.append(f"  {text}")

    def offset(self, pointer: str, byte_count: int | str) -> str:
        """pointer + byte_count (a number or an i64 value)."""
        return pointer if byte_count == 0 else self.op(f"getelementptr i8, ptr {pointer}, i64 {byte_count}")

    def element(self, pointer: str, kind: str, index: str) -> str:
        """The address of element `index` (i64 value) of an array of `kind`."""
        return self.op(f"getelementptr {kind}, ptr {pointer}, i64 {index}")

    @contextmanager
    def loop(self, stop: int | str, start: int | str = 0, step: int = 1) -> Iterator[str]:
        """`for i in range(start, stop, step)` over i64; yields the name of i."""
        self._count += 1
        number = self._count
        index, head, body, after = f"%i{number}", f"head{number}", f"body{number}", f"after{number}"
        self.do(f"br label %{head}")
        self._lines.append(f"{head}:")
        phi = len(self._lines)
        self._lines.append("")
        entered_from = self._label
        more = self.op(f"icmp slt i64 {index}, {stop}")
        self.do(f"br i1 {more}, label %{body}, label %{after}")
        self._begin(body)
        yield index
        following = self.op(f"add i64 {index}, {step}")
        self._lines[phi] = f"  {index} = phi i64 [{start}, %{entered_from}], [{following}, %{self._label}]"
        self.do(f"br label %{head}")
        self._begin(after)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Runs the body only where the i1 `condition` holds."""
        self._count += 1
        body, after = f"then{self._count}", f"join{self._count}"
        self.do(f"br i1 {condition}, label %{body}, label %{after}")
        self._begin(body)
        yield
        self.do(f"br label %{after}")
        self._begin(after)

    def text(self) -> str:
        """The finished function."""
        return "\n".join([*self._lines, "  ret void", "}", ""])

    def _begin(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._label = label
