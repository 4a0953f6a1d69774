"""Cost of stand-alone adders, and of a multiplier with the accumulator behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.adders.stand_alone import AdderDesign, adder
from circuits.cost import Technology
from circuits.cost import technology as characterised
from circuits.cost.cost_model import CostView, CostViews, cost_view, operand_trace, random_operands
from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.netlists.simplification import simplify


@dataclass(frozen=True)
class AdderCost:
    """Both views of an adder, and those of the exact ripple-carry adder of its width.

    `estimated`: components for which some number is an estimate. `conditions`: what the numbers hold for.
    """

    views: CostViews
    exact: CostViews
    estimated: tuple[str, ...]
    samples: int
    seed: int
    conditions: str

    def ratio(self, measure: str, view: str = "drawn") -> float:
        """`measure` over that of the exact adder; NaN where that is 0."""
        base = self.exact.value(view, measure)
        return self.views.value(view, measure) / base if base else float("nan")


def adder_cost(
    design: AdderDesign,
    *,
    samples: int = 2048,
    seed: int = 0,
    glitches: str = "none",
    technology: Technology | None = None,
) -> AdderCost:
    """Transistors, area, energy and delay of an adder over consecutive pairs of uniform operands from `seed`.

    Units and meaning are those of `circuits.cost.cost_model`. Raises DesignError for arguments out of range.
    """
    tech = technology or characterised()
    operands = random_operands(design.shape, samples, seed)

    def views(entry: AdderDesign) -> tuple[CostViews, tuple[str, ...]]:
        drawn, estimated = cost_view(entry.netlist, tech, operands, glitches)
        return CostViews(drawn, cost_view(simplify(entry.netlist), tech, operands, glitches)[0]), estimated

    own, estimated = views(design)
    return AdderCost(own, views(adder("ripple", design.width))[0], estimated, samples, seed, tech.note)


@dataclass(frozen=True)
class MacCost:
    """Cost of a multiplication and an accumulation, as drawn.

    `energy` fJ, `area` um^2 and `delay` ps are the sums over both: the adder waits for the product. Registers are not
    counted. `depth`: products a sum; `wrapped`: share of sums that differ from the exact sum of the products.
    """

    multiplier: CostView
    accumulator: CostView
    depth: int
    wrapped: float

    @property
    def energy(self) -> float:
        """fJ of one multiplication and one addition."""
        return self.multiplier.energy + self.accumulator.energy

    @property
    def area(self) -> float:
        """um^2 of both."""
        return self.multiplier.area + self.accumulator.area

    @property
    def delay(self) -> float:
        """ps through both."""
        return self.multiplier.delay + self.accumulator.delay


def mac_cost(
    design: Design,
    accumulator: AdderDesign,
    *,
    depth: int = 64,
    samples: int = 2048,
    seed: int = 0,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
    glitches: str = "none",
    technology: Technology | None = None,
) -> MacCost:
    """Cost of the multiplier `design` with `accumulator` behind it, over sums of `depth` products.

    Operand pairs are `samples` random ones (`cost_report`'s), or the trace `operands`; every `depth` of them are
    multiplied and added one after the other, gate for gate, from 0: the adder's energy is that of the sums and products
    that it really sees. The accumulator is a register in two's complement. Raises DesignError unless the design is an
    integer one whose products fit the accumulator.
    """
    if design.format is not None:
        raise DesignError(
            f"an accumulator of integers needs an integer design, but got format={design.format!r}; set format=None."
        )
    needed = len(design.netlist().outputs["product"]) + (not design.signed)
    if needed > accumulator.width:
        raise DesignError(
            f"products of {design.label} need an accumulator of at least {needed} bits, but {accumulator.name!r} has "
            f"{accumulator.width}; widen it."
        )
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
        raise DesignError(f"depth >= 1 must hold, but got {depth!r}; choose a number of products.")
    tech = technology or characterised()
    pairs = random_operands(design.shape, samples, seed) if operands is None else operand_trace(design, operands)
    products = _products(design, pairs)
    depth = min(depth, len(products))
    sums, wrapped = _accumulated(accumulator, products, depth)
    mask = np.uint64((1 << accumulator.width) - 1)
    words = [values.astype(np.uint64) & mask for values in (sums, products[: len(sums)])]
    return MacCost(
        cost_view(design.netlist(), tech, pairs, glitches)[0],
        cost_view(accumulator.netlist, tech, words, glitches)[0],
        depth,
        wrapped,
    )


def _products(design: Design, pairs: tuple[NDArray[np.uint64], ...]) -> NDArray[np.int64]:
    values = [words.astype(np.int64) for words in pairs]
    if design.signed:
        values = [
            (words << np.int64(64 - width)) >> np.int64(64 - width)
            for words, width in zip(values, design.shape, strict=True)
        ]
    return design.multiply_integers(values[0], values[1]).astype(np.int64)


def _accumulated(accumulator: AdderDesign, products: NDArray[np.int64], depth: int) -> tuple[NDArray[np.int64], float]:
    """(what the register holds before every addition, in the order of the products; share of wrong final sums)."""
    # Sums are independent of each other: one lane each, all additions of the same number at once.
    lanes = products[: len(products) // depth * depth].reshape(-1, depth)
    held = np.zeros_like(lanes)
    register = np.zeros(len(lanes), dtype=np.int64)
    for step in range(depth):
        held[:, step] = register
        register = accumulator.accumulate(register, lanes[:, step])
    return held.reshape(-1), float((register != lanes.sum(axis=1)).mean())
