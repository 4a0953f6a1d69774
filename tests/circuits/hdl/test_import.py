"""`circuits import`: signedness, operands, languages, what a circuit computes, and synthesis by yosys."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hdl_tools import need

from circuits import TOPOLOGIES, Design, DesignError, design, to_blif, to_verilog
from circuits.commands import main
from circuits.hdl.languages import BLIF, VERILOG, language_of
from circuits.hdl.reading import read_circuit
from circuits.hdl.synthesis import synthesise

NETLISTS = Path(__file__).parents[2] / "support" / "netlists"

# Baugh and Wooley, 2 x 2: a0 b0 - 2 (a1 b0 + a0 b1) + 4 a1 b1 in four bits of two's complement.
SIGNED_BODY = """
  wire n1 = ~(a[1] & b[0]);
  wire n2 = ~(a[0] & b[1]);
  wire n3 = a[1] & b[1];
  wire c1 = n1 & n2;
  wire s2 = n3 ^ c1 ^ 1'b1;
  wire c2 = n3 | c1;
  assign p = {~c2, s2, n1 ^ n2, a[0] & b[0]};
endmodule
"""


def signed_2x2(a: str, b: str, p: str) -> str:
    """A signed 2 x 2 multiplier; each argument is "signed" or ""."""
    return f"module m(input {a} [1:0] a, input {b} [1:0] b, output {p} [3:0] p);{SIGNED_BODY}"


def imported(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0
) -> tuple[dict[str, object], str]:
    """What the command prints as JSON, and on standard error."""
    assert main(["import", *map(str, arguments), "--format", "json"]) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == (status == 2)
    return (json.loads(captured.out) if status == 0 else {}), captured.err.strip()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


# Signedness.


def test_the_circuit_of_these_tests_is_a_signed_multiplier() -> None:
    multiplier = Design(netlist=read_circuit([("m.v", signed_2x2("", "", ""))]).netlist, signed=True)
    for x in range(-2, 2):
        for y in range(-2, 2):
            assert multiplier.multiply_integers(x, y) == x * y


def test_ports_decide_the_signedness(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = write(tmp_path, "m.v", signed_2x2("signed", "signed", "signed")), tmp_path / "m.toml"
    report, _ = imported(capsys, source, "-o", target)
    assert report["format"] == "signed integer (two's complement)"
    assert report["computes"] == "x * y on all 16 operand pairs"
    assert report["notes"] == []
    assert Design.load(target).signed is True
    assert main(["multiply", str(target), "--", "-2", "-2"]) == 0
    assert capsys.readouterr().out == "4\n"


def test_python_takes_the_declared_signedness_too() -> None:
    netlist = read_circuit([("m.v", signed_2x2("signed", "signed", "signed"))]).netlist
    assert netlist.signed == {"a", "b", "p"}
    assert Design(netlist=netlist).signed is True
    assert Design(netlist=netlist, signed=False).signed is False
    assert Design(netlist=read_circuit([("m.v", signed_2x2("", "", ""))]).netlist).signed is False


@pytest.mark.parametrize(
    ("ports", "options", "signed", "notes"),
    [
        (
            ("signed", "signed", "signed"),
            ["--unsigned"],
            False,
            ["ports a, b, p are declared signed; all are read as unsigned", "--signed is probably meant"],
        ),
        (
            ("signed", "signed", ""),
            [],
            True,
            ["ports a, b are declared signed, port p is not; all are read as two's complement"],
        ),
        (
            ("signed", "", ""),
            ["--signed"],
            True,
            ["port a is declared signed, ports b, p are not; all are read as two's complement"],
        ),
        (("", "", ""), ["--signed"], True, ["no port is declared signed, but all are read as two's complement"]),
        (("", "", ""), [], False, ["--signed is probably meant"]),
    ],
)
def test_differences_from_the_declarations_are_noted(
    ports: tuple[str, str, str],
    options: list[str],
    signed: bool,
    notes: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = write(tmp_path, "m.v", signed_2x2(*ports)), tmp_path / "m.toml"
    report, _ = imported(capsys, source, *options, "-o", target)
    assert Design.load(target).signed is signed
    printed = report["notes"]
    assert isinstance(printed, list)
    assert len(printed) == len(notes)
    for note, words in zip(printed, notes, strict=True):
        assert words in note


def test_mixed_operands_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path, "m.v", signed_2x2("signed", "", "signed"))
    _, error = imported(capsys, source, status=2)
    assert error == (
        f"error: {source}: both operands must be signed or both unsigned, but in netlist 'm' input 'a' is declared "
        "signed and 'b' is not; choose one reading: --signed or --unsigned (in Python signed=True or signed=False)."
    )


def test_a_mantissa_multiplier_is_unsigned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path, "m.v", signed_2x2("signed", "signed", "signed"))
    _, error = imported(capsys, source, "--float", "e5m1", status=2)
    assert error == (
        f"error: {source}: a mantissa multiplier must be unsigned, but the circuit's operands are signed; leave out "
        "--float, or give --unsigned."
    )
    imported(capsys, source, "--float", "e5m1", "--unsigned")


def test_errors_about_the_circuit_name_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path, "m.v", "module m(input [3:0] a, b, c, output [7:0] p); assign p = a & b & c; endmodule")
    _, error = imported(capsys, source, status=2)
    assert error.startswith(
        f"error: {source}: a multiplier must have two input buses and one output bus, but netlist 'm'"
    )
    source = write(tmp_path, "m.v", signed_2x2("", "", ""))
    _, error = imported(capsys, source, "--float", "float32", status=2)
    assert error.startswith(f"error: {source}: width must be that of the imported circuit, 2 x 2, but got 24 x 24")


def test_signed_and_unsigned_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", "m.v", "--signed", "--unsigned"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("width", [(4, 4), (3, 6)])
def test_round_trips_keep_the_digest(topology: str, signed: bool, width: tuple[int, int]) -> None:
    multiplier = Design(topology=topology, format=None, width=width, signed=signed, placement="ama2", name="m")
    text = to_verilog(multiplier)
    again = Design(netlist=read_circuit([("m.v", text)]).netlist)
    assert (again.signed, again.digest) == (signed, multiplier.digest)
    # The imported design, exported and imported once more.
    twice = Design(netlist=read_circuit([("m.v", to_verilog(again))]).netlist)
    assert twice == again
    assert twice.digest == multiplier.digest


CUSTOM = """
module half(input a, b, output s, n); assign s = a ^ b; assign n = ~(a & b); endmodule
module odd(input a, b, c, output s, co); assign s = a; assign co = b & ~c; endmodule
module three(input a, b, c, output y, z); assign y = a & b & c; assign z = a | (b & ~c); endmodule
module pick(input a, b, c, output y); assign y = a ? ~b : c; endmodule
module m(input [1:0] a, input [1:0] b, output [4:0] o);
  wire n, t;
  half u(a[0], b[0], o[0], n);
  odd v(a[0], a[1], n, o[2], o[3]);
  three w(n, b[1], a[1], o[1], t);
  pick x(t, a[0], b[1], o[4]);
