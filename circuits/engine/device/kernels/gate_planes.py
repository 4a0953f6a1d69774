"""A LUT program in one thread's registers, one LOP3 for each function of three inputs."""

from __future__ import annotations

from circuits.engine.device.kernels.thread_code import Registers
from circuits.engine.llvm.schedule import skewed
from circuits.netlists.lut_program import Program
from circuits.netlists.truth_table import CONSTANTS, FALSE, INPUTS

ONES, _ZEROS = "-1", "0"
"""The planes of all ones and of all zeros."""


def emit_gates(e: Registers, program: Program, inputs: list[str]) -> list[str]:
    """The planes of the program's result bits from those of its inputs, bus after bus."""
    values = list(inputs) + [""] * len(program)
    tables, operands = program.tables.tolist(), program.operands.tolist()
    for k in skewed(program).tolist():
        table, planes = _without_constants(tables[k], [values[node] for node in operands[k]])
        if table in CONSTANTS:
            values[len(inputs) + k] = _ZEROS if table == FALSE else ONES
        elif table in INPUTS:
            values[len(inputs) + k] = planes[INPUTS.index(table)]
        else:
            values[len(inputs) + k] = e.ternary(table, planes)
    return [values[node] for node in program.results.tolist()]


def _without_constants(table: int, planes: list[str]) -> tuple[int, list[str]]:
    """The same function with the constants among its operands, leading ones of mantissas, worked into its table."""
    for place, plane in enumerate(planes):
        if plane in (ONES, _ZEROS):
            # The rows where the operand has its value, copied to those where it has the other one.
            shift, kept = 4 >> place, table & (INPUTS[place] if plane == ONES else ~INPUTS[place])
            table = kept | (kept >> shift if plane == ONES else kept << shift)
    variables = [plane for plane in planes if plane not in (ONES, _ZEROS)]
    # An operand that no longer counts is replaced by one that does, so that it needs no register.
    return table, [plane if plane not in (ONES, _ZEROS) else (variables or planes)[0] for plane in planes]
