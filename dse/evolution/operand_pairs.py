"""The operand pairs of an evolution as bit-planes in blocks, with the weights of its sums.

All pairs of operands up to `EXHAUSTIVE_BITS` bits together, a random sample beyond. Two orders of the pairs:

- Sums without weights take the pairs in random order, so that the first block is a fair sample and stops most bad
  candidates.
- Weighted sums (|e| / p of MRED, or the user's distribution) take the pairs sorted by weight, so that the 64 pairs of a
  word have almost the same weight: a factor of the word times an integer of few bits. Whole words are then shuffled.

Weights are rounded up, so that a sum never looks smaller than it is. (For the bias, whose terms have either sign, they
are rounded to nearest.) Every result is measured again without any rounding (`outcomes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.cost.cost_model import random_operands
from circuits.engine.bit_planes import pack
from dse.evolution.error_limits import Limits, Term
from dse.evolution.kernels.plane_kernels import BLOCK_WORDS, COUNTERS, ErrorKernel
from dse.evolution.operand_weights import EXHAUSTIVE_BITS, OperandWeights

SAMPLED_PAIRS = 1 << 17
"""Pairs of operands of more than EXHAUSTIVE_BITS bits together."""
_LANES = 64 * BLOCK_WORDS
ENERGY_OPERANDS = 64 * BLOCK_WORDS
"""Consecutive operands whose toggles make the energy: as many as `cost_report` takes by default."""
_WEIGHT_BITS = 24
_EXCESS = 0.002
"""Weights take as many bits as keep the sum of the rounded ones within this of the exact sum."""


@dataclass(frozen=True, eq=False)
class PairBlocks:
    """Blocks of `64 BLOCK_WORDS` operand pairs.

    `inputs` uint64 [blocks, operand bits, words]; `exact` uint64 [blocks, product bits, words]; `weights`: uint8, the
    rows that the error kernel reads, block after block. `pairs`: pairs that count. `exhaustive`: whether these are all.
    """

    kernel: ErrorKernel
    inputs: NDArray[np.uint64]
    exact: NDArray[np.uint64]
    weights: NDArray[np.uint64]
    pairs: int
    exhaustive: bool

    @property
    def blocks(self) -> int:
        return len(self.inputs)


def all_pairs(
    widths: tuple[int, int], *, signed: bool, weights: OperandWeights | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64] | None, bool]:
    """(first operands, second operands, probabilities or None for uniform, whether these are all pairs that occur)."""
    w, v = widths
    if w + v > EXHAUSTIVE_BITS:
        stream = np.random.Generator(np.random.Philox(key=np.array([w, v], np.uint64)))
        x, y = (stream.integers(0, 1 << bits, SAMPLED_PAIRS, dtype=np.int64) for bits in widths)
        if weights is not None:
            x, y = weights.draw(stream, SAMPLED_PAIRS)
        return signed_values(x, w, signed), signed_values(y, v, signed), None, False
    codes = np.arange(1 << (w + v), dtype=np.int64)
    x, y = codes & ((1 << w) - 1), codes >> w
    probabilities = None
    if weights is not None:
        probabilities = weights.of(x, y)
        occurs = probabilities > 0
        x, y, probabilities = x[occurs], y[occurs], probabilities[occurs]
    return signed_values(x, w, signed), signed_values(y, v, signed), probabilities, True


def signed_values(codes: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.int64]:
    """The operands behind codes of `bits` bits, in two's complement if `signed`."""
    return np.where(codes >> (bits - 1) & 1, codes - (1 << bits), codes) if signed else codes


