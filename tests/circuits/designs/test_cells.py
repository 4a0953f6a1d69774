"""Adder cells: library, expressions, user cells from TOML, and their errors word for word."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import CELLS, AdderCell, DesignError, UnknownNameError, load_cells
from circuits.cells.adder_cells import cell, cells_from_table
from circuits.cells.expressions import ExpressionError, truth_table
from circuits.support.documents import MAX_TOML_BYTES

ROWS = [(r >> 2 & 1, r >> 1 & 1, r & 1) for r in range(8)]


def test_library_cells_have_a_source_and_the_errors_of_their_tables() -> None:
    for name, entry in CELLS.items():
        assert entry.name == name
        assert entry.source
        expected = [2 * int(entry.carry[r]) + int(entry.sum[r]) - sum(row) for r, row in enumerate(ROWS)]
        assert list(entry.errors) == expected
        for table, text in zip(entry.tables, entry.behaviour, strict=True):
            assert [table >> r & 1 for r in range(8)] == [int(c) for c in text]
    assert [entry.name for entry in CELLS.values() if entry.is_exact] == ["exact"]


def test_every_pair_of_truth_tables_makes_a_cell() -> None:
    """There are 65,536 cells; tried are every sum with three carries and every carry with one sum."""
    for table in range(256):
        bits = f"{table:08b}"
        for other in ("00000000", "00010111", "11111111"):
            assert AdderCell("x", bits, other).behaviour == (bits, other)
        assert AdderCell("x", "01101001", bits).carry == bits


def test_cells_with_equal_fields_are_equal() -> None:
    one, same = AdderCell("x", "01101001", "00010111"), AdderCell("x", "01101001", "00010111")
    assert one == same
    assert hash(one) == hash(same)
    assert one != AdderCell("y", "01101001", "00010111")
    assert one.behaviour == AdderCell("y", "01101001", "00010111", transistors=3).behaviour


@pytest.mark.parametrize(
    ("expression", "function"),
    [
        ("A'B'C + ABC", lambda a, b, c: (not a and not b and c) or (a and b and c)),
        ("B", lambda a, b, c: b),
        ("A & Cin | ~B & C", lambda a, b, c: (a and c) or (not b and c)),
        ("A ^ B & C", lambda a, b, c: a ^ (b and c)),
        ("A | B ^ C", lambda a, b, c: a or (b ^ c)),
        ("A + B C", lambda a, b, c: a or (b and c)),
        ("~A B", lambda a, b, c: not a and b),
        ("~(A B)", lambda a, b, c: not (a and b)),
        ("(A + B)'", lambda a, b, c: not (a or b)),
        ("(A + B)'C", lambda a, b, c: not (a or b) and c),
        ("A''", lambda a, b, c: a),
        ("~~A", lambda a, b, c: a),
        ("~A'", lambda a, b, c: a),
        ("!A*B", lambda a, b, c: not a and b),
        ("1 ^ A", lambda a, b, c: not a),
        ("A0 + B1", lambda a, b, c: b),
        ("ABCin", lambda a, b, c: a and b and c),
        ("  A  ", lambda a, b, c: a),
        ("A ^ B ^ C", lambda a, b, c: a ^ b ^ c),
    ],
)
def test_expressions_give_the_table_of_their_function(expression: str, function: object) -> None:
    expected = "".join(str(int(function(*map(bool, row)))) for row in ROWS)  # type: ignore[operator]
    assert truth_table(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "A & D",
            "names must be A, B, C or Cin, and operators & | ^ ~ ' ( ), but got 'D' at position 5 of 'A & D': A & »D",
        ),
        (
            "(A + B",
            "the parenthesis opened at position 1 must be closed, but got the end at position 7 of '(A + B': (A + B»",
        ),
        ("A)", "expected an operator or the end after an operand, but got ')' at position 2 of 'A)': A»)"),
        (
            "A + ",
            "expected an operand (A, B, C, Cin, 0, 1 or a parenthesis), but got the end at position 5 of 'A + ': A + »",
        ),
        (
            "'A",
            'expected an operand (A, B, C, Cin, 0, 1 or a parenthesis), but got "\'" at position 1 of "\'A": »\'A',
        ),
        (
            "",
            "expected an operand (A, B, C, Cin, 0, 1 or a parenthesis), but got the end at position 1 of '': »",
        ),
        (
            "A\t@",
            "names must be A, B, C or Cin, and operators & | ^ ~ ' ( ), but got '@' at position 3 of 'A\\t@': A\t»@",
        ),
        ("A" * 1001, "an expression must have at most 1000 characters, but got 1001; shorten it."),
    ],
)
def test_malformed_expressions_mark_the_position(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        truth_table(expression)
    assert str(caught.value) == message


# An expression as a tree: a name's index (0 A, 1 B, 2 carry in) or (operator, operands...).
Tree = int | tuple[str, "Tree"] | tuple[str, "Tree", "Tree"]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.integers(0, 2),
    lambda inner: st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(("and", "or", "xor")), inner, inner),
    max_leaves=12,
)


@dataclass(frozen=True)
class Notation:
    """How a source writes the inputs, the operators and, before or after an operand, the complement."""

    names: tuple[str, str, str]
    and_: str
    or_: str
    xor: str
    before: str = ""
    after: str = ""

    def write(self, tree: Tree) -> str:
        """The tree as text, with only the parentheses that it needs: NOT binds before AND before XOR before OR."""
        if isinstance(tree, int):
            return self.names[tree]
        if tree[0] == "not":
            inner = self.wrapped(tree[1], 3)
            return f"{self.before}{inner}{self.after}"
        level = ("or", "xor", "and").index(tree[0])
        sign = (self.or_, self.xor, self.and_)[level]
        # The right operand of an operator of the same level is a tree of its own.
        return f"{self.wrapped(tree[1], level)}{sign}{self.wrapped(tree[2], level + 1)}"

    def wrapped(self, tree: Tree, level: int) -> str:
        own = 4 if isinstance(tree, int) else ("or", "xor", "and", "not").index(tree[0])
        return self.write(tree) if own >= level else f"({self.write(tree)})"


NOTATIONS = {
    "verilog": Notation(("A", "B", "Cin"), " & ", " | ", " ^ ", before="~"),
    "c": Notation(("a", "b", "cin"), " && ", " || ", " ^ ", before="!"),
    "papers": Notation(("A", "B", "C"), "", " + ", " ⊕ ", after="'"),
    "papers, index": Notation(("A_i", "B_i", "C_i"), " · ", " + ", " ⊕ ", after="′"),
    "papers, index without underscore": Notation(("Ai", "Bi", "Ci"), "⋅", "+", "⊕", after="’"),
    "papers, subscripts": Notation(("aᵢ", "bᵢ", "Cᵢₙ"), "", " + ", " ⊕ ", before="¬"),
    "papers, TeX": Notation(("A", "B", "C_{in}"), ".", " + ", " ⊕ ", before="¬"),
    "logic": Notation(("a", "b", "c"), " ∧ ", " ∨ ", " ⊻ ", before="¬"),
    "words": Notation(("a", "b", "c_in"), " and ", " or ", " xor ", before="not "),
    "VHDL": Notation(("A", "B", "C_IN"), " AND ", " OR ", " XOR ", before="NOT "),
    "stars": Notation(("a", "b", "c_i"), "*", "+", "^", before="~"),
    "overbars": Notation(("A", "B", "C"), "", "+", "⊕", after="\u0305"),
    "composed overbars": Notation(("a", "b", "c"), "", "+", "⊕", after="\u0304"),
}


def value(tree: Tree, row: tuple[int, int, int]) -> int:
    """The tree's value for one row of inputs."""
    if isinstance(tree, int):
        return row[tree]
    operands = [value(part, row) for part in tree[1:]]  # type: ignore[arg-type]
    if tree[0] == "not":
        return 1 - operands[0]
    return {"and": operands[0] & operands[-1], "or": operands[0] | operands[-1], "xor": operands[0] ^ operands[-1]}[
        tree[0]
    ]


