"""The BLIF reader: what this project, yosys and ABC write, and every mistake named by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_netlists import evaluate_row, random_netlist

from circuits import TOPOLOGIES, Design, DesignError, Netlist, design, to_blif
from circuits.hdl.blif import blif_in, blif_syntax
from circuits.hdl.blif.blif_in import read_blif

NETLISTS = Path(__file__).parents[2] / "support" / "netlists"
HALF_ADDER = ".model ha\n.inputs a b\n.outputs s c\n.names a b s\n10 1\n01 1\n.names a b c\n11 1\n.end\n"


def read(text: str) -> Netlist:
    return read_blif([("a.blif", text)])[0]


def model(body: str, inputs: str = "a[0] a[1] b[0] b[1]", outputs: str = "o[0] o[1]") -> str:
    return f".model m\n.inputs {inputs}\n.outputs {outputs}\n{body}\n.end\n"


def all_products(multiplier: Design) -> np.ndarray:
    w, v = multiplier.shape
    low = (-(1 << w - 1), -(1 << v - 1)) if multiplier.signed else (0, 0)
    x, y = np.arange(1 << w) + low[0], np.arange(1 << v) + low[1]
    return multiplier.multiply_integers(x[:, None], y[None])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_blif_export_and_import_compute_the_same(topology: str, signed: bool) -> None:
    multiplier = Design(topology=topology, format=None, width=(4, 5), signed=signed, placement="ama1")
    netlist, notes = read_blif([("exported", to_blif(multiplier))])
    assert ([*netlist.inputs, *netlist.outputs], notes) == (["x", "y", "product"], ())
    np.testing.assert_array_equal(all_products(Design(netlist=netlist, signed=signed)), all_products(multiplier))
    # Sum and carry become the cell again where both were read and therefore written.
    assert 0 < netlist.count()["ama1"] <= multiplier.netlist().count()["ama1"]


@pytest.mark.parametrize("seed", range(40))
def test_random_netlists_survive_blif_export_and_import(seed: int) -> None:
    netlist = random_netlist(seed)
    back = read(to_blif(netlist))
    rng = np.random.default_rng(seed)
    for _ in range(16):
        bits = rng.integers(0, 2, len(netlist.input_nets)).tolist()
        rows = [evaluate_row(n, dict(zip(n.input_nets, bits, strict=True))) for n in (netlist, back)]
        assert rows[0] == rows[1]


@pytest.mark.parametrize("name", [path.name for path in sorted(NETLISTS.glob("*.blif")) if "mapped" not in path.name])
def test_blif_files_of_yosys_and_abc_multiply(name: str) -> None:
    """3 x 4 multipliers, written by `synth`, `abc -g gates`, `synth -lut 4`, `strash` and `if -K 6`."""
    netlist = read((NETLISTS / name).read_text())
    widths = {bus: len(nets) for bus, nets in (*netlist.inputs.items(), *netlist.outputs.items())}
    assert widths == {"a": 3, "b": 4, "p": 7}
    multiplier = Design(netlist=netlist, signed=name.startswith("signed"))
    x, y = (np.arange(1 << n) - (multiplier.signed << n - 1) for n in (3, 4))
    np.testing.assert_array_equal(all_products(multiplier), x[:, None] * y[None])


LIBRARY = """.model inv1
.inputs a
.outputs O
.names a O
0 1
.end
.model nand2
.inputs a b
.outputs O
.names a b O
11 0
.end
"""


@pytest.mark.parametrize("name", ["unsigned_abc_mapped.blif", "signed_abc_mapped.blif"])
def test_a_mapped_circuit_needs_its_library_as_a_further_file(name: str) -> None:
    """ABC's `map` writes .gate lines with cells of its genlib; the models of these cells come in a further file."""
    text = (NETLISTS / name).read_text()
    with pytest.raises(DesignError, match=r"unknown model 'nand2'.*as a further file"):
        read(text)
    netlist, _ = read_blif([("cells.blif", LIBRARY), (name, text)])
    assert set(netlist.count()) == {"nand2", "not"}
    multiplier = Design(netlist=netlist, signed=name.startswith("signed"))
    x, y = (np.arange(1 << n) - (multiplier.signed << n - 1) for n in (3, 4))
    np.testing.assert_array_equal(all_products(multiplier), x[:, None] * y[None])


