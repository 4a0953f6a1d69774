"""Hardware description languages: structural Verilog and BLIF out, a structural Verilog subset in."""

from __future__ import annotations

from circuits.hdl.blif import to_blif
from circuits.hdl.verilog import to_verilog
from circuits.hdl.verilog_in import netlist_from_verilog

__all__ = ["netlist_from_verilog", "to_blif", "to_verilog"]