@given(TREES)
def test_every_notation_gives_the_same_truth_table(tree: Tree) -> None:
    expected = "".join(str(value(tree, row)) for row in ROWS)
    for name, notation in NOTATIONS.items():
        text = notation.write(tree)
        assert truth_table(text) == expected, (name, text)
        assert truth_table(unicodedata.normalize("NFC", text)) == expected, (name, text)


@pytest.mark.parametrize("name", ["C", "c", "Cin", "cin", "CIN", "C_in", "c_in", "Ci", "ci", "C_i", "c_i", "Cᵢₙ"])
def test_the_carry_in_has_all_its_usual_names(name: str) -> None:
    assert truth_table(name) == "01010101"
    assert truth_table(f"A ⊕ B ⊕ {name}") == CELLS["exact"].sum
    assert truth_table(f"AB + A{name} + B{name}") == CELLS["exact"].carry
    assert truth_table(f"AB + {name}(A + B)") == CELLS["exact"].carry


def test_equations_are_read_as_papers_print_them() -> None:
    assert truth_table("A ⊙ B ⊙ C") == CELLS["exact"].sum
    assert truth_table("A xnor B") == "11000011"
    assert truth_table("A̅B̅C + ABC") == CELLS["ama1"].sum
    assert truth_table("(A·B) ∨ (Cin·(A ⊕ B))") == CELLS["exact"].carry
    assert truth_table("not a and b or c") == truth_table("~A & B | Cin")


