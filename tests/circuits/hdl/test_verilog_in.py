"""The Verilog reader: the dialects of ArithsGen and EvoApproxLib, and every mistake named by file, line and net.

The texts here are written for these tests, in the style of files that those projects publish.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_netlists import evaluate_row

from circuits import CELLS, Design, DesignError, Netlist, design, netlist_from_verilog
from circuits.commands import main
from circuits.hdl.verilog import flat
from circuits.hdl.verilog.syntax import lexer
from circuits.netlists.netlist import NetlistBuilder

ARITHSGEN_HIERARCHICAL = """
module and_gate(input a, input b, output out);
  assign out = a & b;
endmodule

module xor_gate(input a, input b, output out);
  assign out = a ^ b;
endmodule

module or_gate(input a, input b, output out);
  assign out = a | b;
endmodule

module ha(input [0:0] a, input [0:0] b, output [0:0] ha_xor0, output [0:0] ha_and0);
  xor_gate xor_gate_ha_xor0(.a(a[0]), .b(b[0]), .out(ha_xor0));
  and_gate and_gate_ha_and0(a[0], b[0], ha_and0);
endmodule

module fa(input [0:0] a, input [0:0] b, input [0:0] cin, output [0:0] fa_xor1, output [0:0] fa_or0);
  wire [0:0] fa_xor0;
  wire [0:0] fa_and1;
  xor_gate xor_gate_fa_xor0(a[0], b[0], fa_xor0);
  and_gate and_gate_fa_and0(a[0], b[0], fa_and0);
  xor_gate xor_gate_fa_xor1(fa_xor0[0], cin[0], fa_xor1);
  and_gate and_gate_fa_and1(fa_xor0[0], cin[0], fa_and1);
  or_gate or_gate_fa_or0(fa_and0, fa_and1[0], fa_or0);
endmodule

module u_rca2(input [1:0] a, input [1:0] b, output [2:0] u_rca2_out);
  wire [0:0] c;
  ha ha_0(.a(a[0]), .b(b[0]), .ha_xor0(u_rca2_out[0]), .ha_and0(c));
  fa fa_1(.a(a[1]), .b(b[1]), .cin(c[0]), .fa_xor1(u_rca2_out[1]), .fa_or0(u_rca2_out[2]));
endmodule

module h_u_mul2(input [1:0] a, input [1:0] b, output [3:0] h_u_mul2_out);
  wire [0:0] pp_0_1;
  wire [0:0] pp_1_0;
  wire [1:0] left;
  wire [1:0] right;
  wire [2:0] sum;
  and_gate g0(.a(a[0]), .b(b[0]), .out(h_u_mul2_out[0]));
  and_gate g1(.a(a[0]), .b(b[1]), .out(pp_0_1));
  and_gate g2(.a(a[1]), .b(b[0]), .out(pp_1_0));
  and_gate g3(.a(a[1]), .b(b[1]), .out(left[1]));
  assign left[0] = pp_0_1[0];
  assign right[0] = pp_1_0[0];
  assign right[1] = 1'b0;
  u_rca2 u_rca2_0(.a(left), .b(right), .u_rca2_out(sum));
  assign h_u_mul2_out[1] = sum[0];
  assign h_u_mul2_out[2] = sum[1];
  assign h_u_mul2_out[3] = sum[2];
endmodule
"""

EVOAPPROX_ASSIGNS = """
/***
* a comment as these files have * and ** in it
***/
// MAE% = 0.00 %  ../res/7b\\csam.txt
module mul2u_A (
    A,
    B,
    O
);

input [1:0] A;
input [1:0] B;
output [3:0] O;

wire sig_4,sig_5,sig_6;
wire sig_7;

assign sig_4 = A[0] & B[1];
assign sig_5 = B[0] & A[1];
assign sig_6 = sig_4 & sig_5; //1
assign sig_7 = ~(A[1] & B[1]);

assign O[3] = sig_6 & O[0]; // default output
assign O[2] = ~(sig_7 | sig_6);
assign O[1] = sig_4 ^ sig_5;
assign O[0] = A[0] & B[0];

