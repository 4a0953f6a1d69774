"""report.html: what it holds (test_search_page_browser opens it); `dse.results` and `dse.plot` on the same store."""

from __future__ import annotations

import base64
import csv
import dataclasses
import gzip
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_search import NASTY as SCRIPT_NAME
from synthetic_search import synthetic_search

from circuits import TOPOLOGIES, AdderCell, Design, multipliers
from circuits.drawing.array_places import counts_of, places
from dse import (
    COLUMNS,
    SCORERS,
    SPACES,
    Scorer,
    ScoreSettings,
    SearchOptions,
    SearchResult,
    Space,
    Store,
    plot,
    results,
)
from dse.explore.search_loop import search
from dse.present.artifacts import write_results
from dse.present.html_report import report
from dse.present.intervals import interval
from dse.present.score_table import score_text, structure
from dse.present.search_page.choice_importance import adjusted_share, choice_importances, choices_of
from dse.present.search_page.search_data import DesignTexts, packed_drawing, search_data
from dse.score import evaluation
from dse.score.constraints import constraints

NASTY = "<script>alert(1)</script>&"


def invented(scorer: Scorer) -> Scorer:
    """The scorer, with scores invented from the digest if it needs a network: pages need only numbers."""
    if scorer.cost == "cheap":
        return scorer

    def run(design: Design, settings: ScoreSettings) -> dict[str, float]:
        return {column.name: float(int(design.digest[:6], 16) % 97) for column in scorer.columns}

    return dataclasses.replace(scorer, measure=run)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
    """A search with constraints, its folder and result."""
    folder = tmp_path_factory.mktemp("run")
    lopsided = AdderCell.from_expressions("lopsided", "B", "A & ~B", transistors=4)
    space = Space(
        name=NASTY,
        topologies=("ripple_array",),
        ports=("psc", "scp"),
        bands=(0, 24, 40),
        cells=(lopsided, AdderCell("plain", "01101001", "00010111")),
        half_adders=("cell",),
    )
    options = SearchOptions(
        space=space,
        objectives=tuple(COLUMNS[name] for name in ("delay", "nmed", "adaptive_robustness")),
        constraints=constraints(["energy<=4000"]),
        settings=ScoreSettings(samples=2000, cost_samples=64),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "SCORERS", {name: invented(scorer) for name, scorer in SCORERS.items()})
        with Store(folder / "store.sqlite") as store:
            result = search(options, store, provenance={"command": f"python -m x '{NASTY}'", "machine": "m"})
    assert result.front
    assert result.ruled_out
    write_results(folder, result)
    return folder, result


class Page(HTMLParser):
    """Text, tags and the data of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = str(dict(attrs).get("id")) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    @property
    def data(self) -> Any:
        """What the browser code reads."""
        return json.loads(self.scripts["page-data"])


def unpacked(text: str) -> Any:
    """The JSON that `packed` holds."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_report_is_one_file_that_loads_nothing_and_escapes_names(reported: tuple[Path, SearchResult]) -> None:
    folder, _ = reported
    page = Page((folder / "report.html").read_text())
    assert not [attributes for _, attributes in page.tags if "src" in attributes or "data-src" in attributes]
    assert all(str(a["href"]).startswith("#") for _, a in page.tags if "href" in a)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv")]
    assert str(policy).startswith("default-src 'none';")
    assert "connect-src" not in str(policy)
    # The space's name is markup: it stands in the title as text, and in the data without its brackets.
    assert NASTY in page.text
    assert NASTY in page.data["title"]
    assert not {"<", ">", "&"} & set(page.scripts["page-data"])
    assert sorted(page.scripts) == ["None", "page-data", "plotting-library"]


