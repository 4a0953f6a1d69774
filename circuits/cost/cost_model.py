"""Cost of a design at 45 nm: transistors, area, energy and delay, as drawn and simplified.

Of its mantissa multiplier, or with `whole` of the whole float multiplier (`circuits.floats.float_netlist`). Cells and gates
are characterised at transistor level (`circuits.cost`); wires are not counted, nor what the operands' drivers
spend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.cost import (
    AREA_UNIT,
    DELAY_UNIT,
    ENERGY_UNIT,
    Technology,
    circuit_energy,
    circuit_of,
    circuit_timing,
    netlist_area,
)
from circuits.cost import technology as characterised
from circuits.designs.design_record import Design
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.netlists.netlist import Netlist
from circuits.netlists.simplification import simplify

EXACT = "exact"
OWN_TOPOLOGY = "exact cells, same topology"
BASELINES = (EXACT, OWN_TOPOLOGY)
"""What ratios refer to: the exact ripple array, and exact cells in the design's own topology (same ports, tile...)."""
VIEWS = ("drawn", "simplified")
"""As drawn (what papers count), and after simplification (what a synthesis tool would leave)."""
MEASURES = ("transistors", "area", "energy", "delay", "cells")
MAXIMUM_SAMPLES = 1 << 20
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "cells": "instances",
        "transistors": "transistors",
        "area": AREA_UNIT,
        "energy": ENERGY_UNIT,
        "delay": DELAY_UNIT,
        "leakage": "nW",
    }
)
ACTIVITIES: Mapping[str, str] = MappingProxyType(
    {"none": "zero-delay activity, no glitches", "arc_delay": "arc-delay activity, glitches included"}
)
"""The activity models (`circuits.cost.GLITCHES`) in words."""


@dataclass(frozen=True, slots=True)
class CostView:
    """One view of a netlist. `cells`: instances, gates included; `transistors`; `area` um^2; `energy` fJ per
    operation: switching, and `leakage` (nW) over one `delay`; `delay` ps, the longest path of the graph (a bound);
    `activity`: mean toggles of a net per operation."""

    cells: int
    transistors: int
    area: float
    energy: float
    delay: float
    leakage: float
    activity: float


@dataclass(frozen=True)
class CostReport:
    """Cost of one design, beside its two baselines.

    `drawn`, `simplified`: the two views. `baselines`: name in BASELINES -> its (drawn, simplified). `units`: measure ->
    unit. `samples`: consecutive operand pairs behind the energy, `seed` theirs (None: given operands). `glitches`: the
    activity model. `whole`: exponent, normaliser and rounding included. `estimated`: components of which some number is
    an estimate. `note` says what all numbers hold for: print it, and the estimates, beside them.
    """

    design: str
    cost_digest: str
    drawn: CostView
    simplified: CostView
    baselines: Mapping[str, tuple[CostView, CostView]]
    units: Mapping[str, str]
    samples: int
    seed: int | None
    glitches: str
    whole: bool
    estimated: tuple[str, ...]
    technology: str
    conditions: str

    @property
    def note(self) -> str:
        """Conditions, scope, activity model, and which cells are estimates."""
        scope = "whole float multiplier" if self.whole else "mantissa multiplier"
        parts = [self.conditions, scope, ACTIVITIES[self.glitches]]
        if self.estimated:
            parts.append(f"estimates for {', '.join(self.estimated)}")
        return "; ".join(parts)

    def ratio(self, measure: str, *, baseline: str = EXACT, view: str = "drawn") -> float:
        """`measure` (in MEASURES) of the design over that of `baseline` (in BASELINES), both in `view` (in VIEWS); NaN
        where the baseline's is 0. Raises UnknownNameError for other names."""
        for what, name, valid in (
            ("measure", measure, MEASURES),
            ("baseline", baseline, BASELINES),
            ("view", view, VIEWS),
        ):
            if name not in valid:
                raise unknown_name(what, name, valid)
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
            "glitches": self.glitches,
            "whole": self.whole,
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


