"""The state of one walk: genes, planes, tables, and the numbers that a walk can be continued from.

A walk keeps a parent and tries children of it. The child is made in place; `undo` takes it back. Two slots of planes
belong to every node: `slots` says which of them holds the parent's values, and a child writes the other one, so that
taking a child over is a swap of numbers and refusing it costs nothing. `valid` marks nodes whose planes are those of
the parent's genes; a gate that becomes active again is recomputed first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.engine.bit_planes import pack
from dse.evolution.error_limits import Limits
from dse.evolution.gate_costs import OBJECTIVES, GateCosts, gate_costs
from dse.evolution.genome import MASKS, Genome
from dse.evolution.kernels.plane_kernels import BLOCK_WORDS, COUNTERS, errors_address, gates_address
from dse.evolution.operand_pairs import PairBlocks

STATISTICS = ("children", "simulated", "accepted", "improved", "blocks")
"""Counts that a walk keeps: children with some active gene changed, those that were simulated, those that replaced
their parent, those that cost less, and blocks simulated."""
_UNLIMITED = 2.0**62
_UNDO = 96
_SLACK = 1.002
"""A child is simulated if its energy, with its parent's toggles, is at most this times its parent's."""
_TOLERANCE = {"area": 1.0, "energy": 1.002, "delay": 1.002}
"""A child may cost this times the best circuit so far. Areas are often equal, so that the walk drifts without it;
energies and delays never are."""
_MORE = 10
"""Per cent of mutations that change a second active gene, a third, and so on."""
_SHORTCUT = 10
"""Per cent of mutations that make a gate a wire."""


class Genes(NamedTuple):
    """A genome that the walk changes in place; see `genome.Genome`."""

    functions: NDArray[np.int32]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    outputs: NDArray[np.int32]
    fixed: int


class Buffers(NamedTuple):
    """Everything else that the walk writes; by node unless noted.

    `planes` uint64 [blocks + 1, 2 nodes, words]: slots n and nodes + n belong to node n; the last block is for toggles.
    `slots`: which is the parent's; `valid`: whether its planes are up to date; `dirty`, `touched`, `active`,
    `parent_active`: marks. `toggles` [2 nodes]. `program` int32 [nodes, 4], `outputs` int64: what the plane kernels
    read. `undo`: genes before a mutation.
    """

    planes: NDArray[np.uint64]
    slots: NDArray[np.int64]
    valid: NDArray[np.int8]
    dirty: NDArray[np.int8]
    touched: NDArray[np.int8]
    active: NDArray[np.int8]
    parent_active: NDArray[np.int8]
    toggles: NDArray[np.float64]
    roots: NDArray[np.int64]
    loads: NDArray[np.float64]
    arrivals: NDArray[np.float64]
    program: NDArray[np.int32]
    outputs: NDArray[np.int64]
    undo: NDArray[np.int64]
    counters: NDArray[np.int64]
    sums: NDArray[np.float64]
    statistics: NDArray[np.int64]
    cost: NDArray[np.float64]
    best: NDArray[np.int32]
    best_outputs: NDArray[np.int32]
    random: NDArray[np.uint64]


class Pairs(NamedTuple):
    """Operands, exact products, weights and limits; see `operand_pairs.PairBlocks`."""

    inputs: NDArray[np.uint64]
    exact: NDArray[np.uint64]
    weights: NDArray[np.uint64]
    limit_bits: NDArray[np.int64]
    counter_limits: NDArray[np.float64]
    sum_limits: NDArray[np.float64]
    sum_signed: NDArray[np.int8]


class Kernels(NamedTuple):
    """Addresses of the plane kernels, and the masks of the functions."""

    gates: int
    errors: int
    masks: NDArray[np.int64]


class Goal(NamedTuple):
    """`objective`: index in OBJECTIVES. `leakage_time`: delay over which leakage is charged, in 1e6 ps. `slack`,
    `tolerance`, `more`, `shortcut`: see `_SLACK`, `_TOLERANCE`, `_MORE`, `_SHORTCUT`."""

    objective: int
    leakage_time: float
    slack: float
    tolerance: float
    more: int
    shortcut: int


@dataclass(frozen=True, eq=False)
class WalkState:
    """The arguments of the functions in `walk_kernels`."""

    widths: tuple[int, int]
    genes: Genes
    buffers: Buffers
    pairs: Pairs
    kernels: Kernels
    costs: GateCosts
    goal: Goal

    # The kernels are imported on use: numba takes longer to load than everything else here.

    def prepare(self) -> bool:
        """Simulates the parent from scratch and sets its cost, before a walk; whether it meets the limits."""
        from dse.evolution.kernels.walk_kernels import evaluate_parent

        return bool(evaluate_parent(self.genes, self.buffers, self.pairs, self.kernels, self.costs, self.goal))

    def walk(self, children: int) -> None:
        """Tries that many children."""
        from dse.evolution.kernels.walk_kernels import walk

        walk(self.genes, self.buffers, self.pairs, self.kernels, self.costs, self.goal, children)

    def genome(self) -> Genome:
        """A copy of the parent."""
        copies = (column.copy() for column in self.genes[:4])
        return Genome(self.widths, *copies)


def walk_state(
    genome: Genome,
    blocks: PairBlocks,
    limits: Limits,
    objective: str,
    *,
    signed: bool,
    seed: int | tuple[int, ...],
    leakage_delay: float,
    operands: tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> WalkState:
    """The state before the first child. `operands`: consecutive codes whose toggles make the energy."""
    columns = (genome.functions, genome.first, genome.second, genome.outputs)
    functions, first, second, outputs = (np.array(column, dtype=np.int32) for column in columns)
    genes = Genes(functions, first, second, outputs, genome.fixed)
    kernel = blocks.kernel
    buffers = _buffers(genome, blocks, seed)
    planes = np.concatenate([pack(values, width) for values, width in zip(operands, genome.widths, strict=True)])
    # Constants and operands are never recomputed: slot n holds node n for good.
    buffers.planes[:, 1] = ~np.uint64(0)
    buffers.planes[:-1, 2 : genome.fixed] = blocks.inputs
    buffers.planes[-1, 2 : genome.fixed] = planes
    addresses = Kernels(gates_address(), errors_address(kernel), np.ascontiguousarray(MASKS))
    goal = Goal(OBJECTIVES.index(objective), leakage_delay * 1e-6, _SLACK, _TOLERANCE[objective], _MORE, _SHORTCUT)
    return WalkState(
        genome.widths,
        genes,
        buffers,
        pairs_of(genome.widths, blocks, limits, signed=signed),
        addresses,
        gate_costs(),
        goal,
    )


def _buffers(genome: Genome, blocks: PairBlocks, seed: int | tuple[int, ...]) -> Buffers:
    nodes = len(genome.functions)

    def marks() -> NDArray[np.int8]:
        return np.zeros(nodes, dtype=np.int8)

    return Buffers(
        planes=aligned((blocks.blocks + 1, 2 * nodes, BLOCK_WORDS)),
        slots=np.zeros(nodes, dtype=np.int64),
        valid=marks(),
        dirty=marks(),
        touched=marks(),
        active=marks(),
        parent_active=marks(),
        toggles=np.zeros(2 * nodes),
        roots=np.zeros(nodes, dtype=np.int64),
        loads=np.zeros(nodes),
        arrivals=np.zeros(nodes),
        program=np.zeros((nodes, 4), dtype=np.int32),
        outputs=np.zeros(len(genome.outputs), dtype=np.int64),
        undo=np.zeros((_UNDO, 3), dtype=np.int64),
        counters=np.zeros(len(COUNTERS), dtype=np.int64),
        sums=np.zeros(len(blocks.kernel.weighted)),
        statistics=np.zeros(len(STATISTICS), dtype=np.int64),
        cost=np.array([np.inf, np.inf]),
        best=np.array([genome.functions, genome.first, genome.second], dtype=np.int32),
        best_outputs=np.array(genome.outputs, dtype=np.int32),
        random=_random_state(seed),
    )


def _random_state(seed: int | tuple[int, ...]) -> NDArray[np.uint64]:
    """A state of the generator, never 0."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64) | np.uint64(1)


