"""Designs in and out of files: names and files that stand for a design, and product tables in the field's formats."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "circuits.exchange.design_files": ("find_design", "find_designs"),
        "circuits.exchange.table_circuit": ("design_from_table",),
        "circuits.exchange.table_files": ("TABLE_FORMATS", "read_table", "write_table"),
    },
)
