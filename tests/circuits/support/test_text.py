"""Every accepted text survives TOML and figures, and no control character reaches a terminal or a spreadsheet."""

from __future__ import annotations

import json
import sys
import tomllib
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tricky_texts import REFUSED, SURROGATES, TEXT, UNICODE, cell, small

from circuits import AdderCell, DesignError, error_surface
from circuits.commands import main as circuits_main
from circuits.drawing.heatmap import save_surfaces
from circuits.support.cli import console, guarded, print_csv, print_json, table
from circuits.support.documents import parse_json, parse_toml, toml_comment, toml_key, toml_string, toml_value
from circuits.support.text import csv_field, has_controls, printable

# TOML.


def test_every_character_survives_toml_as_value_and_as_key() -> None:
    assert tomllib.loads(f"a = {toml_string(''.join(UNICODE))}") == {"a": "".join(UNICODE)}
    for start in range(0, len(UNICODE), 4096):
        text = "".join(UNICODE[start : start + 4096])
        assert tomllib.loads(f"{toml_key(text)} = 1") == {text: 1}
    # Each character alone in its string: it is the first and the last one, beside the quotes.
    singles = UNICODE[:0x3100] + UNICODE[-2:]
    document = "\n".join(f"k{k} = {toml_string(character)}" for k, character in enumerate(singles))
    assert list(tomllib.loads(document).values()) == singles


def test_halves_of_characters_are_refused_everywhere() -> None:
    for half in SURROGATES:
        with pytest.raises(DesignError, match="must be Unicode text"):
            toml_string(half)
        assert has_controls(half)
    for half in ("\ud800", "\udfff", "a\udc80"):
        for make in (cell, small):
            with pytest.raises(DesignError):
                make(half)
        with pytest.raises(DesignError):
            parse_json(json.dumps([half]), "a.json")


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.recursive(TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans(), st.lists, max_leaves=10))
def test_values_survive_toml(value: object) -> None:
    assert parse_toml(f"a = {toml_value(value)}", "a.toml") == {"a": value}


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(), st.dictionaries(TEXT, TEXT, max_size=4))
def test_floats_and_tables_survive_toml(number: float, entries: dict[str, str]) -> None:
    assert repr(tomllib.loads(f"a = {toml_value(number)}")["a"]) == repr(number)
    assert tomllib.loads(f"a = {toml_value(entries)}") == {"a": entries}


@settings(derandomize=True, max_examples=100, deadline=None)
@given(TEXT)
def test_a_comment_stays_one(text: str) -> None:
    assert tomllib.loads(f"{toml_comment(text)}\na = 1\n") == {"a": 1}


# Names and sources.


def test_names_have_no_control_characters() -> None:
    assert {character for character in UNICODE if has_controls(character)} == REFUSED
    assert {c for c in UNICODE if unicodedata.category(c) == "Cc"} <= REFUSED
    assert {c for c in UNICODE if unicodedata.bidirectional(c) in ("LRE", "RLE", "PDF", "LRO", "RLO")} <= REFUSED
    for character in sorted(REFUSED):
        with pytest.raises(DesignError, match="a design name must be 1 to 100 printable characters"):
            small(f"a{character}b")
        with pytest.raises(DesignError, match="a cell name must be"):
            AdderCell(f"a{character}b", "01101001", "00010111")


@pytest.mark.parametrize("name", ["$\\frac{a$", "日本語 \U0001f600 𝒜", "_hidden", "<b>&\"'", "%s {x}"])
def test_figures_take_every_name(name: str, tmp_path: Path) -> None:
    for kind in ("png", "svg"):
        save_surfaces([error_surface(small(name), bins=2)], tmp_path / f"a.{kind}")
    ElementTree.parse(tmp_path / "a.svg")


# The terminal.


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b]0;pwned\x07\x1b[31mred\x1b[0m\x1b[2J", r"\x1b]0;pwned\x07\x1b[31mred\x1b[0m\x1b[2J"),
        ("a\x7f\x9bb", r"a\x7f\x9bb"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\u2028\r\b", r"\u2028\r\x08"),
        ("line\n\ttab, ä, 日本, \U0001f600", "line\n\ttab, ä, 日本, \U0001f600"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, escaped: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == escaped

    def fail() -> int:
        raise ValueError(f"before {text} after")

    assert guarded(fail) == 2
    assert capsys.readouterr().err == f"error: before {' '.join(printable(' '.join(text.split())).split())} after\n"

    cells = table("name", "more")
    cells.add_row(text, "x")
    console().print(text)
    console().print(cells)
    out = capsys.readouterr().out
    assert not any(has_controls(character) for character in out if character not in "\n\t")

    print_json({text: [text]})
    out = capsys.readouterr().out
    assert not any(has_controls(character) for character in out if character not in "\n\t")
    assert json.loads(out) == {text: [text]}


def test_csv_on_a_terminal_shows_escapes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"a": "x\x1b[2J", "b": 1}]
    print_csv(["a", "b"], rows)
    assert capsys.readouterr().out == "a,b\nx\x1b[2J,1\n"  # a file has what was stored
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_csv(["a", "b"], rows)
    assert capsys.readouterr().out == "a,b\nx\\x1b[2J,1\n"


def test_a_long_error_keeps_its_beginning_and_its_advice(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise ValueError(f"a name must be short, but got {'x' * 100_000}; shorten it.")

    assert guarded(fail) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: a name must be short, but got xxx")
    assert printed.endswith("xxx; shorten it.\n")
    assert len(printed) < 2100


@pytest.mark.parametrize("columns", ["0", "abc", "99999999", "-5", "²", "1e3", "9" * 5000, "", " "])
@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_any_size_of_the_terminal_is_taken(
    name: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert circuits_main(["designs"]) == 0
    usual = capsys.readouterr().out
    monkeypatch.setenv(name, columns)
    assert circuits_main(["designs"]) == 0
    assert capsys.readouterr().out == usual
    with pytest.raises(SystemExit) as stop:
        circuits_main(["--help"])
    assert stop.value.code == 0


def test_columns_sets_the_width(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert circuits_main(["designs"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


# Spreadsheets.


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ('=HYPERLINK("http://x","click")', '\'=HYPERLINK("http://x","click")'),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3+cmd", "'-2+3+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-", "'-"),
        ("-1-1", "'-1-1"),
        ("+1 =2", "'+1 =2"),
        ("-1", "-1"),
        ("-1.5e-07", "-1.5e-07"),
        ("+.5", "+.5"),
        ("-inf", "-inf"),
        ("-1 +1 0", "-1 +1 0"),
        ("a=b", "a=b"),
        ("", ""),
        (-1, -1),
        (-1.5, -1.5),
        (None, None),
    ],
)
def test_formulas_are_guarded_and_numbers_stay(value: object, field: object) -> None:
    assert csv_field(value) == field
