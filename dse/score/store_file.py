"""The file of a store: creating it whole, opening it safely, setting it aside.

The file is SQLite in WAL mode; `PRAGMA application_id` and `user_version` say what it is. Three invariants hold:

- A store is complete from the first moment that it has its name: it is made under a temporary one and linked.
- A log (-wal, -shm) beside a store belongs to that store. SQLite would replay a foreign log into a new store, so logs
  that a removed store left are renamed before a new one takes its name.
- What is no store of this program is refused before SQLite may touch it.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from circuits.support.files import open_file
from circuits.support.text import shorten
from dse.score.folder_lock import folder_locked

__all__ = [
    "STORE_NAME",
    "StoreError",
    "create_store",
    "damaged",
    "may_be_written",
    "move_aside",
    "open_connection",
    "translated",
]

STORE_NAME = "store.sqlite"
"""The store in a search's output folder, unless another one is given."""
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
"""SQLite's result codes for trouble with the disk or another process, not with the file's content."""
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


def create_store(path: Path) -> tuple[Path, ...]:
    """A new, empty store, complete from the first moment that it has its name; returns what was set aside for it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            # WAL mode cannot be set inside a transaction; it is kept in the file, for all who open it later.
            connection.executescript(f"PRAGMA journal_mode = WAL; {marks} {_SCHEMA}")
        with folder_locked(path.parent):
            # Logs beside an existing store are its own, even if another process created it just now.
            set_aside = () if path.exists() else _set_logs_aside(path)
            try:
                # A link fails where the name exists, a rename would replace a store that another process has just
                # made.
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
        raise damaged(path, f"it has {size} bytes and no SQLite header")
    page = int.from_bytes(header[16:18])
    # SQLite reads the rest of a cut page as zeros; only a log that is not yet merged could mend it.
    if size % (65536 if page == 1 else max(page, 1)) and not path.with_name(path.name + "-wal").exists():
        raise damaged(path, f"its {size} bytes end within a page")


def damaged(path: Path, reason: str) -> StoreError:
    """The error that says what is wrong with a store and what to do."""
    return StoreError(
        f"the store {path} is truncated or damaged ({reason}); restore it from a copy, or give "
        "--fresh to start over (the damaged file is kept as store.sqlite.old)."
    )


def open_connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode to the store at `path`, checked.

    Raises StoreError when the file is no store, is truncated or damaged or has another schema version; OSError when it
    cannot be read.
    """
    _check_header(path)
    if read_only:
        connection = _connect_to_read(path)
    else:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _check_content(path, connection)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise translated(path, "readable", error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _check_content(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path} is not a store of this program (its application_id is {application:#x}); give another --out."
        )
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"the store {path} has schema version {version}, but this version of the program reads {SCHEMA_VERSION}; "
            "give another --out, or --fresh to start over (the old file is kept as store.sqlite.old)."
        )
    # A view in a table's place could compute for ever.
    other = connection.execute("SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchone()
    if other is not None:
        raise damaged(path, f"it has a {other[0]} {shorten(repr(other[1]))}, which no store has")
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise damaged(path, "a page of the database is malformed")


def translated(path: Path, wanted: str, error: sqlite3.DatabaseError) -> Exception:
    """The OSError or StoreError for what SQLite raised when `path` was to be `wanted` ("readable", "writable")."""
    # The low byte is the primary result code; errors of the Python layer (text that is not UTF-8) have none.
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OUTSIDE:
        return OSError(f"{path} must be {wanted}, but: {error}; check the disk and other processes.")
    return damaged(path, str(error))
