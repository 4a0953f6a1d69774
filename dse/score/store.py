"""The store: one SQLite file of scores, designs and runs, safe for several processes (`dse.score.store_file`).

A score is keyed by the digest that its scorer declares, the scorer's name and version and the hash of its settings;
each design is scored only once. All scores of one design are written in one transaction, so that a kill loses whole
designs and never leaves half a row. Every row carries a checksum: an altered score is refused, never used.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from circuits.errors import DesignError
from circuits.support.documents import parse_json
from dse.score.scorers.scorer import Scorer, Scores, ScoreSettings
from dse.score.store_file import StoreError, create_store, damaged, open_connection, translated
from dse.space.per_layer import Candidate, read_candidate

__all__ = ["Member", "RunRecord", "Store", "run_identifier"]


@dataclass(frozen=True)
class Member:
    """A design of a finished run, in the order of scoring; `role` is "space" or "reference".

    `skipped`: why constraints rule it out and what was therefore not measured, as "energy<=2000 (it has 2,345); not
    measured: accuracy"; else empty.
    """

    design: Candidate
    role: str
    skipped: str = ""


@dataclass(frozen=True)
class RunRecord:
    """A run in the store: its configuration, what it ran on, and when (UTC, ISO 8601).

    `finished` is None until the run ends.
    """

    run: str
    configuration: dict[str, Any]
    provenance: dict[str, Any]
    started: str
    finished: str | None


class Store:
    """An open store; a context manager. Created where `path` does not exist, unless `read_only`.

    `read_only`: for a file or folder that may not be written, a read-only medium say. `set_aside`: the logs of a
    removed store of this name that were renamed when this one was created.

    Raises StoreError when the file is no store, is truncated or damaged or has another schema version; OSError when it
    cannot be created, or not be read.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self.set_aside: tuple[Path, ...] = ()
        if not read_only and not self.path.exists():
            self.set_aside = create_store(self.path)
        self._connection = open_connection(self.path, read_only=read_only)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def get(self, digest: str, scorer: Scorer, settings_hash: str) -> Scores | None:
        """The stored scores of a scorer of this program, or None."""
        return self.find(digest, scorer.name, scorer.version, settings_hash)

    def find(self, digest: str, scorer: str, version: int, settings_hash: str) -> Scores | None:
        """The stored scores of any scorer in any version, or None."""
        row = self._one(
            "SELECT scores, checksum FROM scores WHERE digest = ? AND scorer = ? AND version = ? AND settings = ?",
            (digest, scorer, version, settings_hash),
        )
        if row is None:
            return None
        if row[1] != _checksum(digest, scorer, version, settings_hash, row[0]):
            raise damaged(self.path, f"the {scorer} scores of {digest[:10]} have a wrong checksum")
        scores = parse_json(row[0], f"scores in {self.path}", error=StoreError)
        if not isinstance(scores, dict) or not all(isinstance(value, (int, float)) for value in scores.values()):
            raise damaged(self.path, f"the {scorer} scores of {digest[:10]} are no numbers by name")
        return {name: float(value) for name, value in scores.items()}

    def put(
        self, design: Candidate, measured: Mapping[str, Scores], scorers: Iterable[Scorer], settings: ScoreSettings
    ) -> None:
        """Stores the scores of one design, scorer by scorer, in one transaction. Scores that are there already stay."""
        scores = []
        used_settings = []
        for scorer in scorers:
            if scorer.name not in measured:
                continue
            text = json.dumps(dict(measured[scorer.name]), sort_keys=True)
            settings_hash = scorer.settings_hash(settings)
            key = (getattr(design, scorer.key), scorer.name, scorer.version, settings_hash)
            # The checksum covers the key too: a row moved to another design does not match.
            scores.append((*key, text, _checksum(*key, text)))
            used_settings.append(
                (settings_hash, scorer.name, json.dumps(scorer.settings_data(settings), sort_keys=True))
            )
        entry = (design.cost_digest, design.digest, design.to_toml())
        self._write(
            ("INSERT OR IGNORE INTO designs VALUES (?, ?, ?, ?)", [(*entry, _checksum(*entry))]),
            ("INSERT OR IGNORE INTO settings VALUES (?, ?, ?)", used_settings),
            # Equal keys have equal scores, so that of two processes that measured the same design either may come
            # first.
            ("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?, ?)", scores),
        )

    def count(self) -> int:
        """Number of designs with scores."""
        row = self._one("SELECT count(*) FROM designs", ())
        return int(row[0]) if row else 0

    def begin(
        self, configuration: Mapping[str, Any], *, when: str = "", provenance: Mapping[str, Any] = MappingProxyType({})
    ) -> str:
        """Records a run by its configuration, if it is new; returns its identifier, a digest of the configuration.

        `when` it starts and its `provenance` (JSON-ready) are those of the first time.
        """
        text = json.dumps(configuration, sort_keys=True)
        run = run_identifier(configuration)
        entry = (run, text, when, json.dumps(dict(provenance), sort_keys=True))
        self._write(("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, NULL, NULL)", [entry]))
        return run

    def runs(self) -> list[RunRecord]:
        """All runs, sorted by start time, then by identifier."""
        rows = self._all("SELECT run, configuration, provenance, started, finished FROM runs ORDER BY started, run", ())
        records = []
        for run, configuration, provenance, started, finished in rows:
            if hashlib.sha256(configuration.encode()).hexdigest() != run:
                raise damaged(self.path, f"the configuration of run {run[:10]} is not what its name says")
            configuration_data, provenance_data = (
                parse_json(text, f"run {run[:10]} in {self.path}", error=StoreError)
                for text in (configuration, provenance)
            )
            records.append(RunRecord(run, configuration_data, provenance_data, started, finished))
        return records

    def run(self, run: str) -> RunRecord:
        """The run whose identifier begins with `run`; DesignError unless there is exactly one."""
        every = self.runs()
        matches = [record for record in every if record.run.startswith(run)] if run else []
        if len(matches) == 1:
            return matches[0]
        names = ", ".join(record.run[:10] for record in matches or every) or "none"
        if matches:
            raise DesignError(
                f"{len(matches)} runs in {self.path} begin with {run!r} ({names}); give more of the identifier."
            )
        raise DesignError(
            f"no run in {self.path} begins with {run!r} (runs: {names}); see `python -m dse.results list`."
        )

    def finish(self, run: str, members: Sequence[Member], when: str) -> None:
        """Records that `run` is finished and which designs it scored, in one transaction."""
        rows = [
            (run, place, member.design.cost_digest, member.role, member.skipped) for place, member in enumerate(members)
        ]
        self._write(
            # A run that is repeated finishes again: its designs are replaced and not appended.
            ("DELETE FROM run_designs WHERE run = ?", [(run,)]),
            ("INSERT INTO run_designs VALUES (?, ?, ?, ?, ?)", rows),
            ("UPDATE runs SET finished = ?, checksum = ? WHERE run = ?", [(when, _checksum(*rows), run)]),
        )

    def members(self, run: str) -> list[Member] | None:
        """The designs of a finished run, in the order of scoring; None when the run is not finished."""
        row = self._one("SELECT finished, checksum FROM runs WHERE run = ?", (run,))
        if row is None or row[0] is None:
            return None
        entries = self._all(
            "SELECT run, position, cost_digest, role, skipped, digest, toml, checksum FROM run_designs JOIN designs "
            "USING (cost_digest) WHERE run = ? ORDER BY position",
            (run,),
        )
        # Over all rows together: a removed row would otherwise go unnoticed.
        if row[1] != _checksum(*(entry[:5] for entry in entries)):
            raise damaged(self.path, f"the designs of run {run[:10]} have a wrong checksum")
        members = []
        for _, _, cost_digest, role, skipped, digest, text, checksum in entries:
            if checksum != _checksum(cost_digest, digest, text):
                raise damaged(self.path, f"the design {cost_digest[:10]} has a wrong checksum")
            members.append(Member(read_candidate(text, where=f"a design in {self.path}"), role, skipped))
        return members

    def _one(self, statement: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
        rows = self._all(statement, values)
        return rows[0] if rows else None

    def _all(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise translated(self.path, "readable", error) from None

    def _write(self, *batches: tuple[str, Sequence[Sequence[Any]]]) -> None:
        connection = self._connection
        try:
            # The write lock is taken at once, where SQLite waits for other writers. A transaction that begins by
            # reading and then wants to write fails at once if another one has written meanwhile.
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in batches:
                    connection.executemany(statement, rows)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise translated(self.path, "writable", error) from None


def run_identifier(configuration: Mapping[str, Any]) -> str:
    """The identifier that a run of that configuration has in every store."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()


def _checksum(*parts: Any) -> str:
    # 64 bits guard against accidents and careless edits; whoever can write the file can also compute checksums. \0
    # keeps ("ab", "c") and ("a", "bc") apart.
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]
