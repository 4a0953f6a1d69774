"""Product tables in the formats of other tools: as designs, as files, and what is refused."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from circuits import Design, DesignError, cost_report, design_from_table, error_metrics, find_design, to_verilog
from circuits.__main__ import main
from circuits.errors import UnknownCostError
from circuits.exchange import TABLE_FORMATS, read_table, write_table

CODES = np.arange(256)
SIGNED_CODES = np.where(CODES > 127, CODES - 256, CODES)
LOPSIDED = Design(format=None, width=8, placement="ama1", name="lopsided")
LOPSIDED_SIGNED = Design(format=None, width=8, signed=True, placement="ama1", topology="carry_save_array")


def products(design: Design) -> Any:
    """All products of an 8 x 8 design by its gates, indexed by bit patterns."""
    operands = SIGNED_CODES if design.signed else CODES
    return design.multiply_integers(operands[:, None], operands).astype(np.int64)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(2, 4), st.integers(2, 4), st.booleans()).flatmap(
        lambda shape: st.tuples(
            st.just(shape),
            arrays.arrays(
                np.int64,
                (1 << shape[0], 1 << shape[1]),
                elements=st.integers(
                    *(
                        (-(1 << sum(shape[:2]) - 1), (1 << sum(shape[:2]) - 1) - 1)
                        if shape[2]
                        else (0, (2 << sum(shape[:2])) - 1)
                    )
                ),
            ),
        )
    )
)
def test_a_design_from_a_table_has_the_products_of_the_table(case: tuple[tuple[int, int, bool], Any]) -> None:
    (first, second, signed), table = case
    imported = design_from_table(table, signed=signed)
    x, y = (np.arange(1 << width) for width in (first, second))
    if signed:
        x, y = ((v + (1 << w - 1)) % (1 << w) - (1 << w - 1) for v, w in ((x, first), (y, second)))
    np.testing.assert_array_equal(imported.multiply_integers(x[:, None], y).astype(np.int64), table)
    assert imported.shape == (first, second)
    assert imported.signed is signed


@pytest.mark.parametrize("design", [LOPSIDED, LOPSIDED_SIGNED], ids=["unsigned", "signed"])
@pytest.mark.parametrize("name", TABLE_FORMATS)
def test_tables_survive_every_format(design: Design, name: str, tmp_path: Path) -> None:
    table = products(design)
    path = tmp_path / f"mine{TABLE_FORMATS[name].suffixes[0]}"
    path.write_bytes(write_table(table, name, signed=design.signed))
    np.testing.assert_array_equal(read_table(path, signed=design.signed), table)
    if not (design.signed and name == "lut-bin"):  # its words do not say whether they are signed
        read = find_design(str(path))
        assert read.signed is design.signed
        assert read.name == "mine"
        np.testing.assert_array_equal(products(read), table)


def test_formats_are_laid_out_as_the_tools_read_them() -> None:
    table, signed = products(LOPSIDED), products(LOPSIDED_SIGNED)
    # TFApprox: little-endian uint16, the first operand major.
    assert (
        struct.unpack_from("<H", write_table(table, "lut-bin", signed=False), 2 * (256 * 7 + 201))[0] == table[7, 201]
    )
    # ApproxTorch: line a + 128, number b + 128.
    lines = write_table(signed, "lut-text", signed=True).decode().splitlines()
    assert int(lines[-3 + 128].split()[90 + 128]) == signed[-3, 90]
    # AdaPT: an array of C, by bit patterns.
    header = write_table(signed, "lut-c", signed=True).decode()
    assert "const int16_t lut[256][256] = {" in header
    numbers = list(map(int, re.findall(r"-?\d+", header.partition("= {")[2])))
    assert numbers[256 * (256 - 3) + 90] == signed[-3, 90]


def test_a_table_made_from_verilog_equals_the_products_of_the_file(tmp_path: Path) -> None:
    small = Design(format=None, width=(4, 3), placement="ama2", name="small")
    (tmp_path / "small.v").write_text(to_verilog(small))
    assert main(["export", str(tmp_path / "small.v"), "--format", "lut-npy", "-o", str(tmp_path / "small.npy")]) == 0
    expected = small.multiply_integers(np.arange(16)[:, None], np.arange(8))
    np.testing.assert_array_equal(np.load(tmp_path / "small.npy"), expected)


def test_the_option_exchange_swaps_the_operands(tmp_path: Path) -> None:
    path, swapped = tmp_path / "t.npy", tmp_path / "swapped.npy"
    np.save(path, products(LOPSIDED))
    assert main(["import", str(path), "--exchange", "-o", str(tmp_path / "t.toml")]) == 0
    np.testing.assert_array_equal(products(Design.load(tmp_path / "t.toml")), products(LOPSIDED).T)
    assert main(["export", str(path), "--format", "lut-npy", "--exchange", "-o", str(swapped)]) == 0
    np.testing.assert_array_equal(np.load(swapped), products(LOPSIDED).T)


def test_an_imported_table_survives_toml_and_keeps_its_digest(tmp_path: Path) -> None:
    imported = design_from_table(products(LOPSIDED_SIGNED), name="mine")
    (tmp_path / "mine.toml").write_text(imported.to_toml())
    read = Design.load(tmp_path / "mine.toml")
    assert read == imported
    assert read.digest == imported.digest
    assert read.signed


def test_errors_of_a_table_are_those_of_its_circuit() -> None:
    small = Design(format=None, width=5, placement="ama1")
    products_of_5_bits = small.multiply_integers(np.arange(32)[:, None], np.arange(32))
    table = error_metrics(design_from_table(products_of_5_bits), method="exhaustive")
    circuit = error_metrics(small, method="exhaustive")
    assert table.nmed == circuit.nmed
    assert table.mred == circuit.mred


def test_the_cost_of_a_table_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zeros = design_from_table(np.zeros((16, 16), dtype=int))  # drawn as constants, yet not free of cost
    for design in (zeros, design_from_table(products(LOPSIDED))):
        with pytest.raises(UnknownCostError) as caught:
            cost_report(design)
        assert str(caught.value) == (
            "the cost of a design given as a table is not known, since a table has no circuit; give the circuit."
        )
    path = tmp_path / "mine.npy"
    np.save(path, np.minimum(np.multiply.outer(np.arange(16), np.arange(16)), 200))
    assert main(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "Cost not known of mine: a product table has no circuit." in printed
    assert "energy" not in printed


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t.bin", b"\0" * 100, "t.bin must have 131072 bytes, 256 x 256 words of 16 bits, but has 100; for other"),
        ("t.npy", b"no array", "t.npy must be a NumPy array file, but:"),
        ("t.txt", b"1 2 3\n4 5\n", "every line of .*t.txt must have 3 numbers as the first, but line 2 has 2; correct"),
        ("t.txt", b"1 2 three\n", "t.txt must hold integers, but line 1 does not; correct it."),
        ("t.txt", b"", "t.txt must hold products of small integers"),
        ("t.h", b"int x;\n", "t.h must define one array"),
        ("t.h", b"int t[4][4] = {1, 2};\n", "the array in .*t.h must hold 4 x 4 integers, but holds 2 entries"),
    ],
)
def test_damaged_files_are_refused_in_one_line(
    file: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).write_bytes(content)
    assert main(["import", str(tmp_path / file)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error)


@pytest.mark.parametrize(
    ("table", "signed", "message"),
    [
        (
            np.zeros((256, 255), dtype=int),
            None,
            "must be 2^w x 2^v for operands of 2 to 10 bits, but has shape (256, 255)",
        ),
        (
            np.zeros((2048, 4), dtype=int),
            None,
            "must be 2^w x 2^v for operands of 2 to 10 bits, but has shape (2048, 4)",
        ),
        (np.full((4, 4), 32), None, "products of an unsigned 2x2 table must lie in 0 .. 31, but lie in 32 .. 32"),
        (np.full((4, 4), 8), True, "products of a signed 2x2 table must lie in -8 .. 7, but lie in 8 .. 8"),
        (np.full((4, 4), -1), False, "products of an unsigned 2x2 table must lie in 0 .. 31, but lie in -1 .. -1"),
        (np.zeros((4, 4)), None, "a product table must hold integers, but has dtype float64; convert it."),
    ],
)
def test_tables_that_do_not_fit_are_refused(table: Any, signed: bool | None, message: str) -> None:
    with pytest.raises(DesignError, match=re.escape(message)):
        design_from_table(table, signed=signed)


def test_a_product_table_is_imported_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "a.npy", "b.v"]) == 2
    assert capsys.readouterr().err == (
        "error: a product table must be given alone, without --top and --synthesise, but a.npy is not; import it by "
        "itself.\n"
    )
