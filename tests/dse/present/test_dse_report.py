"""report.html, in a real browser where there is one; and the results and plot commands on the same store."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from circuits import AdderCell, Design
from dse import COLUMNS, SCORERS, Scorer, ScoreSettings, SearchOptions, SearchResult, Space, Store, plot, results
from dse.explore.search_loop import search
from dse.present.artifacts import write_results
from dse.present.svg_scatter import Mark, scatter
from dse.score import evaluation
from dse.score.constraints import constraints

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NASTY = "<script>alert(1)</script>&"


def invented(scorer: Scorer) -> Scorer:
    """The network's scores from the digest: the pages need numbers, not networks."""
    if scorer.cost == "cheap":
        return scorer

    def run(design: Design, settings: ScoreSettings) -> dict[str, float]:
        return {column.name: float(int(design.digest[:6], 16) % 97) for column in scorer.columns}

    return dataclasses.replace(scorer, measure=run)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
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
    """Text, tags and the cells of the table of scores."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.slow
def test_the_report_answers_the_question_in_one_file(made: tuple[Path, SearchResult]) -> None:
    folder, result = made
    text = (folder / "report.html").read_text()
    page = Page(text)
    # Nothing is loaded from elsewhere, and names are text.
    assert not [attributes for _, attributes in page.tags if "src" in attributes]
    assert all(str(a["href"]).startswith("#") for _, a in page.tags if "href" in a)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert NASTY in page.text
    # A plot for every pair, a drawing for every design of the front, the references marked in each plot.
    figures = [a for tag, a in page.tags if tag == "svg"]
    assert sum("against" in str(a["aria-label"]) for a in figures) == 3
    assert sum(str(a["aria-label"]).startswith("array of") for a in figures) == len(result.front)
    assert text.count('class="reference"') == 3 * len(result.references)
    for wanted in (
        "energy<=4000",
        "smallest delay [ps]; smallest NMED; largest accuracy under adaptive attack [%]",
        f"{len(result.ruled_out)} designs break a constraint",
        "not measured: adaptive",
        "circuits export",
        result.record.run,
        "[cells.lopsided]",
    ):
        assert wanted in page.text, wanted
    hover = re.findall(r"<title>([^<]*)</title></circle>", text)
    assert any("delay: " in entry and "accuracy under adaptive attack: " in entry for entry in hover)


def browse(address: str, *options: str) -> subprocess.CompletedProcess[str]:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no headless browser on PATH ({', '.join(BROWSERS)})")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *options, address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)


def test_a_browser_sorts_the_table_by_any_column(made: tuple[Path, SearchResult], tmp_path: Path) -> None:
    folder, result = made
    rows = [*result.front, *result.references]
    for wish, name, sign in (("delay,descending", "delay", -1), ("energy", "energy", 1)):
        done = browse(f"file://{folder}/report.html#sort={wish}", "--dump-dom", f"--user-data-dir={tmp_path / name}")
        # A mistake in the script, or something that the page's policy blocks, would be reported here.
        assert "CONSOLE" not in done.stderr
        body = done.stdout.split('<table id="scores">')[1].split("<tbody>")[1].split("</tbody>")[0]
        place = 1 + list(COLUMNS).index(name)
        cells = [re.findall(r'<td data-value="([^"]*)"', row)[place] for row in body.split("<tr")[1:]]
        assert [float(cell) for cell in cells] == sorted((row.scores[name] for row in rows), key=lambda v: sign * v)


def test_a_scatter_plot_keeps_better_points_below_its_line() -> None:
    marks = [Mark(1, 9, "front", "a", "a"), Mark(4, 2, "front", "b", NASTY), Mark(float("nan"), 1, "all", "c", "c")]
    text = scatter(marks, COLUMNS["delay"], COLUMNS["energy"])
    assert text.count("<circle") == 2
    assert NASTY not in text
    steps = re.search(r'class="step" d="M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)"', text)
    assert steps is not None
    left, top, right, bottom = map(float, steps.groups())
    # Along the worse side: first to the right, then down (SVG counts from the top).
    assert left < right
    assert top < bottom


def test_list_show_and_export(
    made: tuple[Path, SearchResult], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = made
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
    made: tuple[Path, SearchResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, result = made
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
def test_bad_input_is_one_line(
    made: tuple[Path, SearchResult], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    folder, _ = made
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