endmodule
"""

EVOAPPROX_CELLS = """
module mul2u_B ( A, B, O );
  input [2-1:0] A, B;
  output [2*2-1:0] O;
  wire [1:0] A, B;
  wire [2031:0] N;
  wire S_0_1,S_1_0,S_1_1,C_1_0;

  assign N[0] = A[0];
  assign S_0_1 = (A[0] & B[1]);
  PDKGENHAX1 U1 (.A(S_0_1), .B((A[1] & B[0])), .YS(S_1_0), .YC(C_1_0));
  PDKGEPDKGENNAND2X1 n34(.A(A[1]), .B(B[1]), .Y(S_1_1));
  PDKGENAND2X1 n36(.A(N[0]), .B(B[0]), .Y(N[36]));
  assign {N[42], N[40]} = {1'b0} + {C_1_0} + S_1_1;
  assign O = {N[42],N[40],S_1_0,N[36]};
endmodule
/* mod */
module PDKGENHAX1( input A, input B, output YS, output YC );
    assign YS = A ^ B;
    assign YC = A & B;
endmodule
module PDKGENXOR2X1(input A, input B, output Y );
     assign Y = A ^ B;
endmodule
"""

PRIMITIVES = """
`timescale 1ns/100ps
module mul2(p, q, r);
  input [1:0] p;
  input [1:0] q;
  output [3:0] r;
  localparam HIGH = 1, LOW = HIGH - 1;
  wire a, b, carry = a & b;
  and (r[0], p[LOW], q[LOW]), g1(a, p[HIGH], q[0]);
  nand g2(nb, p[0], q[1]);
  not g3(b, nb);
  xor g4(r[1], a, b);
  and g5(d, p[1], q[1], 1'b1);
  nor g6(e, nd, carry);
  not g7(nd, d);
  buf g8(r[2], e);
  and g9(r[3], d, carry);
endmodule
"""


def product_bits(netlist: Netlist, x: int, y: int) -> int:
    left, right = netlist.inputs.values()
    bits = {net: x >> k & 1 for k, net in enumerate(left)} | {net: y >> k & 1 for k, net in enumerate(right)}
    return sum(bit << k for k, bit in enumerate(evaluate_row(netlist, bits)))


def read(text: str, top: str | None = None) -> Netlist:
    return netlist_from_verilog(text, where="a.v", top=top)


def body(text: str, ports: str = "input [1:0] a, input [1:0] b, output [3:0] o") -> str:
    """A module with these items; they start in line 2."""
    return f"module m({ports});\n{text}\nendmodule\n"


@pytest.mark.parametrize(
    ("text", "name", "counts"),
    [
        (ARITHSGEN_HIERARCHICAL, "h_u_mul2", {"and2": 7, "xor2": 3, "or2": 1}),
        (EVOAPPROX_ASSIGNS, "mul2u_A", {"and2": 5, "nand2": 1, "nor2": 1, "xor2": 1}),
        (EVOAPPROX_CELLS, "mul2u_B", {"and2": 4, "half_adder": 2}),
        (PRIMITIVES, "mul2", {"and2": 6, "nand2": 1, "not": 2, "xor2": 1, "nor2": 1, "buffer": 1}),
    ],
    ids=["arithsgen", "evoapprox-assigns", "evoapprox-cells", "primitives"],
)
def test_dialects_multiply(text: str, name: str, counts: dict[str, int]) -> None:
    netlist = read(text)
    assert netlist.name == name
    assert netlist.count() == counts
    assert all(product_bits(netlist, x, y) == x * y for x in range(4) for y in range(4))
    assert all(Design(netlist=netlist).multiply_integers(x, y) == x * y for x in range(4) for y in range(4))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("PDKGEPDKGENNAND2X1", lambda a, b: a & b),  # AND2X1 as EvoApprox8b's files mangle it
        ("NPDKGEPDKGENNAND2X1", lambda a, b: 1 - (a & b)),
        ("XPDKGEPDKGENNOR2X1", lambda a, b: a ^ b),
        ("XNPDKGEPDKGENNOR2X1", lambda a, b: 1 - (a ^ b)),
        ("NOR2X1", lambda a, b: 1 - (a | b)),
        ("OR2X2", lambda a, b: a | b),
    ],
)
def test_standard_cells_need_no_definition(name: str, function: object) -> None:
    netlist = read(body(f"{name} u(.A(a[0]), .B(b[0]), .Y(o[0])); assign o[3:1] = 3'b000;"))
    assert len(netlist.instances) == 1
    for x in range(2):
        for y in range(2):
            assert product_bits(netlist, x, y) == function(x, y)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("expression", "function"),
    [
        ("a & b | ~a & ~b", lambda a, b: (a & b | ~a & ~b) & 3),
        ("a ^ b & a", lambda a, b: a ^ (b & a)),
        ("a ~^ b ^~ a ^ b", lambda a, b: a ^ b ^ a ^ b),
        ("a | b ~^ a", lambda a, b: a | (~(b ^ a) & 3)),
        ("a[0] ? b : ~b", lambda a, b: b if a & 1 else ~b & 3),
        ("{a[0], &b} | {2{^a}}", lambda a, b: (a & 1) << 1 | (b == 3) | 3 * (a in (1, 2))),
        ("{!a, a && b[1]}", lambda a, b: (a == 0) << 1 | (a > 0 and b >> 1)),
        ("{a || b, ~|a}", lambda a, b: (a | b > 0) << 1 | (a == 0)),
        ("a + b", lambda a, b: a + b & 3),
        ("2'b0_1 ^ {b[0], b[1]}", lambda a, b: 1 ^ ((b & 1) << 1 | b >> 1)),
        ("a & 2 | 1", lambda a, b: a & 2 | 1),
    ],
)
def test_expressions_compute_what_verilog_says(expression: str, function: object) -> None:
    netlist = read(body(f"assign o = {{2'd0, {expression}}};" if "+" not in expression else
                        f"wire [1:0] s; assign s = {expression}; assign o = {{2'h0, s}};"))  # fmt: skip
    for a in range(4):
        for b in range(4):
            assert product_bits(netlist, a, b) == int(function(a, b))  # type: ignore[operator]


def test_sums_keep_their_carry_where_there_is_a_place_for_it() -> None:
    netlist = read(body("wire [2:0] s; assign s = a + b; assign o = {1'b0, s};"))
    assert netlist.count() == {"exact": 1, "half_adder": 1}
    assert all(product_bits(netlist, a, b) == a + b for a in range(4) for b in range(4))


def test_modules_of_one_cell_are_cells() -> None:
    """A full adder is the exact cell whatever its name and output order; a library cell needs name and function."""
    text = """
    module fulladd(input x, y, z, output co, s); assign co = x & y | z & (x | y); assign s = x ^ y ^ z; endmodule
    module ama5(input a, b, cin, output sum, carry); assign sum = b; assign carry = a; endmodule
    module ama4(input a, b, cin, output sum, carry); assign sum = a; assign carry = a; endmodule
    module maj(input a, b, c, output y); assign y = a & b | b & c | a & c; endmodule
    module top(input [2:0] a, input [2:0] b, output [6:0] o);
        fulladd u0(a[0], a[1], b[0], o[1], o[0]);
        ama5 u1(a[0], a[1], b[0], o[2], o[3]);
        ama4 u2(a[0], a[1], b[0], o[4], o[5]);
        maj u3(a[0], a[1], a[2], o[6]);
    endmodule
    """
    components = [instance.component for instance in read(text).instances]
    assert components[:2] == [CELLS["exact"], CELLS["ama5"]]
    assert [part.name for part in components[2:]] == ["ama4_imported", "maj"]
    assert components[3].tables == (0b11101000,)


def test_buses_may_count_upwards_and_start_anywhere() -> None:
    text = body("assign o[1] = a[9]; assign o[0] = b[2];", "input [8:9] a, input [3:2] b, output [1:0] o")
    netlist = read(text)
    assert [product_bits(netlist, x, y) for x, y in ((1, 0), (2, 0), (0, 1), (0, 2))] == [2, 0, 1, 0]


def test_modules_are_found_by_name_or_by_use() -> None:
    two = body("assign o = {a, b};") + body("assign o = {b, a};").replace("module m", "module n")
    assert read(two, "n").name == "n"
    assert [product_bits(read(two, name), 1, 2) for name in "mn"] == [6, 9]


WRONG = [
    ("", "a.v must hold a Verilog module, but holds none; check the file."),
    (
        body("assign o = {a, b};") + body("").replace("module m", "module n"),
        "a.v must have one module that no other uses, but got m, n; name the top module.",
    ),
    (
        body("wire u, v;\nassign u = v | a[0];\nassign v = u & a[1];\nassign o = {v, u, a};"),
        "a.v line 4: a combinational circuit must have no loop, but nets u -> v -> u form one; break it.",
    ),
    (
        body("wire u, v;\nassign u = v;\nassign v = u;\nassign o = {v, u, a};"),
        "a.v line 3: a combinational circuit must have no loop, but nets v -> u -> v form one; break it.",
    ),
    (
        body("wire u;\nassign o = {a,\nb[0], u & b[1]};"),
        "a.v line 4: net 'u' must have a driver, but a and2 reads it and nothing drives it; drive it or remove the "
        "reader.",
    ),
    (
        body("assign o[2:0] = {a, b[0]};"),
        "a.v line 1: net 'o[3]' must have a driver, but output 'o' reads it and nothing drives it; drive it or remove "
        "the reader.",
    ),
    (
        body("assign o = {a, b};\nand g(o[1], a[0], b[0]);"),
        "a.v line 3: net 'o[1]' must have one driver, but line 2 drives it too; remove one.",
    ),
    (
        body("assign o = {a, b};\nassign a[1] = b[0];"),
        "a.v line 3: an input must not be driven inside its module, but 'a' is; drive a wire or an output.",
    ),
    (
        body("assign o = {a, b};\nAND2X7Y g(a[0], b[0], z);"),
        "a.v line 3: instance 'g': unknown module 'AND2X7Y'; nearest: AND2X1, "
        "NAND2X1, NAND3X1; give the file that defines it before this one.",
    ),
    (
        body("assign o = {a, b};\nAND2X1 g(.A(a[0]), .Y(z));"),
        "a.v line 3: every input must be connected, but 'B' of instance 'g' of 'AND2X1' is not; connect it.",
    ),
    (
        body("assign o = {a, b};\nAND2X1 g(.A(a[0]), .B(b[0]), .Z(z));"),
        "a.v line 3: instance 'g' of 'AND2X1': unknown port 'Z'; available: A, B, Y.",
    ),
    (
        body("assign o = {a, b[2:1]};"),
        "a.v line 2: a selection must lie in [1:0] of 'b', in that order, but got [2:1]; correct it.",
    ),
    (
        body("assign o = {a, c};"),
        "a.v line 2: module 'm': unknown signal 'c'; available: a, b, o.",
    ),
    (
        body("reg q;\nalways @(posedge a[0]) q <= b[0];\nassign o = {a, b};"),
        "a.v line 3: a circuit must be combinational, but 'q' is a register (posedge a [ 0 ]); remove it.",
    ),
    (
        body("assign o = {a, b};\nDFF_X1 r(.D(a[0]), .CK(b[0]), .Q(q));"),
        "a.v line 3: a circuit must be combinational, but instance 'r' of 'DFF_X1' is a register; remove it.",
    ),
    (
        body("reg q;\nalways @* if (a[0]) q = b[0];\nassign o = {a, b[0], q};"),
        "a.v line 3: an always block must assign every variable on every path, but 'q' keeps its value on some (a "
        "latch); give it a value first.",
    ),
    (
        body("reg q;\nalways @* q = ~q;\nassign o = {a, b[0], q};"),
        "a.v line 3: an always block must assign a variable on every path before it reads it, but 'q' has no value "
        "here; assign it first.",
    ),
    (
        body("assign o = a / b;"),
        "a.v line 2: '/' of a signal is not read; let yosys turn the file into gates (circuits import FILE "
        "--synthesise).",
    ),
    (
        body("assign o = $random(a);"),
        "a.v line 2: a function must be defined, but '$random' is not; let yosys turn the file into gates (circuits "
        "import FILE --synthesise).",
    ),
    (
        body("inout z;"),
        "a.v line 2: an inout must be listed in the module's header, but 'z' is not; add it.",
    ),
    (
        body("real z;"),
        "a.v line 2: only combinational Verilog is read, but got 'real'; let yosys turn the file into gates (circuits "
        "import FILE --synthesise).",
    ),
    (
        body("assign o = 4'(a + 1);"),
        "a.v line 2: a cast is read only as $signed or $unsigned, but got one with an apostrophe; let yosys turn the "
        "file into gates (circuits import FILE --synthesise).",
    ),
    (
        "primitive u(o, a); output o; input a; table 0 : 1; 1 : 0; endtable endprimitive\n" + body("u g(o[0], a[0]);"),
        "a.v line 1: a primitive defined by a table is not read, but 'u' is; let yosys turn the file into gates "
        "(circuits import FILE --synthesise).",
    ),
    (
        body("integer k;\nalways @* while (a) k = 1;"),
        "a.v line 3: a statement must be an assignment, if, case or for, but got 'while'; let yosys turn the file into "
        "gates (circuits import FILE --synthesise).",
    ),
    (
        body("defparam u.W = 3;"),
        "a.v line 2: a parameter must be set where the module is instantiated, #(.W(8)), but got 'defparam'; move it.",
    ),
    (
        body("assign o = (* a;"),
        "a.v line 2: an attribute (* must be closed by *), but is not; close it.",
    ),
    (
        body("assign o = {a, b}\nwire c;"),
        "a.v line 3: syntax error: expected ';', but found 'wire'.",
    ),
    (
        "module m(input [1:0] a, output o);\nassign o = a[0];",
        "a.v line 1: a module must end in 'endmodule', but the end of the file follows; add it.",
    ),
    (
        body("assign o = {a, 2'b0z};"),
        "a.v line 2: a signal must be 0 or 1, but got z; only driven circuits are read.",
    ),
    (
        body("assign o = {a, 2'b02};"),
        'a.v line 2: a constant must have digits of its base, but got "2\'b02"; correct it.',
    ),
    (
        body("assign o = {a, 5000'd7};"),
        'a.v line 2: a constant must have a width of 1 to 4096 bits, but got "5000\'d7"; correct it.',
    ),
    (
        body("assign o = {a, 3};"),
        "a.v line 2: a constant in a concatenation must have a width, but got 3; write it as 4'b0101, say.",
    ),
    (
        body('initial $display("x);'),
        "a.v line 2: syntax error: expected a Verilog token, but found '\"x);\\nendmodu'.",
    ),
    (
        '`include "cells.v"\n' + body("assign o = {a, b};"),
        'a.v line 1: `include is not followed, but got `include "cells.v"; give the included file before this one.',
    ),
    (
        "`default_nettype none\n" + body("assign o = {a, b[0], z};\nand (z, a[0], b[0]);"),
        "a.v line 3: module 'm': unknown signal 'z'; available: a, b, o.",
    ),
    (
        body("wire [4096:0] n;"),
        "a.v line 2: a bus must have at most 4096 bits, but got [4096:0]; split it.",
    ),
    (
        body("assign o = " + "(" * 60 + "a" + ")" * 60 + ";"),
        "a.v line 2: an expression must be nested at most 40 deep, but is deeper; name the parts with wires.",
    ),
    (
        body("wire [4095:0] n;\nassign n = {4096{a, {4096{b}}}};"),
        "a.v line 3: a concatenation must have at most 4096 bits, but has more; split it.",
    ),
    (
        body("m again(a, b, o);"),
        "a.v line 1: a module must not contain itself, but 'm' does; break the cycle (inside 'm', instantiated in "
        "line 2).",
    ),
    (
        body("wire a;"),
        "a.v line 2: declarations of 'a' must agree, but got [1:0] in line 1 and [0:0]; correct one.",
    ),
    (
        body("wire c;\nwire c;"),
        "a.v line 3: a signal must be declared once, but 'c' already stands in line 2; remove one.",
    ),
    (
        body("") + body(""),
        "a.v line 4: a module must be defined once, but 'm' already stands in line 1; remove one.",
    ),
    (
        "module m(a, o);\ninput a;\nassign o = a;\nendmodule",
        "a.v line 1: port 'o' of module 'm' must be declared input or output, but is not; declare it.",
    ),
    (
        body("FAX1 #(2) u(a, b, o);"),
        "a.v line 2: instance 'u' of 'FAX1' must get at most 0 parameters, but gets more; remove some.",
    ),
    (
        "module m(input [1:0] a);\nendmodule",
        "a.v line 1: a circuit must have an output, but module 'm' has none; add it.",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_mistakes_in_verilog_have_one_exact_sentence(text: str, message: str) -> None:
    # A module that instantiates itself is no candidate for the top module.
    with pytest.raises(DesignError) as caught:
        read(text, "m" if "again" in text else None)
    assert str(caught.value) == message


def test_an_unknown_top_module_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DesignError) as caught:
        read(EVOAPPROX_ASSIGNS, "mul2u_a")
    assert str(caught.value) == "a.v: unknown top module 'mul2u_a'; nearest: mul2u_A."


