"""Hardware description languages: structural Verilog and BLIF out, combinational Verilog in."""

from __future__ import annotations

from circuits.hdl.blif.blif_out import to_blif
from circuits.hdl.verilog import VerilogCircuit, netlist_from_verilog, read_verilog
from circuits.hdl.verilog_out import to_verilog

__all__ = ["VerilogCircuit", "netlist_from_verilog", "read_verilog", "to_blif", "to_verilog"]
