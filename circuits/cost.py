"""Cost of a design: transistors, energy and delay of its mantissa multiplier, as drawn and simplified.

Not yet characterised: the numbers are counts and logic depths (`circuits.technology.relative`), of use only as ratios
between designs. The exponent adder, normaliser and rounding of a float multiplier are not included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.designs import Design
from circuits.errors import DesignError
from circuits.netlist import Netlist
from circuits.placement import Placement
from circuits.simplify import simplify
from circuits.technology import RELATIVE, Technology, area, energy, timing

EXACT = "exact"
OWN_TOPOLOGY = "exact cells, same topology"
BASELINES = (EXACT, OWN_TOPOLOGY)
"""What ratios refer to: the exact ripple array, and exact cells in the design's own topology (same ports, tile...)."""
VIEWS = ("drawn", "simplified")
"""As drawn (what papers count), and after simplification (what a synthesis tool would leave)."""
MEASURES = ("transistors", "energy", "delay", "cells")
MAXIMUM_SAMPLES = 1 << 20


@dataclass(frozen=True, slots=True)
class CostView:
    """One view of a netlist. `cells`: instances, gates included; `transistors`; `area`, `energy` (per operation) and
    `delay` (longest path) in the report's units; `activity`: mean toggles of a net per operation."""

    cells: int
    transistors: int
    area: float
    energy: float
    delay: float
    activity: float


@dataclass(frozen=True)
class CostReport:
    """Cost of one design, beside its two baselines.

    `drawn`, `simplified`: the two views. `baselines`: name in BASELINES -> its (drawn, simplified). `units`: measure ->
    unit. `samples`: consecutive random operand pairs behind the energy, `seed` theirs. `estimated`: cells whose
    transistor count is an estimate. `characterised` is False and `note` says so: print it beside every number.
    """

    design: str
    cost_digest: str
    drawn: CostView
    simplified: CostView
    baselines: Mapping[str, tuple[CostView, CostView]]
    units: Mapping[str, str]
    samples: int
    seed: int
    estimated: tuple[str, ...]
    technology: str
    characterised: bool
    note: str

    def ratio(self, measure: str, *, baseline: str = EXACT, view: str = "drawn") -> float:
        """`measure` of the design over that of `baseline`, both in `view`; NaN where the baseline's is 0."""
        own = getattr(getattr(self, view), measure)
        base = getattr(self.baselines[baseline][VIEWS.index(view)], measure)
        return float(own / base) if base else float("nan")

    @property
    def ratios(self) -> dict[str, dict[str, dict[str, float]]]:
        """baseline -> view -> measure -> ratio."""
        return {
            baseline: {
                view: {measure: self.ratio(measure, baseline=baseline, view=view) for measure in MEASURES}
                for view in VIEWS
            }
            for baseline in BASELINES
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        views = {view: _as_dict(getattr(self, view)) for view in VIEWS}
        return {
            "design": self.design,
            "cost_digest": self.cost_digest,
            "note": self.note,
            "characterised": self.characterised,
            "technology": self.technology,
            **views,
            "ratios": {
                name: {
                    view: {measure: None if value != value else value for measure, value in row.items()}
                    for view, row in views.items()
                }
                for name, views in self.ratios.items()
            },
            "units": dict(self.units),
            "samples": self.samples,
            "seed": self.seed,
            "estimated": list(self.estimated),
        }


def cost_report(design: Design, *, samples: int = 2048, seed: int = 0, technology: Technology = RELATIVE) -> CostReport:
    """Cost of the mantissa multiplier of `design`, in both views and against both baselines.

    An imported circuit has no topology of its own: both its baselines are the exact ripple array of its width.
    Energy is the mean over consecutive pairs of `samples` random operands: mantissas with the leading bit set for float
    designs, all integers otherwise; the same operands for the baselines. Raises DesignError on arguments out of range.
    """
    for what, value, low, high in (("samples", samples, 2, MAXIMUM_SAMPLES), ("seed", seed, 0, 2**64 - 1)):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise DesignError(
                f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range."
            )
    drawn, simplified, estimated = _views(design, samples, seed, technology)
    plain = Placement.of(EXACT)
    exact = Design(topology="ripple_array", width=design.width, format=design.format, signed=design.signed)
    own = exact
    if design.imported is None:
        own = replace(design, placement=plain, name=None, rounding="truncate", normalization="full", subnormals=None)
    baselines = {
        name: _baseline(base, samples, seed, technology) for name, base in zip(BASELINES, (exact, own), strict=True)
    }
    return CostReport(
        design=design.label,
        cost_digest=design.cost_digest,
        drawn=drawn,
        simplified=simplified,
        baselines=MappingProxyType(baselines),
        units=MappingProxyType(
            {
                "cells": "instances",
                "transistors": "transistors",
                "area": technology.area_unit,
                "energy": technology.energy_unit,
                "delay": technology.delay_unit,
            }
        ),
        samples=samples,
        seed=seed,
        estimated=estimated,
        technology=technology.name,
        characterised=technology.characterised,
        note=technology.note,
    )


@lru_cache(maxsize=256)
def _baseline(design: Design, samples: int, seed: int, technology: Technology) -> tuple[CostView, CostView]:
    return _views(design, samples, seed, technology)[:2]


def _views(
    design: Design, samples: int, seed: int, technology: Technology
) -> tuple[CostView, CostView, tuple[str, ...]]:
    netlist = design.netlist()
    x, y = _operands(design.shape, design.format is not None, samples, seed)
    drawn, estimated = _view(netlist, technology, x, y)
    return drawn, _view(simplify(netlist), technology, x, y)[0], estimated


def _view(
    netlist: Netlist, technology: Technology, x: NDArray[np.uint64], y: NDArray[np.uint64]
) -> tuple[CostView, tuple[str, ...]]:
    space = area(netlist, technology)
    switching = energy(netlist, technology, x, y)
    view = CostView(
        space.cells,
        space.transistors,
        space.area,
        switching.energy,
        timing(netlist, technology).delay,
        switching.activity,
    )
    return view, space.estimated


@lru_cache(maxsize=16)
def _operands(
    shape: tuple[int, int], leading_one: bool, samples: int, seed: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    stream = np.random.Generator(np.random.Philox(key=np.array([seed, 1], np.uint64)))
    drawn = []
    for width in shape:
        low = 2 ** (width - 1) if leading_one else 0
        drawn.append(stream.integers(low, 2**width - 1, samples, dtype=np.uint64, endpoint=True))
        drawn[-1].flags.writeable = False
    return drawn[0], drawn[1]


def _as_dict(view: CostView) -> dict[str, float]:
    return {name: getattr(view, name) for name in ("cells", "transistors", "area", "energy", "delay", "activity")}
