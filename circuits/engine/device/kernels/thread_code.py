"""The code of one device thread: kernels for NVPTX, and the same kernels as functions of the host.

A kernel is written once, as a function that emits its body. On the device the thread reads its place in the grid from
special registers; on the host the place is an argument, and `@launch` runs through the grid in loops. Bodies know
nothing of the difference but the address space of shared memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.minimal_forms import Form, shortest_form
from circuits.engine.llvm.vectors import Plane, Vectors

THREADS = 128
"""Threads of a block of the kernels that share nothing."""
_REGISTERS = 1 << 16
"""Registers of a multiprocessor."""
_TRUNC = "declare float @llvm.trunc.f32(float)"


class Registers(Vectors):
    """The operations of `Vectors` on single 32-bit registers.

    `native`: whether instructions of the device may be named, else the same operations are spelled out.
    """

    def __init__(self, function: Function, *, native: bool) -> None:
        self.f = function
        self.native = native
        self.lanes, self.vector_bytes, self.units = 1, 4, 16
        self.v, self.vf, self.mask = "i32", "float", "i1"

    def splat(self, value: int) -> str:
        """The constant; IR text spells i32 constants as signed numbers."""
        return str(value - (1 << 32) if value >> 31 else value)

    def spread(self, condition: str) -> str:
        """All ones where the i1 value is set, else all zeros."""
        return self.f.op(f"sext i1 {condition} to i32")

    def spread_bit(self, word: str, bit: int) -> str:
        """All ones where bit `bit` of the word is set, else all zeros."""
        # The bit moves to the sign's place, from where an arithmetic shift spreads it over the whole word.
        raised = self.f.op(f"shl i32 {word}, {31 - bit}") if bit < 31 else word
        return self.f.op(f"ashr i32 {raised}, 31")

    def fold_planes(self, operator: str, planes: list[str]) -> str:
        """AND or OR of some planes."""
        total = planes[0]
        for plane in planes[1:]:
            total = self.integer(operator, total, plane)
        return total

    def inverse(self, plane: str) -> str:
        """NOT."""
        return self.integer("xor", plane, 0xFFFFFFFF)

    def ternary(self, table: int, inputs: list[str]) -> str:
        """The function of three planes that has this truth table, not a constant one."""
        if self.native and len(set(inputs)) == 3:
            # LOP3's immediate is our truth table. Left to the assembler, and/or/xor forms make a third more of them.
            arguments = ", ".join(f"i32 {plane}" for plane in inputs)
            return self.f.op(f'call i32 asm "lop3.b32 $0, $1, $2, $3, {table};", "=r,r,r,r"({arguments})')
        return self._emit_form(shortest_form(table), inputs)

    def _emit_form(self, form: Form, inputs: list[str]) -> str:
        if isinstance(form, int):
            return inputs[form]
        operator, left, right = form
        first = self._emit_form(left, inputs)
        if operator == "not":
            return self.inverse(first)
        second = self._emit_form(right, inputs)
        if operator == "andnot":  # first & ~second
            return self.integer("and", first, self.inverse(second))
        return self.integer(operator, first, second)

    def transpose(self, rows: list[Plane]) -> list[Plane]:
        """As `Vectors.transpose`; stages that move whole bytes are one byte permutation a row."""
        if not self.native:
            return super().transpose(rows)
        rows = list(rows)
        # Digits of the selector: which byte of (a, b) each byte of the result is, the lowest byte last.
        for s, low, high in ((16, 0x5410, 0x7632), (8, 0x6240, 0x7351)):
            for p in range(32):
                if not p & s:
                    a, b = rows[p] or "0", rows[p + s] or "0"
                    rows[p], rows[p + s] = self._permuted(a, b, low), self._permuted(a, b, high)
        return self._transpose_stages(rows, (4, 2, 1))

    def _permuted(self, a: str, b: str, selector: int) -> str:
        return "0" if a == b == "0" else self.f.op(f"call i32 @llvm.nvvm.prmt(i32 {a}, i32 {b}, i32 {selector})")


@dataclass(frozen=True)
class GridPlace:
    """Where a thread stands, i64 values: its block, the block's group (the grid's second axis), itself in the block."""

    block: str
    group: str
    thread: str


Body = Callable[[Registers, GridPlace], None]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel: its parameters as IR text ("ptr %x, i64 %n"), its body, and how many threads a block has.

    Made once and kept: loaded kernels are found by the object.

    `table_words`: 32-bit words of shared memory, which `stage` fills, before any thread of the block runs the body.
    `blocks`: that shall run at the same time on a multiprocessor, which bounds the registers of a thread.
    """

    parameters: str
    body: Body
    threads: int = THREADS
    table_words: int = 0
    stage: Body | None = None
    blocks: int = 1

    def device_ir(self) -> str:
        """An NVPTX module with the kernel @kernel."""
        f = Function("kernel", self.parameters)
        axes = ("ctaid.x", "ctaid.y", "tid.x")
        registers = [f.op(f"call i32 @llvm.nvvm.read.ptx.sreg.{axis}()") for axis in axes]
        place = GridPlace(*(f.op(f"zext i32 {register} to i64") for register in registers))
        if self.stage is not None:
            self.stage(Registers(f, native=True), place)
            f.do("call void @llvm.nvvm.barrier0()")
        self.body(Registers(f, native=True), place)
        text = (
            f.text().replace("define void @kernel(", "define ptx_kernel void @kernel(").replace(' "stackrealign"', "")
        )
        declarations = [f"declare i32 @llvm.nvvm.read.ptx.sreg.{axis}()" for axis in axes]
        declarations += ["declare void @llvm.nvvm.barrier0()", "declare i32 @llvm.nvvm.prmt(i32, i32, i32)"]
        declarations.append(_TRUNC)
        shared = "@table = external addrspace(3) global [0 x i32], align 16" if self.table_words else ""
        # The largest block, and all the registers that a thread can have: left to itself, the assembler would sometimes
        # rather spill a few.
        limits = {"maxntidx": self.threads, "maxnreg": min(255, _REGISTERS // (self.threads * self.blocks))}
        notes = ", ".join(f'!"{name}", i32 {value}' for name, value in limits.items())
        notes = f"!nvvm.annotations = !{{!0}}\n!0 = !{{ptr @kernel, {notes}}}"
        return "\n".join(['target triple = "nvptx64-nvidia-cuda"', shared, *declarations, text, notes, ""])

    def host_ir(self) -> str:
        """A host module with @launch(parameters, blocks, groups): every thread of the grid, one by one."""
        place = GridPlace("%block", "%group", "%thread")
        parts = {"kernel": self.body} if self.stage is None else {"stage": self.stage, "kernel": self.body}
        functions = []
        for name, body in parts.items():
            f = Function(name, f"{self.parameters}, i64 %block, i64 %group, i64 %thread")
            body(Registers(f, native=False), place)
            functions.append(f.text())
        f = Function("launch", f"{self.parameters}, i64 %grid_blocks, i64 %grid_groups")
        with f.loop("%grid_groups") as group, f.loop("%grid_blocks") as block:
            # All threads of a block before the next part: the barrier of the device.
            for name in parts:
                with f.loop(self.threads) as thread:
                    f.do(f"call void @{name}({self.parameters}, i64 {block}, i64 {group}, i64 {thread})")
        shared = f"@table = internal global [{self.table_words} x i32] zeroinitializer, align 16"
        return "\n".join([shared if self.table_words else "", _TRUNC, *functions, f.text()]).replace(
            " addrspace(3)", ""
        )
