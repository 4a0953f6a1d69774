"""Tasks on threads that stay for the next call, and the memory that each thread reuses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PRODUCTS_A_THREAD = 1 << 18
"""Products that repay waking a thread."""


def default_threads() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def useful_threads(threads: int | None, products: int) -> int:
    """`threads` (default: all cores), but no more than the number of products repays."""
    return max(1, min(threads or default_threads(), products // _PRODUCTS_A_THREAD))


def run_tasks(task: Callable[..., None], tasks: Sequence[tuple[int, ...]], threads: int) -> None:
    """Calls task(*arguments) for every element of `tasks`, on `threads` threads that stay for the next call."""
    if min(threads, len(tasks)) <= 1:
        for arguments in tasks:
            task(*arguments)
        return
    for future in [_pool(threads).submit(task, *arguments) for arguments in tasks]:
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
