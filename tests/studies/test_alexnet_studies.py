"""DA tables 6 and 11, AlexNet: every published number has a row beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies.commands import main
from studies.paper import table6
from studies.paper.table11 import PUBLISHED


@pytest.mark.slow
def test_table6_pairs_every_published_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table6, "IMAGES", {"quick": {"lenet5": 40, "alexnet": 10}})
    result = table6.run(table6.StudyOptions(level="quick"))
    published = {(row.subject, row.quantity): row.published for row in result.rows if row.published is not None}
    assert published["lenet5 exact", "accuracy"] == 97.93
    for name in ("alexnet axfpm_tiled", "DoReFa full, 4 bits"):
        assert (published[name, "accuracy"], published[name, "accuracy less exact"]) == (80, -1)
    assert {row.published for row in result.rows} >= {97.93, 97.67, 81.0, 80.0}
    for row in result.rows:
        assert row.interval is not None
        assert row.interval[0] <= row.measured <= row.interval[1]


@pytest.mark.slow
def test_table11_prints_every_published_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "table11", "--quick", "--format", "json", "--out", str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    layers = [row["subject"].split()[1] for row in rows if row["subject"][:2].strip().isdigit()]
    assert [name for name, after in zip(layers, [*layers[1:], ""], strict=True) if name != after] == [
        name for name in PUBLISHED if name != "softmax"
    ]
    assert [row["measured"] >= 80 for row in rows if row["unit"] == "%"] == [True] * 3
