"""The executor on a running Dask scheduler: `--dask tcp://host:8786`. Needs the extra `dask`.

Start the other side with `dask scheduler` and, on every machine with this program installed, `dask worker ADDRESS
--nthreads 1 --nworkers N`. Workers may come and go while a search runs: the scheduler gives the task of a lost worker
to another one. Scheduler and workers run what they are sent, so they must be trusted (tls:// addresses exist for that).
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TypeVar

from circuits.errors import DesignError, missing_package
from dse.score.executor import Executor, ExecutorLostError, TaskOutcome, call

__all__ = ["Dask"]

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
CONNECT_SECONDS = 10.0
"""How long the scheduler may take to answer."""
_LOOK_SECONDS = 1.0
"""Time between two looks for new workers while all known ones are busy."""


class Dask(Executor[TaskT, ResultT]):
    """The workers of the scheduler at `address`; as many tasks are in flight as they have threads, two at least.

    Raises DesignError where the address has no valid form or `distributed` is not installed, OSError where nothing
    answers. `waiting` is called once when a task finds no worker at all.
    """

    def __init__(
        self, function: Callable[[TaskT], ResultT], address: str, *, waiting: Callable[[], None] = lambda: None
    ) -> None:
        self._function = function
        self._address = address
        self._client = _connect(address)
        # The client logs a lost connection at length; we report it in one line.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self._waiting = waiting

    def start(self) -> None:
        """Does nothing: the workers are there, or will come."""

    def close(self) -> None:
        """Drops what is in flight and leaves the scheduler and its workers running."""
        self._client.close()

    def stream(self, tasks: Iterable[TaskT]) -> Iterator[tuple[int, TaskOutcome[ResultT]]]:
        """Yields outcomes as `Executor.stream` describes; ExecutorLostError where the scheduler goes away."""
        source = enumerate(tasks)
        flying: dict[Any, int] = {}
        exhausted = warned = False
        try:
            while True:
                capacity = self._capacity()
                if capacity == 0 and not warned:
                    warned = True
                    self._waiting()
                # Two at least: with one worker, the next task is there when the first is done. Without a worker they
                # wait at the scheduler.
                while not exhausted and len(flying) < max(2, capacity):
                    following = next(source, None)
                    if following is None:
                        exhausted = True
                        break
                    index, task = following
                    flying[self._submit(task)] = index
                if not flying:
                    return
                # By index, where several end at once, so that at least these come in a fixed order.
                for future in sorted(self._wait(list(flying)), key=flying.__getitem__):
                    yield flying.pop(future), self._outcome(future)
        finally:
            with suppress(*_lost()):
                # Also where the caller leaves the generator early: no worker goes on computing what nobody will read.
                self._client.cancel(list(flying))

    def _capacity(self) -> int:
        """Number of threads of all workers that the scheduler knows now."""
        with self._connection():
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def _submit(self, task: TaskT) -> Any:
        # pure=False: Dask would give equal tasks one future, and the result of an earlier run.
        with self._connection():
            return self._client.submit(call, self._function, task, pure=False)

    def _wait(self, futures: list[Any]) -> list[Any]:
        """The futures that are done; none of them may be after a second."""
        try:
            with self._connection(), self._client.as_current():
                return list(_library().wait(futures, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []

    def _outcome(self, future: Any) -> TaskOutcome[Any]:
        with self._connection():
            if future.status == "finished":
                outcome = future.result()
                assert isinstance(outcome, TaskOutcome)
                return outcome
            error = future.exception() if future.status == "error" else None
        if isinstance(error, _library().KilledWorker):
            # How many is the scheduler's own setting, distributed.scheduler.allowed-failures.
            return TaskOutcome(None, f"{error.allowed_failures + 1} Dask workers died with it")
        if error is None:
            raise self._is_lost(f"a task is {future.status}")
        return TaskOutcome(None, f"Dask could not run it ({' '.join(f'{type(error).__name__}: {error}'.split())})")

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Turns what the client raises when it has lost its scheduler into ExecutorLostError."""
        try:
            yield
        except TimeoutError:
            raise
        except _lost() as error:
            raise self._is_lost(type(error).__name__) from None

    def _is_lost(self, how: str) -> ExecutorLostError:
        return ExecutorLostError(
            f"the Dask scheduler at {self._address} must stay, but is gone ({how}); start it and its workers again"
        )


def _lost() -> tuple[type[BaseException], ...]:
    """What the client raises when it has lost its scheduler: cancelled futures, a closed connection or client."""
    return (CancelledError, FutureCancelledError, OSError, RuntimeError)


def _library() -> Any:
    """The package, without types; DesignError where it is not installed."""
    try:
        return import_module("distributed")
    except ModuleNotFoundError as error:
        raise DesignError(missing_package("--dask", str(error.name).partition(".")[0], "dask")) from None


def _connect(address: str) -> Any:
    client = _library().Client
    advice = "start one with `dask scheduler`, or correct the address (tcp://host:8786, say)."
    try:
        return client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError):
        raise OSError(f"a Dask scheduler must answer at {address!r}, but none does; {advice}") from None
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise DesignError(
            f"the address of a Dask scheduler must be valid, but got {address!r} ({error}); {advice}"
        ) from None
