"""The interpreted backend: one numba kernel, compiled once and cached, that runs any program given as arrays.

Nothing is compiled per program, so that thousands of designs cost microseconds per operation. A program is first
allocated to registers by linear scan (a node's register is free after its last use), so that the working set, a few
hundred registers of 32 words, stays in the first- and second-level cache. Truth tables run as their algebraic normal
form (Reed-Muller)

    f = k0 ^ c k1 ^ b (k2 ^ c k3) ^ a (k4 ^ c k5 ^ b (k6 ^ c k7)),    k all ones or all zeros,

seven and-xor pairs, which LLVM turns into seven `vpternlog` on AVX-512. The most frequent functions have their own
cases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from circuits.engine.backends.backend import Backend
from circuits.engine.bit_planes import Planes
from circuits.netlists.lut_program import Program
from circuits.netlists.truth_table import normal_form

WORDS = 32
"""Words of a register: 2048 evaluations."""

_AND, _XOR, _XOR3, _MAJORITY, _GENERAL = range(5)
_KINDS = {0b11000000: _AND, 0b00111100: _XOR, 0b10010110: _XOR3, 0b11101000: _MAJORITY}


_COEFFICIENTS: NDArray[np.uint64] = np.array(
    [[(1 << 64) - 1 if k in normal_form(table) else 0 for k in range(8)] for table in range(256)], dtype=np.uint64
)
_KIND_OF: NDArray[np.uint8] = np.array([_KINDS.get(table, _GENERAL) for table in range(256)], dtype=np.uint8)


class Code(NamedTuple):
    """A program, allocated to registers, as the kernel takes it.

    `tables` uint8 [n], `operands` int32 [n, 3], `results` int32: the program's. `slots` int32 [inputs + n]: register of
    each node; `registers`: how many there are.
    """

    tables: Any
    operands: Any
    results: Any
    slots: Any
    registers: int


class Functions(NamedTuple):
    """Of every truth table: `coefficients` uint64 [256, 8] of its normal form, and `kinds` uint8 [256]."""

    coefficients: NDArray[np.uint64]
    kinds: NDArray[np.uint8]


_FUNCTIONS = Functions(_COEFFICIENTS, _KIND_OF)


def run(program: Program, inputs: Planes) -> Planes:
    """Output planes, uint64 [outputs, words], of the input planes uint64 [inputs, words]."""
    slots, count = _allocate(program.operands, program.results, program.input_count)
    planes = np.ascontiguousarray(inputs)
    result = np.empty((len(program.results), planes.shape[1]), dtype=np.uint64)
    _run(Code(program.tables, program.operands, program.results, slots, count), _FUNCTIONS, planes, result)
    return result


@numba.njit(cache=True, nogil=True)
def _allocate(operands: Any, results: Any, inputs: int) -> Any:
    """(register of every node, number of registers) by linear scan.

    Invariant: after operation k, `free` holds the registers below `used` that no later operation or result reads.
    """
    count = inputs + len(operands)
    last_use = np.full(count, -1, dtype=np.int64)
    for k in range(len(operands)):
        for operand in operands[k]:
            last_use[operand] = k
    # Results are read after the last operation, so that their registers are never freed.
    for node in results:
        last_use[node] = len(operands)
    slots = np.empty(count, dtype=np.int32)
    free = np.empty(count, dtype=np.int32)
    free_count = 0
    used = 0
    for node in range(inputs):
        slots[node] = used
        used += 1
    for k in range(len(operands)):
        # Operation k reads its operands word by word before it writes, so that it may take over the register of an
        # operand that nothing reads later. A repeated operand is freed once.
        for position in range(3):
            operand = operands[k, position]
            repeated = False
            for earlier in range(position):
                if operands[k, earlier] == operand:
                    repeated = True
            if not repeated and last_use[operand] == k:
                free[free_count] = slots[operand]
                free_count += 1
        if free_count:
            free_count -= 1
            slots[inputs + k] = free[free_count]
        else:
            slots[inputs + k] = used
            used += 1
        if last_use[inputs + k] < 0:  # never read
            free[free_count] = slots[inputs + k]
            free_count += 1
    return slots, used


@numba.njit(cache=True, nogil=True)
def _run(code: Code, functions: Functions, planes: Any, out: Any) -> None:
    """Runs a program on `planes` uint64 [inputs, words], WORDS at a time; writes `out` uint64 [results, words]."""
    # Local names: numba counts a reference whenever an array leaves a record.
    tables, operands, results, slots, register_count = code
    coefficients, kinds = functions
    inputs, words = planes.shape
    # A last piece shorter than WORDS leaves old words behind it in the registers; they are computed and never copied
    # out. All inner loops therefore have the same constant length, which LLVM unrolls into vectors.
    registers = np.zeros((register_count, WORDS), dtype=np.uint64)
    for start in range(0, words, WORDS):
        length = min(WORDS, words - start)
        for node in range(inputs):
            for i in range(length):
                registers[slots[node], i] = planes[node, start + i]
        for k in range(len(tables)):
            a = registers[slots[operands[k, 0]]]
            b = registers[slots[operands[k, 1]]]
            c = registers[slots[operands[k, 2]]]
            # y may be the register of a, b or c: each word is read before it is written.
            y = registers[slots[inputs + k]]
            kind = kinds[tables[k]]
            if kind == _AND:
                for i in range(WORDS):
                    y[i] = a[i] & b[i]
            elif kind == _XOR:
                for i in range(WORDS):
                    y[i] = a[i] ^ b[i]
            elif kind == _XOR3:
                for i in range(WORDS):
                    y[i] = a[i] ^ b[i] ^ c[i]
            elif kind == _MAJORITY:
                for i in range(WORDS):
                    y[i] = (a[i] & b[i]) | (c[i] & (a[i] | b[i]))
            else:
                q = coefficients[tables[k]]
                q0, q1, q2, q3, q4, q5, q6, q7 = q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]
                for i in range(WORDS):
                    # Coefficient k belongs to the product of the inputs in k: 4 for a, 2 for b, 1 for c.
                    low = q0 ^ (c[i] & q1) ^ (b[i] & (q2 ^ (c[i] & q3)))
                    high = q4 ^ (c[i] & q5) ^ (b[i] & (q6 ^ (c[i] & q7)))
                    y[i] = low ^ (a[i] & high)
        for bit in range(len(results)):
            for i in range(length):
                out[bit, start + i] = registers[slots[results[bit]], i]


BACKEND = Backend(run)
