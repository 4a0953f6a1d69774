"""Gates that read Verilog may hold beside those that generators draw, and the standard cells known by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from circuits.netlists.gates import AOI21, GATES, MUX2, NAND3, NOR2, NOR3, OAI21, XNOR2, Gate

KNOWN: Mapping[tuple[int, tuple[int, ...]], Gate] = MappingProxyType(
    {(len(gate.inputs), gate.tables): gate for gate in (*GATES.values(), NOR2, XNOR2, NAND3, NOR3, AOI21, OAI21, MUX2)}
)
"""Gates by number of inputs and truth tables."""

# The OSU FreePDK45 cells that EvoApproxLib's files use, as its own files define them; X1, X2, ... is the drive.
# MUX2X1 is missing on purpose: the OSU cell inverts and EvoApproxLib's does not, so a file has to define it.
STANDARD_CELLS = """
module AND2(input A, input B, output Y); assign Y = A & B; endmodule
module OR2(input A, input B, output Y); assign Y = A | B; endmodule
module NAND2(input A, input B, output Y); assign Y = ~(A & B); endmodule
module NOR2(input A, input B, output Y); assign Y = ~(A | B); endmodule
module XOR2(input A, input B, output Y); assign Y = A ^ B; endmodule
module XNOR2(input A, input B, output Y); assign Y = ~(A ^ B); endmodule
module NAND3(input A, input B, input C, output Y); assign Y = ~(A & B & C); endmodule
module NOR3(input A, input B, input C, output Y); assign Y = ~(A | B | C); endmodule
module AOI21(input A, input B, input C, output Y); assign Y = ~((A & B) | C); endmodule
module OAI21(input A, input B, input C, output Y); assign Y = ~((A | B) & C); endmodule
module INV(input A, output Y); assign Y = ~A; endmodule
module BUF(input A, output Y); assign Y = A; endmodule
module HA(input A, input B, output YS, output YC); assign YS = A ^ B; assign YC = A & B; endmodule
module FA(input A, input B, input C, output YS, output YC);
    assign YS = A ^ B ^ C; assign YC = (A & B) | (B & C) | (A & C);
endmodule
"""