endmodule
"""


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "name", ["custom", *(path.name for path in sorted(NETLISTS.iterdir()) if "mapped" not in path.name)]
)
def test_circuits_of_others_keep_their_digest_through_export_and_toml(name: str, signed: bool) -> None:
    """Among them are gates and cells that the library does not have."""
    text = CUSTOM if name == "custom" else (NETLISTS / name).read_text()
    multiplier = Design(netlist=read_circuit([(name, text)]).netlist, signed=signed)
    exported = to_verilog(multiplier)
    again = Design(netlist=read_circuit([("exported.v", exported)]).netlist)
    assert (again.signed, again.digest) == (signed, multiplier.digest)
    assert Design.from_toml(multiplier.to_toml()).digest == multiplier.digest


def test_export_and_import_on_the_command_line_keep_the_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(
        tmp_path,
        "first.toml",
        Design(format=None, width=5, signed=True, topology="booth", placement="loa", name="m").to_toml(),
    )
    source, second = tmp_path / "m.v", tmp_path / "second.toml"
    assert main(["export", str(first), "-o", str(source)]) == 0
    capsys.readouterr()
    report, _ = imported(capsys, source, "-o", second)
    assert report["digest"] == Design.load(first).digest == Design.load(second).digest


# Operands.


def test_exchange_swaps_the_operands_of_an_imported_circuit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    multiplier = Design(format=None, width=(3, 5), placement="ama5", name="m")
    source, target = write(tmp_path, "m.v", to_verilog(multiplier)), tmp_path / "m.toml"
    report, _ = imported(capsys, source, "--exchange", "-o", target)
    assert (report["x (first operand)"], report["y (second operand)"]) == ("y, 5 bits", "x, 3 bits")
    exchanged = Design.load(target)
    assert exchanged.shape == (5, 3)
    for x, y in ((7, 31), (5, 17), (3, 8)):
        assert exchanged.multiply_integers(y, x) == multiplier.multiply_integers(x, y)


def test_inputs_that_nothing_reads_are_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blif = ".model m\n.inputs clk a[0] a[1] b[0] b[1] VDD\n.outputs p[0] p[1]\n.names a[0] b[0] p[0]\n11 1\n.names p[1]"
    report, _ = imported(capsys, write(tmp_path, "m.blif", blif))
    notes = report["notes"]
    assert isinstance(notes, list)
    assert notes[0] == "inputs clk, VDD ignored: nothing reads them"


# What it computes.


def note_of(
    capsys: pytest.CaptureFixture[str], folder: Path, body: str, ports: str, *options: str
) -> tuple[object, object]:
    source = write(folder, "m.v", f"module m({ports});\n{body}\nendmodule")
    report, _ = imported(capsys, source, *options)
    return report["computes"], report["notes"]


def test_an_adder_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = "input [7:0] a, input [7:0] b, output [8:0] s"
    computes, notes = note_of(capsys, tmp_path, "assign s = {1'b0, a} + {1'b0, b};", ports)
    assert computes == "x + y on all 65536 operand pairs"
    assert notes == [
        "this is an adder, no multiplier: it computes x + y on all 65536 operand pairs; errors that other commands "
        "print are against x * y, those of `python -m circuits adder FILE` against x + y"
    ]
    assert main(["import", str(tmp_path / "m.v")]) == 0
    assert "note: this is an adder, no multiplier" in capsys.readouterr().out


def test_a_narrow_product_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blif = to_blif(Design(format=None, width=4))
    outputs = " ".join(f"product[{k}]" for k in range(8))
    low = write(tmp_path, "low.blif", blif.replace(outputs, "product[0] product[1] product[2] product[3] product[4]"))
    report, _ = imported(capsys, low)
    assert report["notes"] == [
        "the product bus product has 5 bits, 3 fewer than x * y: it is extended by zeros, so that every result is x * "
        "y modulo 2^5"
    ]
    high = blif.replace(outputs, "product[4] product[5] product[6] product[7]")
    report, _ = imported(capsys, write(tmp_path, "high.blif", high))
    notes = report["notes"]
    assert isinstance(notes, list)
    assert notes[-1] == (
        "the product bus product has 4 bits, 4 fewer than x * y: it is extended by zeros, though it holds the highest "
        "bits, so that every result is x * y / 2^4; append 0 bits"
    )


def test_a_circuit_far_from_a_product_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = "input [3:0] a, input [3:0] b, output [7:0] p"
    _, notes = note_of(capsys, tmp_path, "assign p = 8'd255;", ports)
    assert isinstance(notes, list)
    assert "it is far from a product" in notes[0]


@pytest.mark.parametrize("path", sorted(NETLISTS.glob("*.v")), ids=lambda path: path.name)
def test_verilog_files_of_yosys_and_abc_multiply(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """3 x 4 multipliers, written by `abc -g gates` with -noexpr, `synth -lut 4`, `splitnets -ports`, and ABC."""
    signed = path.name.startswith("signed")
    report, _ = imported(capsys, path, "--signed" if signed else "--unsigned")
    assert report["computes"] == "x * y on all 128 operand pairs"
    assert (report["x (first operand)"], report["y (second operand)"]) == ("a, 3 bits", "b, 4 bits")


# Languages.

FOREIGN = {
    "C": [
        "#include <stdint.h>\nuint64_t mul8u_1JJQ(const uint64_t B, const uint64_t A)\n{\n  return 0;\n}\n",
        "/*\nmodule of EvoApproxLib\n*/\n// as published\nuint64_t mul8u_2AC(uint64_t a, uint64_t b) {\n  int wa[8];\n",
        "unsigned int mul(unsigned char a, unsigned char b) { return a * b; }",
        "#ifndef MUL_H\nextern int x;\n",
    ],
    "VHDL": [
        "-- a multiplier\nlibrary ieee;\nuse ieee.std_logic_1164.all;\nentity mul is\nport(a: in bit);\nend mul;",
        "ENTITY mul IS\nEND mul;\nARCHITECTURE rtl OF mul IS BEGIN END rtl;",
    ],
    "SystemC": ["#include <systemc.h>\nSC_MODULE(mul) { sc_in<bool> a; };"],
    "EDIF": ["(edif mul\n  (edifVersion 2 0 0))", "\n (EDIF mul)"],
    "Liberty": ["/* cells */\nlibrary (NangateOpenCellLibrary) {\n  cell (AND2_X1) {}\n}"],
    "AIGER": ["aig 10 4 0 4 6\n", "aag 10 4 0 4 6\n2\n4\n"],
    "the bench format": ["INPUT(a)\nOUTPUT(b)\nb = NOT(a)\n"],
    "SPICE": ["* mul\n.subckt mul a b c vdd vss\nM1 a b c vss nmos\n.ends"],
    "JSON": ['{\n  "creator": "Yosys",\n  "modules": {}\n}'],
    "TOML": ['[design]\nformat = "integer"\nwidth = 8\n'],
    "Python": ["import numpy as np\n\ndef mul(a, b):\n    return a * b\n"],
    "a compressed file": ["\x1f\ufffd\x08\x00", "PK\x03\x04"],
    "a binary file": ["\x7fELF\x00\x01"],
}


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in FOREIGN.items() for text in texts])
def test_other_languages_are_named(
    language: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path, "mul", text)
    _, error = imported(capsys, source, status=2)
    assert error.startswith(f"error: {source} must be Verilog or BLIF, but is {language}; ")


@pytest.mark.parametrize("path", sorted(NETLISTS.iterdir()), ids=lambda path: path.name)
def test_the_language_of_files_of_tools_is_recognised(path: Path) -> None:
    assert language_of(path.read_text()) == (BLIF if path.suffix == ".blif" else VERILOG)


def test_the_language_of_exported_files_is_recognised() -> None:
    for multiplier in (design("axfpm"), Design(format=None, width=3, name=".model entity mul is")):
        assert language_of(to_verilog(multiplier)) == VERILOG
        assert language_of(to_blif(multiplier)) == BLIF
    assert language_of("") == VERILOG


def test_languages_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verilog = write(tmp_path, "m.v", signed_2x2("", "", ""))
    blif = write(tmp_path, "m.blif", to_blif(Design(format=None, width=2)))
    _, error = imported(capsys, verilog, blif, status=2)
    assert error == (
        f"error: all files must be in one language, but {verilog} is Verilog and {blif} is BLIF; import them one by "
        "one."
    )


def test_several_files_are_one_design(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = write(tmp_path, "cells.v", "module both(input a, b, output y); assign y = a & b; endmodule")
    ports = "input [1:0] a, input [1:0] b, output [3:0] p"
    top = write(
        tmp_path,
        "m.v",
        f"module m({ports});\n  both u0(a[0], b[0], p[0]);\n  both u1(a[1], b[1], p[2]);\n"
        "  assign p[1] = 1'b0, p[3] = 1'b0;\nendmodule",
    )
    for files in ((library, top), (top, library)):
        report, _ = imported(capsys, *files)
        assert (report["module"], report["cells and gates"]) == ("m", "2 and2")


def test_paths_that_are_no_regular_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, reason in (
        (tmp_path / "none.v", "No such file or directory"),
        (fifo, "is a FIFO"),
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "is a device"),
    ):
        for options in ([], ["--synthesise"]):
            _, error = imported(capsys, path, *options, status=2)
            assert error.startswith(f"error: {path} must be a Verilog or BLIF file, but")
            assert reason in error


# Synthesis.

BEHAVIOURAL = """
module mul_loop(a, b, p);
  parameter W = 3;
  input [W-1:0] a, b;
  output reg [2*W-1:0] p;
  integer i;
  always @(*) begin
    p = 0;
    for (i = 0; i < W; i = i + 1)
      if (b[i]) p = p + (a << i);
  end
