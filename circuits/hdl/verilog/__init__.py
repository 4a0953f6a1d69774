"""Verilog in: combinational modules read into one flat netlist, every mistake named by file, line and net."""

from __future__ import annotations

from circuits.hdl.verilog.reader import VerilogCircuit, netlist_from_verilog, read_verilog
from circuits.hdl.verilog.syntax.lexer import MAXIMUM_BYTES

__all__ = ["MAXIMUM_BYTES", "VerilogCircuit", "netlist_from_verilog", "read_verilog"]
