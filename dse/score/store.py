"""The store: one SQLite file of scores, designs and runs, safe for several processes.

A score is keyed by the digest that its scorer declares, the scorer's name and version and the hash of its settings; a
design is scored once ever. All scores of one design are written in one transaction, so that a kill loses whole designs
and never leaves half a row. The file is in WAL mode; it says what it is by PRAGMA application_id and user_version.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from circuits.errors import DesignError
from circuits.support.documents import parse_json
from circuits.support.files import open_file
from circuits.support.text import shorten
from dse.score.folder_lock import folder_locked
from dse.score.scorers import Scorer, Scores, Settings
from dse.space.per_layer import Subject, read_subject

__all__ = ["Member", "RunRecord", "Store", "StoreError", "may_be_written", "move_aside", "run_identifier"]

APPLICATION_ID = 0x44534531  # "DSE1"
SCHEMA_VERSION = 2
BUSY_SECONDS = 60.0
"""How long a writer waits for another process."""
_OUTSIDE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""SQLite's result codes that blame the disk or another process, not the file's content."""
_MAX_BYTES = 1 << 40
_LOGS = ("-wal", "-shm")
"""Endings of the files that SQLite keeps beside a store in use."""
_MAGIC = b"SQLite format 3\0"
_SCHEMA = """
CREATE TABLE designs (
    cost_digest TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    toml TEXT NOT NULL,
    checksum TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings (hash TEXT PRIMARY KEY, scorer TEXT NOT NULL, settings TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE scores (
    digest TEXT NOT NULL,
    scorer TEXT NOT NULL,
    version INTEGER NOT NULL,
    settings TEXT NOT NULL,
    scores TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (digest, scorer, version, settings)
) WITHOUT ROWID;
CREATE TABLE runs (
    run TEXT PRIMARY KEY,
    configuration TEXT NOT NULL,
    started TEXT NOT NULL,
    provenance TEXT NOT NULL,
    finished TEXT,
    checksum TEXT
) WITHOUT ROWID;
CREATE TABLE run_designs (
    run TEXT NOT NULL REFERENCES runs,
    position INTEGER NOT NULL,
    cost_digest TEXT NOT NULL REFERENCES designs,
    role TEXT NOT NULL,
    skipped TEXT NOT NULL,
    PRIMARY KEY (run, position)
) WITHOUT ROWID;
"""


class StoreError(ValueError):
    """A store that cannot be trusted or was written by another version; the message names it and says what to do."""


@dataclass(frozen=True)
class Member:
    """A design of a finished run, in the order of scoring; `role` is "space" or "reference".

    `skipped`: what was not measured of it and why, as "accuracy, transfer: energy<=2000 (it has 2345)"; else empty.
    """

    design: Subject
    role: str
    skipped: str = ""