def pair_blocks(
    widths: tuple[int, int], product_bits: int, limits: Limits, *, signed: bool, weights: OperandWeights | None = None
) -> PairBlocks:
    """The blocks of a circuit of `widths` and `product_bits`, with what the kernel needs to check `limits`."""
    x, y, probabilities, exhaustive = all_pairs(widths, signed=signed, weights=weights)
    exact = x * y
    amounts = [_weight(term, exact, probabilities) for term in limits.terms]
    order = _order(amounts, len(x))
    weighted = [(term, amount[order]) for term, amount in zip(limits.terms, amounts, strict=True) if amount is not None]
    lanes = -(-len(x) // _LANES) * _LANES
    padding = lanes - len(x)
    tables = [_quantised(term, np.pad(amount, (0, padding))) for term, amount in weighted]
    counters = tuple(
        name
        for name in COUNTERS
        if any(t.quantity == name and a is None for t, a in zip(limits.terms, amounts, strict=True))
    )
    kernel = ErrorKernel(
        product_bits,
        signed,
        counters,
        tuple((term.quantity, len(planes) - 1) for (term, _), planes in zip(weighted, tables, strict=True)),
        masked=padding > 0,
    )
    planes = [
        _blocked(pack(np.pad(values[order], (0, padding)).astype(np.uint64) & np.uint64((1 << bits) - 1), bits))
        for values, bits in zip((x, y, exact), (*widths, product_bits), strict=True)
    ]
    rows = [row for planes_of_term in tables for row in planes_of_term]
    if padding:
        rows.insert(0, pack((np.arange(lanes) < len(x)).astype(np.uint64), 1)[0])
    return PairBlocks(
        kernel, np.concatenate(planes[:2], axis=1), planes[2], _weight_rows(rows, lanes), len(x), exhaustive
    )


def _weight(
    term: Term, exact: NDArray[np.int64], probabilities: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """The weight of each pair in a sum; None where all count alike."""
    if term.quantity == "over" or (probabilities is None and not term.relative):
        return None
    weight = np.ones(len(exact)) if probabilities is None else probabilities * len(exact)
    if term.relative:
        weight = np.divide(weight, np.abs(exact), out=np.zeros(len(exact)), where=exact != 0)
        # The mean over the pairs with a product other than 0.
        weight *= len(exact) / (
            np.count_nonzero(exact) if probabilities is None else probabilities[exact != 0].sum() * len(exact)
        )
    return weight


def _order(amounts: Sequence[NDArray[np.float64] | None], pairs: int) -> NDArray[np.int64]:
    stream = np.random.Generator(np.random.Philox(key=np.array([0, 2], np.uint64)))
    weighted = [amount for amount in amounts if amount is not None]
    if not weighted:
        return stream.permutation(pairs)
    order = np.argsort(weighted[0], kind="stable")
    # Whole words only: the last word, if it is not full, stays the last.
    words = pairs // 64
    shuffled = order[: 64 * words].reshape(words, 64)[stream.permutation(words)].ravel()
    return np.concatenate([shuffled, order[64 * words :]])


def _quantised(term: Term, weights: NDArray[np.float64]) -> list[NDArray[np.uint64]]:
    """Planes [words] of the bits of the weights, the lowest first, then the words' factors as float64 bits."""
    words = weights.reshape(-1, 64)
    largest = words.max(axis=1)
    relative = np.divide(words, largest[:, None], out=np.zeros_like(words), where=largest[:, None] > 0)
    round_ = np.rint if term.quantity == "signed" else np.ceil
    for bits in range(1, _WEIGHT_BITS + 1):
        top = (1 << bits) - 1
        integers = round_(relative * top)
        excess = np.abs(integers / top - relative) * largest[:, None]
        if excess.sum() <= _EXCESS * weights.sum():
            break
    scale = (largest / top * (1 + 1e-12)).astype(np.float64)
    return [*pack(integers.ravel().astype(np.uint64), bits), scale.view(np.uint64)]


def _blocked(planes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[bits, all words] -> [blocks, bits, words]."""
    return np.ascontiguousarray(planes.reshape(len(planes), -1, BLOCK_WORDS).swapaxes(0, 1))


def _weight_rows(rows: Sequence[NDArray[np.uint64]], lanes: int) -> NDArray[np.uint64]:
    """[blocks, vectors, rows, 8] as the kernel reads them."""
    blocks = lanes // _LANES
    if not rows:
        return np.zeros((blocks, 0), dtype=np.uint64)
    table = np.array(rows).reshape(len(rows), blocks, BLOCK_WORDS // 8, 8)
    return np.ascontiguousarray(np.moveaxis(table, 0, 2)).reshape(blocks, -1)


def energy_operands(
    widths: tuple[int, int], weights: OperandWeights | None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Consecutive operand codes whose toggles make the energy: those of `cost_report`, or drawn from the user's
    weights."""
    if weights is None:
        return random_operands(widths, ENERGY_OPERANDS, 0)
    x, y = weights.draw(np.random.Generator(np.random.Philox(key=np.array([0, 3], np.uint64))), ENERGY_OPERANDS)
    return x.astype(np.uint64), y.astype(np.uint64)
