"""The Verilog reader against iverilog: files of many kinds, random expressions, libraries.

iverilog's answers are stored, so that these tests need no tool; `tests/support/verilog/verilog_oracle.py` and
`tests/support/fuzz_verilog.py` wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fuzz_verilog
import numpy as np
import pytest
from hdl_tools import need, run
from random_netlists import evaluate_row

from circuits import DesignError, Netlist, simulate
from circuits.hdl import VerilogCircuit, read_verilog
from circuits.netlists.lut_program import lower

HERE = Path(__file__).parents[2] / "support" / "verilog"
ANSWERS = json.loads((HERE / "verilog_cases" / "answers.json").read_text())
SAMPLE = json.loads((HERE / "verilog_expressions.json").read_text())


def read(text: str, **options: object) -> VerilogCircuit:
    return read_verilog([("a.v", text)], **options)  # type: ignore[arg-type]


def values(netlist: Netlist, *operands: int) -> list[int]:
    """Each output bus for one value of each input bus."""
    buses = zip(netlist.inputs.values(), operands, strict=True)
    bits = iter(evaluate_row(netlist, {net: x >> k & 1 for bus, x in buses for k, net in enumerate(bus)}))
    return [sum(next(bits) << k for k in range(len(bus))) for bus in netlist.outputs.values()]


@pytest.mark.parametrize("name", list(ANSWERS))
def test_files_compute_what_iverilog_simulates(name: str) -> None:
    _, width, bits, answers = ANSWERS[name]
    netlist = read_verilog([(name, (HERE / "verilog_cases" / name).read_text())]).netlist
    assert [len(bus) for bus in (*netlist.inputs.values(), *netlist.outputs.values())] == [width, width, bits]
    assert [values(netlist, a, b)[0] for a in range(1 << width) for b in range(1 << width)] == answers


def test_random_expressions_compute_what_iverilog_simulates() -> None:
    """IEEE 1364-2005, 5.4 and 5.5: every operator, mixed widths and signs."""
    rows = fuzz_verilog.vectors(SAMPLE["seed"])
    assert len(SAMPLE["cases"]) >= 250
    for stored in SAMPLE["cases"]:
        case = fuzz_verilog.Case(stored["expression"], stored["target"], stored["signed"])
        assert fuzz_verilog.ours(case, rows) == stored["answers"], case


def test_the_fuzz_agrees_and_finds_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need("iverilog", "vvp")
    assert fuzz_verilog.main(["--count", "40", "--seed", "3"]) == 0
    assert "0 wrong, 40 equal" in capsys.readouterr().out
    right = fuzz_verilog.ours
    monkeypatch.setattr(fuzz_verilog, "ours", lambda case, rows: [value ^ 1 for value in right(case, rows)])
    assert fuzz_verilog.main(["--count", "2", "--seed", "3"]) == 1
    assert "2 wrong" in capsys.readouterr().out


# Structure: what is drawn.


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("assign o[3:2] = 0; assign {o[1], o[0]} = a[0] + b[0] + a[1];", {"exact": 1}),
        ("assign o[3:2] = 0; assign {o[1], o[0]} = (a[0] + b[0]) + a[1];", {"half_adder": 3}),
        ("assign o = a + b;", {"exact": 1, "half_adder": 1}),
        ("assign o = {1'b0, a} + b + 1'b1;", {"exact": 2}),
        ("wire [7:0] w = a + b; assign o = w;", {"exact": 1, "half_adder": 1}),
        ("assign o = a[0] * b[0];", {"and2": 1}),
        ("assign o = a << 1;", {}),
        ("assign o = 2'd3 << 2 | a;", {}),
        ("assign o = a & 4'b0001;", {"and2": 2}),
        ("assign o = ~(a & b);", {"nand2": 2}),
        ("assign o = a == 2'd2;", {"not": 2, "or2": 1}),
        ("localparam [7:0] T = 8'h80; assign o = T[{a, b[0]}];", {"lut3_80": 1}),
    ],
)
def test_padding_and_constants_draw_nothing(text: str, counts: dict[str, int]) -> None:
    netlist = read(f"module m(input [1:0] a, b, output [3:0] o);\n{text}\nendmodule").netlist
    assert netlist.count() == counts


# Libraries.

FULL = (lambda a, b, c: a ^ b ^ c, lambda a, b, c: int(a + b + c > 1))
CELLS: list[tuple[str, str, str, Callable[..., int]]] = [
    ("NAND3_X2", "A1 A2 A3", "ZN", lambda a, b, c: 1 - (a & b & c)),
    ("NOR4_X1", "A1 A2 A3 A4", "ZN", lambda a, b, c, d: 1 - (a | b | c | d)),
    ("XOR2_X1", "A B", "Z", lambda a, b: a ^ b),
    ("XNOR2_X1", "A B", "ZN", lambda a, b: 1 - (a ^ b)),
    ("MUX2_X1", "A B S", "Z", lambda a, b, s: b if s else a),
    ("AOI21_X1", "A B1 B2", "ZN", lambda a, b, c: 1 - (a | b & c)),
    ("OAI21_X1", "A B1 B2", "ZN", lambda a, b, c: 1 - (a & (b | c))),
    ("AOI22_X4", "A1 A2 B1 B2", "ZN", lambda a, b, c, d: 1 - (a & b | c & d)),
    ("AOI211_X1", "A B C1 C2", "ZN", lambda a, b, c, d: 1 - (a | b | c & d)),
    ("OAI221_X1", "A B1 B2 C1 C2", "ZN", lambda a, b, c, d, e: 1 - (a & (b | c) & (d | e))),
    ("FA_X1", "A B CI", "S", FULL[0]),
    ("FA_X1", "A B CI", "CO", FULL[1]),
    ("INV_X8", "A", "ZN", lambda a: 1 - a),
    ("LOGIC1_X1", "", "Z", lambda: 1),
    ("sky130_fd_sc_hd__nand2_1", "A B", "Y", lambda a, b: 1 - (a & b)),
    ("sky130_fd_sc_hd__and2b_2", "A_N B", "X", lambda a, b: (1 - a) & b),
    ("sky130_fd_sc_hd__or3b_1", "A B C_N", "X", lambda a, b, c: a | b | (1 - c)),
    ("sky130_fd_sc_hs__a21oi_4", "A1 A2 B1", "Y", lambda a, b, c: 1 - (a & b | c)),
    ("sky130_fd_sc_hd__o311a_1", "A1 A2 A3 B1 C1", "X", lambda a, b, c, d, e: (a | b | c) & d & e),
    ("sky130_fd_sc_hd__a21bo_1", "A1 A2 B1_N", "X", lambda a, b, c: a & b | (1 - c)),
    ("sky130_fd_sc_hd__a2bb2oi_1", "A1_N A2_N B1 B2", "Y", lambda a, b, c, d: 1 - ((1 - a) & (1 - b) | c & d)),
    ("sky130_fd_sc_hd__xor3_1", "A B C", "X", FULL[0]),
    ("sky130_fd_sc_hd__maj3_1", "A B C", "X", FULL[1]),
    ("sky130_fd_sc_hd__fa_1", "A B CIN", "COUT", FULL[1]),
    ("sky130_fd_sc_hd__mux2_1", "A0 A1 S", "X", lambda a, b, s: b if s else a),
    ("sky130_fd_sc_hd__conb_1", "", "LO", lambda: 0),
    ("$_ANDNOT_", "A B", "Y", lambda a, b: a & (1 - b)),
    ("$_ORNOT_", "A B", "Y", lambda a, b: a | (1 - b)),
    ("$_MUX_", "A B S", "Y", lambda a, b, s: b if s else a),
    ("$_NMUX_", "A B S", "Y", lambda a, b, s: 1 - (b if s else a)),
    ("$_AOI3_", "A B C", "Y", lambda a, b, c: 1 - (a & b | c)),
    ("$_OAI4_", "A B C D", "Y", lambda a, b, c, d: 1 - ((a | b) & (c | d))),
    ("AND2X1", "A B", "Y", lambda a, b: a & b),
    ("FAX1", "A B C", "YC", FULL[1]),
]


@pytest.mark.parametrize(
    ("name", "inputs", "output", "function"),
    CELLS,
    ids=lambda value: "function" if callable(value) else str(value)[:40],
)
def test_cells_of_libraries_have_their_functions(
    name: str, inputs: str, output: str, function: Callable[..., int]
) -> None:
    pins = inputs.split()
    connections = ", ".join([*(f".{pin}(a[{k}])" for k, pin in enumerate(pins)), f".{output}(o)"])
    netlist = read(f"module m(input [4:0] a, output o); \\{name} u ({connections}); endmodule").netlist
    for row in range(1 << len(pins)):
        assert values(netlist, row) == [function(*(row >> k & 1 for k in range(len(pins))))]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("form", ["yosys", "lut"])
def test_lookup_tables_of_yosys_and_fpgas_are_their_functions(width: int, form: str) -> None:
    """$lut of yosys (`synth -lut`) and LUT1 ... LUT6 of FPGAs; up to three inputs are one gate."""
    bits = 1 << width
    table = 0x9BC0_F14E_27AD_8366 & (1 << bits) - 1
    index = "{" + ", ".join(f"a[{k}]" for k in reversed(range(width))) + "}"
    pins = ", ".join(f".I{k}(a[{k}])" for k in range(width))
    cell = {
        "yosys": f"\\$lut #(.LUT({bits}'h{table:x}), .WIDTH(32'd{width})) u (.A({index}), .Y(o));",
        "lut": f"LUT{width} #(.INIT({bits}'h{table:x})) u ({pins}, .O(o));",
    }[form]
    netlist = read(f"module m(input [5:0] a, output o); {cell} endmodule").netlist
    assert [values(netlist, row)[0] for row in range(bits)] == [table >> row & 1 for row in range(bits)]
    assert len(netlist.instances) == 1 or width > 3


@pytest.mark.parametrize(
    ("name", "signed", "function"),
    [
        ("$add", 0, lambda a, b: a + b),
        ("$sub", 0, lambda a, b: a - b),
        ("$mul", 0, lambda a, b: a * b),
        ("$mul", 1, lambda a, b: (a - 8 * (a > 3)) * (b - 8 * (b > 3))),
        ("$lt", 1, lambda a, b: int((a - 8 * (a > 3)) < (b - 8 * (b > 3)))),
        ("$eq", 0, lambda a, b: int(a == b)),
        ("$shl", 0, lambda a, b: a << b),
        ("$logic_and", 0, lambda a, b: int(a > 0 and b > 0)),
    ],
)
def test_operator_cells_of_yosys_compute_their_operators(
    name: str, signed: int, function: Callable[[int, int], int]
) -> None:
    cell = (
        f"\\{name} #(.A_SIGNED({signed}), .A_WIDTH(3), .B_SIGNED({signed}), .B_WIDTH(3), .Y_WIDTH(6)) "
        "_1_ (.A(a), .B(b), .Y(o));"
    )
    netlist = read(f"module m(input [2:0] a, b, output [5:0] o); {cell} endmodule").netlist
    assert all(values(netlist, a, b) == [function(a, b) & 63] for a in range(8) for b in range(8))


LIBRARY = """module MYFA(input A, B, C, output S, CO); assign {CO, S} = A + B + C; endmodule
module UNUSED(input [7:0] A, output [7:0] Z); assign Z = A; endmodule
module BEHAVIOURAL(input CK, D, output reg Q); always @(posedge CK) Q <= D; endmodule
"""
USER = "module m(input [1:0] a, b, output [1:0] o); MYFA u(a[0], b[0], a[1], o[0], o[1]); endmodule\n"


def test_a_library_file_stands_before_the_circuit() -> None:
    for circuit in (
        read_verilog([("cells.v", LIBRARY), ("m.v", USER)]),
        read_verilog([("m.v", USER)], libraries=[("cells.v", LIBRARY)]),
    ):
        assert circuit.netlist.name == "m"
        assert circuit.netlist.count() == {"exact": 1}
    macros = read_verilog([("defines.v", "`define W 2\n"), ("m.v", USER.replace("1:0", "`W-1:0") + LIBRARY)])
    assert macros.netlist.count() == {"exact": 1}
    with pytest.raises(DesignError) as caught:
        read_verilog([("cells.v", LIBRARY), ("m.v", USER + LIBRARY)])
    assert str(caught.value) == (
        "m.v line 2: a module must be defined once, but 'MYFA' already stands in cells.v line 1; remove one."
    )


# Ports.


@pytest.mark.parametrize("form", ["\\{}[{}] ", "{}_{}", "{}{}", "{}_{}_"])
def test_one_bit_ports_are_buses(form: str) -> None:
    names = {bus: [form.format(bus, k) for k in range(width)] for bus, width in (("a", 2), ("b", 2), ("p", 3))}
    header = ", ".join(name for bus in reversed(list(names)) for name in reversed(names[bus]))
    (a0, a1), (b0, b1), (p0, p1, p2) = names.values()
    circuit = read(
        f"module m({header}); input {a0}, {a1}, {b0}, {b1}; output {p0}, {p1}, {p2};\n"
        f"assign {{{p2}, {p1}, {p0}}} = {{{a1}, {a0}}} + {{{b1}, {b0}}}; endmodule"
    )
    assert {name: len(bus) for name, bus in circuit.netlist.inputs.items()} == {"a": 2, "b": 2}
    assert {name: len(bus) for name, bus in circuit.netlist.outputs.items()} == {"p": 3}
    assert all(values(circuit.netlist, b, a) == [a + b] for a in range(4) for b in range(4))
    assert sum("one bus" in note for note in circuit.notes) == 3


def test_clocks_and_supplies_that_nothing_reads_are_noted() -> None:
    text = "module m(input clk, rst_n, VDD, input [1:0] a, b, inout VSS, output [1:0] o);\nassign o = a ^ b;\nendmodule"
    circuit = read(text)
    assert list(circuit.netlist.inputs) == ["a", "b"]
    assert circuit.notes == tuple(f"port {n!r} is ignored: nothing reads it" for n in ("clk", "rst_n", "VDD", "VSS"))
    assert list(read(text.replace("a ^ b", "a ^ clk")).netlist.inputs) == ["clk", "a", "b"]


def test_the_signedness_of_ports_is_as_declared() -> None:
    text = "module m(input signed [1:0] a, input [1:0] b, output signed [3:0] o); assign o = a & b; endmodule"
    assert read(text).signed_ports == {"a": True, "b": False, "o": True}
    classic = "module m(a, b, o); input [1:0] a, b; output [3:0] o; wire signed [1:0] a; assign o = a; endmodule"
    circuit = read(classic)
    assert circuit.signed_ports == {"a": True, "b": False, "o": False}
    assert values(circuit.netlist, 2, 0) == [14]


def test_x_is_read_as_0_with_a_note() -> None:
    text = "module m(input [1:0] a, b, output [1:0] o); wire u = 1'bx; assign o = {READ, a[0]}; endmodule"
    assert read(text.replace("READ", "b[0]")).notes == ()
    circuit = read(text.replace("READ", "u | b[0]"))
    assert circuit.notes == ("x is read somewhere, and taken as 0",)
    assert values(circuit.netlist, 1, 1) == [3]


# Which module is the circuit, and what is not read.


def test_test_benches_are_no_circuit() -> None:
    bench = (
        'module tb; reg [1:0] a; wire [1:0] o; m dut(a, a, o); initial begin $dumpfile("x"); forever #1; end endmodule'
    )
    multiplier = "module m(input [1:0] a, b, output [1:0] o); assign o = a & b; endmodule"
    bad = "module other(input [3:0] a, output o); this is no Verilog at all endmodule"
    for texts in ((multiplier, bench), (bench, multiplier), (bench, multiplier, bad)):
        assert read("\n".join(texts)).netlist.name == "m"


def test_what_no_output_depends_on_may_be_undriven() -> None:
    text = "module m(input [1:0] a, b, output [1:0] o); wire u, v = u & a[0]; assign o = b; READ endmodule"
    circuit = read(text.replace("READ", ""))
    assert circuit.netlist.count() == {}
    assert circuit.notes == ("1 cells and gates that nothing reads are left out: some of their inputs have no driver",)
    text = text.replace("assign o = b", "assign o = b ^ v")
    with pytest.raises(DesignError, match="net 'u' must have a driver, but a and2 reads it"):
        read(text.replace("READ", ""))


HOSTILE = {
    "attributes": "(*" * 200_000,
    "comments": "module m; /*" + "*" * 200_000,
    "parentheses": "module m(output o); assign o = " + "(" * 100_000,
    "conditions": "module m(input a, output o); assign o = " + "a ? " * 100_000 + "a;",
    "blocks": "module m(output reg o); always @* " + "begin " * 100_000,
    "digits": "module m(output o); assign o = " + "9" * 5000 + "; endmodule",
    "size": "module m(output o); assign o = " + "9" * 5000 + "'d1; endmodule",
    "literal": "module m(output o); assign o = 4'd" + "9" * 5000 + "; endmodule",
    "replication": "module m(input a, output o); assign o = {4096{{4096{a}}}}; endmodule",
    "macros": "`define a `b `b `b `b\n"
    + "".join(f"`define {x} {f'`{y} ' * 9}\n" for x, y in zip("bcdefghij", "cdefghijk", strict=True))
    + "`define k x\nmodule m; `a endmodule",
    "recursion": "`define f(x) `f(x x)\nmodule m; `f(a) endmodule",
    "generate": "module m(output o); genvar i; for (i = 0; i < 1; i = i) begin wire x; end endmodule",
    "loop": "module m(output reg o); integer i; always @* for (i = 0; i < 9; i = i) o = 1; endmodule",
    "function": "module m(input a, output o); function f; input x; f = f(x); endfunction assign o = f(a); endmodule",
    "comparisons": "module m(input a, output o); assign o = " + "==".join("a" * 5000) + "; endmodule",
    "ifdef": "`ifdef X\n" * 100_000,
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_texts_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(DesignError) as caught:
        read(HOSTILE[name])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


YOSYS = {
    "expressions": "synth -flatten -top m; write_verilog out.v",
    "gates": "synth -flatten -top m; write_verilog -noexpr out.v",
    "simple gates": "synth -flatten -top m; abc -g AND,NOR,ANDNOT,ORNOT,MUX,AOI3,OAI4; write_verilog -noexpr out.v",
    "lut 3": "synth -flatten -lut 3 -top m; write_verilog out.v",
    "lut 4": "synth -flatten -lut 4 -top m; write_verilog -noexpr out.v",
    "operators": "hierarchy -top m; proc; flatten; opt; write_verilog -noexpr out.v",
    "blif ports": "synth -flatten -top m; splitnets -ports -format __; write_verilog -noattr out.v",
}


@pytest.mark.parametrize("script", list(YOSYS))
def test_what_yosys_writes_is_read(script: str, tmp_path: Path) -> None:
    need("yosys")
    text = "module m(input signed [3:0] a, b, output signed [7:0] p); assign p = a * b + (a > b ? 8'sd1 : a); endmodule"
    (tmp_path / "in.v").write_text(text)
    run("yosys", "-q", "-p", f"read_verilog in.v; {YOSYS[script]}", folder=tmp_path)
    wanted, netlist = (read_verilog([(name, (tmp_path / name).read_text())]).netlist for name in ("in.v", "out.v"))
    assert [len(bus) for bus in netlist.inputs.values()] == [4, 4]
    assert all(values(netlist, a, b) == values(wanted, a, b) for a in range(16) for b in range(16))


def test_what_abc_writes_is_read(tmp_path: Path) -> None:
    """ABC writes one port for each bit, with escaped names."""
    need("yosys", "berkeley-abc")
    (tmp_path / "in.v").write_text("module m(input [2:0] a, b, output [5:0] p); assign p = a * b; endmodule")
    run("yosys", "-q", "-p", "read_verilog in.v; synth -flatten -top m; write_blif in.blif", folder=tmp_path)
    run("berkeley-abc", "-c", "read_blif in.blif; strash; write_verilog out.v", folder=tmp_path)
    netlist = read_verilog([("out.v", (tmp_path / "out.v").read_text())]).netlist
    assert all(values(netlist, a, b) == [a * b] for a in range(8) for b in range(8))


NEGATIVE = """
module m(input [31:0] a, input signed [3:0] i, input [7:0] j,
         output o, output [2:0] q, output [2:0] r, output s);
  wire [0:7] up;
  assign up = a[7:0];
  assign o = a[i];
  assign q = a[i +: 3];
  assign r = a[j -: 3];
  assign s = up[i];
