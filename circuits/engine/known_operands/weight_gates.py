"""The gates of a float circuit for a weight that all lanes of a block share, where they are faster than for any two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.sparse_matmul_kernel import SLOTS
from circuits.engine.known_operands.stage_code import StageCode, stage_code
from circuits.engine.known_operands.weight_stages import StagedProgram, staged
from circuits.engine.llvm.float_gates import kernel_program
from circuits.engine.llvm.float_parts import FRACTION
from circuits.engine.llvm.jit import Library, Target, load
from circuits.netlists.lut_program import Program

_ENTRIES = 3
"""Entries of a stage that get code, where that pays: with more, the gain is small and the code large."""

_WORTH = 0.9
"""Expected operations with several entries over those with one, from which they pay."""

_PROMISING = 0.5
"""Expected operations over the program's, up to which further entries are tried at all."""

_LINES_AN_OPERATION = 1.0
"""Expected instructions, over the program's operations, up to which stages pay.

Measured: 0.4 to 0.9 for carry-save arrays, which become 1.8 to 2.8 times faster; 1.5 to 2.1 for ripple arrays, whose
state does not fit the registers and which become slower.
"""


@dataclass(frozen=True)
class WeightGates:
    """Machine code `gates(x planes, weight, output planes, slots)`; `library` keeps it alive."""

    gates_address: int
    library: Library


@lru_cache(maxsize=64)
def weight_gates(circuit: FloatCircuit) -> WeightGates | None:
    """The circuit's gates for a known weight, or None where they would not be faster or the host has no AVX-512.

    They take the weight's float32 word and ignore its sign and exponent.
    """
    target = Target.host()
    if not target.ternary:
        return None
    program = kernel_program(circuit)[1]
    code = staged_code(program)
    if code is None or not pays(code, program):
        return None
    library = load(weight_gates_ir(code.text), target)
    return WeightGates(library.address("gates"), library)


def staged_code(program: Program) -> StageCode | None:
    """The code of a float multiplier in stages, or None where it has none (see `weight_stages.staged`)."""
    stages = _best_stages(program)
    width = next(iter(program.inputs.values()))
    # A narrower format's fraction ends at bit 22 of the float32 word.
    return None if stages is None else stage_code(stages, width, lowest_bit=FRACTION + 1 - width)


def pays(code: StageCode, program: Program) -> bool:
    """Whether the code is faster than the program for any two operands, and its memory suffices."""
    return code.expected_lines <= _LINES_AN_OPERATION * len(program) and code.slots <= SLOTS


def _best_stages(program: Program) -> StagedProgram | None:
    """The stages in the order of the weight's bits, ascending or descending, that takes fewer operations."""
    # The leading ones of both mantissas.
    width = next(iter(program.inputs.values()))
    known = {width - 1: 1, 2 * width - 1: 1}

    def cost(stages: StagedProgram) -> float:
        return stages.expected_operations

    orders = (range(width), range(width)[::-1])
    simple = {order: stages for order in orders if (stages := staged(program, order, known, 1)) is not None}
    if not simple:
        return None
    order = min(simple, key=lambda order: cost(simple[order]))
    if cost(simple[order]) > _PROMISING * len(program):
        return simple[order]
    several = staged(program, order, known, _ENTRIES)
    assert several is not None
    return several if cost(several) < _WORTH * cost(simple[order]) else simple[order]


def weight_gates_ir(text: str) -> str:
    """An IR module whose @gates(x planes, weight, output planes, slots) runs the assembly of `stage_code`."""
    body = text.replace("\n", "\\0A")
    clobbers = ",".join(f"~{{zmm{register}}}" for register in range(32))
    return (
        "define void @gates(ptr %x, i32 %weight, ptr %out, ptr %slots) {\n"
        f'  call void asm sideeffect inteldialect "{body}", '
        f'"{{rdi}},{{esi}},{{rdx}},{{rcx}},~{{memory}},~{{flags}},{clobbers}"'
        "(ptr %x, i32 %weight, ptr %out, ptr %slots)\n"
        "  ret void\n}\n"
    )