def test_cells_of_known_libraries_need_no_models() -> None:
    """Nangate45, sky130 with supply pins, OSU, yosys; a cell of four inputs; a full adder is the exact cell."""
    body = """.gate AND2_X1 A1=a[0] A2=b[0] ZN=p[0]
.gate NAND2_X2 A1=a[1] A2=b[0] ZN=n1
.subckt sky130_fd_sc_hd__nand2_1 A=a[0] B=b[1] Y=n2 VPWR=v VGND=g
.gate XOR2_X1 A=n1 B=n2 Z=p[1]
.gate $_AND_ A=a[1] B=b[1] Y=n3
.gate AOI22_X1 A1=n3 A2=n3 B1=n3 B2=n3 ZN=n4
.gate INVX1 A=n4 Y=n5
.gate NOR2_X1 A1=n1 A2=n2 ZN=c
.gate FA_X1 A=n5 B=c CI=zero S=p[2] CO=p[3]
.names zero"""
    multiplier = Design(netlist=read(model(body, outputs="p[0] p[1] p[2] p[3]")))
    np.testing.assert_array_equal(all_products(multiplier), np.arange(4)[:, None] * np.arange(4))
    assert multiplier.netlist().count()["exact"] == 1
    with pytest.raises(DesignError, match="'DFF_X1' is a register; import the circuit between the registers"):
        read(model(".gate DFF_X1 D=a[0] CK=a[1] Q=o[0]"))


def test_comments_continuations_off_sets_and_constants_are_read() -> None:
    text = """# a comment
.model m   # another
.inputs a[0] \\
        a[1] b[0] \\
  b[1]
.outputs o[0] o[1] o[2] o[3] o[4]
.names o[0]
1
.names o[1]
.names a[0] b[0] o[2]
11 0
.names a[0] a[1] b[0] b[1] o[3]
1--1 1
-11- 1
.names a[1] o[4]
1 1
"""
    netlist = read(text)
    for row in range(16):
        a0, a1, b0, b1 = bits = [row >> k & 1 for k in range(4)]
        values = evaluate_row(netlist, dict(zip(netlist.input_nets, bits, strict=True)))
        assert values == [1, 0, 1 - (a0 & b0), (a0 & b1) | (a1 & b0), a1]


