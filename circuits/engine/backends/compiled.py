"""The compiled backend: one LLVM function per program, 512 evaluations side by side.

A bit-plane of a block of 512 lanes is 64 bytes. `@gates(bus, ..., out)` takes one pointer per input bus to that bus's
planes of one block, contiguous, and writes the output planes; wider buses never leave the first-level cache. On AVX-512
each operation of three inputs is one `vpternlog`; elsewhere its shortest and/or/xor/not form.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine.bit_planes import Planes
from circuits.engine.llvm import schedule
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Library, Target, load
from circuits.engine.llvm.minimal_forms import shortest_form
from circuits.netlists.lut_program import Program

BLOCK = 512
"""Lanes in a block."""
PLANE_BYTES = BLOCK // 8


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


def compile_program(
    program: Program, *, vector_bits: int | None = None, block_rows: int = schedule.BLOCK_ROWS
) -> CompiledProgram:
    """Machine code for this host; `vector_bits` and `block_rows` are for tests and measurements."""
    key = program.digest
    return _compile(key, _Hidden(program), vector_bits, block_rows)


def run(program: Program, inputs: Planes) -> Planes:
    """uint64 [outputs, words] from uint64 [inputs, words]."""
    count, words = inputs.shape
    blocks = -(-words // 8)
    padded = np.zeros((count, blocks * 8), dtype=np.uint64)
    padded[:, :words] = inputs
    by_block = np.ascontiguousarray(padded.reshape(count, blocks, 8).swapaxes(0, 1))
    result = compile_program(program).simulate(by_block)
    planes = result.swapaxes(0, 1).reshape(len(program.results), blocks * 8)
    return np.ascontiguousarray(planes[:, :words])


class _Hidden:
    """Carries a program past lru_cache: the digest beside it is the key."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden)


@lru_cache(maxsize=64)
def _compile(key: str, hidden: _Hidden, vector_bits: int | None, block_rows: int) -> CompiledProgram:
    program = hidden.program
    return CompiledProgram(program, Target.host(vector_bits), schedule.skewed(program, block_rows))


def gates_ir(program: Program, target: Target, order: NDArray[np.int64]) -> str:
    """The module with @gates (see above) and @simulate(in, out, blocks) over [blocks][planes] of 64 bytes."""
    buses = list(program.inputs.values())
    parameters = [f"ptr noalias %b{n}" for n in range(len(buses))]
    function = Function("gates", ", ".join([*parameters, "ptr noalias %out"]))
    with function.loop(PLANE_BYTES, step=target.vector_bits // 8) as part:
        _emit_part(function, program, target, order, part)

    simulate = Function("simulate", "ptr %in, ptr %out, i64 %blocks")
    with simulate.loop("%blocks") as block:
        source = simulate.offset("%in", simulate.op(f"mul i64 {block}, {sum(buses) * PLANE_BYTES}"))
        result = simulate.offset("%out", simulate.op(f"mul i64 {block}, {len(program.results) * PLANE_BYTES}"))
        arguments, start = [], 0
        for width in buses:
            arguments.append(f"ptr {simulate.offset(source, start * PLANE_BYTES)}")
            start += width
        simulate.do(f"call void @gates({', '.join([*arguments, f'ptr {result}'])})")
    intrinsic = "declare <8 x i64> @llvm.x86.avx512.pternlog.q.512(<8 x i64>, <8 x i64>, <8 x i64>, i32)\n"
    return (intrinsic if target.ternary else "") + function.text() + simulate.text()


def _emit_part(function: Function, program: Program, target: Target, order: NDArray[np.int64], part: str) -> None:
    """One vector's width of every plane, at byte offset `part` of each."""
    vector = f"<{target.vector_bits // 64} x i64>"
    ones = f"splat ({'i64 -1'})"
    where: list[tuple[str, int]] = []
    for number, width in enumerate(program.inputs.values()):
        base = function.offset(f"%b{number}", part)
        where += [(base, plane) for plane in range(width)]
    out = function.offset("%out", part)
    inputs = len(where)

    stores: dict[int, list[int]] = {}
    for bit, node in enumerate(program.results.tolist()):
        stores.setdefault(node, []).append(bit)
    values: dict[int, str] = {}

    def value(node: int) -> str:
        if node not in values:
            base, plane = where[node]
            values[node] = function.op(f"load {vector}, ptr {function.offset(base, plane * PLANE_BYTES)}, align 16")
        return values[node]

    def store(node: int) -> None:
        for bit in stores.get(node, ()):
            address = function.offset(out, bit * PLANE_BYTES)
            function.do(f"store {vector} {value(node)}, ptr {address}, align 16")

    tables = program.tables.tolist()
    operands = program.operands.tolist()
    for k in order.tolist():
        table, nodes = tables[k], operands[k]
        if table in (0x00, 0xFF):
            values[inputs + k] = "zeroinitializer" if table == 0 else ones
        elif target.ternary and len(set(nodes)) == 3:
            # Functions of two inputs stay and/or/xor below: they run on more execution ports than vpternlog.
            a, b, c = (f"{vector} {value(node)}" for node in nodes)
            values[inputs + k] = function.op(
                f"call {vector} @llvm.x86.avx512.pternlog.q.512({a}, {b}, {c}, i32 {table})"
            )
        else:
            values[inputs + k] = _emit_form(function, vector, ones, shortest_form(table), [value(n) for n in nodes])
        store(inputs + k)
    for node in range(inputs):
        store(node)


def _emit_form(function: Function, vector: str, ones: str, form: object, inputs: list[str]) -> str:
    """A form of `shortest_form`: an input's index, or (operator, form, form or None)."""
    if isinstance(form, int):
        return inputs[form]
    assert isinstance(form, tuple)
    operator, left, right = form
    first = _emit_form(function, vector, ones, left, inputs)
    if operator == "not":
        return function.op(f"xor {vector} {first}, {ones}")
    second = _emit_form(function, vector, ones, right, inputs)
    if operator == "andnot":  # first & ~second; one instruction where the machine has it
        second = function.op(f"xor {vector} {second}, {ones}")
        operator = "and"
    return function.op(f"{operator} {vector} {first}, {second}")