endmodule
"""


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a shell script named yosys on the PATH, before the system's programs and nothing else."""
    program = write(folder, "yosys", f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_without_yosys_the_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path, "a b.v", BEHAVIOURAL)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    _, error = imported(capsys, source, "--synthesise", "--top", "mul_loop", status=2)
    assert error == (
        "error: yosys must be installed for --synthesise, but is not on the PATH; install it, or run where it is: "
        "yosys -f 'verilog -defer' -p 'hierarchy -check -top mul_loop; proc; flatten; opt; memory; alumacc; maccmap "
        "-unmap; opt -fast; techmap; opt -fast; setundef -zero -undriven; opt_clean -purge; write_verilog -noattr "
        f"-noexpr \"a b_gates.v\"' '{source}' and then: python -m circuits import 'a b_gates.v'"
    )


def test_the_command_given_works_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need("yosys")
    path = os.environ["PATH"]
    source = write(tmp_path, "a b.v", BEHAVIOURAL)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    _, error = imported(capsys, source, "--synthesise", status=2)
    monkeypatch.setenv("PATH", path)
    first, second = error.partition("run where it is: ")[2].split(" and then: ")
    subprocess.run(shlex.split(first), cwd=tmp_path, check=True, capture_output=True, timeout=120)
    words = shlex.split(second)
    assert words[:4] == ["python", "-m", "circuits", "import"]
    monkeypatch.chdir(tmp_path)
    report, _ = imported(capsys, *words[4:])
    assert report["computes"] == "x * y on all 64 operand pairs"


