"""The rows that a long study has finished, so that a run that was killed repeats only what is missing.

They stand beside the results as NAME.unfinished.json until the study ends. The file belongs to one state of the code
and data behind the study, and to one level; rows of another state are not used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuits.support.documents import parse_json
from circuits.support.files import read_bytes, write_atomically
from studies import STUDIES
from studies.frame import fingerprint
from studies.frame.study import MAX_BYTES, Row, read_row


class FinishedRows:
    """The finished parts of one study's run at `level`, in `folder`. `fresh`: forgets those of an earlier run."""

    def __init__(self, folder: Path, name: str, level: str, *, fresh: bool = False) -> None:
        self.path = folder / f"{name}.unfinished.json"
        self._state = {"name": name, "level": level, "inputs": fingerprint.digest(STUDIES[name])}
        self._parts: dict[str, list[Row]] = {}
        if fresh:
            self.remove()
        else:
            self._parts = self._read()

    def part(self, name: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """The rows of the part called `name`: those that are there, else those of measure(), which are then written."""
        if name not in self._parts:
            self._parts[name] = measure()
            parts = {part: list(map(asdict, rows)) for part, rows in self._parts.items()}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps({**self._state, "parts": parts}, indent=1).encode() + b"\n")
        return list(self._parts[name])

    def remove(self) -> None:
        """Removes the file, once the whole result is stored."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[Row]]:
        """The parts in the file; none where it is missing, damaged, or of another state."""
        try:
            record = parse_json(read_bytes(self.path, limit=MAX_BYTES, error=ValueError), str(self.path))
            if any(record[key] != value for key, value in self._state.items()):
                return {}
            parts: dict[str, list[dict[str, Any]]] = record["parts"]
            return {str(name): [read_row(row) for row in rows] for name, rows in parts.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
