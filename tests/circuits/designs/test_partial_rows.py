"""The rows that trees compress: they add up to the product, and a trace prints them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuits import Design, trace_product
from circuits.commands import main
from circuits.designs.partial_rows import net_values, partial_rows
from circuits.multipliers.booth import digits_of


def rows_sum(design: Design, x: int, y: int) -> int:
    """The sum of all bits times their weights, modulo 2^(w + v)."""
    weights = (1 << k for row in partial_rows(design, x, y) for k, bit in enumerate(reversed(row.bits)) if bit == "1")
    return sum(weights) % (1 << sum(design.shape))


@pytest.mark.parametrize(
    "multiplier",
    [
        Design(topology="booth", format=None, width=4, signed=True),
        Design(topology="booth", format=None, width=(4, 5)),
        Design(topology="dadda", format=None, width=(3, 5), signed=True),
        Design(topology="wallace", format=None, width=4, signed=True),
    ],
    ids=lambda multiplier: multiplier.topology,
)
def test_the_rows_of_exact_trees_add_up_to_the_product(multiplier: Design) -> None:
    w, v = multiplier.shape
    lows = (-(1 << w - 1), -(1 << v - 1)) if multiplier.signed else (0, 0)
    for x in range(lows[0], lows[0] + (1 << w)):
        for y in range(lows[1], lows[1] + (1 << v)):
            assert rows_sum(multiplier, x, y) == x * y % (1 << w + v), (x, y)


@pytest.mark.parametrize(("width", "signed"), [(4, True), (5, True), (4, False), (5, False)])
def test_booths_digits_are_the_operand_to_the_base_4(width: int, signed: bool) -> None:
    low = -(1 << width - 1) if signed else 0
    for x in range(low, low + (1 << width)):
        digits = digits_of(x, width, signed)
        assert sum(digit * 4**n for n, digit in enumerate(digits)) == x
        assert set(digits) <= {-2, -1, 0, 1, 2}


def test_nets_have_the_values_that_the_engine_computes() -> None:
    # ama1 is not symmetric in its ports, so products do not commute.
    multiplier = Design(topology="dadda", format=None, width=4, placement="ama1", ports="scp")
    product = multiplier.netlist().outputs["product"]
    for x in range(16):
        for y in range(16):
            values = net_values(multiplier.netlist(), {"x": x, "y": y})
            bits = sum(values[net] << k for k, net in enumerate(product))
            assert bits == int(multiplier.multiply_integers(np.array([x]), np.array([y]))[0])


def test_the_trace_of_booths_multiplier_prints_its_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    multiplier = Design(topology="booth", format=None, width=4, signed=True, name="b")
    file = tmp_path / "b.toml"
    file.write_text(multiplier.to_toml())
    assert main(["multiply", str(file), "-5", "6", "--trace"]) == 0
    printed = capsys.readouterr().out
    # -5 = -1 - 1 * 4; a row is |digit| y complemented, and the carry that completes it is a bit of the row after it.
    assert "rows of partial products, over product columns 7 ... 0" in printed
    assert "  row 0, digit -1 ...01000\n" in printed
    assert "  row 2, digit -1 .01000..\n" in printed
    assert "             ones 1.11....\n" in printed
    assert "partial products, row i = bit i of x" not in printed
    assert main(["multiply", str(file), "-5", "6", "--trace", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["column_rows"]
    assert rows[0] == "row 0, digit -1: ...01000"
    # Arrays and unsigned trees have plain rows only.
    plain = trace_product(Design(topology="dadda", format=None, width=4), 3, 5)
    assert plain.rows
    assert not plain.column_rows