def test_eight_digits_are_a_truth_table_in_python_as_in_toml() -> None:
    """Read as a product of constants, as expressions are, these digits would give 00000000."""
    rows = AdderCell.from_expressions("mine", sum="01101001", carry=" 00010111\n")
    assert rows == AdderCell("mine", "01101001", "00010111")
    assert AdderCell.from_expressions("zero", sum="0", carry="1").behaviour == ("00000000", "11111111")
    toml = cells_from_table({"mine": {"sum": "01101001", "carry": "A · B + Ci·(A ⊕ B)"}}, "f.toml")
    assert toml["mine"] == rows


@pytest.mark.parametrize("text", ["0110", "0110100", "011010010", "0110 1001", "0110_1001", "00", "22222222", "105"])
def test_other_strings_of_digits_are_refused(text: str) -> None:
    for make in (
        lambda: AdderCell.from_expressions("x", sum=text, carry="A"),
        lambda: cells_from_table({"x": {"sum": text, "carry": "A"}}, "f.toml"),
    ):
        with pytest.raises(DesignError) as caught:
            make()
        assert str(caught.value).removeprefix("[cells.x] in f.toml: ") == (
            f"sum of cell 'x' must be 8 characters 0 or 1 for rows A B Cin = 000..111, but got {text!r}; correct the "
            "truth table."
        )


@pytest.mark.parametrize("text", ["01 & A", "A + 10", "0b01101001", "1'b1", "0'", "8'h69", "1A", "2", "A + 2"])
def test_constants_must_be_separated(text: str) -> None:
    with pytest.raises(
        ExpressionError, match=r"^a constant must be 0 or 1 and separated from other characters, but got '"
    ):
        AdderCell.from_expressions("x", sum=text, carry="A")


@pytest.mark.parametrize("value", [5, 1101001, None, b"A"])
def test_truth_tables_other_than_text_are_refused_in_python(value: object) -> None:
    with pytest.raises(DesignError) as caught:
        AdderCell.from_expressions("x", sum=value, carry="A")  # type: ignore[arg-type]
    assert str(caught.value) == (
        f'sum must be text, 8 characters or an expression, but got {value!r}; quote it: "{value}".'
    )


