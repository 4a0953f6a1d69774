"""Kinds of 32-bit table entries, and how they are added: what the kernels for any processor share."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.table_kernels.table_images import BYTES


@dataclass(frozen=True)
class WordEntries:
    """`result`: the type of sums, "i32", "i64" or "float"; entries are float32 for "float", else int32."""

    result: str = "i32"

    @property
    def entry(self) -> str:
        """The type of an entry."""
        return "float" if self.result == "float" else "i32"

    @property
    def result_bytes(self) -> int:
        """Bytes of a sum."""
        return 8 if self.result == "i64" else 4

    @property
    def zero(self) -> str:
        """The sum of no terms."""
        return "0.0" if self.result == "float" else "0"

    def add(self, f: Function, total: str, entry: str, lanes: int = 1) -> str:
        """total + entry, of scalars or of vectors of `lanes` elements."""
        vector = "" if lanes == 1 else f"<{lanes} x "
        end = "" if lanes == 1 else ">"
        if self.result == "i64":
            entry = f.op(f"sext {vector}i32{end} {entry} to {vector}i64{end}")
        operator = "fadd" if self.result == "float" else "add"
        return f.op(f"{operator} {vector}{self.result}{end} {total}, {entry}")

    def table_row(self, f: Function, table: str, weight: str) -> str:
        """The address of the table row, 256 entries, of the weight whose code lies at place `weight` of w."""
        address = f.offset("%w", weight)
        code = f.op(f"zext i8 {f.op(f'load i8, ptr {address}')} to i64")
        return f.offset(table, f.op(f"mul i64 {code}, {4 * BYTES}"))
