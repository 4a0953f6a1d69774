"""The CUDA driver by ctypes: contexts, modules from PTX, launches. Nothing is loaded before the first call."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from circuits.engine.device.kernels.thread_code import Kernel
from circuits.engine.device.ptx_code import ptx
from circuits.errors import DesignError
from circuits.support.processor import load_driver

# Numbers from cuda.h.
_MULTIPROCESSOR_COUNT = 16
_SHARED_BYTES_A_BLOCK = 97
_MAXIMUM_DYNAMIC_SHARED_BYTES = 8
_JIT_ERROR_LOG, _JIT_ERROR_LOG_BYTES = 5, 6
_LOG_BYTES = 4096


@lru_cache(maxsize=1)
def _driver() -> Any:
    """The driver's library, initialised. Raises DesignError where there is none or no device."""
    library = load_driver()
    _check(library, "cuInit", library.cuInit(0))
    return library


def _check(library: Any, function: str, status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        library.cuGetErrorString(status, ctypes.byref(text))
        reason = (text.value or b"unknown error").decode()
        raise DesignError(f"the CUDA driver must succeed, but {function} failed with error {status}: {reason}.")


def _call(function: str, *arguments: Any) -> None:
    library = _driver()
    _check(library, function, getattr(library, function)(*arguments))


class CudaDevice:
    """One device and its primary context, the one that torch uses. `find_device` keeps one for each."""

    def __init__(self, ordinal: int) -> None:
        device = ctypes.c_int()
        _call("cuDeviceGet", ctypes.byref(device), ordinal)
        self._device = device
        self._context = ctypes.c_void_p()
        # Never released: modules live as long as the process.
        _call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.multiprocessors = self._attribute(_MULTIPROCESSOR_COUNT)
        self.shared_bytes = self._attribute(_SHARED_BYTES_A_BLOCK)
        self._functions: dict[Kernel, ctypes.c_void_p] = {}

    def launch(self, kernel: Kernel, arguments: Sequence[int], blocks: int, groups: int, stream: int) -> None:
        """Starts the kernel on a stream; arguments are addresses and i64 numbers."""
        values = [ctypes.c_int64(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        with self._current():
            _call(
                "cuLaunchKernel",
                self._function(kernel),
                *(ctypes.c_uint(count) for count in (blocks, groups, 1, kernel.threads, 1, 1)),
                ctypes.c_uint(4 * kernel.table_words),
                ctypes.c_void_p(stream),
                pointers,
                None,
            )

    def _function(self, kernel: Kernel) -> ctypes.c_void_p:
        """The loaded kernel; its context must be current."""
        found = self._functions.get(kernel)
        if found is None:
            module, found = ctypes.c_void_p(), ctypes.c_void_p()
            self._load(module, ptx(kernel))
            _call("cuModuleGetFunction", ctypes.byref(found), module, b"kernel")
            if kernel.table_words:
                _call("cuFuncSetAttribute", found, _MAXIMUM_DYNAMIC_SHARED_BYTES, 4 * kernel.table_words)
            self._functions[kernel] = found
        return found

    def _load(self, module: ctypes.c_void_p, text: bytes) -> None:
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options = (ctypes.c_int * 2)(_JIT_ERROR_LOG, _JIT_ERROR_LOG_BYTES)
        values = (ctypes.c_void_p * 2)(ctypes.addressof(log), _LOG_BYTES)
        try:
            _call("cuModuleLoadDataEx", ctypes.byref(module), text, ctypes.c_uint(2), options, values)
        except DesignError as error:
            lines = log.value.decode(errors="replace").split("\n")
            raise DesignError(f"{error} {' '.join(' '.join(lines).split())}".strip()) from None

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        _call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Makes the device's context the calling thread's, as torch may have another device current."""
        _call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            _call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))


@lru_cache
def find_device(ordinal: int) -> CudaDevice:
    """The device of that number, as torch counts them. Raises DesignError."""
    return CudaDevice(ordinal)