def test_nesting_is_bounded() -> None:
    assert truth_table("(" * 50 + "A" + ")" * 50) == truth_table("A")
    assert truth_table("(A)" * 100) == truth_table("A")
    assert truth_table("~" * 998 + "A'") == truth_table("~A")
    with pytest.raises(ExpressionError) as caught:
        truth_table("(" * 51 + "A" + ")" * 51)
    text = f"{'(' * 51}A{')' * 51}"
    assert str(caught.value) == (
        f"parentheses must nest at most 50 deep, but got '(' at position 51 of {text!r}: {text[:50]}»{text[50:]}"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"sum": "0110100"},
            "sum of cell 'x' must be 8 characters 0 or 1 for rows A B Cin = 000..111, but got '0110100'; correct the "
            "truth table.",
        ),
        (
            {"carry": "0001011x"},
            "carry of cell 'x' must be 8 characters 0 or 1 for rows A B Cin = 000..111, but got '0001011x'; correct "
            "the truth table.",
        ),
        (
            {"name": "1st"},
            "a cell name must be a letter followed by letters, digits, '_', '.' or '-' (at most 64), but got '1st'; "
            "rename the cell.",
        ),
        ({"transistors": -1}, "transistors of cell 'x' must be a number from 0 to 1e9, but got -1; correct it."),
        ({"transistors": 1.5}, "transistors of cell 'x' must be a number from 0 to 1e9, but got 1.5; correct it."),
        ({"transistors": True}, "transistors of cell 'x' must be a number from 0 to 1e9, but got True; correct it."),
        ({"delay_ps": float("nan")}, "delay_ps of cell 'x' must be a number from 0 to 1e9, but got nan; correct it."),
    ],
)
def test_malformed_cells_name_the_field(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        AdderCell(**{"name": "x", "sum": "01101001", "carry": "00010111", **fields})  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_unknown_cells_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        cell("ama6")
    assert str(caught.value) == "unknown cell 'ama6'; nearest: ama5, ama4, ama3."
    mine = AdderCell("mine", "00110011", "00001111")
    assert cell("mine", {"mine": mine}) is mine


def write(folder: Path, text: str) -> Path:
    path = folder / "cells.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_user_cells_are_loaded_from_toml(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [cells.wires]
        sum = "B"
        carry = "00001111"
        transistors = 8
        [cells."odd-one"]
        sum = "A ^ B ^ Cin"
        carry = "1"
        delay_ps = 12.5
        source = "mine"
        """,
    )
    cells = load_cells(path)
    assert list(cells) == ["wires", "odd-one"]
    assert cells["wires"] == AdderCell("wires", "00110011", "00001111", transistors=8)
    assert cells["odd-one"] == AdderCell("odd-one", "01101001", "11111111", delay_ps=12.5, source="mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '\n[cells.x]\nsum = "0110"\ncarry = "A"\n',
            "[cells.x] in {} line 2: sum of cell 'x' must be 8 characters 0 or 1 for rows A B Cin = 000..111, but got "
            "'0110'; correct the truth table.",
        ),
        (
            '[cells.ok]\nsum = "A"\ncarry = "B"\n[cells.x]\nsum = "A +"\ncarry = "A"\n',
            "[cells.x] in {} line 4: expected an operand (A, B, C, Cin, 0, 1 or a parenthesis), but got the end "
            "at position 4 of 'A +': A +»",
        ),
        (
            '[cells.ama1]\nsum = "A"\ncarry = "B"\n',
            "[cells.ama1] in {} line 1 must not reuse the reserved name of a library cell, 'ama1'; choose another.",
        ),
        (
            '[cells.x]\nsum = "A"\n',
            "[cells.x] in {} line 1 must have sum and carry, but got sum; add the truth tables.",
        ),
        (
            '[cells.x]\nsum = "A"\ncarry = "B"\ncolour = "red"\n',
            "the keys of [cells.x] in {} line 1 must be among area_um2, carry, delay_ps, energy_fj, source, sum, "
            "transistors, but got 'colour'; remove it.",
        ),
        (
            "[cell.x]\nsum = 1\n",
            "{} must hold [cells.NAME] tables, but has none; add at least one cell.",
        ),
        ("cells = 3\n", "[cells] in {} must be a table of [cells.NAME] entries, but got 3; correct it."),
        (
            '[cells.x]\nsum = "A"\ncarry = "B"\n[cells.x]\nsum = "A"\ncarry = "B"\n',
            "{} must be TOML, but: Cannot declare ('cells', 'x') twice (at line 4, column 9); correct that line.",
        ),
    ],
)
def test_malformed_user_cells_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DesignError) as caught:
        load_cells(path)
    assert str(caught.value) == message.replace("{}", str(path))


def test_unreadable_files_are_one_error_line(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="must be a readable file, but: No such file or directory; check the path"):
        load_cells(tmp_path / "none.toml")
    with pytest.raises(DesignError, match="must be a readable file, but: Is a directory"):
        load_cells(tmp_path)
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * (MAX_TOML_BYTES + 1))
    with pytest.raises(DesignError, match=re.escape(f"must have at most {MAX_TOML_BYTES} bytes, but has")):
        load_cells(big)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DesignError, match="must be TOML, but"):
        load_cells(binary)


@pytest.mark.parametrize("value", [5, 11110000, 1.5, [], {}, True])
def test_truth_tables_other_than_text_are_refused_in_toml(value: object) -> None:
    """As a TOML number a truth table would lose its leading zeros."""
    with pytest.raises(DesignError) as caught:
        cells_from_table({"x": {"sum": value, "carry": "B"}}, "f.toml")
    assert str(caught.value) == (
        f'[cells.x] in f.toml: sum must be text, 8 characters or an expression, but got {value!r}; quote it: "{value}".'
    )


def test_a_source_other_than_text_is_refused() -> None:
    with pytest.raises(DesignError) as caught:
        cells_from_table({"x": {"sum": "A", "carry": "B", "source": 3}}, "f.toml")
    assert str(caught.value) == "[cells.x] in f.toml: source of cell 'x' must be text, but got 3; quote it."
