"""Evolved circuits as designs: checked by the ordinary metrics, priced by the cost model, written as TOML and
Verilog."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.measurement import error_metrics
from circuits.cost.cost_model import CostReport, cost_report
from circuits.designs.design_record import Design
from circuits.hdl import to_verilog
from circuits.support.files import write_atomically
from circuits.support.text import printable
from dse.evolution.error_limits import TERMS, Limits, unit
from dse.evolution.genome import netlist_of
from dse.evolution.operand_pairs import all_pairs, energy_operands, signed_values
from dse.evolution.operand_weights import OperandWeights
from dse.evolution.walk_tasks import WalkResult

PROVEN_BITS = 24
"""Operand bits together up to which every result is verified on all pairs."""
_SAMPLES = 4_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class EvolvedCircuit:
    """A result: `errors` over uniform operands, `values` of the limited metrics (over the user's distribution, if any),
    `within`: whether they meet the limits; `proven`: whether that holds for all operand pairs that occur."""

    design: Design
    limits: Limits
    errors: ErrorMetrics
    values: Mapping[str, float]
    within: bool
    proven: bool
    cost: CostReport

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.within:
            return "exceeds its limits"
        return "verified on all operand pairs" if self.proven else "verified on a sample only"


def evolved_circuit(
    name: str, walk: WalkResult, design: Design, limits: Limits, weights: OperandWeights | None
) -> EvolvedCircuit:
    """The best circuit of a walk, measured again from its netlist."""
    result = Design(circuit=netlist_of(walk.genome, name), signed=design.signed, name=name)
    bits = sum(design.shape)
    exhaustive = bits <= PROVEN_BITS
    errors = error_metrics(result, method="exhaustive" if exhaustive else "sampled", samples=_SAMPLES)
    if weights is None:
        values = {metric: uniform_value(metric, errors, result) for metric, _ in limits.bounds}
        cost = cost_report(result)
    else:
        values = weighted_values(result, limits, weights)
        exhaustive = weights.covers(bits)
        x, y = (
            signed_values(codes.astype(np.int64), width, design.signed)
            for codes, width in zip(energy_operands(design.shape, weights), design.shape, strict=True)
        )
        cost = cost_report(result, operands=(x, y))
    within = all(values[metric] <= bound * (1 + 1e-9) for metric, bound in limits.bounds)
    return EvolvedCircuit(result, limits, errors, values, within, exhaustive, cost)


def uniform_value(metric: str, errors: ErrorMetrics, design: Design) -> float:
    """A metric of `error_limits.TERMS` from measured errors."""
    quantity, relative = TERMS[metric].quantity, TERMS[metric].relative
    if quantity == "over":
        mean = errors.worst_case
    elif quantity == "wrong":
        mean = errors.error_rate.value
    elif quantity == "signed":
        mean = abs(errors.bias.value)
    else:
        mean = errors.mred.value if relative else errors.med.value
    return mean / unit(metric, design.shape, signed=design.signed)


def weighted_values(design: Design, limits: Limits, weights: OperandWeights) -> dict[str, float]:
    """The limited metrics over a user's distribution, in float64 from all pairs that occur (or the evolution's
    sample)."""
    x, y, probabilities, _ = all_pairs(design.shape, signed=design.signed, weights=weights)
    sums: dict[str, float] = dict.fromkeys(("absolute", "wrong", "signed", "relative", "nonzero", "total"), 0.0)
    worst = 0.0
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        q = np.ones(len(x[part])) if probabilities is None else probabilities[part]
        exact = (x[part] * y[part]).astype(np.float64)
        e = design.multiply_integers(x[part], y[part]).astype(np.float64) - exact
        nonzero = exact != 0
        sums["total"] += q.sum()
        sums["absolute"] += (q * np.abs(e)).sum()
        sums["signed"] += (q * e).sum()
        sums["wrong"] += q[e != 0].sum()
        sums["nonzero"] += q[nonzero].sum()
        sums["relative"] += (q * np.abs(e))[nonzero] @ (1 / np.abs(exact[nonzero]))
        worst = max(worst, float(np.abs(e).max()))
    values = {}
    for metric, _ in limits.bounds:
        term = TERMS[metric]
        if term.quantity == "over":
            mean = worst
        elif term.relative:
            mean = sums["relative"] / sums["nonzero"] if sums["nonzero"] else 0.0
        else:
            mean = abs(sums[term.quantity]) / sums["total"]
        values[metric] = mean / unit(metric, design.shape, signed=design.signed)
    return values


def summary(circuit: EvolvedCircuit) -> dict[str, Any]:
    """The numbers of a circuit by column: what tables, CSV files and the comments in TOML files show."""
    errors, drawn = circuit.errors, circuit.cost.drawn
    design = circuit.design
    return {
        "nmed": errors.nmed.value,
        "mae_percent": uniform_value("mae_percent", errors, design),
        "wce_percent": uniform_value("wce_percent", errors, design),
        "worst_case": errors.worst_case,
        "error_rate": errors.error_rate.value,
        "mred": errors.mred.value,
        "bias": errors.bias.value,
        "energy": drawn.energy,
        "delay": drawn.delay,
        "area": drawn.area,
        "gates": drawn.cells,
    }


def write_circuit(
    folder: Path, circuit: EvolvedCircuit, provenance: Mapping[str, str], *, verilog: bool = True
) -> None:
    """Writes NAME.toml, and NAME.v, with the numbers and the provenance as comments."""
    numbers = {k: f"{v:.6g}" for k, v in summary(circuit).items() if not math.isnan(v)}
    facts = {
        **provenance,
        "limits": circuit.limits.text,
        "verdict": circuit.verdict,
        **numbers,
    }
    toml = "".join(f"# {key}: {printable(value)}\n" for key, value in facts.items()) + circuit.design.to_toml()
    write_atomically(folder / f"{circuit.design.name}.toml", toml.encode())
    if verilog:
        head = "".join(f"// {key}: {printable(value)}\n" for key, value in facts.items())
        write_atomically(folder / f"{circuit.design.name}.v", (head + to_verilog(circuit.design)).encode())
