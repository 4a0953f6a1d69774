"""Exported Verilog and BLIF: read back by us, simulated by iverilog, compared by yosys and ABC."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hdl_tools import equivalent_in_abc, equivalent_in_yosys, need, run, simulate
from random_netlists import evaluate_row, random_netlist

from circuits import AdderCell, Design, Netlist, design, netlist_from_verilog, to_blif, to_verilog
from circuits.commands import main
from circuits.hdl.covers import expression, minimal_cover
from circuits.hdl.names import KEYWORDS
from circuits.netlists.gates import AND2
from circuits.netlists.netlist import NetlistBuilder

CARRIES_B = AdderCell("carries-b.1", "01010011", "00110011", transistors=7)
MIXED = Design(
    topology="carry_save_array",
    format=None,
    width=(5, 3),
    ports="scp",
    final_adder="cell",
    placement={"grid": [["ama4", CARRIES_B, "exact"][k % 3 :] + ["ama1"] * (k % 3) for k in range(6)]},
    name="mixed 5 x 3",
)
SMALL = [
    MIXED,
    Design(format=None, width=4, placement={"columns": ["ama5"] * 3 + ["ama1"] * 2 + ["exact"] * 3}, name="columns"),
    Design(format=None, width=(4, 6), tile=2, placement="ama5", half_adders="exact", name="tiles"),
    Design(format=None, width=5, topology="booth", signed=True, placement="inxa2", name="booth"),
    Design(format=None, width=(3, 5), topology="wallace", placement="loa", truncate_columns=2, name="wallace"),
    Design(format=None, width=5, topology="dadda", signed=True, name="dadda"),
]
AMA4 = Design(topology="carry_save_array", placement="ama4", ports="scp", name="saved")
NAMED = ("exact", "axfpm", "axfpm_tiled", "heap", "bfloat16")


def widths(multiplier: Design) -> tuple[int, int, int]:
    return *multiplier.shape, len(multiplier.netlist().outputs["product"])


def pairs_of(multiplier: Design, count: int) -> list[tuple[int, int]]:
    """All pairs where there are at most `count`, else that many random ones and the corners."""
    w, v = multiplier.shape
    if w + v <= count.bit_length() - 1:
        return list(product(range(1 << w), range(1 << v)))
    rng = np.random.default_rng(w)
    corners = [[0, 1, (1 << n) - 1, 1 << (n - 1), (1 << n) // 3] for n in (w, v)]
    sampled = zip(rng.integers(0, 1 << w, count).tolist(), rng.integers(0, 1 << v, count).tolist(), strict=True)
    return [*product(*corners), *sampled]


def expected(multiplier: Design, pairs: list[tuple[int, int]]) -> list[int]:
    """Product bits by our engine, for operand bits."""
    w, v, bits = widths(multiplier)
    x, y = (np.array([pair[k] for pair in pairs], dtype=object) for k in (0, 1))
    if multiplier.signed:
        x, y = (np.where(a >> (n - 1) & 1, a - (1 << n), a) for a, n in ((x, w), (y, v)))
    return [int(p) & (1 << bits) - 1 for p in multiplier.multiply_integers(x, y)]


def test_covers_give_their_tables_and_are_minimal() -> None:
    """All 256 functions of three inputs."""
    for table in range(256):
        check_cover(table)


def check_cover(table: int) -> None:
    cover = minimal_cover(table)
    rows = {r for r in range(8) for mask, value in cover if r & mask == value}
    assert rows == {r for r in range(8) if table >> r & 1}
    assert len(cover) <= 4
    assert cover == () or len(cover) == 4 or table not in (0b01101001, 0b10010110)  # parities need all their minterms


def test_expressions_of_all_functions_are_read_back_as_the_functions() -> None:
    names = ("a", "b", "cin")
    assigns = "".join(f"assign o[{table}] = {expression(table, names)};\n" for table in range(256))
    text = f"module all(input [0:0] a, b, cin, output [255:0] o, input [1:0] unused);\n{assigns}endmodule"
    netlist = netlist_from_verilog(text, where="all.v")
    for row in range(8):
        bits = dict(zip(netlist.input_nets, (row >> 2 & 1, row >> 1 & 1, row & 1, 0, 0), strict=True))
        assert evaluate_row(netlist, bits) == [table >> row & 1 for table in range(256)]


def test_expressions_are_the_short_ones_of_papers() -> None:
    names = ("a", "b", "cin")
    cells = {"exact": ("a ^ b ^ cin", "(b & cin) | (a & cin) | (a & b)"), "ama5": ("b", "a")}
    for name, texts in cells.items():
        tables = design(f"{name}_array" if name == "ama5" else name).placement.cells[0][0].tables
        assert tuple(expression(table, names) for table in tables) == texts
    assert expression(0b00111111, ("a", "b")) == "~(a & b)"
    assert expression(0, names) == "1'b0"


@pytest.mark.parametrize("multiplier", [*SMALL, *map(design, NAMED)], ids=lambda multiplier: multiplier.label)
def test_verilog_export_and_import_give_the_same_circuit(multiplier: Design) -> None:
    netlist = netlist_from_verilog(to_verilog(multiplier), where="exported")
    assert netlist.digest() == multiplier.netlist().digest()
    assert [*netlist.inputs, *netlist.outputs] == ["x", "y", "product"]
    known = {part.name for part in (i.component for i in multiplier.netlist().instances)} - {CARRIES_B.name}
    assert known <= set(netlist.count())
    again = Design(netlist=netlist, signed=multiplier.signed)
    pairs = pairs_of(multiplier, 512)
    assert expected(again, pairs) == expected(multiplier, pairs)


@pytest.mark.parametrize("seed", range(16))
def test_random_netlists_survive_verilog_export_and_import(seed: int) -> None:
    netlist = random_netlist(seed)
    back = netlist_from_verilog(to_verilog(netlist), where="exported", top=f"random{seed}")
    rng = np.random.default_rng(seed)
    for _ in range(16):
        bits = rng.integers(0, 2, len(netlist.input_nets)).tolist()
        rows = [evaluate_row(n, dict(zip(n.input_nets, bits, strict=True))) for n in (netlist, back)]
        assert rows[0] == rows[1]


def test_exchanging_one_cell_changes_the_digest() -> None:
    """So the comparisons of digests above can fail."""
    text = to_verilog(AMA4).replace("cell_ama4 ama4_r5_c7", "cell_exact ama4_r5_c7")
    assert netlist_from_verilog(text, where="changed").digest() != AMA4.netlist().digest()


@pytest.mark.parametrize("multiplier", SMALL, ids=lambda multiplier: multiplier.label)
def test_iverilog_agrees_exhaustively(multiplier: Design, tmp_path: Path) -> None:
    pairs = pairs_of(multiplier, 1 << 10)
    assert len(pairs) == 1 << sum(multiplier.shape)
    assert simulate(to_verilog(multiplier, name="dut"), "dut", widths(multiplier), pairs, tmp_path) == expected(
        multiplier, pairs
    )


def test_the_exhaustive_comparison_sees_the_operand_order() -> None:
    square = [multiplier for multiplier in SMALL if multiplier.shape[0] == multiplier.shape[1]]
    swapped = [
        expected(e, [(y, x) for x, y in pairs_of(e, 1 << 10)]) != expected(e, pairs_of(e, 1 << 10)) for e in square
    ]
    assert any(swapped)


@pytest.mark.parametrize("name", ["exact", "axfpm", "axfpm_tiled"])
def test_iverilog_agrees_on_random_mantissas_and_corners(name: str, tmp_path: Path) -> None:
    multiplier = design(name)
    pairs = pairs_of(multiplier, 500 if name == "exact" else 2000)  # XOR trees keep iverilog busy
    products = simulate(to_verilog(multiplier, name="dut"), "dut", widths(multiplier), pairs, tmp_path)
    assert products == expected(multiplier, pairs)
    if name == "exact":
        assert products == [x * y for x, y in pairs]


@pytest.mark.parametrize("multiplier", [*SMALL, design("bfloat16")], ids=lambda multiplier: multiplier.label)
def test_yosys_finds_verilog_and_blif_equal(multiplier: Design, tmp_path: Path) -> None:
    assert equivalent_in_yosys(to_verilog(multiplier, name="gold"), to_blif(multiplier, name="gate"), tmp_path)


@pytest.mark.parametrize("name", ["heap", "axfpm_tiled", pytest.param("exact", marks=pytest.mark.slow)])
def test_abc_finds_verilog_and_blif_equal(name: str, tmp_path: Path) -> None:
    multiplier = design(name)
    assert equivalent_in_abc(to_verilog(multiplier, name="gold"), to_blif(multiplier, name="gate"), tmp_path)


def test_yosys_and_abc_tell_different_designs_apart(tmp_path: Path) -> None:
    ours, other = (Design(format=None, width=4, placement=name) for name in ("ama4", "ama5"))
    assert not equivalent_in_yosys(to_verilog(ours, name="gold"), to_blif(other, name="gate"), tmp_path)
    assert not equivalent_in_abc(to_verilog(ours, name="gold"), to_blif(other, name="gate"), tmp_path)


def test_a_netlist_written_by_yosys_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "gold.v").write_text(to_verilog(MIXED, name="gold"))
    script = "read_verilog gold.v; synth -flatten -top gold; abc -g AND,XOR,MUX; opt_clean; write_verilog -noattr out.v"
    need("yosys")
    run("yosys", "-q", "-p", script, folder=tmp_path)
    again = Design(netlist=netlist_from_verilog((tmp_path / "out.v").read_text(), where="out.v"))
    pairs = pairs_of(MIXED, 1 << 10)
    assert expected(again, pairs) == expected(MIXED, pairs)


def evaluate_blif(text: str, values: dict[str, int]) -> dict[str, int]:
    """Values of all signals of a flat BLIF model, a table at a time, in file order."""
    body = re.sub(r"\\\n", " ", text)
    values = dict(values)
    for block in re.split(r"\n(?=\.)", body):
        head, *rows = block.splitlines()
        if not head.startswith(".names"):
            continue
        *inputs, output = head.split()[1:]
        word = "".join(str(values[name]) for name in inputs)
        covers = [(row.split() if inputs else ["", row])[0] for row in rows if row]
        values[output] = int(any(all(c in ("-", b) for c, b in zip(cover, word, strict=True)) for cover in covers))
    return values


@pytest.mark.parametrize("multiplier", SMALL, ids=lambda multiplier: multiplier.label)
def test_blif_tables_give_the_product(multiplier: Design) -> None:
    text = to_blif(multiplier)
    w, v, bits = widths(multiplier)
    pairs = pairs_of(multiplier, 1 << 10)[::7]
    for (x, y), wanted in zip(pairs, expected(multiplier, pairs), strict=True):
        operands = {f"x[{k}]": x >> k & 1 for k in range(w)} | {f"y[{k}]": y >> k & 1 for k in range(v)}
        values = evaluate_blif(text, operands)
        assert sum(values[f"product[{k}]"] << k for k in range(bits)) == wanted


def test_headers_say_what_the_circuit_is() -> None:
    for writer, mark in ((to_verilog, "//"), (to_blif, "#")):
        text = writer(AMA4)
        header = " ".join(line.removeprefix(mark).strip() for line in text.splitlines() if line.startswith(mark))
        assert header.startswith("saved: mantissa multiplier topology: carry_save_array")
        assert f"digest: {AMA4.digest}" in header
        assert "mantissa circuit of the float32 multiplier" in header
        assert "As drawn: 576 and2, 552 ama4, 24 exact." in header
    assert "mantissa circuit" not in to_verilog(MIXED)
    assert to_verilog(MIXED.netlist()).startswith("// carry_save_array: netlist\n")


def test_instances_and_wires_are_named_after_rows_and_columns() -> None:
    text = to_verilog(AMA4)
    assert (
        "    cell_ama4 ama4_r3_c4 (.a(sum_2_5), .b(carry_2_4), .cin(pp_3_4), .sum(sum_3_4), .carry(carry_3_4));" in text
    )
    assert "    assign product[3] = sum_3_0;\n" in text
    assert ".carry());" in text, "the dropped carry is left open"
    assert ".names sum_2_5 carry_2_4 pp_3_4 sum_3_4\n" in to_blif(AMA4)


@pytest.mark.parametrize("topology", ["wallace", "dadda", "booth"])
def test_cells_that_share_a_place_are_numbered(topology: str) -> None:
    multiplier = Design(topology=topology, format=None, width=12, placement="ama4")
    text = to_verilog(multiplier)
    labels = re.findall(r"^    (?:cell|gate)_\w+ (\w+) \(", text, re.MULTILINE)
    assert len(labels) == len(set(labels)) == len(multiplier.netlist().instances)
    assert any(re.fullmatch(r"ama4_r\d+_c\d+_2", label) for label in labels)
    wires = [name for line in re.findall(r"^    wire (.*);", text, re.MULTILINE) for name in line.split(", ")]
    assert len(wires) == len(set(wires))
    assert "Further ones at the same place end in _2, _3, ..." in " ".join(text.replace("\n//", " ").split())
    assert "Further ones" not in to_verilog(AMA4)


def test_hostile_names_are_made_legal_and_distinct() -> None:
    builder = NetlistBuilder("end module; //\n`include")
    x, y = builder.input("wire", 2), builder.input("a b", 2)
    cells = [AdderCell(name, "01101001", table) for name, table in (("a.b", "00010111"), ("a-b", "00001111"))]
    first = builder.add(cells[0], x[0], y[0], 0)
    second = builder.add(cells[1], x[1], y[1], first[1])
    third = builder.add(AND2, second[0], 1)
    builder.output("a_b", [*first, *second, *third])
    netlist = builder.build()
    for text in (to_verilog(netlist), to_verilog(netlist, name="module")):
        code = re.sub(r"//.*", "", text)
        names = set(re.findall(r"[A-Za-z_]\w*", code)) - {
            "module",
            "endmodule",
            "input",
            "output",
            "wire",
            "assign",
            "b0",
        }
        assert "`" not in code
        assert not {name for name in names if name in KEYWORDS}
        back = netlist_from_verilog(text, where="hostile.v")
        assert back.digest() == netlist.digest()
    assert re.search(r"^module end_module_+include \($", to_verilog(netlist), re.MULTILINE)
    assert to_verilog(Design(format=None, width=2, name="名前 $x")).isascii()


def test_a_netlist_of_wires_alone_survives_export() -> None:
    builder = NetlistBuilder("wires")
    x = builder.input("x", 2)
    builder.output("o", [x[1], 0, 1])
    netlist: Netlist = builder.build()
    assert netlist_from_verilog(to_verilog(netlist), where="wires.v").digest() == netlist.digest()
    values = evaluate_blif(to_blif(netlist), {"x[0]": 0, "x[1]": 1})
    assert [values[f"o[{k}]"] for k in range(3)] == [1, 0, 1]


def test_the_command_writes_what_the_functions_return(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "axfpm"]) == 0
    assert capsys.readouterr().out == to_verilog(design("axfpm"))
    target = tmp_path / "heap.blif"
    assert main(["export", "heap", "--format", "blif", "--name", "top", "-o", str(target)]) == 0
    assert (
        capsys.readouterr().out
        == f"{target}: heap (reconstructed), {len(design('heap').netlist().instances)} cells and gates\n"
    )
    assert target.read_text() == to_blif(design("heap"), name="top")
    assert main(["export", "heap", "-o", str(tmp_path / "no" / "heap.v")]) == 2
    assert [*tmp_path.iterdir()] == [target]
    assert capsys.readouterr().err.startswith("error: ")