def test_mistakes_in_submodules_name_the_instance() -> None:
    text = """module inner(input [1:0] a, output [1:0] o);
    assign o = a; assign o[0] = a[1];
endmodule
module m(input [1:0] a, input [1:0] b, output [1:0] o);
    inner u1(a, o);
endmodule"""
    with pytest.raises(DesignError) as caught:
        read(text)
    assert str(caught.value) == (
        "a.v line 2: net 'u1.o[0]' must have one driver, but line 2 drives it too; remove one (inside 'inner', "
        "instantiated in line 5)."
    )


def test_sizes_of_verilog_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "MAXIMUM_GATES", 3)
    with pytest.raises(DesignError) as caught:
        read(EVOAPPROX_ASSIGNS)
    assert str(caught.value) == (
        "a.v line 22: a netlist must have at most 3 cells and gates, but has more; import a part of it."
    )
    monkeypatch.setattr(lexer, "MAXIMUM_BYTES", 10)
    with pytest.raises(DesignError) as caught:
        read("module far_too_long")
    assert str(caught.value) == "a.v must have at most 10 characters, but has 19; split off what is not needed."


def test_exponential_hierarchies_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "MAXIMUM_GATES", 2000)
    modules = "module l0(input a, input [1:0] w, output o); assign o = a ^ w[0]; endmodule\n"
    for k in range(1, 30):
        lines = f"wire t; l{k - 1} u(a, w, t); l{k - 1} v(t, w, o);"
        modules += f"module l{k}(input a, input [1:0] w, output o); {lines} endmodule\n"
    with pytest.raises(DesignError, match="at most 2000 "):
        read(modules)


