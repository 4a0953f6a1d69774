"""The pages that list fields and columns name all that the code reads and writes."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from markdown import ROOT

import circuits.commands
import cnn_eval.commands
import dse.compare
import dse.evolve
from circuits import AdderCell, Compressor, Design
from circuits.designs.placement import Columns, Grid, Rows, Tiles
from dse import COLUMNS
from dse.present.run_tables import _NAMES as OF_RUNS
from dse.space.space_files import _KNOWN as FIELDS_OF_SPACES

REFERENCE = ROOT / "docs" / "reference"
COLUMNS_PAGE = (REFERENCE / "columns.md").read_text(encoding="utf-8")
FILES_PAGE = (REFERENCE / "toml_files.md").read_text(encoding="utf-8")


def named(page: str, heading: str) -> set[str]:
    """The words in code type in the first column of the tables under a heading."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def words_in_code(page: str) -> set[str]:
    return {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.split(r"[\s,]+", code)}


def test_every_field_of_a_cell_and_a_compressor_is_listed() -> None:
    expected = {field.name for kind in (AdderCell, Compressor) for field in fields(kind)} - {"name"}
    assert named(FILES_PAGE, "Cells") == expected


def test_every_field_of_a_design_and_every_kind_of_placement_is_listed() -> None:
    settable = {field.name for field in fields(Design)} - {"circuit"}  # which is [netlist]
    kinds = {kind.kind for kind in (Columns, Rows, Tiles, Grid)}
    assert named(FILES_PAGE, "Designs") == settable | kinds


def test_every_field_of_a_space_is_listed() -> None:
    listed = {name.removesuffix(".NAME") for name in named(FILES_PAGE, "Spaces")}
    assert listed == set(FIELDS_OF_SPACES)


def test_every_key_of_a_stored_result_is_listed() -> None:
    stored = json.loads((ROOT / "studies" / "results" / "quick" / "table8.json").read_text(encoding="utf-8"))
    assert named(COLUMNS_PAGE, "studies") == set(stored)
    assert set(stored["rows"][0]) <= words_in_code(COLUMNS_PAGE)


COMMANDS = {
    "cells": (circuits.commands, ["cells"]),
    "compressors": (circuits.commands, ["compressors"]),
    "topologies": (circuits.commands, ["topologies"]),
    "metrics": (circuits.commands, ["metrics", "dadda:width:4"]),
    "show": (circuits.commands, ["show", "dadda:width:4", "--cost-samples", "16"]),
    "timing": (circuits.commands, ["timing", "dadda:width:3"]),
    "multiply": (circuits.commands, ["multiply", "dadda:width:4", "3", "5"]),
    "adder": (circuits.commands, ["adder", "loa(lower=2)", "--width", "4"]),
    "library": (circuits.commands, ["library", "u8_mae0.2"]),
    "accuracy": (cnn_eval.commands, ["accuracy", "axfpm", "--samples", "3"]),
    "transfer": (cnn_eval.commands, ["transfer", "axfpm", "--samples", "3"]),
}
"""What writes CSV at little cost."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_column_of_a_command_is_listed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, words = COMMANDS[command]
    assert program.main([*words, "--format", "csv"]) == 0
    header = next(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(header) > 2
    assert set(header) <= words_in_code(COLUMNS_PAGE)


def test_the_columns_of_searches_and_evolution_are_listed(tmp_path: Path) -> None:
    known = words_in_code(COLUMNS_PAGE)
    assert set(OF_RUNS) <= known
    quick = ["dadda:width:3", "--error", "mae_percent<=1", "--evaluations", "200", "--restarts", "1", "--workers", "1"]
    assert dse.evolve.main([*quick, "--out", str(tmp_path / "evolved")]) == 0
    with (tmp_path / "evolved" / "front.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert {name.partition(" ")[0] for name in header} <= known


def test_columns_that_a_search_writes_beside_its_scores_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["axfpm", "--images", "3", "--attack-images", "0", "--format", "csv"]
    assert dse.compare.main(arguments) == 0
    header = next(csv.reader(io.StringIO(capsys.readouterr().out)))
    scores = {f"{column.name} [{column.unit}]" for column in COLUMNS.values()}
    assert scores & set(header)
    assert set(header) - scores <= words_in_code(COLUMNS_PAGE)