@dataclass(frozen=True)
class RunRecord:
    """A run in the store: what it computes, what it ran on, when (UTC, ISO 8601); `finished` is None until it ends."""

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
            self.set_aside = _create(self.path)
        _check_header(self.path)
        if read_only:
            self._connection = _connect_to_read(self.path)
        else:
            # autocommit: transactions are opened explicitly below.
            self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._check()
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    # Scores.

    def get(self, digest: str, scorer: Scorer, settings_hash: str) -> Scores | None:
        """The stored scores, or None."""
        return self.find(digest, scorer.name, scorer.version, settings_hash)

    def find(self, digest: str, scorer: str, version: int, settings_hash: str) -> Scores | None:
        """The stored scores of any scorer and version, or None."""
        row = self._one(
            "SELECT scores, checksum FROM scores WHERE digest = ? AND scorer = ? AND version = ? AND settings = ?",
            (digest, scorer, version, settings_hash),
        )
        if row is None:
            return None
        if row[1] != _checksum(digest, scorer, version, settings_hash, row[0]):
            raise _damaged(self.path, f"the {scorer} scores of {digest[:10]} have a wrong checksum")
        scores = parse_json(row[0], f"scores in {self.path}", error=StoreError)
        if not isinstance(scores, dict) or not all(isinstance(value, (int, float)) for value in scores.values()):
            raise _damaged(self.path, f"the {scorer} scores of {digest[:10]} are no numbers by name")
        return {name: float(value) for name, value in scores.items()}

    def put(self, design: Subject, found: Mapping[str, Scores], scorers: Iterable[Scorer], settings: Settings) -> None:
        """Stores the scores of one design, scorer by scorer, in one transaction. What is there already stays."""
        rows = []
        kept = []
        for scorer in scorers:
            if scorer.name not in found:
                continue
            text = json.dumps(dict(found[scorer.name]), sort_keys=True)
            settings_hash = scorer.settings_hash(settings)
            key = (getattr(design, scorer.key), scorer.name, scorer.version, settings_hash)
            rows.append((*key, text, _checksum(*key, text)))
            kept.append((settings_hash, scorer.name, json.dumps(scorer.settings(settings), sort_keys=True)))
        entry = (design.cost_digest, design.digest, design.to_toml())
        self._write(
            ("INSERT OR IGNORE INTO designs VALUES (?, ?, ?, ?)", [(*entry, _checksum(*entry))]),
            ("INSERT OR IGNORE INTO settings VALUES (?, ?, ?)", kept),
            ("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows),
        )

    def count(self) -> int:
        """Number of designs with scores."""
        row = self._one("SELECT count(*) FROM designs", ())
        return int(row[0]) if row else 0

    # Runs.

    def begin(
        self, configuration: Mapping[str, Any], *, when: str = "", provenance: Mapping[str, Any] = MappingProxyType({})
    ) -> str:
        """Records a run by its configuration, if it is new; returns its identifier, a digest of the configuration.

        `when` it starts and `provenance` (JSON-ready) are kept of the first time.
        """
        text = json.dumps(configuration, sort_keys=True)
        run = run_identifier(configuration)
        entry = (run, text, when, json.dumps(dict(provenance), sort_keys=True))
        self._write(("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, NULL, NULL)", [entry]))
        return run

    def runs(self) -> list[RunRecord]:
        """All runs, by the time of their start, then by identifier."""
        rows = self._all("SELECT run, configuration, provenance, started, finished FROM runs ORDER BY started, run", ())
        found = []
        for run, configuration, provenance, started, finished in rows:
            if hashlib.sha256(configuration.encode()).hexdigest() != run:
                raise _damaged(self.path, f"the configuration of run {run[:10]} is not what its name says")
            asked, made = (
                parse_json(text, f"run {run[:10]} in {self.path}", error=StoreError)
                for text in (configuration, provenance)
            )
            found.append(RunRecord(run, asked, made, started, finished))
        return found

    def run(self, run: str) -> RunRecord:
        """The run of that identifier or of a beginning of it; DesignError unless there is just one."""
        every = self.runs()
        found = [record for record in every if record.run.startswith(run)] if run else []
        if len(found) != 1:
            names = ", ".join(record.run[:10] for record in found or every) or "none"
            what = f"{len(found)} runs match" if found else "the store has no such run"
            raise DesignError(
                f"a run must be named by the beginning of its identifier, but got {run!r} and {what} ({names}); see "
                "`python -m dse.results list`."
            )
        return found[0]

    def finish(self, run: str, members: Sequence[Member], when: str) -> None:
        """Records that `run` is finished and which designs it scored, in one transaction."""
        rows = [
            (run, place, member.design.cost_digest, member.role, member.skipped) for place, member in enumerate(members)
        ]
        self._write(
            ("DELETE FROM run_designs WHERE run = ?", [(run,)]),
            ("INSERT INTO run_designs VALUES (?, ?, ?, ?, ?)", rows),
            ("UPDATE runs SET finished = ?, checksum = ? WHERE run = ?", [(when, _checksum(*rows), run)]),
        )

    def members(self, run: str) -> list[Member] | None:
        """The designs of a finished run, in the order of scoring; None when it is not finished."""
        row = self._one("SELECT finished, checksum FROM runs WHERE run = ?", (run,))
        if row is None or row[0] is None:
            return None
        entries = self._all(
            "SELECT run, position, cost_digest, role, skipped, digest, toml, checksum FROM run_designs JOIN designs "
            "USING (cost_digest) WHERE run = ? ORDER BY position",
            (run,),
        )
        if row[1] != _checksum(*(entry[:5] for entry in entries)):
            raise _damaged(self.path, f"the designs of run {run[:10]} have a wrong checksum")
        members = []
        for _, _, cost_digest, role, skipped, digest, text, checksum in entries:
            if checksum != _checksum(cost_digest, digest, text):
                raise _damaged(self.path, f"the design {cost_digest[:10]} has a wrong checksum")
            members.append(Member(read_subject(text, where=f"a design in {self.path}"), role, skipped))
        return members

    # SQLite.

    def _check(self) -> None:
        application, version = (self._one(f"PRAGMA {name}", ()) for name in ("application_id", "user_version"))
        assert application is not None
        assert version is not None
        if application[0] != APPLICATION_ID:
            raise StoreError(
                f"{self.path} must be a store of this program, but its application_id is {application[0]:#x}; "
                "give another --out."
            )
        if version[0] != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} must have schema version {SCHEMA_VERSION}, but was written by another version of this "
                f"program with schema {version[0]}; give another --out, or --fresh to start over (the old file is kept "
                "as store.sqlite.old)."
            )
        # A view in a table's place could compute for ever.
        other = self._one("SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index')", ())
        if other is not None:
            raise _damaged(self.path, f"it has a {other[0]} {shorten(repr(other[1]))}, which no store has")
        problem = self._one("PRAGMA quick_check(1)", ())
        if problem != ("ok",):
            raise _damaged(self.path, "a page of the database is malformed")

    def _one(self, statement: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
        rows = self._all(statement, values)
        return rows[0] if rows else None

    def _all(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._error("readable", error) from None

    def _write(self, *batches: tuple[str, Sequence[Sequence[Any]]]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in batches:
                    connection.executemany(statement, rows)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise self._error("writable", error) from None

    def _error(self, wanted: str, error: sqlite3.DatabaseError) -> Exception:
        # The low byte is the primary result code; errors of the Python layer (text that is not UTF-8) have none.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OUTSIDE:
            return OSError(f"{self.path} must be {wanted}, but: {error}; check the disk and other processes.")
        return _damaged(self.path, str(error))


def run_identifier(configuration: Mapping[str, Any]) -> str:
    """The identifier that a run of that configuration has in every store."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()


def move_aside(path: Path) -> None:
    """Renames a store and its companion files to NAME.old, so that a new one can take its place."""
    if not path.exists():
        return  # An earlier NAME.old is worth more than logs without a store, which `Store` sets aside itself.
    for suffix in ("", *_LOGS):
        source = path.with_name(path.name + suffix)
        target = path.with_name(f"{path.name}.old{suffix}")
        target.unlink(missing_ok=True)
        if source.exists():
            source.rename(target)


def may_be_written(path: Path) -> bool:
    """Whether the store at `path` can be opened for writing: SQLite writes the file and creates others beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _create(path: Path) -> tuple[Path, ...]:
    """A new, empty store, complete from the first moment that it has its name; returns what was set aside for it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            connection.executescript(f"PRAGMA journal_mode = WAL; {marks} {_SCHEMA}")
        with folder_locked(path.parent):
            # Logs beside an existing store are its own, even if another process created it just now.
            set_aside = () if path.exists() else _set_logs_aside(path)
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass  # Another process was first: its store will do.
            except OSError:
                temporary.rename(path)  # A file system without hard links.
        return set_aside
    except sqlite3.OperationalError as error:
        raise OSError(f"{path} must be a writable file, but: {error}; choose another folder.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _set_logs_aside(path: Path) -> tuple[Path, ...]:
    """Renames what a removed store left beside it: SQLite would replay the log into the new store.

    The new names are no logs of any store, and nothing is overwritten.
    """
    renamed = []
    for suffix in _LOGS:
        source = path.with_name(path.name + suffix)
        if source.exists():
            names = (path.with_name(f"{source.name}.old{number or ''}") for number in itertools.count())
            target = next(name for name in names if not name.exists())
            source.rename(target)
            renamed.append(target)
    return tuple(renamed)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the files that SQLite keeps beside a store in use."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    log = path.with_name(path.name + _LOGS[0])
    if log.exists():
        # A search is running, or was killed: what it wrote last stands in the log.
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if log.stat().st_size:
                raise OSError(
                    f"{path} must be readable with its log {log.name}, but may not be written here ({error}); copy "
                    "both files to a folder of yours and give that as --store."
                ) from None
        else:
            return connection
    # Without a log nobody can be writing.
    return sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)


def _check_header(path: Path) -> None:
    """Before SQLite may touch the file: an empty or foreign one must not be taken for a new database."""
    with open_file(path, limit=_MAX_BYTES, error=StoreError) as stream:
        header = stream.read(100)
        size = stream.seek(0, os.SEEK_END)
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise _damaged(path, f"it has {size} bytes and no SQLite header")
    page = int.from_bytes(header[16:18])
    # SQLite reads the rest of a cut page as zeros; only a log that is not yet merged could mend it.
    if size % (65536 if page == 1 else max(page, 1)) and not path.with_name(path.name + "-wal").exists():
        raise _damaged(path, f"its {size} bytes end within a page")


def _checksum(*parts: Any) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{path} must be a whole store, but is truncated or damaged ({reason}); restore it from a copy, or give "
        "--fresh to start over (the damaged file is kept as store.sqlite.old)."
    )
