"""The studies' frame: listing, running, saving, comparing, reporting, refusing."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from circuits import Design
from studies import STUDIES
from studies.commands import main
from studies.frame import fingerprint
from studies.frame.claim_rules import below
from studies.frame.claim_verdicts import Claim
from studies.frame.result_folders import COMMITTED
from studies.frame.row_figures import _figure, comparison
from studies.frame.stored_results import differences, load_best, path_of
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.page.networks_picture import PICTURE, is_picture_of
from studies.page.results_page import markdown, unmarked
from studies.throughput import metrics_throughput


def test_list_names_every_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)


def test_unknown_study_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "troughput"]) == 2
    assert capsys.readouterr().err == "error: unknown study 'troughput'; nearest: throughput.\n"


def test_a_result_becomes_table_json_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Row("exact", "accuracy", 99.4, published=97.93, interval=(98.9, 99.7), unit="%"),
        Row("exact", "NMED", 5e-9, remark="sampled"),
    ]
    result = StudyResult(rows, "measured", "because.", {"seed": 0}, name="trial", title="a trial", source="DA table 0")
    result.print()
    shown = capsys.readouterr().out
    for text in ("trial: a trial (DA table 0)", "97.93", "98.9 .. 99.7", "sampled", "measured: because."):
        assert text in shown
    result.save(tmp_path)
    stored = json.loads((tmp_path / "trial.json").read_text())
    assert stored["rows"][0]["published"] == 97.93
    assert stored["machine"]
    with (tmp_path / "trial.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["measured"] for row in table] == ["99.4", "5e-09"]
    assert table[1]["published"] == ""


def test_table8_quick_has_every_published_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "table8", "--quick", "--format", "json", "--out", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)
    published = {(row["subject"], row["quantity"]): row["published"] for row in result["rows"]}
    assert published["axfpm", "MRED (ratio of means)"] == 0.33
    assert published["axfpm", "NMED"] == 0.08
    assert published["heap (reconstructed)", "accuracy"] == 97.86
    measured = {(row["subject"], row["quantity"]): row["measured"] for row in result["rows"]}
    assert measured["axfpm", "MRED (ratio of means)"] == pytest.approx(1 / 3, abs=0.002)  # FACTS 2
    assert measured["axfpm", "NMED"] == pytest.approx(1 / 12, abs=0.0005)  # FACTS 2
    assert (tmp_path / "table8.csv").is_file()


def test_every_random_design_is_scored_and_its_processor_time_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    error_metrics, scored, clock = metrics_throughput.error_metrics, [], iter([10.0, 12.5])

    def score(multiplier: Design, **options: Any) -> None:
        metrics = error_metrics(multiplier, **{**options, "samples": 50})
        scored.append((multiplier.digest, options["samples"], metrics.samples))

    monkeypatch.setattr(metrics_throughput, "error_metrics", score)
    monkeypatch.setattr(metrics_throughput, "time", SimpleNamespace(process_time=clock.__next__))
    assert metrics_throughput._score_designs(np.random.SeedSequence(0), 3) == 2.5
    assert len({digest for digest, *_ in scored}) == 3
    assert [counts for _, *counts in scored] == [[100_000, 50]] * 3


def _stored(measured: float = 50.0, *, verdict: str = "reproduced", **changes: Any) -> StudyResult:
    rows = [
        Row("axfpm", "FGSM, smallest", measured, 12.0, (40.0, 60.0), "%", "5 of 10"),
        Row("axfpm", "mean L2", 2 * measured),
        Row("axfpm", "time", measured, unit="s"),
    ]
    return StudyResult(
        rows, verdict, "because.", {"seed": 0}, name="table2", title="a trial", source="DA table 0", **changes
    )


def test_a_stored_result_is_read_back(tmp_path: Path) -> None:
    result = _stored(level="quick", inputs="abc")
    result.save(tmp_path)
    assert StudyResult.load(tmp_path / "table2.json") == result
    (tmp_path / "table2.json").write_text('{"rows": 3}')
    with pytest.raises(ValueError, match=r"table2\.json must be a stored result of a study, but is not; delete it"):
        StudyResult.load(tmp_path / "table2.json")


def test_a_result_differs_beyond_interval_tolerance_or_verdict_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.paper.table2.TOLERANCE", 0.1, raising=False)
    assert differences(_stored(), _stored()) == []
    assert differences(_stored(54.0), _stored()) == []  # in the interval, and 8 % in what has none
    assert differences(_stored(56.0), _stored()) == [
        "table2: axfpm, mean L2 must be from 90 to 110, but is 112"  # a time of 56 s is no difference
    ]
    apart = replace(_stored(61.0), rows=[replace(_stored(61.0).rows[0], interval=(59.0, 63.0)), *_stored().rows[1:]])
    assert differences(apart, _stored()) == []  # the intervals overlap
    apart = replace(apart, rows=[replace(apart.rows[0], interval=(60.5, 63.0)), *_stored().rows[1:]])
    told = "table2: axfpm, FGSM, smallest must be from 40 to 60, but is 61"
    assert differences(apart, _stored()) == [told]
    assert differences(_stored(verdict="not reproduced"), _stored()) == []
    monkeypatch.delattr("studies.paper.table2.TOLERANCE")
    assert differences(replace(_stored(61.0), rows=[_stored(61.0).rows[0], *_stored().rows[1:]]), _stored()) == [told]
    assert differences(_stored(verdict="not reproduced"), _stored()) == [
        "table2: the verdict was 'reproduced', and is 'not reproduced'"
    ]
    fewer = replace(_stored(), rows=_stored().rows[1:])
    assert differences(fewer, _stored()) == ["table2: axfpm, FGSM, smallest is gone"]
    assert differences(_stored(), fewer) == ["table2: axfpm, FGSM, smallest is new"]
    monkeypatch.setattr("studies.paper.table2.TOLERANCE", None, raising=False)
    assert differences(_stored(99.0), _stored()) == []


def test_inputs_are_what_a_study_reaches() -> None:
    names = {path.relative_to(fingerprint.ROOT).as_posix() for path in fingerprint.sources("studies.paper.table9")}
    assert {
        "studies/paper/table9.py",
        "studies/rows/cost_rows.py",
        "circuits/cost/cells45.json",
        "constraints.txt",
    } <= names
    assert "circuits/multipliers/wallace.py" in names  # TOPOLOGIES names it by string
    assert not {name for name in names if name.startswith(("cnn_eval/attacks", "dse/", "studies/table2"))}
    assert "studies/own/cost_validation.json" in {
        path.relative_to(fingerprint.ROOT).as_posix() for path in fingerprint.sources("studies.own.cost_validation")
    }


def test_the_digest_of_inputs_follows_content_not_wording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "studies"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("def run():\n    from studies import two\n")
    (package / "two.py").write_text("N = 1\n")
    (package / "three.py").write_text("N = 1\n")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    monkeypatch.setattr(fingerprint, "_FRAME", ())

    def digest() -> str:
        fingerprint.sources.cache_clear()
        fingerprint._imports.cache_clear()
        fingerprint._content.cache_clear()
        return fingerprint.digest("studies.one")

    first = digest()
    (package / "three.py").write_text("N = 2\n")
    assert digest() == first
    (package / "two.py").write_text("N = 2\n")
    second = digest()
    assert second != first
    (package / "two.py").write_text('"""Two."""\n\n# why\nN = 2\n"""A constant."""\n')
    assert digest() == second  # wording and layout decide no number
    (package / "two.py").write_text('"""Two."""\n\nN = "a string that is no docstring"\n')
    assert digest() != second
    monkeypatch.undo()
    fingerprint.sources.cache_clear()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes table2 return at once; lists the levels that ran."""
    runs: list[str] = []

    def run(options: StudyOptions) -> StudyResult:
        runs.append(options.level)
        return _stored()

    monkeypatch.setattr("studies.paper.table2.run", run)
    return runs


