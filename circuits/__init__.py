"""Approximate multipliers from full-adder cells: composition, bit-accurate simulation, error metrics, cost, export.

    >>> from circuits import design
    >>> float(design("axfpm_tiled").multiply(0.856, 0.471))
    0.426080584526062

Importing the package imports nothing else and compiles nothing; every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from circuits.support.lazy import lazy_names

if TYPE_CHECKING:
    from circuits.accuracy.bilinear import BilinearForm as BilinearForm
    from circuits.accuracy.bilinear import bilinear_form as bilinear_form
    from circuits.accuracy.bilinear import design_form as design_form
    from circuits.accuracy.closed_forms import ClosedForm as ClosedForm
    from circuits.accuracy.closed_forms import closed_form_metrics as closed_form_metrics
    from circuits.accuracy.error_types import ErrorMetrics as ErrorMetrics
    from circuits.accuracy.error_types import ErrorSurface as ErrorSurface
    from circuits.accuracy.error_types import Estimate as Estimate
    from circuits.accuracy.measurement import error_metrics as error_metrics
    from circuits.accuracy.surfaces import error_surface as error_surface
    from circuits.adders import AdderDesign as AdderDesign
    from circuits.adders import adder as adder
    from circuits.adders.adder_cost import adder_cost as adder_cost
    from circuits.adders.adder_cost import mac_cost as mac_cost
    from circuits.adders.adder_errors import adder_errors as adder_errors
    from circuits.cells.adder_cells import CELLS as CELLS
    from circuits.cells.adder_cells import AdderCell as AdderCell
    from circuits.cells.adder_cells import load_cells as load_cells
    from circuits.cells.compressors import COMPRESSORS as COMPRESSORS
    from circuits.cells.compressors import Compressor as Compressor
    from circuits.cost import TrueTiming as TrueTiming
    from circuits.cost import technology as technology
    from circuits.cost import true_timing as true_timing
    from circuits.cost.cost_model import CostReport as CostReport
    from circuits.cost.cost_model import cost_report as cost_report
    from circuits.designs.design_record import Design as Design
    from circuits.designs.named_designs import NAMED as NAMED
    from circuits.designs.named_designs import design as design
    from circuits.designs.placement import Placement as Placement
    from circuits.designs.trace import Trace as Trace
    from circuits.designs.trace import trace_product as trace_product
    from circuits.engine import simulate as simulate
    from circuits.engine.float_operations import matmul as matmul
    from circuits.errors import DesignError as DesignError
    from circuits.errors import UnknownNameError as UnknownNameError
    from circuits.exchange.design_files import find_design as find_design
    from circuits.exchange.table_circuit import design_from_table as design_from_table
    from circuits.floats.arithmetic import FORMATS as FORMATS
    from circuits.floats.arithmetic import FloatFormat as FloatFormat
    from circuits.hdl import netlist_from_verilog as netlist_from_verilog
    from circuits.hdl import to_blif as to_blif
    from circuits.hdl import to_verilog as to_verilog
    from circuits.multipliers import FAMILIES as FAMILIES
    from circuits.multipliers import TOPOLOGIES as TOPOLOGIES
    from circuits.netlists.netlist import Netlist as Netlist
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "circuits.accuracy.bilinear": (
                "BilinearForm",
                "bilinear_form",
                "design_form",
            ),
            "circuits.accuracy.closed_forms": (
                "ClosedForm",
                "closed_form_metrics",
            ),
            "circuits.accuracy.error_types": (
                "ErrorMetrics",
                "ErrorSurface",
                "Estimate",
            ),
            "circuits.accuracy.measurement": ("error_metrics",),
            "circuits.accuracy.surfaces": ("error_surface",),
            "circuits.adders": (
                "AdderDesign",
                "adder",
            ),
            "circuits.adders.adder_cost": (
                "adder_cost",
                "mac_cost",
            ),
            "circuits.adders.adder_errors": ("adder_errors",),
            "circuits.cells.adder_cells": (
                "CELLS",
                "AdderCell",
                "load_cells",
            ),
            "circuits.cells.compressors": (
                "COMPRESSORS",
                "Compressor",
            ),
            "circuits.cost": (
                "TrueTiming",
                "technology",
                "true_timing",
            ),
            "circuits.cost.cost_model": (
                "CostReport",
                "cost_report",
            ),
            "circuits.designs.design_record": ("Design",),
            "circuits.designs.named_designs": (
                "NAMED",
                "design",
            ),
            "circuits.designs.placement": ("Placement",),
            "circuits.designs.trace": (
                "Trace",
                "trace_product",
            ),
            "circuits.engine": ("simulate",),
            "circuits.engine.float_operations": ("matmul",),
            "circuits.errors": (
                "DesignError",
                "UnknownNameError",
            ),
            "circuits.exchange.design_files": ("find_design",),
            "circuits.exchange.table_circuit": ("design_from_table",),
            "circuits.floats.arithmetic": (
                "FORMATS",
                "FloatFormat",
            ),
            "circuits.hdl": (
                "netlist_from_verilog",
                "to_blif",
                "to_verilog",
            ),
            "circuits.multipliers": (
                "FAMILIES",
                "TOPOLOGIES",
            ),
            "circuits.netlists.netlist": ("Netlist",),
        },
    )
