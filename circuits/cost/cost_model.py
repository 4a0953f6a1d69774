"""Cost of a design at 45 nm: transistors, area, energy and delay, as drawn and simplified.

Covers the mantissa multiplier only, or with `whole` the complete floating-point multiplier
(`circuits.floats.float_netlist`). Cells and gates are characterised at transistor level (`circuits.cost`).

    energy per operation = switching energy + leakage x delay         fJ; nW ps = 1e-6 fJ
    delay                = longest path of the graph, a bound         ps
    area, transistors    = sums over the instances

LEFT_OUT says what no number contains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.cost import (
    AREA_UNIT,
    DELAY_UNIT,
    ENERGY_UNIT,
    Technology,
    circuit_energy,
    circuit_of,
    netlist_area,
)
from circuits.cost import technology as characterised
from circuits.cost.timing import longest_delay
from circuits.designs.design_record import Design
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.floats.float_netlist import float_netlist, random_words, words_of
from circuits.multipliers import FINAL_ADDERS
from circuits.netlists.netlist import Netlist
from circuits.netlists.netlist_arrays import NetlistArrays
from circuits.netlists.simplification import simplified

EXACT = "exact"
OWN_TOPOLOGY = "exact cells, same topology"
BASELINES = (EXACT, OWN_TOPOLOGY)
"""What ratios refer to: the exact ripple array, and exact cells in the design's own topology (same ports, tile...)."""
VIEWS = ("drawn", "simplified")
"""As drawn (what papers count), and after simplification (what a synthesis tool would leave)."""
LEFT_OUT = "wires are not counted, nor the energy of the circuits that drive the operands"
"""What the cost model leaves out, in words: printed with costs."""
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
    """One view of a netlist.

    `cells`: instances, gates included; `transistors`; `area` um^2; `energy` fJ per operation: switching, and `leakage`
    (nW) over one `delay`; `delay` ps, the longest path of the graph (a bound); `activity`: mean toggles of a net per
    operation.
    """

    cells: int
    transistors: int
    area: float
    energy: float
    delay: float
    leakage: float
    activity: float

    def to_dict(self) -> dict[str, float]:
        """Measure -> value, in the order of the fields."""
        return {
            "cells": self.cells,
            "transistors": self.transistors,
            "area": self.area,
            "energy": self.energy,
            "delay": self.delay,
            "leakage": self.leakage,
            "activity": self.activity,
        }


class CostViews(NamedTuple):
    """Both views of one design, in the order of VIEWS."""

    drawn: CostView
    simplified: CostView

    def value(self, view: str, measure: str) -> float:
        """`measure` (a field of CostView) in `view` (in VIEWS); raises UnknownNameError for other names."""
        if view not in VIEWS:
            raise unknown_name("view", view, VIEWS)
        values = self[VIEWS.index(view)].to_dict()
        if measure not in values:
            raise unknown_name("measure", measure, values)
        return values[measure]


