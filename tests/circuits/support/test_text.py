"""Every accepted text survives every writer, and no control character of a file reaches a terminal or a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import sys
import tomllib
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape as html_escape

from circuits import AdderCell, Design, DesignError, error_surface, load_cells, to_verilog
from circuits.commands import main as circuits_main
from circuits.drawing.design_drawing import drawing_of
from circuits.drawing.heatmap import save_surfaces
from circuits.pages.web_page import embedded
from circuits.support.cli import console, guarded, print_csv, print_json, table
from circuits.support.documents import parse_json, parse_toml, toml_comment, toml_key, toml_string, toml_value
from circuits.support.text import csv_field, has_controls, json_safe, printable
from dse import COLUMNS, SCORERS, Scorer, ScoreSettings, SearchOptions, Space, Store
from dse.explore.search_loop import search
from dse.present.artifacts import write_results
from dse.present.score_table import front_csv, row_data
from dse.results import main as results_main
from dse.score import evaluation
from dse.score.scored_design import ScoredDesign
from dse.score.store import Member
from dse.search import main as search_main
from dse.space.per_layer import LayerDesigns, read_candidate
from studies.frame.study import Row as StudyRow
from studies.frame.study import StudyResult

UNICODE = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
SURROGATES = [chr(code) for code in range(0xD800, 0xE000)]
REFUSED = {
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=sorted(REFUSED)), min_size=1, max_size=40)
TRICKY = [
    "\x7f",
    "a\x7fb",
    "\U0001f600",
    "\U0010ffff",
    "'''",
    '"""\\',
    "\\u007f",
    "\\",
    "\r\n",
    "\ufeff",
    "\0",
    "#",
    "</script>&amp;<!--",
    "]]>",
    "=1+2",
    "$\\frac{a$",
    "日本語",
    "e\u0301",
]
"""Texts that have broken writers."""


def cell(source: str) -> AdderCell:
    return AdderCell("mine", "01101001", "00000011", source=source)


def small(name: str) -> Design:
    return Design(format=None, width=3, placement=cell(""), name=name)


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
        for make in (cell, small, lambda text: Space(name=text), lambda text: LayerDesigns(((text, 1, small("a")),))):
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
        with pytest.raises(DesignError, match="the name of a space must have no control characters"):
            Space(name=f"a{character}b")
        with pytest.raises(DesignError, match="the name of a layer must have no control characters"):
            Space(name="a", layers=((f"a{character}b", 1),))
        with pytest.raises(DesignError, match="the name of a layer must have no control characters"):
            LayerDesigns(((f"a{character}b", 1, small("a")),))
        with pytest.raises(DesignError, match="a cell name must be"):
            AdderCell(f"a{character}b", "01101001", "00010111")


def check_survival(design: Design) -> None:
    """Asserts that a design, its name and its cells' sources come back from everything that is written of it."""
    text = design.to_toml()
    again = Design.from_toml(text)
    sources = [entry.source for entry in design.placement.all_cells()]
    assert (again, again.name) == (design, design.name)
    assert [entry.source for entry in again.placement.all_cells()] == sources
    assert text == printable(text)

    layered = LayerDesigns(((design.name or "", 3, design),))
    back = read_candidate(layered.to_toml())
    assert isinstance(back, LayerDesigns)
    assert back == layered
    assert [name for name, _, _ in back.layers] == [design.name]
    assert Design.from_toml(text).to_toml() == text

    row = ScoredDesign(design, dict.fromkeys(COLUMNS, -1.5))
    (read,) = csv.DictReader(io.StringIO(front_csv([row], ()), newline=""))
    assert read["name"].removeprefix("'") == (design.name or "").removeprefix("'")
    assert read["design"] == text
    assert read[COLUMNS["energy"].header] == "-1.5"
    assert json.loads(json_safe(json.dumps(row_data(row), ensure_ascii=False)))["toml"] == text

    assert _Text(f"<p>{html_escape(design.name)}</p><pre>{html_escape(text)}</pre>").text == f"{design.name}{text}"
    data = embedded({"name": design.label, "drawing": json.loads(drawing_of(design).to_json())})
    assert not {"<", ">", "&"} & set(data)
    assert json.loads(data)["name"] == design.label

    for line in to_verilog(design).splitlines():
        assert line.isascii() or line.startswith("//")