def test_behavioural_verilog_is_imported_through_yosys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys")
    source, target = write(tmp_path, "a b.v", BEHAVIOURAL), tmp_path / "m.toml"
    report, _ = imported(capsys, source, "--synthesise", "-o", target)
    assert (report["module"], report["computes"]) == ("mul_loop", "x * y on all 64 operand pairs")
    notes = report["notes"]
    assert isinstance(notes, list)
    assert notes[0].startswith("synthesised by: yosys -f 'verilog -defer' -p 'hierarchy -check -auto-top; ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.v", "m.toml"]
    signed = write(
        tmp_path, "s.v", "module s(input signed [3:0] a, b, output signed [7:0] p); assign p = a * b; endmodule"
    )
    report, _ = imported(capsys, signed, "--synthesise")
    assert report["format"] == "signed integer (two's complement)"
    assert report["computes"] == "x * y on all 256 operand pairs"


UNREADABLE = """
module m(input [1:0] a, b, output reg [3:0] p);
  always @* begin
    p = 0;
    while (p < 4) p = p + 1;
  end
endmodule
"""


@pytest.mark.parametrize("present", [False, True])
def test_the_advice_is_a_command_to_type(
    present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path, "m.v", UNREADABLE)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    if present:
        installed(tmp_path, monkeypatch, "exit 0")
    _, error = imported(capsys, source, "--top", "m", status=2)
    advice = error.partition("; let yosys turn it into gates: ")[2]
    if present:
        assert advice == f"python -m circuits import {source} --top m --synthesise."
    else:
        assert advice.startswith("yosys -f 'verilog -defer' -p 'hierarchy -check -top m; ")
        assert advice.endswith(f" {source} and then: python -m circuits import m_gates.v.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("module m(input [3:0] a, b, output [7:0] p); assign p = a *; endmodule", "syntax error"),
        ("module m(input [3:0] a, b, output [7:0] p); nothing u(a, b, p); endmodule", "nothing"),
    ],
)
def test_what_yosys_refuses_is_reported_in_its_words(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("yosys")
    _, error = imported(capsys, write(tmp_path, "m.v", text), "--synthesise", status=2)
    assert error.startswith("error: yosys must read the files, but: ")
    assert words in error


def test_a_test_bench_beside_the_multiplier_does_not_hinder_synthesis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("yosys")
    bench = (
        "module bench; reg [2:0] a, b; wire [5:0] p; mul_loop dut(a, b, p);\n"
        'initial begin a = 1; b = 2; #10 $display("%d", p); $finish; end endmodule\n'
    )
    source = write(tmp_path, "m.v", bench + BEHAVIOURAL)
    report, _ = imported(capsys, source, "--synthesise", "--top", "mul_loop")
    assert report["computes"] == "x * y on all 64 operand pairs"


def test_a_divider_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys")
    text = "module d(input [3:0] a, b, output [3:0] q); assign q = a / b; endmodule"
    report, _ = imported(capsys, write(tmp_path, "d.v", text), "--synthesise")
    notes = report["notes"]
    assert isinstance(notes, list)
    assert report["computes"] == "x / y on all 256 operand pairs (where the divisor is not 0)"
    assert notes[-1].startswith("this is a divider, no multiplier: it computes x / y")


def test_a_register_stays_refused_after_synthesis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys")
    text = "module m(input c, input [3:0] a, b, output reg [7:0] p); always @(posedge c) p <= a * b; endmodule"
    _, error = imported(capsys, write(tmp_path, "m.v", text), "--synthesise", status=2)
    assert "as synthesised by yosys" in error


def test_a_failing_yosys_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path, "m.v", BEHAVIOURAL)
    installed(tmp_path, monkeypatch, "echo 'm.v:3: ERROR: nothing works.' >&2; exit 1")
    _, error = imported(capsys, source, "--synthesise", status=2)
    assert error == (
        "error: yosys must read the files, but: m.v:3: ERROR: nothing works; correct them, or name the multiplier's "
        "module with --top where others stand beside it."
    )
    installed(tmp_path, monkeypatch, "exit 0")
    _, error = imported(capsys, source, "--synthesise", status=2)
    assert "must be yosys's netlist" in error


