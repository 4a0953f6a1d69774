"""Approximate multipliers from full-adder cells: composition, gate-exact simulation, error metrics, cost, export.

    >>> from circuits import design
    >>> float(design("axfpm_tiled").multiply(0.856, 0.471))
    0.4260805845260620

Nothing is compiled on import.
"""

from __future__ import annotations

from circuits.accuracy.closed_forms import ClosedForm, closed_form_metrics
from circuits.accuracy.error_types import ErrorMetrics, ErrorSurface
from circuits.accuracy.measurement import error_metrics
from circuits.accuracy.surfaces import error_surface
from circuits.cells.adder_cells import CELLS, AdderCell, load_cells
from circuits.cost.cost_model import CostReport, cost_report
from circuits.designs.design_record import Design
from circuits.designs.named_designs import NAMED, design
from circuits.designs.placement import Placement
from circuits.engine import simulate
from circuits.engine.float_operations import matmul
from circuits.errors import DesignError, UnknownNameError
from circuits.hdl import netlist_from_verilog, to_blif, to_verilog
from circuits.netlists.netlist import Netlist

__all__ = [
    "CELLS",
    "NAMED",
    "AdderCell",
    "ClosedForm",
    "CostReport",
    "Design",
    "DesignError",
    "ErrorMetrics",
    "ErrorSurface",
    "Netlist",
    "Placement",
    "UnknownNameError",
    "closed_form_metrics",
    "cost_report",
    "design",
    "error_metrics",
    "error_surface",
    "load_cells",
    "matmul",
    "netlist_from_verilog",
    "simulate",
    "to_blif",
    "to_verilog",
]