def test_long_chains_of_copies_are_followed() -> None:
    chain = "".join(f"assign w{k} = w{k - 1};\n" for k in range(1, 20_000))
    netlist = read(body(f"assign w0 = a[0];\n{chain}assign o = {{a, b[1], w19999}};"))
    assert product_bits(netlist, 1, 0) == 0b0101


@given(st.text(alphabet="module()[]{};:,.=~&|^+?'b01 \nabo\\`", max_size=200))
def test_any_verilog_text_is_read_or_refused(text: str) -> None:
    for whole in (text, body(text)):
        try:
            read(whole)
        except DesignError as error:
            assert str(error).startswith("a.v")  # noqa: PT017
            assert str(error).endswith(".")  # noqa: PT017


@given(st.data())
def test_damaged_verilog_files_are_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([ARITHSGEN_HIERARCHICAL, EVOAPPROX_ASSIGNS, EVOAPPROX_CELLS, PRIMITIVES]))
    start = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    try:
        read(text[:start] + data.draw(st.sampled_from(["", "(", ";", "a", "["])) + text[start + length :])
    except DesignError as error:
        assert str(error).startswith("a.v")  # noqa: PT017


# An imported circuit as a design.


def imported(**fields: object) -> Design:
    return Design(netlist=read(EVOAPPROX_CELLS), **fields)  # type: ignore[arg-type]