def test_yosys_ends_at_the_time_limit_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, "m.v", BEHAVIOURAL)
    installed(tmp_path, monkeypatch, f"sleep 30 & echo $! > {shlex.quote(str(tmp_path / 'child'))}; wait")
    start = time.monotonic()
    with pytest.raises(DesignError, match=r"yosys must finish within 0\.5 s, but did not; import a smaller part"):
        synthesise([source], time_limit=0.5)
    assert time.monotonic() - start < 10
    child = int((tmp_path / "child").read_text())
    for _ in range(50):  # until init has reaped it
        if not Path(f"/proc/{child}/stat").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child of yosys is alive")


def test_names_do_not_reach_the_script_of_yosys(tmp_path: Path) -> None:
    source = write(tmp_path, "m.v", BEHAVIOURAL)
    with pytest.raises(DesignError, match="the top module must be a plain name for yosys, but got 'm; !touch x'"):
        synthesise([source], top="m; !touch x")


def test_synthesis_is_for_verilog_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blif = write(tmp_path, "m.blif", to_blif(Design(format=None, width=2)))
    _, error = imported(capsys, blif, "--synthesise", status=2)
    assert error == f"error: --synthesise takes Verilog, but {blif} is BLIF; leave the option out."
    _, error = imported(capsys, write(tmp_path, "m.c", FOREIGN["C"][0]), "--synthesise", status=2)
    assert "must be Verilog or BLIF, but is C; give the circuit's .v file" in error
