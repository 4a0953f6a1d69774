"""Runs one function over many tasks, in this process, in processes here or on the workers of a Dask scheduler.

A worker that dies costs the time of the task that it held and nothing else: the task is given to another worker.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["Executor", "ExecutorLostError", "Processes", "TaskOutcome", "available_cpus", "call"]

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
ATTEMPTS = 2
"""How many workers may die on one task before the task counts as failed."""
_WATCH_SECONDS = 1.0
"""Time between two checks of a worker that its parent is alive."""
_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that the kernel sends when the parent dies."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class ExecutorLostError(OSError):
    """Whatever runs the tasks is gone; outcomes so far are valid. The message says what was lost and what to do."""


@dataclass(frozen=True)
class TaskOutcome(Generic[ResultT]):
    """The `result` of a task, or its `error` in one line (`result` is then None)."""

    result: ResultT | None
    error: str | None = None


class Executor(ABC, Generic[TaskT, ResultT]):
    """Calls one function on many tasks; a context manager. Function, tasks and results must be picklable."""

    def __enter__(self) -> Executor[TaskT, ResultT]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Starts or connects to the workers without waiting for them."""

    @abstractmethod
    def close(self) -> None:
        """Ends the workers that this executor started."""

    @abstractmethod
    def stream(self, tasks: Iterable[TaskT]) -> Iterator[tuple[int, TaskOutcome[ResultT]]]:
        """Yields (index in `tasks`, outcome) as each task ends, in any order.

        Takes a task from `tasks` only when a worker is free for it, and after the caller has consumed the outcomes so
        far. An exception in the function is an error at once; the death of a worker is one after `ATTEMPTS` deaths.
        """

    def run(
        self, tasks: Iterable[TaskT], done: Callable[[int, TaskOutcome[ResultT]], None] | None = None
    ) -> list[TaskOutcome[ResultT]]:
        """The outcome of every task, in the order of `tasks`; `done(index, outcome)` is called as each one ends."""
        outcomes: dict[int, TaskOutcome[ResultT]] = {}
        for index, outcome in self.stream(tasks):
            outcomes[index] = outcome
            if done is not None:
                done(index, outcome)
        # Tasks end in any order; callers see the order in which they were given.
        return [outcomes[index] for index in sorted(outcomes)]


class Processes(Executor[TaskT, ResultT]):
    """`workers` processes on this machine; with one worker everything runs in this process.

    `function`, tasks and results must be importable and picklable. Processes are spawned once, at the first task, with
    one thread each, and live until `close`. They end within seconds when this process dies.
    """

    def __init__(self, function: Callable[[TaskT], ResultT], workers: int) -> None:
        assert workers >= 1
        self._function = function
        self._workers = workers
        self._pool: list[_Worker] = []

    def start(self) -> None:
        """Starts the processes without waiting for them."""
        while self._workers > 1 and len(self._pool) < self._workers:
            self._pool.append(_Worker(self._function))

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._pool:
            worker.connection.close()  # All of them first, so that they end at the same time.
        for worker in self._pool:
            worker.end()
        self._pool = []

    def stream(self, tasks: Iterable[TaskT]) -> Iterator[tuple[int, TaskOutcome[ResultT]]]:
        """Yields outcomes as `Executor.stream` describes."""
        if self._workers == 1:
            yield from ((index, call(self._function, task)) for index, task in enumerate(tasks))
            return
        self.start()
        source = enumerate(tasks)
        again: list[tuple[int, TaskT]] = []
        attempts: dict[int, int] = {}
        busy: dict[Connection, tuple[_Worker, int, TaskT]] = {}
        idle = list(self._pool)
        while True:
            # Tasks of dead workers come first, or an endless source would put them off for ever.
            while idle and (following := again.pop() if again else next(source, None)) is not None:
                index, task = following
                worker = idle.pop()
                attempts[index] = attempts.get(index, 0) + 1
                worker.send(task)
                busy[worker.connection] = worker, index, task
            if not busy:
                return
            # A pipe whose other end has died counts as ready: reading then raises EOFError.
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                worker, index, task = busy.pop(ready)
                try:
                    outcome: TaskOutcome[ResultT] | None = ready.recv()
                except (EOFError, OSError):
                    # Died before, or in the middle of, its answer.
                    outcome = None
                if outcome is None:
                    how = worker.end()
                    self._pool.remove(worker)
                    worker = _Worker(self._function)
                    self._pool.append(worker)
                # Before the yield: the caller may take long, or leave, and the bookkeeping is then right.
                idle.append(worker)
                if outcome is not None:
                    yield index, outcome
                elif attempts[index] < ATTEMPTS:
                    again.append((index, task))
                else:
                    yield index, TaskOutcome(None, f"its worker process died {ATTEMPTS} times ({how})")


class _Worker:
    """One process and this end of its pipe."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_serve, args=(function, theirs, os.getpid(), _in_main_thread()), daemon=True
        )
        with _one_thread(), _interrupts_blocked():
            self.process.start()
        # If this process held the child's end too, the child's death would never close the pipe.
        theirs.close()

    def send(self, task: Any) -> None:
        with suppress(OSError):  # If the worker has died, reading from the pipe will say so.
            self.connection.send(task)

    def end(self) -> str:
        """Ends the process at once; returns how it ended, e.g. "signal 9"."""
        self.connection.close()
        # A waiting worker sees the closed pipe and ends by itself; one in the middle of a task has to be killed.
        self.process.join(0.2)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
        return "killed" if code is None else f"signal {-code}" if code < 0 else f"status {code}"


def _serve(function: Callable[[Any], Any], connection: Connection, parent: int, by_main_thread: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent ends its workers itself.
    _end_with(parent, by_signal=by_main_thread)
    try:
        while True:
            connection.send(call(function, connection.recv()))
    except (EOFError, OSError):
        return  # The parent is gone or has closed the pipe.


def _end_with(parent: int, *, by_signal: bool) -> None:
    """Makes this process end within seconds of its parent's end, even in the middle of a task.

    A thread watches the parent. A compiled kernel that holds the interpreter lock stops that thread, so Linux is asked
    for a signal as well. Linux takes the thread that started this process for its parent, so the signal is only used
    (`by_signal`) where that thread lives as long as the process.
    """
    if by_signal and sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # The parent died before either was in place.
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def call(function: Callable[[Any], Any], task: Any) -> TaskOutcome[Any]:
    """`function(task)`, or its exception in one line."""
    try:
        return TaskOutcome(function(task))
    except (ValueError, OSError) as error:
        return TaskOutcome(None, _line(str(error)))
    except Exception as error:  # A bug on one task must not end the run of all others.
        return TaskOutcome(None, _line(f"{type(error).__name__}: {error}"))


def _line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process started here never sees Ctrl-C, not even before `_serve` runs: the mask is inherited."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # or the first start would start it, and that unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Libraries read their thread counts from the environment when they are loaded, so before any code of ours runs."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
