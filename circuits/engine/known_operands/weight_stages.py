"""A multiplier's program cut into stages, one for each bit of a weight, and each stage's code for that bit 0 and 1.

All lanes of a block meet the same weight. The bits of the weight are taken in a fixed order; an operation belongs to
the first stage at which all bits that it depends on, directly or through its operands, have been taken:

    stage(operation) = max(stage(operand) for its operands),    stage(bit number t in the order) = t.

Stage t can therefore be computed once stages 0 .. t - 1 have been, and in it bit t is a constant: the program of the
stage is simplified for the bit 0 and for the bit 1. Partial products vanish, and often most of an approximate cell
does. What a later stage reads of an earlier one is the state between them. A carry-save array whose columns belong to
bits of the weight, taken from the last column down, has one sum for each row as its state:

    cell (i, j) reads the sum of cell (i - 1, j + 1), of the column before, and the carry of cell (i - 1, j).

Nothing is assumed of the program; whether stages pay is seen from `expected_operations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from circuits.netlists.lut_program import Program
from circuits.netlists.simplification import FALSE, reduce_function
from circuits.netlists.truth_table import TRUE, complement_inputs

Operation = tuple[int, int, tuple[int, ...]]
"""(node, truth table, operand nodes, two or three)."""


@dataclass(frozen=True)
class Variant:
    """The code of a stage for one value of its bit.

    `operations`: in topological order, over nodes of the program: inputs, state, or nodes computed before in the same
    variant. `values`: for each node of the stage's `outputs` its literal, 2 (node + 1) + inverted, or 0 or 1.
    """

    operations: tuple[Operation, ...]
    values: Mapping[int, int]


@dataclass(frozen=True)
class Stage:
    """`bit`: the weight's bit that chooses the variant; `variants`: for 0 and 1, or a single one for a known bit.

    `outputs`: the nodes that later stages or the results read, and what each reads itself in the program.
    """

    bit: int
    variants: tuple[Variant, ...]
    outputs: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class StagedProgram:
    """`stages` in order. `results`: literals of the output bits.

    `last_reads`, `next_reads`: for each node the last stage that reads it, and the first one behind its own; results
    are read by a stage behind the last.
    """

    stages: tuple[Stage, ...]
    results: tuple[int, ...]
    last_reads: Mapping[int, int]
    next_reads: Mapping[int, int]

    @property
    def expected_operations(self) -> float:
        """Operations of an evaluation, where each bit of the weight is 0 as often as 1."""
        return sum(sum(len(v.operations) for v in stage.variants) / len(stage.variants) for stage in self.stages)

    @property
    def state(self) -> int:
        """Most nodes that live from one stage to a later one, results left out."""
        results = {literal >> 1 for literal in self.results}
        alive: set[int] = set()
        most = 0
        for number, stage in enumerate(self.stages):
            alive |= {node for node in stage.outputs if node + 1 not in results}
            alive = {node for node in alive if self.last_reads.get(node, -1) > number}
            most = max(most, len(alive))
        return most


def staged(program: Program, order: Sequence[int], known: Mapping[int, int]) -> StagedProgram:
    """The stages of a program with two input buses, for the second one's bits in the given order.

    `known`: values of input nodes that never vary, such as a mantissa's leading one.
    """
    inputs = program.input_count
    first = inputs - len(order)
    tables, operands = program.tables.tolist(), program.operands.tolist()
    stage_of = [-1] * (inputs + len(program))
    for number, bit in enumerate(order):
        stage_of[first + bit] = number
    members: list[list[int]] = [[] for _ in order]
    for k, nodes in enumerate(operands):
        # What depends on no bit of the weight is computed first.
        stage_of[inputs + k] = max(0, *(stage_of[node] for node in nodes))
        members[stage_of[inputs + k]].append(k)
    last_reads, next_reads = _reads(program, stage_of, first)

    aliases = {node: FALSE ^ value for node, value in known.items()}
    stages = []
    for number, bit in enumerate(order):
        outputs = [inputs + k for k in members[number] if last_reads.get(inputs + k, -1) > number]
        values = (known[first + bit],) if first + bit in known else (0, 1)
        solved = [
            _variant(members[number], inputs, tables, operands, outputs, {**aliases, first + bit: value})
            for value in values
        ]
        # A value that is the same input or constant in all variants is no state.
        for node in outputs:
            literals = {variant.values[node] for variant in solved}
            literal = literals.pop()
            if not literals and literal >> 1 <= first:
                aliases[node] = literal
        state = {node: tuple(operands[node - inputs]) for node in outputs if node not in aliases}
        solved = [
            Variant(variant.operations, {node: variant.values[node] for node in state}) for variant in solved
        ]
        stages.append(Stage(bit, tuple(solved), state))
    results = tuple(aliases.get(node, 2 * (node + 1)) for node in program.results.tolist())
    return StagedProgram(tuple(stages), results, last_reads, next_reads)


def _reads(program: Program, stage_of: list[int], first: int) -> tuple[dict[int, int], dict[int, int]]:
    """For each node the last stage that reads it, and the first one behind its own."""
    inputs, stages = program.input_count, program.input_count - first
    last: dict[int, int] = {}
    following: dict[int, int] = {}
    readers = [(stage_of[inputs + k], nodes) for k, nodes in enumerate(program.operands.tolist())]
    for stage, nodes in [*readers, (stages, program.results.tolist())]:
        for node in nodes:
            last[node] = max(last.get(node, -1), stage)
            if stage > stage_of[node]:
                following[node] = min(following.get(node, stages), stage)
    return last, following


def _variant(
    members: list[int],
    inputs: int,
    tables: list[int],
    operands: list[list[int]],
    outputs: list[int],
    literals: dict[int, int],
) -> Variant:
    """The operations `members` of a stage, simplified for the literals that are known."""
    functions: list[tuple[int, int, tuple[int, ...]]] = []
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    for k in members:
        read = [literals.get(node, 2 * (node + 1)) for node in operands[k]]
        table, nodes, inverted = reduce_function(tables[k], read)
        if not nodes:
            literals[inputs + k] = inverted
        elif len(nodes) == 1:
            literals[inputs + k] = 2 * nodes[0] ^ inverted
        else:
            if (table, nodes) not in known:
                known[table, nodes] = inputs + k
                functions.append((inputs + k, table, tuple(node - 1 for node in nodes)))
            literals[inputs + k] = 2 * (known[table, nodes] + 1) ^ inverted

    values = {node: literals[node] for node in outputs}
    live = {literal >> 1 for literal in values.values()}
    needed = []
    for function in reversed(functions):
        if function[0] + 1 in live:
            live.update(node + 1 for node in function[2])
            needed.append(function)
    # What is read only inverted is computed inverted; operations absorb either polarity of their operands.
    direct = {literal >> 1 for literal in values.values() if not literal & 1}
    computed = {node + 1 for node, _, _ in needed}
    inverse = ({literal >> 1 for literal in values.values() if literal & 1} - direct) & computed
    operations = []
    for node, table, nodes in reversed(needed):
        marks = tuple(int(operand + 1 in inverse) for operand in nodes)
        table = complement_inputs(table, marks) ^ (TRUE if node + 1 in inverse else 0)
        operations.append((node, table, nodes))
    values = {node: literal ^ (literal >> 1 in inverse) for node, literal in values.items()}
    return Variant(tuple(operations), values)


@lru_cache(maxsize=64)
def best_stages(program: Program, known: tuple[tuple[int, int], ...]) -> StagedProgram:
    """The stages with the bits ascending or descending, whichever takes fewer operations; of these the less state."""
    width = list(program.inputs.values())[-1]
    candidates = [staged(program, order, dict(known)) for order in (range(width), range(width)[::-1])]
    return min(candidates, key=lambda candidate: (candidate.expected_operations + candidate.state))
