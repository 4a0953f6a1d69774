"""Tasks on threads that stay for the next call, and the memory that each thread reuses."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_PRODUCTS_A_THREAD = 1 << 18
"""Products that repay waking a thread."""
TASKS_A_THREAD = 4
"""Tasks that each thread should get where work can be split so far: the last one then delays the others little."""


def default_threads() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def useful_threads(threads: int | None, products: int) -> int:
    """`threads` (default: all cores), but no more than the number of products repays."""
    return max(1, min(threads or default_threads(), products // _PRODUCTS_A_THREAD))


class Tasks(NamedTuple):
    """A grid of `units` by `columns`, each task of which takes at most so many of them.

    A task of u units and c columns takes the time (u + unit_cost) (c + column_cost): what it does once for all of its
    units, such as finding out a weight's gates, is worth `unit_cost` units, and packing its operands once for all of
    its columns `column_cost` columns. There are `copies` such grids.
    """

    units: int
    columns: int
    most_units: int
    most_columns: int
    unit_cost: float
    column_cost: float
    copies: int = 1


@lru_cache(maxsize=4096)
def fastest_split(tasks: Tasks, threads: int) -> tuple[int, int]:
    """(units, columns) of a task with which `threads` threads of equal speed are done first.

    Few large tasks repeat little, but their number must suit that of the threads: of three equal tasks on two threads
    the last one takes as long as the others together.
    """
    best, least_time = (1, 1), float("inf")
    fewest_rows, fewest_columns = -(-tasks.units // tasks.most_units), -(-tasks.columns // tasks.most_columns)
    for row_parts in range(fewest_rows, min(tasks.units, fewest_rows + TASKS_A_THREAD * threads) + 1):
        units = -(-tasks.units // row_parts)
        rows = tasks.copies * -(-tasks.units // units)
        for rounds in range(TASKS_A_THREAD + 1):
            column_parts = max(fewest_columns, min(tasks.columns, rounds * threads // rows))
            columns = -(-tasks.columns // column_parts)
            count = rows * -(-tasks.columns // columns)
            time = -(-count // threads) * (units + tasks.unit_cost) * (columns + tasks.column_cost)
            if time < least_time:
                best, least_time = (units, columns), time
    return best


def run_tasks(task: Callable[..., None], tasks: Sequence[tuple[int, ...]], threads: int) -> None:
    """Calls task(*arguments) for every element of `tasks`, on this thread and others that stay for the next call.

    Of an error in a task the caller hears once the tasks that have begun are done; no further ones are begun.
    """
    threads = min(threads, len(tasks))
    if threads <= 1:
        for arguments in tasks:
            task(*arguments)
        return
    # Each thread takes the next task when it is done with one. That costs a fraction of a future for every task, and
    # the caller works too instead of waiting to be woken.
    remaining = deque(tasks)

    def work() -> None:
        while True:
            try:
                arguments = remaining.popleft()
            except IndexError:
                return
            try:
                task(*arguments)
            except BaseException:
                remaining.clear()
                raise

    others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        # What no thread has begun yet has nothing left to do; the others' tasks use the caller's arrays until they end.
        wait([future for future in others if not future.cancel()])
    for future in others:
        if not future.cancelled():
            future.result()


@lru_cache(maxsize=8)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="circuits")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process inherits the pool, but not its threads


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An uninitialised C-contiguous array that begins at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    aligned: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return aligned


class _Memory(threading.local):
    """Scratch memory of one thread."""

    size = 0
    address = 0
    scratch: Any = None


_memory = _Memory()


def scratch_address(size: int) -> int:
    """Address, a multiple of 64, of `size` bytes that belong to this thread until its next call.

    Kernels write whatever they like there. The memory is reused, because fresh memory costs more than the work on it
    (named arrays of NumPy code: `circuits.engine.scratch`).
    """
    if _memory.size < size:
        _memory.scratch = aligned_empty((size,), np.uint8)
        _memory.size, _memory.address = size, _memory.scratch.ctypes.data
    return _memory.address
