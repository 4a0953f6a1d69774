"""Recognition of what a circuit computes: products and their signedness, adders and other functions, or none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from circuits import TOPOLOGIES, Design, Netlist, netlist_from_verilog
from circuits.netlists.gates import AND2, XOR2
from circuits.netlists.netlist import NetlistBuilder
from circuits.netlists.recognition import OTHERS, recognise


def verilog(body: str, ports: str = "input [7:0] a, input [7:0] b, output [8:0] o") -> Netlist:
    return netlist_from_verilog(f"module m({ports});\n{body}\nendmodule", where="m.v")


SIZES = [
    *((topology, width) for topology in TOPOLOGIES for width in ((2, 2), (3, 5), (8, 8), (12, 12))),
    ("dadda", (33, 32)),
    ("dadda", (64, 64)),
]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("topology", "width"), SIZES)
def test_exact_multipliers_are_recognised_with_their_signedness(
    topology: str, width: tuple[int, int], signed: bool
) -> None:
    result = recognise(Design(topology=topology, format=None, width=width, signed=signed).netlist())
    assert result.product[signed].error == 0
    assert result.product[not signed].error > 0.3
    assert not result.is_other
    assert result.better_signedness(signed) is None
    assert result.better_signedness(not signed) is signed
    assert result.exhaustive is (sum(width) <= 16)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("cell", ["ama1", "ama2", "axa3", "inxa1", "loa"])
def test_approximate_multipliers_keep_their_signedness(cell: str, signed: bool) -> None:
    placement = {"columns": [cell] * 8 + ["exact"] * 8}
    entry = Design(topology="dadda", format=None, width=8, signed=signed, placement=placement)
    result = recognise(entry.netlist())
    assert 0 < result.product[signed].error < 0.2
    assert not result.is_other
    assert result.better_signedness(not signed) is signed


def adder(width: int, *, approximate: int = 0) -> Netlist:
    """A ripple adder whose `approximate` lowest sums are ORs of the operands' bits, as in LOA."""
    terms = [f"a[{k}] | b[{k}]" for k in reversed(range(approximate))]
    high = f"{{1'b0, a[{width - 1}:{approximate}]}} + {{1'b0, b[{width - 1}:{approximate}]}}"
    ports = f"input [{width - 1}:0] a, input [{width - 1}:0] b, output [{width}:0] o"
    low = f"assign o[{approximate - 1}:0] = {{{', '.join(terms)}}};" if approximate else ""
    return verilog(f"assign o[{width}:{approximate}] = {high}; {low}", ports)


@pytest.mark.parametrize("width", [3, 8, 16, 32])
def test_adders_are_recognised(width: int) -> None:
    result = recognise(adder(width))
    assert result.is_other
    assert (result.other.function.text, result.other.error) == ("x + y", 0)


def test_an_approximate_adder_is_recognised_as_an_adder() -> None:
    result = recognise(adder(8, approximate=3))
    assert result.is_other
    assert result.other.function.circuit == "an adder"
    assert 0 < result.other.error < 0.1


def test_an_adder_without_carry_out_and_a_subtractor_are_recognised() -> None:
    ports = "input [7:0] a, input [7:0] b, output [7:0] o"
    assert recognise(verilog("assign o = a + b;", ports)).other.function.text == "x + y"
    # a - b = ~(~a + b)
    assert recognise(verilog("assign o = ~(~a + b);", ports)).other.function.text == "x - y"
    assert recognise(verilog("assign o = ~(~b + a);", ports)).other.function.text == "y - x"


@pytest.mark.parametrize("function", OTHERS, ids=lambda f: f"{f.circuit}: {f.text}")
def test_every_function_is_recognised_from_its_truth_table(function) -> None:  # type: ignore[no-untyped-def]
    """Circuits of 3 x 3 bits to 6, built as sums of minterms."""
    builder = NetlistBuilder("table")
    x, y = builder.input("x", 3), builder.input("y", 3)
    rows = {}
    for a in range(8):
        for b in range(8):
            literals = [
                net if value >> k & 1 else builder.add(XOR2, net, 1)[0]
                for nets, value in ((x, a), (y, b))
                for k, net in enumerate(nets)
            ]
            product = 1
            for literal in literals:
                (product,) = builder.add(AND2, product, literal)
            rows[a, b] = product

    def operand(value: int) -> np.ndarray:
        signed = value - 8 if function.signed and value >= 4 else value
        return np.array([signed], dtype=object)

    outputs = []
    for bit in range(6):
        total = 0
        for (a, b), net in rows.items():
            undefined = function.divisor is not None and (a, b)[function.divisor] == 0
            if undefined or int(function.values(operand(a), operand(b))[0]) >> bit & 1:
                (total,) = builder.add(XOR2, total, net)  # minterms exclude each other
        outputs.append(total)
    builder.output("o", outputs)
    result = recognise(builder.build())
    assert result.is_other
    assert (result.other.function, result.other.error) == (function, 0)


def test_a_narrow_product_is_compared_with_both_ends() -> None:
    netlist = Design(format=None, width=8).netlist()
    product = netlist.outputs["product"]

    def part(bits: slice) -> Netlist:
        return replace(netlist, outputs={"product": product[bits]})

    low, high = recognise(part(slice(0, 8))), recognise(part(slice(8, 16)))
    assert (low.product[False].function.text, low.product[False].error) == ("x * y", 0)
    assert low.product[True].error == 0, "the low half is that of both products"
    assert (high.product[False].function.text, high.product[False].error) == ("x * y / 2^8", 0)


def test_a_constant_and_a_wire_are_recognised_as_no_known_function() -> None:
    ports = "input [3:0] a, input [3:0] b, output [7:0] o"
    for body in ("assign o = 8'd0;", "assign o = {4'b0000, a};", "assign o = {a, b};"):
        assert not recognise(verilog(body, ports)).is_other
