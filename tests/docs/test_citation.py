"""CITATION.cff follows the Citation File Format 1.2.0 and says what the project says elsewhere."""

from __future__ import annotations

import datetime
import re
import tomllib

import pytest
from markdown import ROOT

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extras `dask` and `docs`")

REQUIRED = {"cff-version", "message", "title", "authors"}
"""The keys that a file must have by version 1.2.0 of the schema; `type` must be one of two words."""
ALLOWED = REQUIRED | {"type", "abstract", "version", "date-released", "license", "keywords", "references"}


def test_the_citation_is_valid_and_agrees_with_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(citation) >= REQUIRED
    assert set(citation) <= ALLOWED
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert citation["authors"]
    assert all(set(author) <= {"name", "family-names", "given-names"} for author in citation["authors"])
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    datetime.date.fromisoformat(str(citation["date-released"]))
    assert all(isinstance(word, str) for word in citation["keywords"])
    for reference in citation["references"]:
        assert set(reference) >= {"type", "title", "authors"}
        assert re.fullmatch(r"10\.\d{4,}/\S+", reference["doi"])


def test_the_citation_is_linked_and_printed() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")
    assert "(CITATION.cff)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(../CITATION.cff)" in page
    assert f"title   = {{{citation['title']}}}" in page
    assert citation["authors"][0]["name"] in page
    assert f"version = {{{citation['version']}}}" in page