def test_a_run_reuses_a_stored_result_of_its_level(
    tmp_path: Path, counted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "table2", "--quick", "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert main(arguments) == 0
    again = capsys.readouterr()
    assert (again.out, counted) == (first, ["quick"])
    assert again.err.startswith("note: as stored in ")
    assert main([*arguments, "--fresh"]) == 0
    assert main(["run", "table2", "--out", str(tmp_path)]) == 0  # another level
    (tmp_path / "table2.json").write_text('{"rows": [')  # cut short
    assert main(["run", "table2", "--out", str(tmp_path)]) == 0
    assert counted == ["quick", "quick", "default", "default"]


def test_report_writes_what_check_accepts(
    tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, store = tmp_path / "out", tmp_path / "studies" / "results"
    claim = Claim("seldom | transfers", "table 2", "table2", "axfpm", ".*, smallest", below(90), "under 90 %")
    monkeypatch.setattr("studies.frame.claims.CLAIMS", (claim,))
    assert main(["report", "--results", str(out), "--store", str(store)]) == 2
    assert main(["run", "table2", "--quick", "--out", str(out)]) == 0
    assert main(["report", "--results", str(out), "--store", str(store)]) == 0
    page = (tmp_path / "studies" / "RESULTS.md").read_text()
    assert "| seldom \\| transfers | table 2 | axfpm | 12 % | 50 % | 40 .. 60 | reproduced in direction |" in page
    assert "**reproduced**: because." in page
    counted.clear()
    capsys.readouterr()
    check = ["check", "table2", "--store", str(store)]
    assert main([*check, "--stale"]) == 0  # nothing has changed
    assert counted == []
    assert capsys.readouterr().out == "1 results as saved, 0 stale, 0 compared, 0 differences\n"
    other = replace(StudyResult.load(store / "quick" / "table2.json"), inputs="other")
    other.save(store / "quick")
    assert main(check) == 0
    assert counted == []
    assert capsys.readouterr().out.splitlines() == [
        "table2: stale (quick), since its code or data have changed",
        "1 results as saved, 1 stale, 0 compared, 0 differences",
    ]
    assert main([*check, "--stale"]) == 0  # runs again, with the same numbers
    assert counted == ["quick"]
    replace(other, rows=[replace(other.rows[0], measured=10.0, interval=(5.0, 15.0)), *other.rows[1:]]).save(
        store / "quick"
    )
    capsys.readouterr()
    assert main([*check, "--stale"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "table2: stale (quick), since its code or data have changed",
        "table2: axfpm, FGSM, smallest must be from 5 to 15, but is 50",
        "1 results as saved, 1 stale, 1 compared, 1 differences",
    ]
    (store / "quick" / "table2.json").unlink()
    assert main(check) == 1
    assert capsys.readouterr().out.startswith("table2: no quick result is committed; run it, then ")


@pytest.mark.parametrize(
    ("measured", "interval", "verdict"),
    [
        (13.0, (5.0, 20.0), "reproduced"),
        (13.0, (0.0, 40.0), "too few samples to tell"),
        (50.0, (40.0, 60.0), "reproduced in direction"),
        (95.0, (92.0, 99.0), "not reproduced"),
    ],
)
def test_the_verdict_of_a_claim_follows_its_interval(
    measured: float, interval: tuple[float, float], verdict: str
) -> None:
    claim = Claim("", "", "table2", "axfpm", ".*", below(90), "")
    assert claim.verdict([Row("axfpm", "rate", measured, 12.0, interval, "%")]) == verdict


def test_the_verdict_of_a_claim_without_interval_follows_its_number() -> None:
    claim = Claim("", "", "table9", "axfpm", ".*", below(1), "")
    for measured, verdict in ((0.4, "reproduced"), (0.3, "reproduced in direction"), (1.1, "not reproduced")):
        assert claim.verdict([Row("axfpm", "energy", measured, 0.41)]) == verdict


def test_a_figure_has_a_panel_for_each_unit(tmp_path: Path, counted: list[str]) -> None:
    rows = [Row("a", "rate", 40.0, 12.0, (30.0, 50.0), "%"), Row("a", "energy", 0.1, 0.4), Row("b", "rate", 1.0)]
    figure = _figure(rows[:2], "title")
    top, bottom = figure.axes
    assert (top.get_xlabel(), bottom.get_xlabel()) == ("%", "a number without unit")
    assert [text.get_text() for text in top.get_yticklabels()] == ["a: rate"]
    drawn = {str(line.get_label()): list(line.get_xdata()) for line in top.lines}  # type: ignore[arg-type]
    assert drawn == {"published": [12.0], "95 % interval": [30.0, 50.0], "measured": [40.0]}
    one, other = (comparison(rows, name="trial", title="title") for _ in range(2))
    assert one == other != comparison(rows[:1], name="trial", title="title")
    assert main(["run", "table2", "--quick", "--out", str(tmp_path)]) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".csv", ".png", ".svg"}


def test_results_are_kept_and_reported() -> None:
    """studies/RESULTS.md is what `report` makes of the results that are kept, one of each study at least.

    What is stale changes with the code and is compared by `studies check`, not here.
    """
    for name in STUDIES:
        assert path_of(name, "quick").is_file(), name
    page = (COMMITTED.parent / "RESULTS.md").read_text(encoding="utf-8")
    assert unmarked(page) == markdown(load_best())
    assert is_picture_of(COMMITTED.parent / PICTURE, load_best())


def test_rows_of_studies_have_no_interval_of_nan() -> None:
    assert Row("a", "b", 1.0, interval=(math.nan, math.nan)).interval is None
    assert Row("a", "b", 1.0, interval=(0.0, math.inf)).interval == (0, math.inf)
