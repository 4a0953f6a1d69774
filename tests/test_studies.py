"""The studies' frame: listing, running, saving, refusing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from studies import STUDIES
from studies.__main__ import main
from studies.metrics_throughput import _score_designs
from studies.study import Row, StudyResult


def test_list_names_every_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)


def test_unknown_study_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "troughput"]) == 2
    assert (
        capsys.readouterr().err == "error: the study must be a known name, but got 'troughput'; nearest: throughput.\n"
    )


def test_result_as_table_json_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Row("exact", "accuracy", 99.4, published=97.93, interval=(98.9, 99.7), unit="%"),
        Row("exact", "NMED", 5e-9, remark="sampled"),
    ]
    result = StudyResult("trial", "a trial", "DA table 0", rows, "measured", "because.", {"seed": 0})
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
    assert main(["run", "table8", "--quick", "--json", "--out", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)
    published = {(row["subject"], row["quantity"]): row["published"] for row in result["rows"]}
    assert published["axfpm", "MRED (ratio of means)"] == 0.33
    assert published["axfpm", "NMED"] == 0.08
    assert published["heap (reconstructed)", "accuracy"] == 97.86
    measured = {(row["subject"], row["quantity"]): row["measured"] for row in result["rows"]}
    assert measured["axfpm", "MRED (ratio of means)"] == pytest.approx(1 / 3, abs=0.002)  # FACTS 2
    assert measured["axfpm", "NMED"] == pytest.approx(1 / 12, abs=0.0005)  # FACTS 2
    assert (tmp_path / "table8.csv").is_file()


def test_scoring_many_designs_takes_processor_time() -> None:
    assert _score_designs(np.random.SeedSequence(0), 1) > 0
