"""Targets from what a user writes, and the names of their circuits."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from dse.evolution.error_limits import Limits, parse_limits, parse_sweep
from dse.evolution.evolution_run import Target

_SHORT = {"mae_percent": "mae", "wce_percent": "wce", "mred_percent": "mred", "worst_case": "wc", "error_rate": "er"}
"""Metrics as names of circuits have them: u8_mae0.037 is an unsigned 8 x 8 multiplier with MAE of at most 0.037 %."""


def targets_of(seeds: Sequence[Design], errors: Sequence[str], sweeps: Sequence[str]) -> tuple[Target, ...]:
    """One target for the limits alone, or one for each limit of each sweep beside them."""
    if not sweeps:
        return (target_of(seeds, parse_limits(errors)),)
    shared = parse_limits(errors).bounds if errors else ()
    targets = []
    for text in sweeps:
        name, bounds = parse_sweep(text)
        if name in dict(shared):
            raise DesignError(f"--error and --sweep must limit different metrics, but both limit {name}; drop one.")
        targets += [target_of(seeds, Limits(((name, bound), *shared))) for bound in bounds]
    return tuple({target.name: target for target in targets}.values())


def target_of(seeds: Sequence[Design], limits: Limits) -> Target:
    """The target with its name, such as u8_mae0.037 or s8x6_nmed0.001_wc40."""
    design, *others = seeds
    w, v = design.shape
    widths = f"{w}" if w == v else f"{w}x{v}"
    parts = [f"{_SHORT.get(name, name)}{bound:g}" for name, bound in limits.bounds]
    return Target("_".join([f"{'s' if design.signed else 'u'}{widths}", *parts]), design, limits, tuple(others))