def test_the_report_has_every_design_with_all_of_its_columns(reported: tuple[Path, SearchResult]) -> None:
    folder, result = reported
    data = Page((folder / "report.html").read_text()).data
    assert [column["name"] for column in data["columns"]] == list(result.columns)
    assert data["objectives"] == ["delay", "nmed", "adaptive_robustness"]
    by_key = {(entry["kind"] == "reference", entry["digest"]): entry for entry in data["designs"]}
    rows = [*result.rows, *(entry.row for entry in result.ruled_out)]
    assert {key for key in by_key if not key[0]} == {(False, row.design.digest) for row in rows}
    assert sum(key[0] for key in by_key) == len(result.references)
    for row in (*result.front, *result.references):
        entry = by_key[row.reference, row.design.digest]
        assert entry["kind"] == ("reference" if row.reference else "front")
        wanted = [None if math.isnan(row.scores[name]) else row.scores[name] for name in result.columns]
        assert entry["values"] == wanted
        assert entry["texts"] == [score_text(row, column) for column in result.columns.values()]
        place = list(result.columns).index("nmed")
        assert entry["bounds"][str(place)] == list(interval(result.columns["nmed"], row.scores) or ())
        # Its TOML, from the common lines, and its drawing.
        text = "\n".join(data["lines"][line] for line in entry["toml"])
        assert Design.from_toml(text).digest == row.design.digest
        (part,) = [data["parts"][part] for _, part in entry["parts"]]
        drawing = unpacked(part["drawing"])
        if drawing["kind"] != "array":
            assert row.name == "bfloat16"  # the tree among the references
            continue
        counts = {name: count for name, _, _, count in drawing["legend"]}
        assert counts == {**counts, **counts_of(places(row.listed.netlist()))}  # type: ignore[union-attr]
    reasons = {entry.row.design.digest: entry.reason for entry in result.ruled_out}
    assert {entry["digest"]: entry["reason"] for entry in data["designs"] if entry["reason"]} == reasons
    assert any("not measured: adaptive" in reason for reason in reasons.values())
    assert ["constraints", "energy<=4000"] in data["question"]
    assert ["run", result.record.run] in data["provenance"]


@pytest.mark.slow
def test_a_page_of_2000_designs_stays_below_8_megabytes() -> None:
    # Further designs take about the same space each, so that 100 of them tell what 2,000 take.
    small, large = (report(synthetic_search(count)) for count in (20, 120))
    share = (len(large) - len(small)) / 100
    assert len(large) + 1880 * share < 8_000_000
    # A whole page of small arrays.
    text = report(
        synthetic_search(2000, space=dataclasses.replace(SPACES["arrays"], formats=("e4m3",), bands=(0, 3, 5)))
    )
    assert len(text.encode()) < 8_000_000
    data = Page(text).data
    assert len(data["designs"]) == len(data["parts"]) == 2005
    assert all(part["drawing"] for part in data["parts"])
    assert SCRIPT_NAME in [entry["name"] for entry in data["designs"]]


def test_a_search_over_layers_shares_lines_and_drawings() -> None:
    few = dataclasses.replace(SPACES["arrays"], topologies=("ripple_array",), ports=("psc",), bands=(0,))
    space = dataclasses.replace(few, layers=(("conv1", 100), ("conv2", 200)), formats=("e4m3",))
    result = synthetic_search(12, space=space, nasty=False)
    data = search_data(result)
    row = result.front[0]
    (entry,) = [entry for entry in data["designs"] if entry["kind"] == "front" and entry["digest"] == row.design.digest]
    assert [layer for layer, _ in entry["parts"]] == ["conv1", "conv2"]
    assert "\n".join(data["lines"][line] for line in entry["toml"]) == row.listed.to_toml()
    assert len(data["parts"]) < sum(len(entry["parts"]) for entry in data["designs"])


def test_drawings_beyond_their_share_of_the_page_are_left_out() -> None:
    result = synthetic_search(30, nasty=False)
    texts = DesignTexts(packed_drawing(()), left=2000)
    data = search_data(result, texts)
    drawn = {entry["kind"] for entry in data["designs"] if data["parts"][entry["parts"][0][1]]["drawing"]}
    assert drawn <= {"front", "reference"}  # these come first
    assert any(part["drawing"] is None for part in data["parts"])


def test_importance_is_the_adjusted_share_of_the_variance_of_ranks() -> None:
    # By hand: values 1..6, ranks alike; groups aaa and bbb have the means 2 and 5: H = 5 * 13.5 / 17.5.
    share = adjusted_share(["a", "a", "a", "b", "b", "b"], [1, 2, 3, 4, 5, 6])
    assert share == pytest.approx((5 * 13.5 / 17.5 - 1) / 4)
    # A monotone change of the values leaves it as it is; a constant choice or value has none.
    assert adjusted_share(["a", "a", "a", "b", "b", "b"], [1, 2, 3, 40, 500, 6000]) == share
    assert adjusted_share(["a"] * 6, [1, 2, 3, 4, 5, 6]) is None
    assert adjusted_share(["a", "b"] * 3, [1.0] * 6) is None
    assert adjusted_share(list("abcdef"), [1, 2, 3, 4, 5, 6]) is None
    # Without any effect its mean is 0, however many values a choice has.
    generator = np.random.default_rng(1)
    shares = [
        adjusted_share([str(k % 8) for k in range(40)], generator.normal(size=40).tolist()) or 0.0 for _ in range(300)
    ]
    assert abs(float(np.mean(shares))) < 4 * float(np.std(shares)) / 300**0.5


