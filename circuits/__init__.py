"""Approximate multipliers from full-adder cells: composition, gate-exact simulation, error metrics, cost, export.

    >>> from circuits import design
    >>> float(design("axfpm_tiled").multiply(0.856, 0.471))
    0.4260805845260620

Nothing is compiled on import.
"""

from __future__ import annotations

from circuits.cells import CELLS, AdderCell, load_cells
from circuits.designs import NAMED, Design, design
from circuits.engine import simulate
from circuits.engine.floating import matmul
from circuits.errors import DesignError, UnknownNameError
from circuits.netlist import Netlist
from circuits.placement import Placement

__all__ = [
    "CELLS",
    "NAMED",
    "AdderCell",
    "Design",
    "DesignError",
    "Netlist",
    "Placement",
    "UnknownNameError",
    "design",
    "load_cells",
    "matmul",
    "simulate",
]
