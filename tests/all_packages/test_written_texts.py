"""Every accepted text survives the writers of all packages: TOML, stores, tables, pages, reports, spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from markupsafe import escape as html_escape
from tricky_texts import NAME, REFUSED, TEXT, TRICKY, UNICODE, cell, small

from circuits import AdderCell, Design, DesignError, load_cells, to_verilog
from circuits.commands import main as circuits_main
from circuits.drawing.design_drawing import drawing_of
from circuits.pages.web_page import embedded
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


def test_names_of_spaces_and_layers_have_no_control_characters() -> None:
    for character in sorted(REFUSED):
        with pytest.raises(DesignError, match="the name of a space must have no control characters"):
            Space(name=f"a{character}b")
        with pytest.raises(DesignError, match="the name of a layer must have no control characters"):
            Space(name="a", layers=((f"a{character}b", 1),))
        with pytest.raises(DesignError, match="the name of a layer must have no control characters"):
            LayerDesigns(((f"a{character}b", 1, small("a")),))


def test_halves_of_characters_in_names_of_spaces_and_layers_are_refused() -> None:
    for half in ("\ud800", "\udfff", "a\udc80"):
        with pytest.raises(DesignError):
            Space(name=half)
        with pytest.raises(DesignError):
            LayerDesigns(((half, 1, small("a")),))


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
