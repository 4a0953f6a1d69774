"""What every study shares: options, rows of published and measured numbers, a verdict, and how they are shown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from circuits.support.cli import console, say, table
from circuits.support.documents import parse_json
from circuits.support.files import read_bytes
from circuits.support.provenance import machine as machine
from circuits.support.text import csv_field, shorten
from cnn_eval.support.verified_files import write_atomically
from studies import STUDIES

LEVELS = ("quick", "default", "full")
MAX_BYTES = 1 << 26
"""Largest stored result that is read."""
VERDICTS = ("reproduced", "reproduced in direction", "not reproduced", "measured")
"""The last for studies of our own, which have no published number."""


@dataclass(frozen=True)
class StudyOptions:
    """`level`: quick (<= 90 s on 2 cores, embedded data), default (<= 15 minutes) or full (fetched data, from
    `folder` or the user's cache). `models`: folder of transistor models, for studies that can simulate again."""

    level: str = "default"
    folder: Path | None = None
    models: Path | None = None


@dataclass(frozen=True)
class Row:
    """One number: `published` (None where the paper has none) beside `measured`, with its 95 % interval if sampled."""

    subject: str
    quantity: str
    measured: float
    published: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    remark: str = ""

    def __post_init__(self) -> None:
        # A sample too small for an interval has NaN for its ends (`circuits.accuracy.error_types.Estimate`).
        if self.interval is not None and any(math.isnan(end) for end in self.interval):
            object.__setattr__(self, "interval", None)


@dataclass(frozen=True)
class StudyResult:
    """A study's rows and verdict. `settings`: all that the numbers depend on; `figures`: suffix -> file, a plot."""

    name: str
    title: str
    source: str
    rows: Sequence[Row]
    verdict: str
    reason: str
    settings: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, bytes] = field(default_factory=dict, repr=False)
    level: str = ""
    inputs: str = ""
    """Set by the command line: the level at which it ran, and the digest of what it depends on (`studies.frame.fingerprint`)."""

    def __post_init__(self) -> None:
        assert self.verdict in VERDICTS

    def to_json(self) -> str:
        """The whole result with the machine's description."""
        record = asdict(self)
        del record["figures"]
        return json.dumps({**record, "machine": machine()}, indent=2) + "\n"

    @classmethod
    def load(cls, path: Path) -> StudyResult:
        """What `save` wrote, without the figures; ValueError naming the file if it is anything else, or another
        study's: a file is named after its study."""
        content = read_bytes(path, limit=MAX_BYTES, error=ValueError)
        try:
            record = parse_json(content, str(path), error=ValueError)
            rows = [_row(row) for row in record["rows"]]
            kept = {key: record[key] for key in ("name", "title", "source", "verdict", "reason", "level", "inputs")}
            if not all(isinstance(text, str) for text in kept.values()) or kept["level"] not in LEVELS:
                raise ValueError
            result = cls(rows=rows, settings=dict(record["settings"]), **kept)
        except (ValueError, TypeError, KeyError, AssertionError) as error:
            raise ValueError(
                f"{path} must be a stored result of a study, but is not; delete it and run again."
            ) from error
        if result.name not in STUDIES or result.name != path.stem:
            raise ValueError(
                f"{path} must hold the result of the study that it is named after, but holds that of "
                f"{shorten(repr(result.name))}; rename or delete it."
            )
        return result

    def to_csv(self) -> str:
        """The rows."""
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
        """NAME.json, NAME.csv and the figures in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{self.name}.json", self.to_json().encode())
        write_atomically(folder / f"{self.name}.csv", self.to_csv().encode())
        for suffix, data in self.figures.items():
            write_atomically(folder / f"{self.name}.{suffix}", data)

    def print(self) -> None:
        """The table, the verdict and its reason."""
        shown = {name for name in ("published", "interval", "remark") if any(getattr(row, name) for row in self.rows)}
        columns = {"subject": "", "quantity": "quantity", "published": "published", "measured": "measured"}
        columns |= {"interval": "95 % interval", "unit": "unit", "remark": "remark"}
        kept = [name for name in columns if name in shown or name not in ("published", "interval", "remark")]
        made = table(*(columns[name] for name in kept), right=("published", "measured", "95 % interval"), keys=2)
        last = None
        for row in self.rows:
            cells = {
                "subject": "" if row.subject == last else row.subject,
                "quantity": row.quantity,
                "published": "" if row.published is None else f"{row.published:.4g}",
                "measured": f"{row.measured:.4g}",
                "interval": "" if row.interval is None else " .. ".join(f"{end:.4g}" for end in row.interval),
                "unit": row.unit,
                "remark": row.remark,
            }
            made.add_row(*(cells[name] for name in kept))
            last = row.subject
        say(f"{self.name}: {self.title} ({self.source})")
        console().print(made)
        say(f"{self.verdict}: {self.reason}\n")


def _row(record: dict[str, Any]) -> Row:
    """A row as JSON holds it; ValueError or TypeError where a field is of another type."""
    row = Row(**{**record, "interval": record["interval"] and tuple(record["interval"])})
    texts, numbers = (row.subject, row.quantity, row.unit, row.remark), [row.measured, *(row.interval or ())]
    numbers += [] if row.published is None else [row.published]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(n, (int, float)) for n in numbers):
        raise TypeError
    if row.interval is not None and len(row.interval) != 2:
        raise ValueError
    return row