def cost_report(
    design: Design,
    *,
    samples: int = 2048,
    seed: int = 0,
    technology: Technology | None = None,
    glitches: str = "none",
    whole: bool = False,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
) -> CostReport:
    """Cost of `design` in both views and against both baselines.

    An imported circuit has no topology of its own: both its baselines are the exact ripple array of its width.
    Energy is the mean over consecutive pairs of `samples` random operands: mantissas with the leading bit set for float
    designs (whole: any sign, exponents that keep the product normal), all integers otherwise; the same operands for the
    baselines. `operands` takes a trace instead: two arrays of equal length, in the order of operation (float32 values
    of float designs, of which zeros and values that are not finite are left out; integers otherwise).
    `technology`: default the typical corner, `circuits.cost.technology("nom")`. `glitches`: "none" or
    "arc_delay" (slower, about a second for 100 samples of a 24 x 24 array). `whole`: the whole float multiplier; the
    baselines' rounding is nearest-even as the named `exact`'s, and truncation for exact cells in the own topology.
    Raises DesignError on arguments out of range.
    """
    for what, value, low, high in (("samples", samples, 2, MAXIMUM_SAMPLES), ("seed", seed, 0, 2**64 - 1)):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise DesignError(
                f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range."
            )
    if whole and design.format is None:
        raise DesignError(
            "the cost of a whole float multiplier needs a float format, but got format=None; leave it out."
        )
    technology = technology or characterised()
    values: Operands
    if operands is None:
        values = _operands(design.shape, design.format if design.format else None, whole, samples, seed)
    else:
        values = _trace(design, whole, operands)
    drawn, simplified, estimated = _views(design, values, technology, glitches, whole)
    plain = Placement.of(EXACT)
    exact = Design(
        topology="ripple_array",
        width=design.width,
        format=design.format,
        signed=design.signed,
        rounding="nearest_even" if whole else "truncate",
    )
    own = exact
    if design.imported is None:
        own = replace(design, placement=plain, name=None, rounding="truncate", normalization="full", subnormals=None)
    if operands is None:
        found = [_baseline(base, samples, seed, technology, glitches, whole) for base in (exact, own)]
    else:
        found = [_views(base, values, technology, glitches, whole)[:2] for base in (exact, own)]
    return CostReport(
        design=design.label,
        cost_digest=design.cost_digest,
        drawn=drawn,
        simplified=simplified,
        baselines=MappingProxyType(dict(zip(BASELINES, found, strict=True))),
        units=UNITS,
        samples=len(values[0]),
        seed=seed if operands is None else None,
        glitches=glitches,
        whole=whole,
        estimated=estimated,
        technology=technology.name,
        conditions=technology.note,
    )


Operands = Sequence[NDArray[np.uint64]]


@lru_cache(maxsize=256)
def _baseline(
    design: Design, samples: int, seed: int, technology: Technology, glitches: str, whole: bool
) -> tuple[CostView, CostView]:
    values = _operands(design.shape, design.format, whole, samples, seed)
    return _views(design, values, technology, glitches, whole)[:2]


def _views(
    design: Design, operands: Operands, technology: Technology, glitches: str, whole: bool
) -> tuple[CostView, CostView, tuple[str, ...]]:
    netlist = design.netlist()
    if whole:
        from circuits.floats.float_netlist import float_netlist

        netlist = float_netlist(design)
    drawn, estimated = _view(netlist, technology, operands, glitches)
    return drawn, _view(simplify(netlist), technology, operands, glitches)[0], estimated


def _view(
    netlist: Netlist, technology: Technology, operands: Operands, glitches: str
) -> tuple[CostView, tuple[str, ...]]:
    space = netlist_area(netlist, technology)
    made = circuit_of(netlist, technology)
    delay = circuit_timing(made).delay
    switching = circuit_energy(made, operands, glitches=glitches)
    leaked = switching.leakage * delay * 1e-6  # nW ps -> fJ
    view = CostView(
        space.cells,
        space.transistors,
        space.area,
        switching.energy + leaked,
        delay,
        switching.leakage,
        switching.activity,
    )
    return view, space.estimated


@lru_cache(maxsize=16)
def _operands(
    shape: tuple[int, int], format_name: str | None, whole: bool, samples: int, seed: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    stream = np.random.Generator(np.random.Philox(key=np.array([seed, 1], np.uint64)))
    drawn = []
    for width in shape:
        low = 2 ** (width - 1) if format_name is not None else 0
        drawn.append(stream.integers(low, 2**width - 1, samples, dtype=np.uint64, endpoint=True))
    if whole:
        assert format_name is not None
        from circuits.floats.float_netlist import random_words

        drawn = [random_words(mantissas, format_name, stream) for mantissas in drawn]
    for values in drawn:
        values.flags.writeable = False
    return drawn[0], drawn[1]


def _trace(design: Design, whole: bool, operands: tuple[ArrayLike, ArrayLike]) -> Operands:
    """Operands of the circuit from given values."""
    fmt = design.float_format
    arrays = [np.asarray(values).ravel() for values in operands]
    if len(arrays) != 2 or arrays[0].size != arrays[1].size or arrays[0].size < 2:
        raise DesignError(
            f"operands must be two arrays of equal length of at least 2, but got lengths "
            f"{', '.join(str(values.size) for values in arrays)}; give consecutive operand pairs."
        )
    if fmt is None:
        for values, width in zip(arrays, design.shape, strict=True):
            low = -(2 ** (width - 1)) if design.signed else 0
            if values.dtype.kind not in "iu" or values.min() < low or values.max() >= low + 2**width:
                raise DesignError(
                    f"operands must be integers of {width} bits, but got {values.dtype} from {values.min()} to "
                    f"{values.max()}; give integers in range."
                )
        return [
            values.astype(np.uint64) & np.uint64(2**width - 1)
            for values, width in zip(arrays, design.shape, strict=True)
        ]
    from circuits.floats.float_netlist import words_of

    return words_of(design, arrays[0], arrays[1], whole=whole)


def _as_dict(view: CostView) -> dict[str, float]:
    names = ("cells", "transistors", "area", "energy", "delay", "leakage", "activity")
    return {name: getattr(view, name) for name in names}