def test_an_imported_design_says_what_it_is() -> None:
    multiplier = imported()
    assert (multiplier.shape, multiplier.format, multiplier.label) == ((2, 2), None, "mul2u_B")
    assert multiplier.describe()["topology"] == "imported, 6 cells and gates"
    assert multiplier.describe()["placement"] == "4 and2, 2 half_adder"
    assert [*multiplier.netlist().inputs, *multiplier.netlist().outputs] == ["x", "y", "product"]
    assert multiplier.imported is multiplier.netlist()
    assert design("heap").imported is None
    assert Design(netlist=None) == Design()


def test_the_first_declared_bus_is_the_first_operand() -> None:
    multiplier = Design(netlist=read(body("assign o = {b[2], a};", "input [2:0] b, a, output [3:0] o")))
    assert multiplier.multiply_integers(0b100, 0b011) == 0b1011
    assert len(multiplier.netlist().outputs["product"]) == 6


def test_products_are_extended_by_zeros_or_the_sign() -> None:
    text = body("assign o = {a[1] & b[1], 1'b0};", "input [1:0] a, input [1:0] b, output [1:0] o")
    assert Design(netlist=read(text)).multiply_integers(2, 2) == 2
    assert Design(netlist=read(text), signed=True).multiply_integers(-2, -2) == -2


