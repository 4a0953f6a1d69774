"""Tables at every width: no character is lost, words stay whole, names are repeated with every block."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from circuits.commands import main as circuits_main
from circuits.support.cli import table
from circuits.support.tables import StackedTable, wrapped

TITLES = ("energy*\nfJ", "delay*\nps", "accuracy\n%", "adaptive_robustness", "definition")


def printed(shown: StackedTable, width: int) -> list[str]:
    screen = Console(width=width, markup=False, highlight=False, force_terminal=False)
    with screen.capture() as capture:
        screen.print(shown)
    return [line.rstrip() for line in capture.get().splitlines()]


def example() -> StackedTable:
    shown = table("design", *TITLES, right=TITLES[:4], title="Reference designs")
    shown.add_row("exact", "4,154", "3,517", "98.00", "40.0", "ripple_array, exact everywhere")
    shown.add_row("heap (reconstructed)", "2,586", "2,152", "97.50", "39.0", "carry_save_array, columns 0-42 ama1")
    return shown


def test_what_fits_is_one_block() -> None:
    assert printed(example(), 120) == [
        "Reference designs",
        "                      energy*  delay*  accuracy",
        "design                     fJ      ps         %  adaptive_robustness  definition",
        "─" * 106,
        "exact                   4,154   3,517     98.00                 40.0  ripple_array, exact everywhere",
        "heap (reconstructed)    2,586   2,152     97.50                 39.0  carry_save_array, columns 0-42 ama1",
    ]


def test_what_does_not_fit_goes_below_with_the_names_again() -> None:
    assert printed(example(), 53) == [
        "Reference designs",
        "                      energy*  delay*  accuracy",
        "design                     fJ      ps         %",
        "─" * 48,
        "exact                   4,154   3,517     98.00",
        "heap (reconstructed)    2,586   2,152     97.50",
        "",
        "                         adaptive_",
        "design                  robustness  definition",
        "─" * 53,
        "exact                         40.0  ripple_array,",
        "                                    exact everywhere",
        "heap (reconstructed)          39.0  carry_save_",
        "                                    array, columns",
        "                                    0-42 ama1",
    ]


@pytest.mark.parametrize("width", [80, 60, 40, 20, 10, 6])
def test_no_character_is_lost_at_any_width(width: int) -> None:
    shown = example()
    lines = printed(shown, width)
    assert max(map(cell_len, lines)) <= width
    text = "".join(lines)
    for column in shown.columns:
        for cell in (str(column.header), *map(str, column.cells)):
            # Its characters stand somewhere, in this order, one below the other where it is broken.
            assert all(piece in text for line in cell.split("\n") for piece in wrapped(line, 1))
    digits = sorted(re.findall(r"\d", "".join(str(cell) for column in shown.columns[1:] for cell in column.cells)))
    assert sorted(re.findall(r"\d", text)) == digits


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_words_and_numbers_stay_whole_at_usual_widths(width: int) -> None:
    lines = printed(example(), width)
    pieces = {piece for line in lines for piece in line.split()}
    names = {"exact", "heap", "(reconstructed)", "4,154", "2,152", "97.50", "everywhere", "ama1", "energy*"}
    assert names <= pieces
    assert {"adaptive_robustness"} <= pieces or {"adaptive_", "robustness"} <= pieces
    assert {"carry_save_array,"} <= pieces or {"carry_save_", "array,"} <= pieces


def test_several_columns_of_names_are_repeated() -> None:
    shown = table("subject", "quantity", "published", "measured", right=("published", "measured"), keys=2)
    shown.add_row("axfpm", "accuracy", "97.67", "97.50")
    assert printed(shown, 30) == [
        "subject  quantity  published",
        "─" * 29,
        "axfpm    accuracy      97.67",
        "",
        "subject  quantity  measured",
        "─" * 28,
        "axfpm    accuracy     97.50",
    ]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("carry_save_array", 20, ["carry_save_array"]),
        ("carry_save_array", 12, ["carry_save_", "array"]),
        ("carry_save_array", 7, ["carry_", "save_", "array"]),
        ("  energy / exact", 10, ["  energy /", "exact"]),
        ("runs/new/store.sqlite", 12, ["runs/new/", "store.sqlite"]),
        ("12/100", 6, ["12/100"]),
        ("0123456789", 4, ["0123", "4567", "89"]),
        ("加算器", 4, ["加算", "器"]),  # two cells wide each
        ("one\ntwo three", 5, ["one", "two", "three"]),
        ("", 5, [""]),
    ],
)
def test_text_is_broken_after_spaces_underscores_and_slashes(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "M")), max_size=60), st.integers(2, 20))
def test_wrapping_loses_only_spaces(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    assert all(cell_len(line) <= width for line in lines)


COMMANDS: dict[str, Iterable[str]] = {
    "designs": ["designs"],
    "cells": ["cells"],
    "multiply": ["multiply", "heap", "1.5", "0.7"],
    "metrics": ["metrics", "exact", "heap", "axfpm_tiled", "--samples", "200"],
    "show": ["show", "exact", "heap", "axfpm_tiled", "--samples", "200", "--cost-samples", "10"],
}


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("name", COMMANDS)
def test_commands_print_the_same_words_at_every_width(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that a wide terminal shows stands in a narrow one: no column is dropped."""
    words = []
    for columns in (400, width):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert circuits_main([*COMMANDS[name]]) == 0
        out = capsys.readouterr().out
        words.append(set(re.findall(r"[^\s_]+", out)))
    missing = words[0] - words[1]
    assert all(len(word) > width // 3 or word.startswith("─") for word in missing), missing