def test_the_cells_of_a_band_that_decide_are_the_most_important_choice() -> None:
    result = synthetic_search(120, nasty=False)
    shares = dict(choice_importances(result)["energy"])
    # The invented energy follows from the share of wrong cells: the widest band counts most.
    assert next(iter(shares)) == "cells of columns 0 to 15"
    assert all(0 <= share <= 1 for share in shares.values())
    assert "width" not in shares
    assert set(choices_of(result.front[0].design, result.record.configuration["space"])) >= {"ports", "topology"}


def test_results_lists_shows_and_exports_a_stored_run(
    reported: tuple[Path, SearchResult], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = reported
    monkeypatch.setenv("COLUMNS", "140")  # the space has a long name
    where = ["--store", str(folder)]
    assert results.main(["list", "--format", "json", *where]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["run"] == result.record.run[:10]
    assert entry["constraints"] == "energy<=4000"
    measured = [*result.rows, *(entry.row for entry in result.ruled_out), *result.references]
    assert result.computed == len({row.design.cost_digest for row in measured})
    assert (entry["designs"], entry["skipped"]) == (len(result.rows) + len(result.ruled_out), len(result.ruled_out))
    assert results.main(["list", *where]) == 0
    listed = capsys.readouterr().out
    (line,) = [line for line in listed.splitlines() if result.record.run[:10] in line]
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d UTC ", line)  # not wrapped
    assert "energy<=4000" in listed
    assert results.main(["show", entry["run"], *where]) == 0
    shown = capsys.readouterr().out
    assert f"Ruled out by constraints: {len(result.ruled_out)} designs" in " ".join(shown.split())
    assert "bfloat16" in shown
    assert results.main(["export", "last", *where]) == 0
    exported = capsys.readouterr().out
    assert exported == (folder / "front.csv").read_text()
    assert results.main(["export", "last", "--designs", "all", "-o", str(folder / "all.csv"), *where]) == 0
    with (folder / "all.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == entry["designs"]
    capsys.readouterr()
    assert results.main(["export", "last", "--format", "json", "--designs", "all", *where]) == 0
    data = json.loads(capsys.readouterr().out)
    assert sum(bool(design["skipped"]) for design in data["designs"]) == len(result.ruled_out)
    assert {design["design"] for design in data["references"]} >= {"exact", "axfpm", "bfloat16"}


@pytest.mark.slow
def test_plot_draws_a_stored_run_again(
    reported: tuple[Path, SearchResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, result = reported
    assert plot.main([result.record.run[:8], "--store", str(folder), "--out", str(tmp_path)]) == 0
    name = "pareto_delay_nmed.svg"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert plot.main(["last", "--columns", "area,mred", "--store", str(folder), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "pareto_area_mred.svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "zz"], "error: no run in {folder}/store.sqlite begins with 'zz' (runs: "),
        (["show", "last", "--store", "{folder}/none"], "error: there is no store at '{folder}/none'; "),
    ],
)
def test_mistakes_of_results_are_one_line(
    reported: tuple[Path, SearchResult], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    folder, _ = reported
    filled = [argument.format(folder=folder) for argument in arguments]
    assert results.main(filled if "--store" in filled else [*filled, "--store", str(folder)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message.format(folder=folder))
    assert printed.err.count("\n") == 1


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = SearchOptions()
    with Store(tmp_path / "store.sqlite") as store:
        run = store.begin(options.to_data(), provenance={"command": "python -m dse.search --seed 0"})
    assert results.main(["show", run[:9], "--store", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: run {run[:10]} is not finished; continue it with `python -m dse.search --seed 0`.\n"
    )
    assert results.main(["show", "last", "--store", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: there is no finished run in ")


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_topology_under_another_name_is_described_by_what_it_is(
    topology: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The structure in a table of scores follows from the topology's record, not from its name."""
    other = f"{topology}_2"  # circuits are cached by name
    monkeypatch.setattr(multipliers, "TOPOLOGIES", {**TOPOLOGIES, other: TOPOLOGIES[topology]})
    for fields in ({}, {"tile": 2, "truncate_columns": 3}, {"final_adder": "cell", "placement": "ama1"}):
        named, second = (
            Design(topology=name, format=None, width=5, **fields)  # type: ignore[arg-type]
            for name in (topology, other)
        )
        assert structure(second).replace(other, topology) == structure(named)