class _Text(HTMLParser):
    """The text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", TRICKY)
def test_texts_that_have_broken_writers_survive_them(text: str, tmp_path: Path) -> None:
    name = "a" if has_controls(text) else text
    design = Design(format=None, width=3, placement=cell(text), name=name)
    check_survival(design)
    check_store(tmp_path / "store.sqlite", [design])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(NAME, TEXT)
def test_names_and_sources_survive_every_writer(name: str, source: str) -> None:
    check_survival(Design(format=None, width=3, placement=cell(source), name=name))


def check_store(path: Path, designs: list[Design]) -> None:
    """Asserts that a finished run of `designs` is read back after its store was closed."""
    subjects = [*designs, *(LayerDesigns(((entry.name or "", 1, entry),)) for entry in designs)]
    configuration = {"space": {"name": "".join(entry.name or "" for entry in designs)}}
    with Store(path) as store:
        for subject in subjects:
            store.put(subject, {}, [], None)  # type: ignore[arg-type]  # no scorer asks for settings
        run = store.begin(configuration)
        store.finish(run, [Member(subject, "space") for subject in subjects], "2026-01-01")
    with Store(path) as store:
        assert store.runs()[0].configuration == configuration
        members = store.members(run)
        assert members is not None
        assert [member.design for member in members] == subjects


def test_sources_of_every_character_survive_the_store(tmp_path: Path) -> None:
    designs = [
        Design(format=None, width=3, placement=AdderCell(f"mine{k}", "01101001", "00000011", source=source))
        for k, source in enumerate(["".join(UNICODE[:0x3000]), "".join(UNICODE[0xD800:0xE000]), UNICODE[-1]])
    ]
    # Equal behaviour and cost would be one design in the store.
    designs = [Design(format=None, width=3 + k, placement=entry.placement) for k, entry in enumerate(designs)]
    check_store(tmp_path / "store.sqlite", designs)


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


def test_no_csv_begins_a_field_like_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "=cmd|'/C calc'!A0"
    design = small(name)
    path = tmp_path / "a.toml"
    path.write_text(design.to_toml())
    result = StudyResult(
        [StudyRow(name, "-q", -1.5, -2.0, (-3.0, -1.0), "@u", "+r")], "measured", "because.", name="table2"
    )
    texts = [front_csv([ScoredDesign(design, dict.fromkeys(COLUMNS, -1.0))], ()), result.to_csv()]
    for command in (["show", str(path), "--cost-samples", "64"], ["metrics", str(path)], ["designs"], ["cells"]):
        assert circuits_main([*command, "--format", "csv"]) == 0
        texts.append(capsys.readouterr().out)
    for text in texts:
        for row in csv.reader(io.StringIO(text, newline="")):
            for field in row:
                assert csv_field(field) == field, field
    assert sum(f"'{name}" in text for text in texts) == 4
    assert "-1.5,-3.0,-1.0" in texts[1]


# From the file to the report.

SPACE = """[space]
name = "{name}"
topologies = ["ripple_array"]
ports = ["psc"]
half_adders = ["exact"]
final_adders = ["exact"]
bands = [0]
cells = ["exact", "ama1"]
formats = ["bfloat16"]
"""
CELL = """[cells.mine]
sum = "A^B^C"
carry = "AB"
source = "a\\u007fb \\U0001f600 \\u202e =1"
"""


def _invented(scorer: Scorer) -> Scorer:
    def run(design: Design, settings: ScoreSettings) -> dict[str, float]:
        return {column.name: float(int(design.digest[:6], 16) % 97) for column in scorer.columns}

    return scorer if scorer.cost == "cheap" else replace(scorer, measure=run)


@pytest.mark.slow
def test_a_search_with_a_tricky_source_is_written_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sp.toml").write_text(SPACE.format(name="=1+2 \U0001f600 <b>"))
    (tmp_path / "del.toml").write_text(CELL)
    monkeypatch.setattr(evaluation, "SCORERS", {name: _invented(scorer) for name, scorer in SCORERS.items()})
    space = Space.load(tmp_path / "sp.toml").with_cells(load_cells(tmp_path / "del.toml"))
    options = SearchOptions(
        space=space,
        objectives=tuple(COLUMNS[name] for name in ("energy", "nmed")),
        budget=3,
        settings=ScoreSettings(samples=1000, cost_samples=64),
    )
    results = []
    for _ in range(2):  # the second time from the store
        with Store(tmp_path / "store.sqlite") as store:
            results.append(search(options, store))
        write_results(tmp_path, results[-1])
    assert results[0].rows == results[1].rows
    (mine,) = [row for row in results[1].rows if isinstance(row.design, Design) and "mine" in row.design.to_toml()]
    assert isinstance(mine.design, Design)
    assert next(mine.design.placement.all_cells()).source == "a\x7fb \U0001f600 \u202e =1"

    for command in (["list"], ["list", "--format", "csv"], ["list", "--format", "json"], ["show", "last"]):
        assert results_main([*command, "--store", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert "1+2" in out
        assert not any(has_controls(character) for character in out if character != "\n")
    for form in ("csv", "json"):
        command = ["export", "last", "--designs", "all", "--format", form, "-o", f"{tmp_path}/out.{form}"]
        assert results_main([*command, "--store", str(tmp_path)]) == 0
    with (tmp_path / "out.csv").open(newline="") as stream:
        designs = [Design.from_toml(row["design"]) for row in csv.DictReader(stream)]
    assert mine.design in designs
    exported = json.loads((tmp_path / "out.json").read_text())["designs"]
    assert [Design.from_toml(row["toml"]) for row in exported] == designs


def test_a_space_whose_name_a_terminal_would_obey_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "escape.toml"
    path.write_text(SPACE.format(name=r"\u001b]0;pwned\u0007\u001b[31mred"))
    assert search_main(["--space", str(path), "--out", f"{tmp_path}/out"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: [space] in {path}: the name of a space must have no control characters, but got "
        r"'\x1b]0;pwned\x07\x1b[31mred'; rename it." + "\n"
    )
    assert not (tmp_path / "out").exists()