def test_models_and_tables_may_stand_in_any_order() -> None:
    """Models after their use, tables before those that they read, copies, open pins."""
    top = model(".names n o[1]\n1 1\n.subckt ha a=k b=b[0] s=o[0] c=n\n.conn a[0] k\n.subckt ha a=a[1] b=b[1] s=unused")
    netlist, _ = read_blif([("top.blif", top), ("ha.blif", HALF_ADDER)])
    assert netlist.name == "m"
    for row in range(16):
        bits = [row >> k & 1 for k in range(4)]
        values = evaluate_row(netlist, dict(zip(netlist.input_nets, bits, strict=True)))
        assert values == [bits[0] ^ bits[2], bits[0] & bits[2]]
    assert read_blif([("top.blif", top), ("ha.blif", HALF_ADDER)], top="ha")[0].name == "ha"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.blif must hold a BLIF model, but holds none; check the file."),
        (model("10 1"), "a.blif line 4: BLIF must hold statements and rows of .names, but got '10'; check the file."),
        (
            model(".names a[0] o[0]\n10 1"),
            "a.blif line 5: a row of 'o[0]' must be 1 of 0, 1 and -, then one value for all rows, but got '10 1'; "
            "correct it.",
        ),
        (
            model(".names a[0] o[0]\n1 1\n0 0"),
            "a.blif line 6: a row of 'o[0]' must be 1 of 0, 1 and -, then one value for all rows, but got '0 0'; "
            "correct it.",
        ),
        (
            model(".names a[0] o[0]\n1 1\n.names a[1] o[0]\n1 1"),
            "a.blif line 6: net 'o[0]' must have one driver, but line 4 drives it too; remove one.",
        ),
        (
            model(".names a[0] o[0]\n1 1"),
            "a.blif line 1: output 'o[1]' must be driven, but nothing drives it; drive it.",
        ),
        (
            model(".names none o[0]\n1 1\n.names o[1]"),
            "a.blif line 4: net 'none' must have a driver, but a table reads it and nothing drives it; drive it or "
            "remove the reader.",
        ),
        (
            model(".names o[1] o[0]\n1 1\n.names o[0] o[1]\n0 1"),
            "a.blif line 4: a combinational circuit must have no loop, but net 'o[0]' depends on itself; break it.",
        ),
        (
            model(".names b[0] a[0]\n1 1\n.names o[0]\n.names o[1]"),
            "a.blif line 4: an input must not be driven, but 'a[0]' is; correct it.",
        ),
        (
            model(".latch a[0] o[0] re clk 0"),
            "a.blif line 4: a multiplier must be combinational, but .latch makes 'o[0]' a register; import the "
            "circuit between the registers.",
        ),
        (
            model(".subckt nothing a=a[0] y=o[0]"),
            "a.blif line 4: unknown model 'nothing'; available: m; or give its library as a "
            "further file.",
        ),
        (
            model(".subckt m a[0]"),
            "a.blif line 4: each pin of 'm' must be PORT=NET, once, but got 'a[0]'; correct it.",
        ),
        (
            model(".subckt ha a=a[0] s=o[0]") + HALF_ADDER,
            "a.blif line 4: every input must be connected, but 'b' of 'ha' is not; connect it.",
        ),
        (
            model(".subckt ha a=a[0] b=a[1] x=o[0]") + HALF_ADDER,
            "a.blif line 4: instance of 'ha': unknown port 'x'; available: a, b, c, s.",
        ),
        (
            model(".subckt m"),
            "a.blif line 4: .subckt must name a model and its pins, but has none; complete it.",
        ),
        (
            HALF_ADDER + HALF_ADDER,
            "a.blif line 10: a model must be defined once, but 'ha' is twice; remove one.",
        ),
        (
            model(".subckt m a[0]=a[0] a[1]=a[1] b[0]=b[0] b[1]=b[1] o[0]=o[0] o[1]=o[1]"),
            "a.blif line 1: models must be nested at most 40 deep and never in themselves, but 'm' is; flatten the "
            "design first.",
        ),
        (
            model(".nmaes a o"),
            "a.blif line 4: unknown BLIF keyword '.nmaes'; nearest: .names",
        ),
        (model("", outputs=""), "a.blif line 1: model 'm' must have an output, but has none; add it."),
        (
            model(".search other.blif"),
            "a.blif line 4: '.search other.blif' is not followed; give that file on the command line too.",
        ),
        (
            model(".names"),
            "a.blif line 4: a table must name its output, but '.names' stands alone; complete it.",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_blif_name_the_line_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_an_unknown_top_model_is_refused() -> None:
    with pytest.raises(DesignError, match=r"a\.blif: unknown top model 'x'; available: ha"):
        read_blif([("a.blif", HALF_ADDER)], top="x")


def test_sizes_of_blif_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blif_in, "MAXIMUM_GATES", 3)
    with pytest.raises(DesignError, match="a netlist must have at most 3 tables, but has more; import a part of it"):
        read(to_blif(Design(format=None, width=3)))
    monkeypatch.setattr(blif_syntax, "MAXIMUM_BYTES", 10)
    with pytest.raises(DesignError, match="must have at most 10 characters, but has"):
        read(HALF_ADDER)


def test_long_chains_are_followed() -> None:
    """20,000 inverters, the last one first: no recursion."""
    lines = [f".names n{k} n{k + 1}\n0 1" for k in reversed(range(20_000))]
    text = model("\n".join([*lines, ".names a[0] n0\n1 1", ".names n20000 o[0]\n1 1", ".names o[1]"]))
    assert read(text).count() == {"not": 20_000}


def test_a_whole_float_multiplier_keeps_its_ports() -> None:
    netlist = read(to_blif(design("bfloat16"), whole=True))
    buses = {name: len(bus) for name, bus in (*netlist.inputs.items(), *netlist.outputs.items())}
    assert buses == {"x": 16, "w": 16, "fraction": 7, "exponent": 10, "sign": 1}


def read_or_refuse(text: str) -> None:
    """Asserts that reading gives a circuit or an error that names the file."""
    message = "a.blif"
    try:
        read(text)
    except DesignError as error:
        message = str(error)
    assert "a.blif" in message


@given(st.text(alphabet="abm.10- =\\#\n", max_size=60))
def test_any_blif_text_is_read_or_refused(tail: str) -> None:
    for text in (tail, HALF_ADDER.removesuffix(".end\n") + tail):
        read_or_refuse(text)


@given(st.data())
def test_damaged_blif_files_are_read_or_refused(data: st.DataObject) -> None:
    text = to_blif(Design(format=None, width=2))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    insert = data.draw(st.sampled_from(["", ".names", ".end\n", "1 1\n", "\\", "x[0]", ".subckt ripple_array x=y\n"]))
    read_or_refuse(text[:start] + insert + text[end:])