endmodule
"""


def test_parts_that_begin_below_a_vector_read_its_bits_and_zeros() -> None:
    """IEEE 1364-2005, 5.2.1: bits outside read as x, here 0; bits inside are read, at negative indices too."""
    word = 0xB65A93C7

    def bit(index: int) -> int:
        return word >> index & 1 if 0 <= index < 32 else 0

    program = lower(read_verilog([("m.v", NEGATIVE)]).netlist)
    for row in range(48):
        i, j = (row & 15) - 16 * (row >> 3 & 1), row
        inputs = [
            *(word >> k & 1 for k in range(32)),
            *(row >> k & 1 for k in range(4)),
            *(j >> k & 1 for k in range(8)),
        ]
        planes = np.array([[value] for value in inputs], dtype=np.uint64)
        outputs = [int(plane[0] & np.uint64(1)) for plane in simulate(program, planes, "reference")]
        rising = word >> (7 - i) & 1 if 0 <= i < 8 else 0
        assert outputs == [bit(i), *(bit(i + k) for k in range(3)), *(bit(j - 2 + k) for k in range(3)), rising], row


def test_a_very_long_expression_is_refused_before_it_is_drawn() -> None:
    text = f"module m(input [3:0] a, input [3:0] b, output [7:0] p); assign p = a{' + b' * 20_001}; endmodule"
    with pytest.raises(DesignError, match=r"^m\.v line 1: an expression must have at most 20000 operands in a row"):
        read_verilog([("m.v", text)])
