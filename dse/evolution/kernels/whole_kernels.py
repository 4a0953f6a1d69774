"""Whole circuits on all operand pairs, from scratch: what a candidate costs without any short cut.

The walk simulates what a mutation changed and keeps every plane; here nothing is kept, which pays in three ways:

- **Fewer operations.** `lower` merges gates of two inputs into functions of three, which are one instruction
  (`vpternlog`) where the processor has it. A gate that has one reader becomes part of it; and where a merged gate would
  read four nets, one of which is a function of two of the others, that one is computed again inside: the carry
  (a & b) | ((a ^ b) & c) then reads a, b and c alone. A full adder of five gates becomes two operations.
- **Fewer planes.** A net's slot is free after its last reader, so that a block's live planes stay in the first-level
  cache: 84 of the 338 nets of a Dadda tree in gates.
- **No masks.** The list of operations is the same for all blocks, so that the processor learns its jumps. Each of the
  256 functions has its own code.

Lowering is part of every evaluation: a circuit under evolution is another one each time.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from circuits.engine.llvm.gates_function import TERNARY, emit_table
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target
from circuits.netlists.truth_table import support
from dse.evolution.genome import INVERT
from dse.evolution.kernels.plane_kernels import BLOCK_WORDS, PLANE_BYTES, ErrorKernel, errors_ir, loaded
from dse.evolution.kernels.walk_kernels import call, limits_broken

_V = "<8 x i64>"
_VECTORS = BLOCK_WORDS // 8
ROWS = 12
_READERS, _LAST, _TABLES, _SLOTS, _FREE, _READS, _MERGED = 0, 1, 2, 3, 4, 5, 8
"""Rows of `lower`'s work: readers of each node, its last reader, the truth table of its operation, its slot, free
slots; three rows of nets that its operation reads, and four of gates in it: those of both inputs, and for each of these
one that is computed again."""


def whole_address(kernel: ErrorKernel, inputs: int) -> int:
    """The address of `whole`, whose parameters are (planes, operations, count, inputs, outputs, exact, limit, weights,
    counters, sums, blocks).

    `planes`: room for a block; slots 0 and 1 hold the constants, the next `inputs` are overwritten by each block's
    operands. `operations`: int32 [count, 5], byte offsets of three operands and of the result, and the truth table.
    `inputs`, `exact`, `weights`: those of all blocks. The others are those of the error kernel.
    """
    return loaded(_whole_ir(kernel, inputs, Target.host())).address("whole")


def _whole_ir(kernel: ErrorKernel, inputs: int, target: Target) -> str:
    f = Function(
        "whole",
        "ptr %planes, ptr %operations, i64 %count, ptr %inputs, ptr %outputs, ptr %exact, ptr %limit, ptr %weights, "
        "ptr %counters, ptr %sums, i64 %blocks",
    )
    with f.loop("%blocks") as block:
        operands = f.offset("%inputs", f.op(f"mul i64 {block}, {inputs * PLANE_BYTES}"))
        first = f.offset("%planes", 2 * PLANE_BYTES)
        with f.loop(inputs * PLANE_BYTES, step=64) as byte:
            plane = f.op(f"load {_V}, ptr {f.offset(operands, byte)}, align 64")
            f.do(f"store {_V} {plane}, ptr {f.offset(first, byte)}, align 64")
        _emit_operations(f, target)
        exact = f.offset("%exact", f.op(f"mul i64 {block}, {kernel.bits * PLANE_BYTES}"))
        weights = f.offset("%weights", f.op(f"mul i64 {block}, {64 * kernel.weight_rows * _VECTORS}"))
        arguments = f"ptr %planes, ptr %outputs, ptr {exact}, ptr %limit, ptr {weights}, ptr %counters, ptr %sums"
        f.do(f"call void @errors({arguments})")
    return f.text() + errors_ir(kernel) + (TERNARY if target.ternary else "")


def _emit_operations(f: Function, target: Target) -> None:
    with f.loop("%count") as index:
        row = f.element("%operations", "[5 x i32]", index)
        numbers = [f.op(f"load i32, ptr {f.offset(row, 4 * column)}") for column in range(5)]
        *operands, result = (f.offset("%planes", f.op(f"zext i32 {number} to i64")) for number in numbers[:4])
        for table in f.switch(numbers[4], range(256)):
            needed = support(table)
            ternary = target.ternary and len(needed) == 3
            for vector in range(_VECTORS):
                planes = ["zeroinitializer"] * 3
                for k in needed:
                    planes[k] = f.op(f"load {_V}, ptr {f.offset(operands[k], 64 * vector)}, align 64")
                value = emit_table(f, _V, table, planes, ternary=ternary)
                f.do(f"store {_V} {value}, ptr {f.offset(result, 64 * vector)}, align 64")


@numba.njit(cache=True, nogil=True)
def evaluate(genes: Any, buffers: Any, pairs: Any, address: int, repetitions: int) -> int:
    """Lowers a circuit, simulates it on all pairs and sums its errors, `repetitions` times; returns how often all sums
    were within their limits. They are left in buffers.counters and buffers.sums."""
    met = 0
    for _ in range(repetitions):
        count = lower(genes, buffers.work, buffers.operations, buffers.outputs)
        buffers.counters[:] = 0
        buffers.sums[:] = 0.0
        call(
            address,
            (
                buffers.planes.ctypes.data,
                buffers.operations.ctypes.data,
                count,
                pairs.inputs.ctypes.data,
                buffers.outputs.ctypes.data,
                pairs.exact.ctypes.data,
                pairs.limit_bits.ctypes.data,
                pairs.weights.ctypes.data,
                buffers.counters.ctypes.data,
                buffers.sums.ctypes.data,
                len(pairs.exact),
            ),
        )
        met += not limits_broken(buffers, pairs, len(pairs.exact), len(pairs.exact))
    return met


# Numba counts references to arrays whenever one is passed on, which costs more than a gate: the functions below work on
# all gates, those that they call on numbers.


@numba.njit(cache=True, nogil=True)
def lower(genes: Any, work: Any, operations: Any, outputs: Any) -> int:
    """Lists the operations of a circuit, and the places of its product in `outputs`; returns their number.

    `work`: int32 [ROWS, nodes], overwritten; see the names of its rows.
    """
    _count_readers(genes, work[_READERS])
    _merge(genes, work)
    _tabulate(genes, work)
    return _place(genes, work, operations, outputs)


@numba.njit(cache=True, nogil=True)
def _count_readers(genes: Any, readers: Any) -> None:
    """Counts the readers of each node among the nodes that some output depends on, and the outputs."""
    readers[:] = 0
    for k in range(len(genes.outputs)):
        readers[genes.outputs[k]] += 1
    for node in range(len(readers) - 1, genes.fixed - 1, -1):
        if readers[node] > 0:
            readers[genes.first[node]] += 1
            if genes.functions[node] > INVERT and genes.second[node] != genes.first[node]:
                readers[genes.second[node]] += 1


@numba.njit(cache=True, nogil=True)
def _merge(genes: Any, work: Any) -> None:
    """Merges gates into their readers: sets the nets that each operation reads and the gates in it (-1 for none).

    Nodes are visited from the last to the first: the number of readers of a node is final then, and those of earlier
    nodes count what is left of later ones. A node without readers is computed nowhere or inside others.
    """
    functions, first, second, fixed = genes.functions, genes.first, genes.second, genes.fixed
    a: Any
    b: Any
    c: Any
    p: Any
    q: Any
    for node in range(len(functions) - 1, fixed - 1, -1):
        if work[_READERS, node] == 0:
            continue
        for k in range(4):
            work[_MERGED + k, node] = -1
        a, b, c = np.int64(first[node]), -1, -1
        inputs = 1
        if functions[node] > INVERT and second[node] != a:
            b = np.int64(second[node])
            inputs = 2
        for turn in range(inputs):
            gate = second[node] if turn else first[node]
            if gate < fixed or work[_READERS, gate] != 1:
                continue
            if gate == b:
                a, b = b, a
            elif gate == c:
                a, c = c, a
            elif gate != a:  # computed again inside, and read by another gate
                continue
            # Gate a is read here alone: its inputs p and q take its place.
            p, q = np.int64(first[a]), -1
            if functions[a] > INVERT and second[a] != p:
                q = np.int64(second[a])
            again = -1
            if b >= 0 and c >= 0 and q >= 0 and p not in (b, c) and q not in (b, c):
                # Four nets: one of them must be a function of others.
                if b >= fixed and _covers(first[b], second[b], functions[b], c, p, q):
                    again, b, p = b, p, -1
                elif c >= fixed and _covers(first[c], second[c], functions[c], b, p, q):
                    again, c, p = c, p, -1
                elif p >= fixed and _covers(first[p], second[p], functions[p], b, c, q):
                    again, p = p, -1
                elif q >= fixed and _covers(first[q], second[q], functions[q], b, c, p):
                    again, q = q, -1
                else:
                    continue
                work[_MERGED + 2 + turn, node] = again
                work[_READERS, again] -= 1
                if work[_READERS, again] == 0:
                    # Computed nowhere else: it reads its inputs no longer.
                    work[_READERS, first[again]] -= 1
                    if functions[again] > INVERT and second[again] != first[again]:
                        work[_READERS, second[again]] -= 1
            work[_READERS, a] = 0
            work[_MERGED + turn, node] = a
            # A net that both gates read is read by one operation now.
            if again < 0 <= p and p in (b, c):
                work[_READERS, p] -= 1
                p = -1
            if again < 0 <= q and q in (b, c):
                work[_READERS, q] -= 1
                q = -1
            a, b, c = _packed(p, q, b, c)
        work[_READS, node], work[_READS + 1, node], work[_READS + 2, node] = a, b, c


@numba.njit(cache=True, nogil=True)
def _covers(first: int, second: int, function: int, a: int, b: int, c: int) -> bool:
    """Whether a gate reads nothing but a, b and c."""
    return first in (a, b, c) and (function <= INVERT or second in (a, b, c))


@numba.njit(cache=True, nogil=True)
def _packed(p: int, q: int, b: int, c: int) -> Any:
    """The nets among four that are not -1, at most three, in front."""
    if p < 0:
        p, q = q, -1
    if b < 0:
        b, c = c, -1
    if p < 0:
        return b, c, -1
    return (p, b, c) if q < 0 else (p, q, b)


@numba.njit(cache=True, nogil=True)
def _tabulate(genes: Any, work: Any) -> None:
    """Sets the truth table of each operation over the nets that it reads."""
    values = work[_SLOTS]  # of nets while one operation is looked at
    order = np.empty(5, dtype=np.int64)
    for node in range(genes.fixed, len(values)):
        if work[_READERS, node] == 0:
            continue
        for k in range(3):
            if work[_READS + k, node] >= 0:
                values[work[_READS + k, node]] = (0xF0, 0xCC, 0xAA)[k]
        # In ascending order a gate comes after those that it reads.
        count = 0
        for k in range(4):
            gate = work[_MERGED + k, node]
            if gate >= 0:
                place = count
                while place > 0 and order[place - 1] > gate:
                    order[place] = order[place - 1]
                    place -= 1
                order[place] = gate
                count += 1
        order[count] = node
        for k in range(count + 1):
            gate = order[k]
            function = genes.functions[gate]
            value = values[genes.first[gate]]
            if function > INVERT:
                other = values[genes.second[gate]]
                value = value & other if function < 4 else value | other if function < 6 else value ^ other
            values[gate] = value ^ 0xFF if function & 1 else value
        work[_TABLES, node] = values[node]


@numba.njit(cache=True, nogil=True)
def _place(genes: Any, work: Any, operations: Any, outputs: Any) -> int:
    """Gives every net a slot among the planes, and writes the operations; returns their number."""
    fixed, nodes = genes.fixed, len(genes.functions)
    last, slots, free = work[_LAST], work[_SLOTS], work[_FREE]
    for node in range(nodes):
        last[node] = 0
    for node in range(fixed, nodes):
        if work[_READERS, node] > 0:
            for k in range(3):
                if work[_READS + k, node] >= 0:
                    last[work[_READS + k, node]] = node
    for k in range(len(genes.outputs)):
        last[genes.outputs[k]] = nodes
    for node in range(fixed):
        slots[node] = node
    free_count, top, count = 0, fixed, 0
    for node in range(fixed, nodes):
        if work[_READERS, node] == 0:
            continue
        for k in range(3):
            net = work[_READS + k, node]
            operations[count, k] = slots[net] * PLANE_BYTES if net >= 0 else 0
            # The result may take the place of an operand: each vector is read before it is written.
            if net >= fixed and last[net] == node:
                free[free_count] = slots[net]
                free_count += 1
        if free_count > 0:
            free_count -= 1
            slots[node] = free[free_count]
        else:
            slots[node] = top
            top += 1
        operations[count, 3] = slots[node] * PLANE_BYTES
        operations[count, 4] = work[_TABLES, node]
        count += 1
    for k in range(len(genes.outputs)):
        outputs[k] = slots[genes.outputs[k]] * PLANE_BYTES
    return count