def pairs_of(widths: tuple[int, int], blocks: PairBlocks, limits: Limits, *, signed: bool) -> Pairs:
    """What the kernels read of the operand pairs and limits."""
    means = limits.means(widths, signed=signed)
    bits = blocks.kernel.bits
    largest = 0
    counter_limits = np.full(len(COUNTERS), _UNLIMITED)
    weighted = []
    for term, mean in means.items():
        if term.quantity == "over":
            largest = min(int(mean), (1 << bits) - 1)
            counter_limits[COUNTERS.index("over")] = 0
        elif (term.quantity in blocks.kernel.counters) and not term.relative:
            counter_limits[COUNTERS.index(term.quantity)] = mean * blocks.pairs * (1 + 1e-12)
        else:
            weighted.append((term, mean * blocks.pairs))
    order = [term for term in limits.terms if term in dict(weighted)]
    return Pairs(
        aligned_copy(blocks.inputs),
        aligned_copy(blocks.exact),
        aligned_copy(blocks.weights),
        -np.array([largest >> bit & 1 for bit in range(bits)], dtype=np.int64),
        counter_limits,
        np.array([dict(weighted)[term] for term in order], dtype=np.float64),
        np.array([term.quantity == "signed" for term in order], dtype=np.int8),
    )


def aligned(shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Zeros at an address that is a multiple of 64, as the kernels' vector loads need."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 8, dtype=np.uint64)
    start = -raw.ctypes.data % 64 // 8
    return raw[start : start + size].reshape(shape)


def aligned_copy(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A copy as `aligned` places it."""
    copy = aligned(values.shape)
    copy[...] = values
    return copy
