"""A multiplier's program cut into stages, one for each bit of a weight, and each stage's code for that bit 0 and 1.

All lanes of a block meet the same weight. The bits of the weight are taken in a fixed order; an operation belongs to
the first stage at which all bits that it depends on, directly or through its operands, have been taken:

    stage(operation) = max(stage(operand) for its operands),    stage(bit number t in the order) = t.

Stage t can therefore be computed once stages 0 .. t - 1 have been, and in it bit t is a constant: the program of the
stage is simplified for the bit 0 and for the bit 1. Partial products vanish, and often most of an approximate cell
does. What a later stage reads of an earlier one is the state between them. A carry-save array whose columns belong to
bits of the weight, taken from the last column down, has one sum for each row as its state:

    cell (i, j) reads the sum of cell (i - 1, j + 1), of the column before, and the carry of cell (i - 1, j).

A stage may leave part of its state constant or equal to an input: with some cells a bit 0 clears all sums. Such
knowledge is the next stage's entry. There is code for a few entries of each stage, the likeliest that save most; where
one has no code of its own, values that were known are computed after all, and a more general entry follows.

Nothing is assumed of the program; whether stages pay is seen from `expected_operations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from circuits.netlists.lut_program import Program
from circuits.netlists.simplification import reduce_function
from circuits.netlists.truth_table import TRUE, complement_inputs

Operation = tuple[int, int, tuple[int, ...]]
"""(node, truth table, operand nodes, two or three)."""

Literal = int
"""2 (node + 1) + inverted, or a constant 0 or 1."""

Knowledge = frozenset[tuple[int, Literal]]
"""(node, literal of an input or a constant) for state that need not be computed."""


@dataclass(frozen=True)
class Variant:
    """The code of a stage for one entry and one value of its bit.

    `operations`: in topological order, over nodes of the program: inputs, state, or nodes computed before in the same
    variant. `values`: the nodes that the next stage may expect in their places behind this variant but not before, with
    their literals. `following`: number of the entry of the next stage.
    """

    operations: tuple[Operation, ...]
    values: Mapping[int, Literal]
    following: int


@dataclass(frozen=True)
class Entry:
    """`known`: state whose places hold nothing. `variants`: for the bit 0 and 1, or a single one for a known bit.

    `chance`: how often a weight of random bits comes here.
    """

    known: Mapping[int, Literal]
    variants: tuple[Variant, ...]
    chance: float


@dataclass(frozen=True)
class Stage:
    """`bit`: the weight's bit that chooses the variant.

    `outputs`: the nodes of this stage that later ones or the results read, and what each reads itself in the program.
    """

    bit: int
    entries: tuple[Entry, ...]
    outputs: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class StagedProgram:
    """`stages` in order. `results`: the nodes of the output bits.

    `last_reads`, `next_reads`: for each node the last stage that reads it, and the first one behind its own; results
    are read by a stage behind the last.
    """

    stages: tuple[Stage, ...]
    results: tuple[int, ...]
    last_reads: Mapping[int, int]
    next_reads: Mapping[int, int]

    @property
    def expected_operations(self) -> float:
        """Operations and values moved to their places in an evaluation whose weight has random bits."""
        return sum(
            entry.chance * sum(len(v.operations) for v in entry.variants) / len(entry.variants)
            for stage in self.stages
            for entry in stage.entries
        )

    @property
    def code_operations(self) -> int:
        """Operations of all variants."""
        return sum(len(v.operations) for stage in self.stages for entry in stage.entries for v in entry.variants)


class _Staging:
    """The program and how its nodes belong to stages."""

    def __init__(self, program: Program, order: Sequence[int], known: Mapping[int, int]) -> None:
        self.inputs = program.input_count
        self.first = self.inputs - len(order)  # the weight's first bit
        self.order, self.known = order, known
        self.tables, self.operands = program.tables.tolist(), program.operands.tolist()
        self.results = program.results.tolist()
        stage_of = [-1] * (self.inputs + len(program))
        for number, bit in enumerate(order):
            stage_of[self.first + bit] = number
        self.members: list[list[int]] = [[] for _ in order]
        for k, nodes in enumerate(self.operands):
            # What depends on no bit of the weight is computed first.
            stage_of[self.inputs + k] = max(0, *(stage_of[node] for node in nodes))
            self.members[stage_of[self.inputs + k]].append(k)
        self.last: dict[int, int] = {}
        self.following: dict[int, int] = {}
        readers = [(stage_of[self.inputs + k], nodes) for k, nodes in enumerate(self.operands)]
        for stage, nodes in [*readers, (len(order), self.results)]:
            for node in nodes:
                self.last[node] = max(self.last.get(node, -1), stage)
                if stage > stage_of[node]:
                    self.following[node] = min(self.following.get(node, stage), stage)

    def reads_earlier_bits(self) -> bool:
        """Whether an operation, or a result, reads a bit of the weight that an earlier stage has taken."""
        return any(self.first + bit in self.following for bit in self.order)

    def outputs(self, number: int) -> list[int]:
        """Nodes of a stage that later stages or results read."""
        nodes = (self.inputs + k for k in self.members[number])
        return [node for node in nodes if self.last.get(node, -1) > number]


def staged(program: Program, order: Sequence[int], known: Mapping[int, int], entry_count: int) -> StagedProgram | None:
    """The stages of a program with two input buses, for the second one's bits in the given order.

    `known`: values of input nodes that never vary, such as a mantissa's leading one. `entry_count`: entries of a stage
    that get code at most. None where a stage would need a bit of an earlier stage.
    """
    staging = _Staging(program, order, known)
    if staging.reads_earlier_bits():
        return None
    results = set(staging.results)
    stages = []
    entries: dict[Knowledge, float] = {frozenset(): 1.0}
    for number, bit in enumerate(order):
        outputs = staging.outputs(number)
        values = (known[staging.first + bit],) if staging.first + bit in known else (0, 1)
        solved: list[list[_Solved]] = []
        chances: dict[Knowledge, float] = {}
        for entry, chance in entries.items():
            literals = {**known, **dict(entry)}
            variants = [_solve(staging, number, outputs, {**literals, staging.first + bit: v}) for v in values]
            solved.append(variants)
            for variant in variants:
                # Only what the next stage reads is worth knowing; the rest would multiply entries.
                knowledge = frozenset(
                    (node, literal)
                    for node, literal in variant.literals.items()
                    if literal >> 1 <= staging.first and staging.following[node] == number + 1 and node not in results
                )
                variant.knowledge = knowledge
                chances[knowledge] = chances.get(knowledge, 0) + chance / len(values)
        following = _likeliest(chances, entry_count) if number + 1 < len(order) else [frozenset()]
        reached = dict.fromkeys(following, 0.0)
        stage_entries = []
        for (entry, chance), variants in zip(entries.items(), solved, strict=True):
            finished = []
            for variant in variants:
                target = max((f for f in following if f <= variant.knowledge), key=len)
                reached[target] += chance / len(values)
                expected = dict(target)
                # State known at the entry that lives on, and which the following entry does not know.
                living = {n: literal for n, literal in entry if staging.last[n] > number and n not in expected}
                wanted = {n: literal for n, literal in variant.literals.items() if n not in expected} | living
                finished.append(variant.finished(wanted, following.index(target)))
            stage_entries.append(Entry(dict(entry), tuple(finished), chance))
        stages.append(
            Stage(bit, tuple(stage_entries), {n: tuple(staging.operands[n - staging.inputs]) for n in outputs})
        )
        entries = reached
    return StagedProgram(tuple(stages), tuple(staging.results), staging.last, staging.following)


def _likeliest(chances: Mapping[Knowledge, float], count: int) -> list[Knowledge]:
    """The entries of the next stage that get code: those that save most, and one that serves every case."""
    ranked = sorted(chances, key=lambda knowledge: -chances[knowledge] * len(knowledge))
    common = frozenset.intersection(*chances)
    return list(dict.fromkeys([*ranked[: count - 1], common]))


class _Solved:
    """A stage simplified for known literals: functions (operations, perhaps unneeded) and literals of the outputs."""

    def __init__(self, functions: list[Operation], literals: dict[int, Literal]) -> None:
        self.functions, self.literals = functions, literals
        self.knowledge: Knowledge = frozenset()

    def finished(self, values: dict[int, Literal], following: int) -> Variant:
        """The variant that computes `values` and nothing else."""
        live = {literal >> 1 for literal in values.values()}
        needed = []
        for function in reversed(self.functions):
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
        return Variant(tuple(operations), values, following)


def _solve(staging: _Staging, number: int, outputs: Iterable[int], literals: dict[int, Literal]) -> _Solved:
    """The operations of a stage, simplified for the literals that are known."""
    inputs = staging.inputs
    functions: list[Operation] = []
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    for k in staging.members[number]:
        read = [literals.get(node, 2 * (node + 1)) for node in staging.operands[k]]
        table, nodes, inverted = reduce_function(staging.tables[k], read)
        if not nodes:
            literals[inputs + k] = inverted
        elif len(nodes) == 1:
            literals[inputs + k] = 2 * nodes[0] ^ inverted
        else:
            if (table, nodes) not in known:
                known[table, nodes] = inputs + k
                functions.append((inputs + k, table, tuple(node - 1 for node in nodes)))
            literals[inputs + k] = 2 * (known[table, nodes] + 1) ^ inverted
    return _Solved(functions, {node: literals[node] for node in outputs})
