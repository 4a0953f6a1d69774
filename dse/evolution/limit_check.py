"""Whether circuits meet error limits, each judged from scratch on all operand pairs of an evolution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.designs.design_record import Design
from dse.evolution.error_limits import Limits
from dse.evolution.genome import Genome
from dse.evolution.kernels.plane_kernels import BLOCK_WORDS, COUNTERS
from dse.evolution.operand_pairs import pair_blocks
from dse.evolution.operand_weights import OperandWeights
from dse.evolution.walk_state import Genes, aligned, pairs_of


class Buffers(NamedTuple):
    """What an evaluation overwrites; see `whole_kernels`. `counters`, `sums`: the sums over all pairs."""

    planes: NDArray[np.uint64]
    work: NDArray[np.int32]
    operations: NDArray[np.int32]
    outputs: NDArray[np.int64]
    counters: NDArray[np.int64]
    sums: NDArray[np.float64]


class LimitCheck:
    """Checks circuits of one function against one set of limits."""

    def __init__(self, design: Design, limits: Limits, weights: OperandWeights | None = None) -> None:
        from dse.evolution.kernels.whole_kernels import whole_address

        bits = sum(design.shape)
        blocks = pair_blocks(design.shape, bits, limits, signed=design.signed, weights=weights)
        self._pairs = pairs_of(design.shape, blocks, limits, signed=design.signed)
        self._address = whole_address(blocks.kernel, bits)
        self._buffers: dict[int, Buffers] = {}
        self._sums = len(blocks.kernel.weighted)

    def meets(self, genome: Genome) -> bool:
        """Whether a circuit meets the limits."""
        return self.evaluate(genome, 1).met

    def evaluate(self, genome: Genome, repetitions: int) -> Evaluation:
        """Evaluates a circuit `repetitions` times, without any short cut; more than once for measurements."""
        from dse.evolution.kernels.whole_kernels import evaluate

        genes = Genes(genome.functions, genome.first, genome.second, genome.outputs, genome.fixed)
        buffers = self._buffers_of(len(genome.functions), len(genome.outputs))
        met = evaluate(genes, buffers, self._pairs, self._address, repetitions)
        return Evaluation(met == repetitions, buffers.counters.copy(), buffers.sums.copy())

    def _buffers_of(self, nodes: int, outputs: int) -> Buffers:
        from dse.evolution.kernels.whole_kernels import ROWS

        if nodes not in self._buffers:
            planes = aligned((nodes, BLOCK_WORDS))
            planes[1] = ~np.uint64(0)  # the constant 1
            self._buffers[nodes] = Buffers(
                planes,
                np.zeros((ROWS, nodes), dtype=np.int32),
                np.zeros((nodes, 5), dtype=np.int32),
                np.zeros(outputs, dtype=np.int64),
                np.zeros(len(COUNTERS), dtype=np.int64),
                np.zeros(self._sums),
            )
        return self._buffers[nodes]


class Evaluation(NamedTuple):
    """`met`: whether the limits are met. `counters`: int64, by COUNTERS. `sums`: float64, one for each weighted sum."""

    met: bool
    counters: NDArray[np.int64]
    sums: NDArray[np.float64]