@pytest.mark.parametrize("name", ["axfpm_tiled", "bfloat16", "heap"])
def test_toml_and_pickle_give_the_same_design(name: str) -> None:
    """Netlists with positions, with a product of 49 bits, and with two kinds of cells."""
    multiplier = Design(netlist=design(name).netlist(), format=design(name).format, name="mine")
    assert multiplier.digest == design(name).digest
    for back in (
        Design.from_toml(multiplier.to_toml()),
        pickle.loads(pickle.dumps(multiplier)),
        copy.deepcopy(multiplier),
    ):
        assert back == multiplier
        assert hash(back) == hash(multiplier)
        assert (back.name, back.digest, back.cost_digest) == ("mine", multiplier.digest, multiplier.cost_digest)
    x = np.float32([0.3, -1.7, 5.5])
    np.testing.assert_array_equal(multiplier.multiply(x, x[::-1]), design(name).multiply(x, x[::-1]))


def test_toml_embeds_cells_and_gates_that_the_library_does_not_have() -> None:
    text = """
    module half(input a, b, output s, n); assign s = a ^ b; assign n = ~(a & b); endmodule
    module odd(input a, b, c, output s, co); assign s = a; assign co = b & ~c; endmodule
    module m(input [1:0] a, input [1:0] b, output [3:0] o);
        half u(a[0], b[0], o[0], o[1]);
        odd v(a[0], a[1], b[1], o[2], o[3]);
    endmodule
    """
    multiplier = Design(netlist=read(text))
    written = multiplier.to_toml()
    assert "[cells.odd]" in written
    assert "gate half a b : s 00111100 n 11111100 : 14\n" in written
    assert Design.from_toml(written) == multiplier


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x 2\ny 2\nand2 2 9\n",
            "line 3 of [netlist] text: expected an integer from 0 to 5, but got '9'; correct it.",
        ),
        ("x 2\nz 2\n", "line 2 of [netlist] text: the first lines must be 'x WIDTH' and 'y WIDTH'; correct them."),
        ("x 2\ny 2\nand2 2 3\n", "[netlist] text must end in a 'product' line, but has none; add it."),
        (
            "x 2\ny 2\nand2 2\n",
            "line 3 of [netlist] text: 'and2' must have 2 nets and at most a place '@ ROW COLUMN', but got '2'; "
            "correct it.",
        ),
        (
            "x 2\ny 2\nand9 2 3\n",
            "line 3 of [netlist] text: unknown cell 'and9'; available: afa, ama1, "
            "ama2, ama3, ama4, "
            "ama5, axa1, axa2, axa3, exact, inxa1, inxa2, inxa3, loa, sesa1, sesa2, sesa3, tsaa.",
        ),
        (
            "x 2\ny 2\nproduct 2\nand2 2 3\n",
            "line 4 of [netlist] text: nothing may follow the product; remove the line.",
        ),
        (
            "x 2\ny 2\ngate g a\n",
            "line 3 of [netlist] text: a gate must be 'gate NAME INPUTS : OUTPUT TABLE ... : TRANSISTORS'; correct it.",
        ),
    ],
)  # fmt: skip
def test_damaged_netlist_texts_are_refused_with_the_reason(text: str, message: str) -> None:
    document = f"[design]\nformat = \"integer\"\n[netlist]\ntext = '''\n{text}'''\n"
    with pytest.raises(DesignError) as caught:
        Design.from_toml(document)
    assert str(caught.value) == f"[design] in the TOML text: {message}"


