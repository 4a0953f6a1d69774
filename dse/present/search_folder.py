"""A search in its output folder: locks, store, results. `run_search` is the search as Python calls it.

Two locks keep searches apart. The folder's lock is exclusive: two searches would write the same front.csv. The store's
lock is shared, since several searches may use one store; only a fresh start, which sets the store aside, needs it
alone, and shares it as soon as the new store may be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from circuits.support.files import require_writable
from dse.explore.search_loop import search
from dse.explore.search_options import SearchOptions
from dse.explore.search_result import SearchResult
from dse.explore.stored_runs import stored_result
from dse.present.artifacts import require_same_space, write_results
from dse.score.evaluation import ScoresByScorer, ScoringTask
from dse.score.executor import Executor, ExecutorLostError
from dse.score.folder_lock import Lock
from dse.score.store import Store, run_identifier
from dse.score.store_file import STORE_NAME, may_be_written, move_aside

__all__ = ["LOCK_NAME", "finished_search", "require_writable_places", "run_search"]

LOCK_NAME = "search.lock"


def run_search(
    options: SearchOptions,
    *,
    out: Path | str | None = None,
    store: Store | Path | str | None = None,
    executor: Executor[ScoringTask, ScoresByScorer] | None = None,
    progress: bool = False,
    fresh: bool = False,
    provenance: Mapping[str, Any] = MappingProxyType({}),
    announce: Callable[[str], None] = lambda text: None,
    begin: Callable[[], None] = lambda: None,
    observe: Callable[[Callable[[], SearchResult]], None] = lambda so_far: None,
) -> SearchResult:
    """Runs, continues or looks up a search; the same options end with the same front, however often it was killed.

    - `out`: the folder for the store, front.csv, plots and report.html; None writes no results.
    - `store`: an open store, or its file; default: store.sqlite in `out`, or a temporary one without `out`.
    - `executor`: what scores, e.g. `Processes(measure, workers)`; default: this process. It is closed at the end.
    - `progress`: reports on standard error.
    - `fresh`: starts over and sets the store aside as NAME.old.
    - `provenance`: JSON-ready data that the store keeps of the run's first start.
    - `announce` is called with notes on the store; `begin` once, after all checks and before any work.
    - `observe`: as in `search`.

    Raises DesignError when `out` holds a search of another space, LockedError when another search uses it, ValueError
    when nothing can be scored, StoreError for a store that cannot be trusted, ExecutorLostError when the executor is
    gone. KeyboardInterrupt and ExecutorLostError say how many designs have their scores, and where.
    """
    with ExitStack() as stack:
        opened = store if isinstance(store, Store) else _open_store(stack, options, store, out, fresh, announce)
        begin()
        with _saying_how_to_continue(opened, fresh=fresh):
            result = search(options, opened, executor, progress=progress, provenance=provenance, observe=observe)
        if out is not None:
            write_results(Path(out), result)
        return result


def _open_store(
    stack: ExitStack,
    options: SearchOptions,
    file: Path | str | None,
    out: Path | str | None,
    fresh: bool,
    announce: Callable[[str], None],
) -> Store:
    """The store in `file`, else in the folder `out`, else a temporary one, with its locks; `stack` gives them back."""
    if out is None and file is None:
        file = Path(stack.enter_context(TemporaryDirectory())) / STORE_NAME
    folder = None if out is None else Path(out)
    path = Path(file) if file is not None else (folder or Path()) / STORE_NAME
    require_writable_places(folder, path)
    if folder is not None:
        stack.enter_context(_folder_lock(folder))
    store_lock = stack.enter_context(_store_lock(path, fresh=fresh))
    if fresh:
        move_aside(path)
        store_lock.share()
    elif folder is not None:
        require_same_space(folder, path, options.space, own_store=file is None)
    opened = stack.enter_context(Store(path))
    for log in opened.set_aside:
        announce(f"{path} was gone, but not its log, which is now {log}")
    return opened


@contextmanager
def _saying_how_to_continue(store: Store, *, fresh: bool) -> Iterator[None]:
    """Whatever ends a search before its time says where its scores are and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_continue(store, fresh=fresh)) from None
    except ExecutorLostError as error:
        raise ExecutorLostError(f"{error}; {_how_to_continue(store, fresh=fresh)}") from None


def _how_to_continue(store: Store, *, fresh: bool) -> str:
    again = "the same command without --fresh" if fresh else "the same command"
    return f"{store.count()} designs have their scores in {store.path}: {again} continues the search"


def finished_search(path: Path, options: SearchOptions) -> SearchResult | None:
    """The result of this very search, if the store at `path` holds it; writes nothing."""
    identifier = run_identifier(options.to_data())
    with Store(path, read_only=True) as store:
        record = next((entry for entry in store.runs() if entry.run == identifier), None)
        return None if record is None else stored_result(store, record)


def require_writable_places(folder: Path | None, path: Path) -> None:
    """ValueError unless both folders and the store, if it is there, may be written; makes the folders."""
    if folder is not None:
        require_writable(folder)
    require_writable(path.parent)
    if path.exists() and not may_be_written(path):
        raise ValueError(f"the store {path} must be writable, but is not; change its permissions, or copy it.")


def _folder_lock(folder: Path) -> Lock:
    return Lock(
        folder / LOCK_NAME,
        what=f"--out {folder} must belong to one search at a time",
        advice="wait for it, or give another --out",
    )


def _store_lock(path: Path, *, fresh: bool) -> Lock:
    """The lock of the store, which searches share unless they start it afresh."""
    wanted = "must be used by no other search when --fresh sets it aside" if fresh else "must not be set aside just now"
    return Lock(
        path.with_name(f"{path.name}.lock"),
        what=f"the store {path} {wanted}",
        advice="wait for it, or give another store",
        shared=not fresh,
    )