@dataclass(frozen=True)
class CostReport:
    """Cost of one design, next to its two baselines.

    `drawn`, `simplified`: the two views; `value(view, measure)` finds a number by name. `baselines`: name in BASELINES
    -> its views. `units`: measure -> unit. `samples`: consecutive operand pairs behind the energy, from `seed` (None:
    given operands). `glitches`: the activity model. `whole`: exponent, normaliser and rounding included. `estimated`:
    components for which some number is an estimate. `note` says what all numbers hold for: print it, and the estimates,
    beside them.
    """

    design: str
    cost_digest: str
    drawn: CostView
    simplified: CostView
    baselines: Mapping[str, CostViews]
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
        statements = [self.conditions, scope, ACTIVITIES[self.glitches]]
        if self.estimated:
            statements.append(f"estimates for {', '.join(self.estimated)}")
        return "; ".join(statements)

    def value(self, view: str, measure: str) -> float:
        """`measure` (a field of CostView) in `view` (in VIEWS); raises UnknownNameError for other names."""
        return CostViews(self.drawn, self.simplified).value(view, measure)

    def ratio(self, measure: str, *, baseline: str = EXACT, view: str = "drawn") -> float:
        """`measure` (in MEASURES) of the design over that of `baseline` (in BASELINES), both in `view` (in VIEWS).

        NaN where the baseline's is 0. Raises UnknownNameError for other names.
        """
        if measure not in MEASURES:
            raise unknown_name("measure", measure, MEASURES)
        if baseline not in BASELINES:
            raise unknown_name("baseline", baseline, BASELINES)
        own = self.value(view, measure)
        base = self.baselines[baseline].value(view, measure)
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
        """JSON-ready; ratios to 0 are None."""
        return {
            "design": self.design,
            "cost_digest": self.cost_digest,
            "note": self.note,
            "glitches": self.glitches,
            "whole": self.whole,
            "technology": self.technology,
            "drawn": self.drawn.to_dict(),
            "simplified": self.simplified.to_dict(),
            "ratios": {
                baseline: {
                    view: {measure: None if value != value else value for measure, value in ratios.items()}
                    for view, ratios in views.items()
                }
                for baseline, views in self.ratios.items()
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

    Energy is the mean over consecutive pairs of `samples` random operands (from `seed`), the same for the baselines:
    mantissas with the leading bit set for float designs (`whole`: any sign, exponents that keep the product normal),
    all integers otherwise. `operands` takes a trace instead: two arrays of equal length, in the order of operation
    (float32 values for float designs, of which zeros and values that are not finite are left out; integers otherwise).

    `technology`: by default the typical corner, `circuits.cost.technology("nom")`. `glitches`: "none" or "arc_delay"
    (slower: an event-driven simulation). `whole`: the whole float multiplier; the exact ripple array then rounds to
    nearest even, as the named `exact` does, and exact cells in the own topology truncate. An imported circuit has no
    topology of its own, and some families have no exact form: both their baselines are the exact ripple array.

    Raises DesignError for arguments out of range.
    """
    _check_sampling(samples, seed)
    if whole and design.format is None:
        raise DesignError(
            "the cost of a whole float multiplier needs a float format, but got format=None; leave it out."
        )
    technology = technology or characterised()
    bases = _baseline_designs(design, whole)
    values = given_operands(design, samples=samples, seed=seed, whole=whole, operands=operands)
    if operands is None:
        baselines = [_baseline(base, samples, seed, technology, glitches, whole) for base in bases]
    else:
        baselines = [_views(base, values, technology, glitches, whole)[0] for base in bases]
    views, estimated = _views(design, values, technology, glitches, whole)
    return CostReport(
        design=design.label,
        cost_digest=design.cost_digest,
        drawn=views.drawn,
        simplified=views.simplified,
        baselines=MappingProxyType(dict(zip(BASELINES, baselines, strict=True))),
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
"""One array for each bus."""


def given_operands(
    design: Design, *, samples: int, seed: int, whole: bool, operands: tuple[ArrayLike, ArrayLike] | None
) -> Operands:
    """The operands over which `cost_report` takes energies with these arguments: a trace, or random ones."""
    if operands is not None:
        return _trace(design, whole, operands)
    _check_sampling(samples, seed)
    return _operands(design.shape, design.format or None, whole, samples, seed)


def exact_baseline(design: Design, whole: bool) -> Design:
    """The exact ripple array that ratios of `design` refer to."""
    return _baseline_designs(design, whole)[0]


def drawn_netlist(design: Design, whole: bool) -> Netlist:
    """The netlist of `design` as drawn: of its mantissa multiplier, or of the whole float multiplier."""
    return float_netlist(design) if whole else design.netlist()


def _baseline_designs(design: Design, whole: bool) -> tuple[Design, Design]:
    """The designs behind BASELINES."""
    exact = Design(
        topology="ripple_array",
        width=design.width,
        format=design.format,
        signed=design.signed,
        rounding="nearest_even" if whole else "truncate",
    )
    exact_form = design.architecture.exact_form
    if design.imported is not None or exact_form is None:
        return exact, exact
    own_topology = replace(
        design,
        **exact_form,
        final_adder=design.final_adder if design.final_adder in FINAL_ADDERS else "exact",
        placement=Placement.of(EXACT),
        name=None,
        rounding="truncate",
        normalization="full",
        subnormals=None,
    )
    return exact, own_topology


@lru_cache(maxsize=256)
def _baseline(design: Design, samples: int, seed: int, technology: Technology, glitches: str, whole: bool) -> CostViews:
    values = _operands(design.shape, design.format, whole, samples, seed)
    return _views(design, values, technology, glitches, whole)[0]


def _views(
    design: Design, operands: Operands, technology: Technology, glitches: str, whole: bool
) -> tuple[CostViews, tuple[str, ...]]:
    """(both views, names of the components with estimates)."""
    netlist = drawn_netlist(design, whole)
    drawn, estimated = cost_view(netlist, technology, operands, glitches)
    simplified_view, _ = cost_view(simplified(netlist), technology, operands, glitches)
    return CostViews(drawn, simplified_view), estimated


def cost_view(
    netlist: Netlist | NetlistArrays, technology: Technology, operands: Operands, glitches: str
) -> tuple[CostView, tuple[str, ...]]:
    """(cost of a netlist as it stands, names of the components with estimates); operands as in `netlist_energy`."""
    area = netlist_area(netlist, technology)
    circuit = circuit_of(netlist, technology)
    delay = longest_delay(circuit)
    switching = circuit_energy(circuit, operands, glitches=glitches)
    leaked = switching.leakage * delay * 1e-6  # nW ps -> fJ
    view = CostView(
        area.cells,
        area.transistors,
        area.area,
        switching.energy + leaked,
        delay,
        switching.leakage,
        switching.activity,
    )
    return view, area.estimated


def _check_sampling(samples: int, seed: int) -> None:
    for what, value, low, high in (("samples", samples, 2, MAXIMUM_SAMPLES), ("seed", seed, 0, 2**64 - 1)):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise DesignError(
                f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range."
            )


def random_operands(shape: tuple[int, int], samples: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The `samples` consecutive pairs of integers of these widths over which `cost_report` takes energies."""
    _check_sampling(samples, seed)
    return _operands(shape, None, False, samples, seed)


def operand_trace(
    design: Design, operands: tuple[ArrayLike, ArrayLike]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """A trace as words of the circuit's operands; DesignError if it does not fit."""
    x, y = _trace(design, False, operands)
    return x, y


@lru_cache(maxsize=16)
def _operands(
    shape: tuple[int, int], format_name: str | None, whole: bool, samples: int, seed: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Random operands: mantissas with the leading bit set, float words if `whole`, or all integers (no format)."""
    stream = np.random.Generator(np.random.Philox(key=np.array([seed, 1], np.uint64)))
    drawn = []
    for width in shape:
        low = 2 ** (width - 1) if format_name is not None else 0
        drawn.append(stream.integers(low, 2**width - 1, samples, dtype=np.uint64, endpoint=True))
    if whole:
        assert format_name is not None
        drawn = [random_words(mantissas, format_name, stream) for mantissas in drawn]
    for values in drawn:
        values.flags.writeable = False
    return drawn[0], drawn[1]


def _trace(design: Design, whole: bool, operands: tuple[ArrayLike, ArrayLike]) -> Operands:
    """Operands of the circuit from given values; DesignError if they do not fit."""
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
    return words_of(design, arrays[0], arrays[1], whole=whole)
