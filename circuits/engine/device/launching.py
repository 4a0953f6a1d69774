"""What runs kernels and holds memory: a CUDA device (`cuda_tensors`) or, for tests, the host."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from circuits.engine.device.kernels.thread_code import Kernel
from circuits.engine.llvm.jit import Target, load

Circuit = TypeVar("Circuit", bound=Hashable)


class Memory(Protocol):
    """Memory that kernels reach, for as long as the object lives."""

    @property
    def address(self) -> int: ...


class Launches(Protocol):
    """Runs kernels in the order in which they are given; identical devices have equal keys."""

    @property
    def key(self) -> Hashable: ...

    @property
    def multiprocessors(self) -> int:
        """How many blocks that take all of a multiprocessor run at the same time."""

    @property
    def shared_bytes(self) -> int:
        """The shared memory that a block can have."""

    def empty(self, size: int) -> Memory:
        """`size` uninitialised bytes, from a multiple of 16 on."""

    def copied(self, array: NDArray[Any]) -> Memory:
        """A copy of a contiguous array."""

    def launch(self, kernel: Kernel, arguments: Sequence[int], blocks: int, groups: int) -> None:
        """Runs blocks x groups blocks of the kernel; arguments are addresses and i64 numbers."""


class KeptArrays:
    """Arrays made of circuits, kept in the memory of devices for the next call; the oldest makes room."""

    _MOST = 64

    def __init__(self) -> None:
        self._kept: dict[tuple[Hashable, Hashable], Memory] = {}

    def copied(self, device: Launches, circuit: Circuit, make: Callable[[Circuit], NDArray[Any]]) -> Memory:
        """The array that `make` makes of the circuit, in the device's memory."""
        key = (device.key, circuit)
        if key not in self._kept:
            if len(self._kept) >= self._MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = device.copied(make(circuit))
        return self._kept[key]


class HostMemory:
    """An array, aligned for the widest access of a kernel."""

    def __init__(self, size: int) -> None:
        raw = np.empty(size + 16, dtype=np.uint8)
        start = -raw.ctypes.data % 16
        self.array = raw[start : start + size]
        self.address = self.array.ctypes.data


class HostLaunches:
    """The launch grid as loops on one thread of the host."""

    key = "host"
    multiprocessors = 2
    shared_bytes = 1 << 18

    def empty(self, size: int) -> HostMemory:
        return HostMemory(size)

    def copied(self, array: NDArray[Any]) -> HostMemory:
        memory = HostMemory(array.nbytes)
        memory.array[:] = array.reshape(-1).view(np.uint8)
        return memory

    def launch(self, kernel: Kernel, arguments: Sequence[int], blocks: int, groups: int) -> None:
        _host_function(kernel.host_ir(), len(arguments))(*arguments, blocks, groups)


@lru_cache(maxsize=64)
def _host_function(ir: str, arguments: int) -> Any:
    target = Target.host()
    return load(ir, target).function("launch", *[ctypes.c_int64] * (arguments + 2))
