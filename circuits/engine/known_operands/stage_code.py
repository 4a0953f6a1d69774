"""AVX-512 code of a staged program: the stages one after the other, each with a branch on its bit of the weight.

LLVM's register allocator takes long for dozens of vectors that live across two dozen branches, and copies them at the
joins. Registers are therefore allocated here, and LLVM only assembles the text. The rules:

- Whatever the variant, a stage's outputs end in the same places, their homes. A home is a register where the next stage
  reads the value, memory otherwise: output planes for results, slots of the scratch memory for the rest.
- An output takes over the home of a state value that its operation reads and nothing reads later: a row's new sum
  replaces its old one, and a variant in which the sum does not change has nothing to do.
- Registers that are no homes hold what lives within a variant. At least TEMPORARIES are left; should they not suffice,
  the value whose next use is furthest away goes to memory (Belady's rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from circuits.engine.blocks import PLANE_BYTES
from circuits.engine.known_operands.variant_code import (
    OUT_PLANES,
    REGISTERS,
    TEMPORARIES,
    X_PLANES,
    Home,
    State,
    VariantCode,
    memory_operand,
)
from circuits.engine.known_operands.weight_stages import StagedProgram


@dataclass(frozen=True)
class StageCode:
    """`text`: Intel syntax, with x planes at rdi, the weight in esi, output planes at rdx, `slots` planes at rcx.

    `expected_lines`: instructions of an evaluation whose weight has random bits.
    """

    text: str
    slots: int
    expected_lines: float


def stage_code(program: StagedProgram, inputs: int, *, lowest_bit: int = 0) -> StageCode:
    """The code of a staged program whose first bus is nodes 0 .. `inputs` - 1.

    Bit 0 of the second operand is bit `lowest_bit` of the weight.
    """
    result_of: dict[int, str] = {}
    for bit, node in enumerate(program.results):
        result_of.setdefault(node, f"{OUT_PLANES}+{bit * PLANE_BYTES}")
    lines: list[str] = []
    state, slots, expected = State(), 0, 0.0
    for number, stage in enumerate(program.stages):
        dying = {node for node in state.homes if program.last_reads[node] <= number}
        places = {**state.homes, **_choose_homes(program, number, state, dying, result_of)}
        for index, entry in enumerate(stage.entries):
            lines.append(f"{_label(number, index)}:")
            if len(entry.variants) > 1:
                # bt copies the weight's bit to the carry flag.
                lines += [f"bt esi, {lowest_bit + stage.bit}", f"jnc {_label(number, index, 'zero')}"]
            for value, variant in reversed(list(enumerate(entry.variants))):
                if not value and len(entry.variants) > 1:
                    lines.append(f"{_label(number, index, 'zero')}:")
                code = VariantCode(variant, state, dying, entry.known, places, inputs)
                instructions = code.lines()
                expected += entry.chance * len(instructions) / len(entry.variants)
                lines += [*instructions, f"jmp {_label(number + 1, variant.following)}"]
                slots = max(slots, code.slots)
        state.homes = places
        state.release(dying)
    lines.append(f"{_label(len(program.stages), 0)}:")
    return StageCode("\n".join([*_without_idle_jumps(lines), *_repeated_results(program, inputs)]), slots, expected)


def _label(stage: int, entry: int, part: str = "stage") -> str:
    # LLVM replaces {:uid} by a number of its own for each piece of assembly.
    return f".L{part}{stage}_{entry}_${{:uid}}"


def _without_idle_jumps(lines: list[str]) -> list[str]:
    """The lines without jumps to the next one."""
    following = [*lines[1:], ""]
    return [line for line, after in zip(lines, following, strict=True) if line != f"jmp {after.removesuffix(':')}"]


def _choose_homes(
    program: StagedProgram, number: int, state: State, dying: set[int], result_of: Mapping[int, str]
) -> dict[int, Home]:
    """Where the outputs of stage `number` go."""
    homes: dict[int, Home] = {}
    taken = {home for home in state.homes.values() if isinstance(home, int)}
    claimed: set[int] = set()
    for node, operands in program.stages[number].outputs.items():
        if node in result_of:
            homes[node] = result_of[node]
            continue
        register = None
        if program.next_reads[node] == number + 1:
            left = [state.homes[operand] for operand in operands if operand in dying]
            free = [home for home in range(REGISTERS - TEMPORARIES) if home not in taken]
            choices = [home for home in [*left, *free] if isinstance(home, int) and home not in claimed]
            register = choices[0] if choices else None
        if register is None:
            homes[node] = state.new_slot()
        else:
            homes[node] = register
            claimed.add(register)
    return homes


def _repeated_results(program: StagedProgram, inputs: int) -> list[str]:
    """Output planes that repeat an earlier one, or are an input."""
    lines: list[str] = []
    first: dict[int, int] = {}
    for bit, node in enumerate(program.results):
        if node >= inputs and node not in first:
            first[node] = bit
            continue
        source = f"{OUT_PLANES}+{first[node] * PLANE_BYTES}" if node >= inputs else f"{X_PLANES}+{node * PLANE_BYTES}"
        lines += [
            f"vmovdqa64 zmm0, {memory_operand(source)}",
            f"vmovdqa64 {memory_operand(f'{OUT_PLANES}+{bit * PLANE_BYTES}')}, zmm0",
        ]
    return lines
