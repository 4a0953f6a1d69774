"""A LUT program as machine code: one LLVM function per program, 512 evaluations side by side.

`@gates(bus, ..., out)` takes one pointer per input bus, to that bus's planes of one block (see `engine.blocks`), which
are contiguous, and one to the output planes that it writes. A bus is usually 24 planes of 64 bytes, so that operands,
products and spilled values stay in the first-level cache. On AVX-512 each operation of three inputs is one `vpternlog`;
elsewhere it is the operation's shortest and/or/xor/not form.

Every operation works lane by lane, so that the order of the lanes is the caller's business.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import PLANE_BYTES
from circuits.engine.llvm import schedule
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Library, Target, load
from circuits.engine.llvm.minimal_forms import Form, shortest_form
from circuits.netlists.lut_program import Program
from circuits.netlists.truth_table import CONSTANTS, FALSE


class CompiledProgram:
    """Machine code of one program for one target."""

    def __init__(self, program: Program, target: Target, order: NDArray[np.int64]) -> None:
        self._library: Library = load(gates_ir(program, target, order), target)
        self.gates_address = self._library.address("gates")
        self._simulate = self._library.function("simulate", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        self._outputs = len(program.results)

    def simulate(self, blocks: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """uint64 [blocks, outputs, 8] from uint64 [blocks, inputs, 8], C-contiguous."""
        result = np.empty((len(blocks), self._outputs, PLANE_BYTES // 8), dtype=np.uint64)
        self._simulate(blocks.ctypes.data, result.ctypes.data, len(blocks))
        return result


@lru_cache(maxsize=64)
def compile_program(
    program: Program, *, vector_bits: int | None = None, block_rows: int = schedule.BLOCK_ROWS
) -> CompiledProgram:
    """Machine code for this host; `vector_bits` and `block_rows` are for tests and measurements."""
    return CompiledProgram(program, Target.host(vector_bits), schedule.skewed(program, block_rows))


def gates_ir(program: Program, target: Target, order: NDArray[np.int64]) -> str:
    """An IR module with @gates (see above) and @simulate(in, out, blocks) over [blocks][planes] of 64 bytes.

    `order`: a topological order of the program's operations (see `circuits.engine.llvm.schedule`).
    """
    buses = list(program.inputs.values())
    # noalias: without it every store of an output plane would force LLVM to load the input planes again.
    parameters = [f"ptr noalias %b{n}" for n in range(len(buses))]
    function = Function("gates", ", ".join([*parameters, "ptr noalias %out"]))
    # The whole circuit is evaluated once for each vector's width of the planes.
    with function.loop(PLANE_BYTES, step=target.vector_bits // 8) as byte:
        _emit_part(function, program, target, order, byte)

    simulate = Function("simulate", "ptr %in, ptr %out, i64 %blocks")
    with simulate.loop("%blocks") as block:
        source = simulate.offset("%in", simulate.op(f"mul i64 {block}, {sum(buses) * PLANE_BYTES}"))
        result = simulate.offset("%out", simulate.op(f"mul i64 {block}, {len(program.results) * PLANE_BYTES}"))
        arguments, start = [], 0
        for width in buses:
            arguments.append(f"ptr {simulate.offset(source, start * PLANE_BYTES)}")
            start += width
        simulate.do(f"call void @gates({', '.join([*arguments, f'ptr {result}'])})")
    return (TERNARY if target.ternary else "") + function.text() + simulate.text()


def _emit_part(function: Function, program: Program, target: Target, order: NDArray[np.int64], byte: str) -> None:
    """One vector's width of every plane, at byte offset `byte` of each."""
    vector = f"<{target.vector_bits // 64} x i64>"
    input_planes: list[tuple[str, int]] = []  # (the bus's pointer, plane in the bus) of each input node
    for number, width in enumerate(program.inputs.values()):
        base = function.offset(f"%b{number}", byte)
        input_planes += [(base, plane) for plane in range(width)]
    out = function.offset("%out", byte)
    inputs = len(input_planes)

    # A node may be several output bits, and an output bit may be an input; the latter are stored after the operations.
    output_bits: dict[int, list[int]] = {}
    for bit, node in enumerate(program.results.tolist()):
        output_bits.setdefault(node, []).append(bit)
    values: dict[int, str] = {}

    def value(node: int) -> str:
        """The value of a node; an input is loaded where it is first used, and stays in a register if LLVM has one."""
        if node not in values:
            base, plane = input_planes[node]
            values[node] = function.op(f"load {vector}, ptr {function.offset(base, plane * PLANE_BYTES)}, align 16")
        return values[node]

    def store(node: int) -> None:
        for bit in output_bits.get(node, ()):
            address = function.offset(out, bit * PLANE_BYTES)
            function.do(f"store {vector} {value(node)}, ptr {address}, align 16")

    tables = program.tables.tolist()
    operands = program.operands.tolist()
    for k in order.tolist():
        table, nodes = tables[k], operands[k]
        # Functions of two inputs stay and/or/xor: they run on more execution ports than vpternlog.
        ternary = target.ternary and len(set(nodes)) == 3
        operand_planes = [] if table in CONSTANTS else [value(node) for node in nodes]
        values[inputs + k] = emit_table(function, vector, table, operand_planes, ternary=ternary)
        store(inputs + k)
    for node in range(inputs):
        store(node)


_ONES = "splat (i64 -1)"
TERNARY = "declare <8 x i64> @llvm.x86.avx512.pternlog.q.512(<8 x i64>, <8 x i64>, <8 x i64>, i32)\n"
"""Belongs to a module with functions in it that `emit_table` made with `ternary`."""


def emit_table(function: Function, vector: str, table: int, inputs: Sequence[str], *, ternary: bool) -> str:
    """The value of a truth table over the values `inputs`, which a constant does not need; as one vpternlog if
    `ternary`."""
    if table in CONSTANTS:
        return "zeroinitializer" if table == FALSE else _ONES
    if ternary:
        # The immediate is indexed by a << 2 | b << 1 | c, as our truth tables are, so that it is the table.
        a, b, c = (f"{vector} {value}" for value in inputs)
        return function.op(f"call {vector} @llvm.x86.avx512.pternlog.q.512({a}, {b}, {c}, i32 {table})")
    return _emit_form(function, vector, shortest_form(table), list(inputs))


def _emit_form(function: Function, vector: str, form: Form, inputs: list[str]) -> str:
    """The value of a form of `shortest_form` over the values `inputs`."""
    if isinstance(form, int):
        return inputs[form]
    operator, left, right = form
    first = _emit_form(function, vector, left, inputs)
    if operator == "not":
        return function.op(f"xor {vector} {first}, {_ONES}")
    second = _emit_form(function, vector, right, inputs)
    if operator == "andnot":  # first & ~second; one instruction where the machine has it
        second = function.op(f"xor {vector} {second}, {_ONES}")
        operator = "and"
    return function.op(f"{operator} {vector} {first}, {second}")
