"""The interface of a study: its options, rows of published and measured numbers, and a result with a verdict."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from circuits.support.cli import console, say, table
from circuits.support.documents import parse_json
from circuits.support.files import read_bytes, write_atomically
from circuits.support.provenance import machine as machine
from circuits.support.text import csv_field, shorten
from studies import STUDIES
from studies.frame import result_digest

LEVELS = ("quick", "default", "full")
MAX_BYTES = 1 << 26
"""Largest stored result that `StudyResult.load` reads."""
VERDICTS = ("reproduced", "reproduced in direction", "not reproduced", "cannot be told", "measured")
"""The last one is the verdict of our own studies, which have no published number."""


def _measured_anew(name: str, measure: Callable[[], list[Row]]) -> list[Row]:
    return measure()


@dataclass(frozen=True)
class StudyOptions:
    """The size of a study's run, and where it finds its data.

    - `level`: "quick" (at most 90 s on 2 cores, embedded images), "default" (at most 15 minutes, embedded images) or
      "full" (the full image sets, which must have been fetched).
    - `folder`: folder of the full image sets; None stands for the user's cache.
    - `models`: folder of transistor models, for studies that can repeat their circuit simulation.
    - `library`: folder of a user's copy of EvoApproxLib, for the study that can measure it.
    - `wire`: fF of wire on the way to every sink, of which tables 7 and 9 say what they would add.
    - `part`: part(name, measure) returns the rows of a long study's part, those that an interrupted run has left or
      those that measure() returns (`studies.frame.finished_rows`).
    """

    level: str = "default"
    folder: Path | None = None
    models: Path | None = None
    library: Path | None = None
    wire: float = 0.0
    part: Callable[[str, Callable[[], list[Row]]], list[Row]] = _measured_anew

    @property
    def data(self) -> Literal["embedded", "full"]:
        """The image sets used at this level: those embedded in the package, or the full ones."""
        return "full" if self.level == "full" else "embedded"

    @property
    def data_folder(self) -> Path | None:
        """The folder of the full image sets; None if the level uses the images embedded in the package."""
        return self.folder if self.data == "full" else None


@dataclass(frozen=True)
class Row:
    """One measured number beside the published one.

    `published` is None where the paper gives no number. `interval` is the 95 % interval of a sampled number. Subject
    and quantity together identify the row within its study; stored results are matched by them.
    """

    subject: str
    quantity: str
    measured: float
    published: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    remark: str = ""

    def __post_init__(self) -> None:
        # If the sample is too small for an interval, its ends are NaN (`circuits.accuracy.error_types.Estimate`).
        if self.interval is not None and any(math.isnan(end) for end in self.interval):
            object.__setattr__(self, "interval", None)


@dataclass(frozen=True)
class StudyResult:
    """The rows of a study, its verdict and the reason for it.

    A study's `run` sets the first five fields: `settings` records everything that the numbers depend on, and `figures`
    maps a file suffix to the content of a plot. `study_runs.measure` sets the others: the name in STUDIES, the TITLE
    and SOURCE of the module, the level, and `inputs`, the digest of the code and data behind the numbers
    (`studies.frame.fingerprint`).
    """

    rows: Sequence[Row]
    verdict: str
    reason: str
    settings: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, bytes] = field(default_factory=dict, repr=False)
    name: str = ""
    title: str = ""
    source: str = ""
    level: str = ""
    inputs: str = ""

    def __post_init__(self) -> None:
        assert self.verdict in VERDICTS

    def to_json(self) -> str:
        """Returns the result without its figures as JSON, with the machine and the digest of all of it."""
        record = asdict(self)
        del record["figures"]
        # The fields that identify the result come first in the file.
        head = {key: record.pop(key) for key in ("name", "title", "source")}
        record = {**head, **record, result_digest.KEY: "", "machine": machine()}
        record[result_digest.KEY] = result_digest.content_digest(record)
        return json.dumps(record, indent=2) + "\n"

    @classmethod
    def load(cls, path: Path) -> StudyResult:
        """Loads a result that `save` has written. Its figures are not loaded.

        Raises ValueError with the file's name if the content is not a stored result, if it was edited after it was
        saved, or if it is the result of a study other than the one that the file is named after.
        """
        content = read_bytes(path, limit=MAX_BYTES, error=ValueError)
        try:
            record = parse_json(content, str(path), error=ValueError)
            rows = [read_row(row) for row in record["rows"]]
            texts = {key: record[key] for key in ("name", "title", "source", "verdict", "reason", "level", "inputs")}
            if not all(isinstance(text, str) for text in texts.values()) or texts["level"] not in LEVELS:
                raise ValueError
            result = cls(rows=rows, settings=dict(record["settings"]), **texts)
        except (ValueError, TypeError, KeyError, AssertionError) as error:
            raise ValueError(
                f"{path} must be a stored result of a study, but is not; delete it and run again."
            ) from error
        if record.get(result_digest.KEY) != result_digest.content_digest(record):
            raise ValueError(
                f"{path} must hold what a study saved, but its content does not match its digest: it was edited, or "
                "saved by an earlier version; run the study again."
            )
        if result.name not in STUDIES or result.name != path.stem:
            raise ValueError(
                f"{path} must hold the result of the study that it is named after, but holds that of "
                f"{shorten(repr(result.name))}; rename or delete it."
            )
        return result

    def to_csv(self) -> str:
        """Returns the rows as CSV, one line per row below a line of headings."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["subject", "quantity", "published", "measured", "low", "high", "unit", "remark"])
        for row in self.rows:
            low, high = row.interval or ("", "")
            published = "" if row.published is None else row.published
            fields = [row.subject, row.quantity, published, row.measured, low, high, row.unit, row.remark]
            writer.writerow(map(csv_field, fields))
        return text.getvalue()

    def save(self, folder: Path) -> None:
        """Writes NAME.json, NAME.csv and the figures to `folder`, which is created if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{self.name}.json", self.to_json().encode())
        write_atomically(folder / f"{self.name}.csv", self.to_csv().encode())
        for suffix, data in self.figures.items():
            write_atomically(folder / f"{self.name}.{suffix}", data)

    def print(self) -> None:
        """Prints the rows as a table without empty columns, then the verdict and its reason."""
        headings = {"subject": "", "quantity": "quantity", "published": "published", "measured": "measured"}
        headings |= {"interval": "95 % interval", "unit": "unit", "remark": "remark"}
        empty = {name for name in ("published", "interval", "remark") if not any(getattr(r, name) for r in self.rows)}
        columns = [name for name in headings if name not in empty]
        listing = table(*(headings[name] for name in columns), right=("published", "measured", "95 % interval"), keys=2)
        last_subject = None
        for row in self.rows:
            cells = {
                "subject": "" if row.subject == last_subject else row.subject,
                "quantity": row.quantity,
                "published": "" if row.published is None else f"{row.published:.4g}",
                "measured": f"{row.measured:.4g}",
                "interval": "" if row.interval is None else " .. ".join(f"{end:.4g}" for end in row.interval),
                "unit": row.unit,
                "remark": row.remark,
            }
            listing.add_row(*(cells[name] for name in columns))
            last_subject = row.subject
        say(f"{self.name}: {self.title} ({self.source})")
        console().print(listing)
        say(f"{self.verdict}: {self.reason}\n")


def read_row(record: dict[str, Any]) -> Row:
    """Parses a row from a JSON record. Raises ValueError or TypeError if a field has the wrong type or length."""
    row = Row(**{**record, "interval": record["interval"] and tuple(record["interval"])})
    texts, numbers = (row.subject, row.quantity, row.unit, row.remark), [row.measured, *(row.interval or ())]
    numbers += [] if row.published is None else [row.published]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(n, (int, float)) for n in numbers):
        raise TypeError
    if row.interval is not None and len(row.interval) != 2:
        raise ValueError
    return row