def test_circuits_that_are_no_multiplier_are_refused() -> None:
    builder = NetlistBuilder("adder")
    a = builder.input("a", 4)
    builder.output("s", a)
    one = builder.build()
    wide = read(body("assign o = {4'b0, a, b};", "input [1:0] a, input [1:0] b, output [7:0] o"))
    thin = read(body("assign o = {a, b};", "input a, input [1:0] b, output [2:0] o"))
    cases = [
        (
            {"netlist": one},
            "a multiplier must have two input buses and one output bus, but netlist 'adder' has inputs a "
            "(4) and outputs "
            "s (4); join or remove buses.",
        ),
        (
            {"netlist": wide},
            "1 <= product width <= 5 must hold, but output bus 'o' of netlist 'm' has 8 bits; its "
            "operands have 2 and 2.",
        ),
        (
            {"netlist": thin},
            "2 <= operand width <= 64 must hold, but input bus 'a' of netlist 'm' has 1 bits; import a "
            "circuit of such a "
            "width.",
        ),
        ({"netlist": "mul.v"}, "netlist must be a Netlist or None, but got 'mul.v'; see netlist_from_verilog."),
        (
            {"netlist": read(EVOAPPROX_CELLS), "topology": "dadda"},
            "topology must keep its default 'ripple_array' in a design with a netlist of its own, but got 'dadda'; "
            "leave it out.",
        ),
        (
            {"netlist": read(EVOAPPROX_CELLS), "format": "float32"},
            "width must be that of the imported circuit, 2 x 2, but got 24 x 24; leave width out, or "
            "choose a format with "
            "such a mantissa.",
        ),
    ]
    for fields, message in cases:
        with pytest.raises(DesignError) as caught:
            Design(**fields)  # type: ignore[arg-type]
        assert str(caught.value) == message


def test_the_command_reports_and_writes_what_it_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "mul.v", tmp_path / "mul.toml"
    source.write_text(EVOAPPROX_CELLS)
    assert main(["import", str(source), "--top", "mul2u_B", "-o", str(target)]) == 0
    out = capsys.readouterr().out
    for words in ("mul2u_B", "A, 2 bits", "O, 4 bits", "unsigned integer", "4 and2, 2 half_adder"):
        assert words in out
    assert Design.load(target) == imported()
    assert main(["multiply", str(target), "3", "2"]) == 0
    assert capsys.readouterr().out == "6\n"
    assert main(["show", str(target), "--format", "json"]) == 0
    assert '"topology": "imported, 6 cells and gates"' in capsys.readouterr().out


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "mul.v"
    source.write_text(body("real q;"))
    target = tmp_path / "mul.toml"
    for command in (
        ["import", str(source), "-o", str(target)],
        ["import", str(tmp_path / "none.v")],
        ["import", str(source), "-o", str(tmp_path / "mul.txt")],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
    assert [*tmp_path.iterdir()] == [source]
