"""The recipe of the committed library: seeds and limits of all its circuits. One command makes it again:

    python -m dse.evolve library --evaluations 4000000 --restarts 8 --workers 2 --out DIR --into circuits/library

That is 384 million circuits at about 8 seconds of processor time a million, 50 minutes of it: half of that by the clock
on two idle cores. The number of workers changes nothing but the time.

The limits of the unsigned circuits are the errors of EvoApproxLib's 8x8 multipliers (per cent of 2^16; MRED in per
cent) that no other of its circuits beats in error and energy, and some between them; those of the signed ones cover the
same range. Walks start from several exact designs: from arrays they often end at less energy than from a Dadda tree.
"""

from __future__ import annotations

from circuits.designs.design_record import Design
from dse.evolution.error_limits import Limits
from dse.evolution.evolution_run import Target
from dse.evolution.target_names import target_of

_UNSIGNED = {
    "mae_percent": "0.0014 0.0046 0.0076 0.017 0.037 0.057 0.065 0.11 0.18 0.2 0.43 0.56 0.67 0.89 1.3 2.15 2.28 4.83 "
    "7.41 8.01",
    "wce_percent": "0.0046 0.017 0.061 0.12 0.18 0.25 0.4 0.66 0.79 0.89 1.4 2.15 2.41 2.94 4.29 6 8.21 9.08 19.46 "
    "25.78 27.24",
    "mred_percent": "0.033 0.14 0.15 0.51 0.59 0.8 1.25 1.9 4.05 4.16 4.2 7 10.85 12.14 13.96 21.95 28.42 44 57.81 "
    "59.69",
}
_SIGNED = {
    "mae_percent": "0.002 0.0046 0.01 0.02 0.037 0.065 0.12 0.2 0.3 0.43 0.65 0.9 1.8",
    "wce_percent": "0.01 0.03 0.06 0.12 0.25 0.35 0.5 0.9 1.8 2.5 3.5 7",
    "mred_percent": "0.05 0.15 0.4 0.8 1.5 3 6 12 25 45",
}


def library_targets() -> tuple[Target, ...]:
    """All circuits of the library, unsigned and signed, in the order in which they are listed."""
    unsigned, signed = (
        tuple(
            Design(topology=topology, width=8, format=None, signed=sign, name=f"{topology} 8x8{' signed' * sign}")
            for topology in topologies
        )
        for sign, topologies in (
            (False, ("ripple_array", "carry_save_array", "dadda")),
            (True, ("ripple_array", "dadda", "carry_save_array", "booth")),
        )
    )
    return tuple(
        target_of(seeds, Limits(((metric, float(bound)),)))
        for seeds, limits in ((unsigned, _UNSIGNED), (signed, _SIGNED))
        for metric, bounds in limits.items()
        for bound in bounds.split()
    )
