"""Results that cannot be edited unnoticed: digests, stale results, and running them again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studies.commands import main
from studies.frame import fingerprint
from studies.frame.result_digest import KEY, content_digest
from studies.frame.result_folders import COMMITTED
from studies.frame.stored_results import stored_levels
from studies.frame.study import LEVELS, Row, StudyOptions, StudyResult

_EDITED = "must hold what a study saved, but its content does not match its digest: it was edited, or saved by an "


def _first_row(record: dict[str, Any], **changes: Any) -> None:
    record["rows"][0].update(changes)


def _rename_inputs(record: dict[str, Any]) -> None:
    """Declares that the result came from other code and data than it did."""
    record["inputs"] = "0" * len(record["inputs"])


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "measured": lambda record: _first_row(record, measured=12.0),
    "interval": lambda record: _first_row(record, interval=[0.0, 100.0]),
    "published": lambda record: _first_row(record, published=50),
    "remark": lambda record: _first_row(record, remark="16 of 16"),
    "a row less": lambda record: record["rows"].pop(),
    "verdict": lambda record: record.update(verdict="reproduced"),
    "settings": lambda record: record["settings"].update(images=10_000),
    "an old result declared new": _rename_inputs,
    "no digest": lambda record: record.pop(KEY),
    "empty digest": lambda record: record.update({KEY: ""}),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the committed results of one study at every level."""
    for level in stored_levels("table2"):
        (tmp_path / "results" / level).mkdir(parents=True)
        shutil.copy(COMMITTED / level / "table2.json", tmp_path / "results" / level)
    return tmp_path / "results"


@pytest.mark.parametrize("level", ["quick", "default"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_result_is_refused(edit: str, level: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "table2", "--store", str(store)]) == 0
    path = store / level / "table2.json"
    record = json.loads(path.read_text())
    EDITS[edit](record)
    path.write_text(json.dumps(record, indent=2) + "\n")
    capsys.readouterr()
    assert main(["check", "table2", "--store", str(store)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"table2: {path} {_EDITED}earlier version; run the study again." in lines
    assert lines[-1].endswith("0 compared, 1 differences")
    assert main(["report", "--store", str(store), "--out", str(store / "page.md")]) == (2 if level == "default" else 0)


def test_every_committed_result_is_as_saved() -> None:
    paths = [path for level in LEVELS for path in sorted((COMMITTED / level).glob("*.json"))]
    assert len(paths) >= 52
    for path in paths:
        record = json.loads(path.read_text())
        StudyResult.load(path)
        # A planted number is noticed whichever file it is in.
        record["rows"][-1]["measured"] += 1
        assert content_digest(record) != record[KEY], path


def test_another_layout_of_the_file_is_no_edit(store: Path) -> None:
    path = store / "quick" / "table2.json"
    before = StudyResult.load(path)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert StudyResult.load(path) == before


def test_a_result_is_read_back_whatever_its_settings_hold(tmp_path: Path) -> None:
    settings = {"sizes": (1, 2), "names": {10: "ten", 9: "nine"}, "share": 1e-30, "none": None}
    rows = [Row("a", "b", 0.1 + 0.2, 3, (0.0, 1.0), "%", "naïve")]
    StudyResult(rows, "measured", "because.", settings, name="table2", level="quick").save(tmp_path)
    assert StudyResult.load(tmp_path / "table2.json").rows == rows


@pytest.fixture
def levels_run(monkeypatch: pytest.MonkeyPatch, store: Path) -> list[str]:
    """Runs of table2 return its stored rows at once; the fixture lists the levels that ran."""
    kept = {level: StudyResult.load(store / level / "table2.json") for level in stored_levels("table2", store)}
    ran: list[str] = []

    def run(options: StudyOptions) -> StudyResult:
        ran.append(options.level)
        return kept[options.level]

    monkeypatch.setattr("studies.paper.table2.run", run)
    monkeypatch.setattr("studies.frame.row_figures.comparison", lambda *_, **__: {})  # drawing takes seconds
    return ran


def test_fresh_runs_every_level_and_compares(
    store: Path, levels_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It finds what a digest cannot: a number edited by someone who computed the digest again."""
    check = ["check", "--store", str(store), "--fresh", "table2"]
    assert main(check) == 0
    assert levels_run == ["quick", "default"]
    assert main([*check, "--quick"]) == 0
    assert levels_run == ["quick", "default", "quick"]
    path = store / "default" / "table2.json"
    forged = StudyResult.load(path)
    first = replace(forged.rows[0], measured=12.0, interval=(10.0, 14.0))
    replace(forged, rows=[first, *forged.rows[1:]]).save(path.parent)
    assert main(["check", "--store", str(store), "table2"]) == 0
    capsys.readouterr()
    assert main(check) == 1
    told = f"table2: {first.subject}, {first.quantity} must be from 10 to 14, but is {forged.rows[0].measured:.4g}"
    assert told in capsys.readouterr().out.splitlines()


def test_stale_results_are_shown_as_stale(store: Path, levels_run: list[str]) -> None:
    page = store.parent / "RESULTS.md"
    for level in stored_levels("table2", store):
        result = StudyResult.load(store / level / "table2.json")
        replace(result, inputs=fingerprint.digest("studies.paper.table2")).save(store / level)
    assert main(["report", "--store", str(store)]) == 0
    fresh = page.read_text()
    assert "(stale)" not in fresh
    result = StudyResult.load(store / "default" / "table2.json")
    replace(result, inputs="other").save(store / "default")
    assert main(["report", "--store", str(store)]) == 0
    text = page.read_text()
    assert "| [table2](#table2), default (stale) |" in text  # beside every claim
    assert "(DA table 2; default (stale))." in text
    assert text.replace(" (stale)", "") == fresh
    assert levels_run == []
    assert main(["check", "--store", str(store), "--stale", "table2"]) == 0
    assert levels_run == ["default"]


def test_an_edited_page_is_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("studies.frame.study_runs.STUDIES", {"table2": "studies.paper.table2"})
    page = store.parent / "RESULTS.md"
    assert main(["report", "--store", str(store)]) == 0
    assert main(["check", "--store", str(store)]) == 0
    page.write_text(page.read_text().replace(" (stale)", ""))
    assert main(["check", "--store", str(store)]) == 0  # what is stale changes with the code; that is no edit
    text = page.read_text()
    edited = text.replace("| not reproduced |", "| reproduced |", 1)
    assert edited != text
    page.write_text(edited)
    capsys.readouterr()
    assert main(["check", "--store", str(store)]) == 1
    assert f"{page} must be what `report` makes of the committed results, but is not; run" in capsys.readouterr().out


def test_quick_needs_something_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--quick"]) == 2
    assert capsys.readouterr().err == (
        "error: --quick needs --stale or --fresh, but got neither; nothing runs again without them.\n"
    )
